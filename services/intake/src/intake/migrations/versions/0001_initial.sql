-- What intake keeps of a report: whose it is and what it said only as keyed marks, and how far it has come.
create table incidents (
    situation     text not null,
    incident      uuid not null,
    submitter     bytea not null,          -- keyed mark of the monitor
    status        text not null default 'received',
    needs         text[] not null default '{}',
    revision      integer not null,        -- the latest
    received_at   timestamptz not null,    -- of the first report
    progressed_at timestamptz,             -- when verification said the status; null while it has said nothing
    primary key (situation, incident),
    constraint incidents_status_known check (status in ('received', 'under_review', 'needs_information', 'closed')),
    constraint incidents_revision_counts check (revision >= 1),
    constraint incidents_submitter_mark check (length(submitter) = 32)
);
create index incidents_own on incidents (situation, submitter, received_at desc, incident);

create table revisions (
    situation     text not null,
    incident      uuid not null,
    revision      integer not null,
    content       bytea not null,          -- keyed mark of the canonical content
    received_at   timestamptz not null,
    primary key (situation, incident, revision),
    foreign key (situation, incident) references incidents (situation, incident),
    constraint revisions_revision_counts check (revision >= 1),
    constraint revisions_content_mark check (length(content) = 32)
);

-- A monitor revises; how far the case has come is what verification says, to the service itself.
create function incidents_revised() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'a revision is all that a monitor adds' using errcode = 'check_violation', constraint = tg_name;
end $$;
create trigger incidents_revised before update on incidents for each row
    when (current_setting('mrm.action', true) is distinct from 'system'
        and ((new.status, new.needs, new.progressed_at) is distinct from (old.status, old.needs, old.progressed_at)
            or new.revision < old.revision))
    execute function incidents_revised();

-- Nothing that was accepted can be rewritten, whatever the owner's default privileges say.
revoke all on incidents, revisions from :app;
grant select, insert, delete on incidents, revisions to :app;
grant update (status, needs, revision, progressed_at) on incidents to :app;
