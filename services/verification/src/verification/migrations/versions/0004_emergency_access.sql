-- Emergency access: a right to one whole case for an hour at most, that somebody takes with a reason and answers for.

create table emergency_accesses (
    situation text not null,
    access    uuid not null,
    incident  uuid not null,
    holder    text not null,
    role      text not null,               -- the role in which it was taken
    mark      bytea not null,              -- the holder's, comparable with the submitter's
    submitter bytea not null,
    taken_at  timestamptz not null,
    ends_at   timestamptz not null,
    ended_at  timestamptz,                 -- given back before its end
    text      uuid not null,               -- the reason and the holder's name, sealed
    primary key (situation, access),
    constraint emergency_accesses_holder unique (situation, access, holder, role),
    foreign key (situation, text) references sealed_texts,
    constraint emergency_accesses_of_the_submitted_report foreign key (situation, incident, submitter)
        references incidents (situation, incident, submitter),
    constraint emergency_accesses_not_on_own_report check (mark <> submitter),
    constraint emergency_accesses_role check (role in ('cochair_un', 'cochair_unicef', 'officer')),
    constraint emergency_accesses_limited check (ends_at > taken_at and ends_at <= taken_at + interval '60 minutes'),
    constraint emergency_accesses_ended check (ended_at >= taken_at and ended_at < ends_at)
);
create index emergency_accesses_standing on emergency_accesses (situation, incident, holder, ends_at);
create index emergency_accesses_in_order on emergency_accesses (situation, taken_at, access);

create trigger emergency_accesses_begin_now before insert on emergency_accesses for each row
    when (new.taken_at > now() + interval '1 minute')             -- the service's clock may be a little fast, by no more
    execute function refuse_change('an emergency access begins when it is taken');

create table emergency_acknowledgements (  -- each office once, each person once, never the holder nor the holder's own office
    situation       text not null,
    access          uuid not null,
    role            text not null,
    subject         text not null,
    holder          text not null,
    holder_role     text not null,
    acknowledged_at timestamptz not null,
    constraint emergency_acknowledgements_each_office_once primary key (situation, access, role),
    constraint emergency_acknowledgements_each_person_once unique (situation, access, subject),
    constraint emergency_acknowledgements_of_the_holder foreign key (situation, access, holder, holder_role)
        references emergency_accesses (situation, access, holder, role),
    constraint emergency_acknowledgements_role check (role in ('cochair_un', 'cochair_unicef')),
    constraint emergency_acknowledgements_not_own check (subject <> holder and role <> holder_role)
);

create function keep_emergency_end() returns trigger language plpgsql as $$
begin
    if old.ended_at is not null then
        raise exception using errcode = 'check_violation', constraint = 'emergency_accesses_end_stays',
            message = 'an emergency access that was given back does not come back';
    end if;
    return new;
end $$;
create trigger emergency_accesses_end_stays before update on emergency_accesses for each row execute function keep_emergency_end();

create or replace function remove_scratch_situation(code text) returns void language plpgsql security definer
    set search_path = pg_catalog, public, pg_temp as $$
begin
    if not exists (select from ledgers l where l.situation = code and l.scratch) then
        raise exception using errcode = 'check_violation', message = 'only a scratch situation can be removed';
    end if;
    delete from emergency_acknowledgements where situation = code;
    delete from emergency_accesses where situation = code;
    delete from questions where situation = code;
    delete from links where situation = code;
    delete from decisions where situation = code;
    delete from docket_approvals where situation = code;
    delete from docket_lines where situation = code;
    delete from dockets where situation = code;
    delete from sealed_texts where situation = code;
    delete from children where situation = code;
    delete from violations where situation = code;
    delete from reports where situation = code;
    delete from incidents where situation = code;
    delete from ledgers where situation = code;
end $$;

revoke all on emergency_accesses, emergency_acknowledgements from :app;
grant select, insert on emergency_accesses, emergency_acknowledgements to :app;
grant update (ended_at) on emergency_accesses to :app;
