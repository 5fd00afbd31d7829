-- Row-level security: what a transaction may see and change follows from the permission table and from what the transaction says of
-- itself (mrm.action, mrm.subject, mrm.grants, mrm.device). Run as a whole after the revisions, again whenever this text, a service's own, the
-- permission table or the set of tables has changed; `:app` is replaced by the name of the service's least-privilege role.
-- The service's own lines (its `migrations/row_security.sql`) follow after this text.

create table if not exists permission_rows (   -- the permission table's rows of this service
    action text, role text, relation text, state text, primary key (action, role, relation, state)
);
create table if not exists row_security_state ( -- what was set up, so that a service sees whether it still stands
    singleton boolean primary key default true constraint row_security_state_one check (singleton),
    source text not null, catalog text not null
);
revoke all on permission_rows, row_security_state from :app;
grant select on permission_rows, row_security_state to :app;

-- The situations in which the grants of the transaction cover its action, if that is one of `actions` (null: any), in this relation
-- to an object in this state (null: in some relation, some state) by this role (null: by some role). `_all` stands for every situation.
create or replace function covered_situations(
    actions text[], relation text default null, state text default null, office text default null
) returns text[] language sql stable parallel safe set search_path = pg_catalog, public, pg_temp as $$
    select coalesce(array_agg(distinct pair ->> 0), '{}')
    from jsonb_array_elements(nullif(current_setting('mrm.grants', true), '')::jsonb) as pairs (pair)
    where exists (
        select from permission_rows p
        where p.action = current_setting('mrm.action', true) and p.role = pair ->> 1
            and ($1 is null or p.action = any ($1))
            and ($2 is null or p.relation in ('any', $2))
            and ($3 is null or p.state = 'any' or $3 = any (string_to_array(p.state, '|')))
            and ($4 is null or p.role = $4)
    )
$$;
create or replace function acts_everywhere(
    actions text[], relation text default null, state text default null, office text default null
) returns boolean language sql stable parallel safe set search_path = pg_catalog, public, pg_temp as $$
    select '_all' = any (covered_situations($1, $2, $3, $4))
$$;
create or replace function acts_somewhere(actions text[]) returns boolean language sql stable parallel safe
    set search_path = pg_catalog, public, pg_temp as $$
    select covered_situations($1) <> '{}'
$$;
-- The situations to which the person of the transaction belongs in any role, whatever the action.
create or replace function member_situations() returns text[] language sql stable parallel safe
    set search_path = pg_catalog, public, pg_temp as $$
    select coalesce(array_agg(distinct pair ->> 0), '{}')
    from jsonb_array_elements(nullif(current_setting('mrm.grants', true), '')::jsonb) as pairs (pair)
    where exists (select from permission_rows p where p.action = current_setting('mrm.action', true))
$$;
create or replace function acting_subject() returns text language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
    select nullif(current_setting('mrm.subject', true), '')
$$;
-- The field device that acts for the subject; null where the subject acts.
create or replace function acting_device() returns uuid language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
    select nullif(current_setting('mrm.device', true), '')::uuid
$$;

-- Every table of the service: policies hold for its owner too, and let nobody through but the service itself, until the lines below.
do $$
declare
    kept record;
begin
    for kept in
        select c.oid::regclass as name, p.polname as policy from pg_policy p join pg_class c on c.oid = p.polrelid
    loop
        execute format('drop policy %I on %s', kept.policy, kept.name);
    end loop;
    for kept in
        select c.oid::regclass as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and n.nspname not like 'pg\_%' and n.nspname <> 'information_schema'
    loop
        execute format('alter table %s enable row level security', kept.name);
        execute format('alter table %s force row level security', kept.name);
        execute format(
            'create policy _system on %s using ((select current_setting(''mrm.action'', true) = ''system'')) '
            'with check ((select current_setting(''mrm.action'', true) = ''system''))', kept.name
        );
    end loop;
end
$$;

-- What a transaction at one of `actions` may do with the rows of a table: see, lock (`for update` and `for share`, changing nothing),
-- add, change or remove them. Every function call is a sub-select without reference to the row: Postgres makes it once per statement.
--   place     the column that holds the situation; null for a table of the whole installation, where `scope` is `everywhere` (a role
--             held in every situation) or `somewhere` (a role in any)
--   relation  the relation of the permission table, where the action does not stand in another to a row of this table
--   owner     an expression: is the row the person's own? Then the relation is own or not_own
--   states    the words that the column `state_column` can hold, as the permission table's column `state` knows them
--   office    a role that must be held where the rows are: a condition of the permission table's column `role`; the one that stands in
--             the row's `office_column`, or any of them (null)
--   also      a further condition on every row; `added` one on the new rows alone
create or replace function pg_temp.may(
    act text, relation_name text, actions text[], place text default 'situation', scope text default 'everywhere',
    relation text default null, owner text default null, states text[] default null, state_column text default 'state',
    offices text[] default null, office_column text default 'role', also text default null, added text default null
) returns void language plpgsql as $$
declare
    chosen text; one_state text; one_office text; one_relation text; part text;
    parts text[] := '{}';
    visible text; written text;
begin
    if to_regclass(relation_name) is null then
        return;                            -- a table that is not there needs no policy; one that nobody names here has none but the first
    end if;
    foreach one_state in array coalesce(states, array[null]::text[]) loop
        foreach one_office in array coalesce(offices, array[null]::text[]) loop
            foreach one_relation in array case when owner is null then array[relation] else array['own', 'not_own'] end loop
                chosen := format('%L::text[], %L, %L, %L', actions, one_relation, one_state, one_office);
                part := case
                    when place is not null then
                        format('((select acts_everywhere(%s)) or %I = any ((select covered_situations(%s))::text[]))', chosen, place, chosen)
                    when scope = 'everywhere' then format('(select acts_everywhere(%s))', chosen)
                    else format('(select acts_somewhere(%L::text[]))', actions)
                end;
                if one_state is not null then
                    part := format('%I = %L and %s', state_column, one_state, part);
                end if;
                if one_office is not null and office_column is not null then
                    part := format('%I = %L and %s', office_column, one_office, part);
                end if;
                if owner is not null then
                    part := format('(%s) %s and %s', owner, case one_relation when 'own' then 'is true' else 'is not true' end, part);
                end if;
                parts := parts || format('(%s)', part);
            end loop;
        end loop;
    end loop;
    visible := format('(%s)%s', array_to_string(parts, ' or '), coalesce(' and (' || also || ')', ''));
    -- a change may bring a row to any state: which ones it can come from is what the table says
    written := case
        when place is not null then format(
            '((select acts_everywhere(%L::text[])) or %I = any ((select covered_situations(%L::text[]))::text[]))', actions, place, actions
        )
        else visible
    end || coalesce(' and (' || also || ')', '') || coalesce(' and (' || added || ')', '');
    execute format(
        case act
            when 'see' then 'create policy %I on %s for select using (%s)'
            when 'lock' then 'create policy %I on %s for update using (%s) with check (false)'
            when 'add' then 'create policy %I on %s for insert with check (%s)'
            when 'change' then 'create policy %I on %s for update using (%s) with check (%s)'
            when 'remove' then 'create policy %I on %s for delete using (%s)'
        end,
        left(format('%s %s', act, coalesce(array_to_string(actions, ' '), 'any action')), 63), relation_name,
        case act when 'add' then visible || coalesce(' and (' || added || ')', '') else visible end, written
    );
end
$$;

-- Which events leave with an act: numbered, checked for being there already, inserted.
create or replace function pg_temp.may_publish(actions text[]) returns void language plpgsql as $$
begin
    perform pg_temp.may('see', 'outbox', actions);
    perform pg_temp.may('add', 'outbox', actions);
    perform pg_temp.may('see', 'outbox_sequences', actions);
    perform pg_temp.may('add', 'outbox_sequences', actions);
    perform pg_temp.may('change', 'outbox_sequences', actions);
end
$$;

-- The permission table is in the repository; every function above reads it.
create policy "see for everybody" on permission_rows for select using (true);

-- Delivery is the operator's to count and to put through again; with a scratch situation its traces go.
select pg_temp.may('see', 'outbox', '{account.read,situation.write}');
select pg_temp.may('see', 'outbox_sequences', '{account.read,situation.write}');
select pg_temp.may('see', 'inbox', '{situation.write}');
select pg_temp.may('see', 'inbox_sequences', '{account.read,situation.write}');
select pg_temp.may('see', 'parked', '{account.read,parked.read,parked.replay,situation.write}');
select pg_temp.may('see', 'refused_messages', '{account.read}', place => null);
select pg_temp.may('remove', name, '{situation.write}')
from unnest(array['outbox', 'outbox_sequences', 'inbox', 'inbox_sequences', 'parked', 'answered_requests']) as of_scratch (name);

-- Members know the documents of their situations; only the register's writer changes them.
select pg_temp.may('see', 'situations', '{situation.write}', place => 'code');
select pg_temp.may('add', 'situations', '{situation.write}', place => 'code');
select pg_temp.may('change', 'situations', '{situation.write}', place => 'code');
create policy "see as a member" on situations for select
    using (code = any ((select member_situations())::text[]) or (select '_all' = any (member_situations())));

-- Answers that somebody may ask for again: kept by whoever acts in the situation, found by its members.
select pg_temp.may('add', 'answered_requests', null);
select pg_temp.may('change', 'answered_requests', null);
create policy "see as a member" on answered_requests for select
    using (situation = any ((select member_situations())::text[]) or (select '_all' = any (member_situations())));

-- The record of acts: everybody adds what they do where they may do it, under their own name.
select pg_temp.may('add', 'audit_entries', null, added => 'actor = (select acting_subject())');
select pg_temp.may('add', 'audit_pending', null, place => null, scope => 'somewhere');
-- Acts on the installation and acts of a situation are two states of the permission table.
create policy "see audit.read" on audit_entries for select using (
    case when situation is null then (select acts_everywhere('{audit.read}', 'any', 'installation'))
        else (select acts_everywhere('{audit.read}', 'any', 'situation'))
            or situation = any ((select covered_situations('{audit.read}', 'any', 'situation'))::text[])
    end
);
-- Whoever checks the record needs it whole; the service shows them hashes only.
select pg_temp.may('see', name, '{audit.verify}', place => null, scope => 'somewhere')
from unnest(array['audit_entries', 'audit_pending', 'audit_checkpoints', 'audit_log']) as whole (name);
select pg_temp.may('see', name, '{audit.read,audit.checkpoint,audit.verify}', place => null, scope => 'somewhere')
from unnest(array['audit_leaves', 'audit_nodes']) as tree (name);
