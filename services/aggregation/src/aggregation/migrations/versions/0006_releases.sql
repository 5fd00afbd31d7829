alter table releases add column left_out jsonb;    -- [[name, value], …] of every number not shown; null: not kept then

-- How many numbers were left out for which reason told more than the gaps themselves.
update releases set shared = jsonb_build_object(
    'threshold', shared -> 'threshold',
    'left_out', (select coalesce(sum(value::int), 0) from jsonb_each_text(shared -> 'left_out')),
    'left_out_in_set', (select coalesce(sum(value::int), 0) from jsonb_each_text(shared -> 'left_out_in_set')),
    'why', 'Numbers from 1 to threshold - 1 are left out, and so are as few others as it takes that nobody can work those out, '
        'not even with what was shared before.'
);
