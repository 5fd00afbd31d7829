-- What verification keeps. In clear stand coded facts only: types, statuses, days, region, tallies, counts of sources.
-- Reports and every free text are envelopes; children are keyed pseudonyms; submitters are keyed marks.

create table ledgers (                     -- one row per situation: its lock (one writer at a time) and its counters
    situation  text primary key,
    scratch    boolean not null,
    recorded   bigint not null default 0,  -- last number of the situation's recording order
    facts      bigint not null default 0,  -- coded facts published
    incidents  bigint not null default 0,
    revisions  bigint not null default 0,  -- accepted ones
    refused    bigint not null default 0   -- revisions refused here
);

create table incidents (
    situation      text not null references ledgers,
    incident       uuid not null,
    revision       integer not null,       -- the one in force
    submitter      bytea not null,         -- keyed mark: recognises the person, names nobody
    occurred_from  date not null,
    occurred_to    date,
    ongoing        boolean not null,
    region         text,                   -- place of level 1, never a finer one
    status         text not null default 'received',
    needs          text[] not null default '{}',
    opened         bigint not null,        -- number of the first report in the recording order
    primary key (situation, incident),
    constraint incidents_submitter unique (situation, incident, submitter),
    constraint incidents_status check (status in ('received', 'under_review', 'needs_information', 'closed')),
    constraint incidents_needs check ((status = 'needs_information') = (needs <> '{}'))
);
create unique index incidents_in_order on incidents (situation, opened);

-- What somebody acts on is not what they may change: row-level security says whose rows, these triggers which of their columns. Handlers
-- are the service itself ('system').
create function refuse_change() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception using errcode = 'check_violation', constraint = tg_name, message = tg_argv[0];
end $$;
create trigger incidents_as_reported before update on incidents for each row
    when (current_setting('mrm.action', true) is distinct from 'system'
        and (new.revision, new.occurred_from, new.occurred_to, new.ongoing, new.region)
            is distinct from (old.revision, old.occurred_from, old.occurred_to, old.ongoing, old.region))
    execute function refuse_change('what was reported changes with a report only');
create trigger ledgers_only_count before update on ledgers for each row
    when (current_setting('mrm.action', true) is distinct from 'system'
        and ((new.incidents, new.revisions, new.refused) is distinct from (old.incidents, old.revisions, old.refused)
            or new.recorded < old.recorded or new.facts < old.facts))
    execute function refuse_change('an act counts what it records and nothing else');

create table reports (                     -- every revision as it came, sealed
    situation   text not null,
    incident    uuid not null,
    revision    integer not null,
    recorded    bigint,                    -- none: refused
    recorded_at timestamptz not null,
    refusal     text,
    envelope    bytea not null,
    primary key (situation, incident, revision),
    foreign key (situation, incident) references incidents,
    constraint reports_refused check ((recorded is null) = (refusal is not null))
);
alter table reports alter column envelope set storage external;
create unique index reports_in_order on reports (situation, recorded) where recorded is not null;

create table violations (
    situation           text not null,
    incident            uuid not null,
    violation           text not null,
    opened              bigint not null,
    held                boolean not null,  -- whether the revision in force holds it
    type                text not null,
    boys                integer not null,
    girls               integer not null,
    unknown             integer not null,
    primary_sources     integer not null,
    secondary_sources   integer not null,
    incomplete          text[] not null,
    focal_point         text,              -- newest outcome of each stage
    technical           text,
    ctfmr               text,
    latest              text,              -- stage of the newest decision
    waits_for           text,
    settled             boolean not null default false,
    ctfmr_decided_on    date,
    earliest_decided_on date,              -- over all decisions, superseded ones too
    primary key (situation, incident, violation),
    foreign key (situation, incident) references incidents
);
create index violations_waiting on violations (situation, waits_for, opened, violation) where held;
create trigger violations_as_reported before update on violations for each row
    when (current_setting('mrm.action', true) is distinct from 'system'
        and (new.held, new.type, new.boys, new.girls, new.unknown, new.primary_sources, new.secondary_sources, new.incomplete)
            is distinct from (old.held, old.type, old.boys, old.girls, old.unknown, old.primary_sources, old.secondary_sources, old.incomplete))
    execute function refuse_change('what was reported changes with a report only');
create trigger violations_by_stage before update on violations for each row
    when (case when current_setting('mrm.action', true) = 'docket.approve'
        then (new.focal_point, new.technical) is distinct from (old.focal_point, old.technical)
        else (new.ctfmr, new.ctfmr_decided_on) is distinct from (old.ctfmr, old.ctfmr_decided_on) end)
    execute function refuse_change('a stage speaks for itself');

create table children (
    situation text not null,
    incident  uuid not null,
    child     text not null,               -- keyed pseudonym of a victim record
    held      boolean not null,
    primary key (situation, incident, child),
    foreign key (situation, incident) references incidents
);

create table sealed_texts (                -- reasons, exceptions and questions, sealed to this service
    situation text not null references ledgers,
    text      uuid not null,
    envelope  bytea not null,
    primary key (situation, text)
);
alter table sealed_texts alter column envelope set storage external;

create table dockets (
    situation   text not null references ledgers,
    docket      uuid not null,
    kind        text not null,
    state       text not null default 'open',
    lines       integer not null,
    proposed_by text not null,
    proposed_at timestamptz not null,
    ended_by    text,
    ended_at    timestamptz,
    text        uuid not null,
    primary key (situation, docket),
    foreign key (situation, text) references sealed_texts,
    constraint dockets_kind check (kind in ('decisions', 'import')),
    constraint dockets_state check (state in ('open', 'decided', 'withdrawn')),
    constraint dockets_ended check ((state = 'open') = (ended_at is null) and (ended_at is null) = (ended_by is null))
);
create index dockets_in_order on dockets (situation, proposed_at, docket);

create table docket_lines (
    situation               text not null,
    docket                  uuid not null,
    line                    integer not null,
    incident                uuid not null,
    violation               text not null,
    outcome                 text not null,
    decided_on              date,
    criteria                jsonb,
    attribution             jsonb,
    non_verification_reason text,
    primary key (situation, docket, line),
    foreign key (situation, docket) references dockets,
    foreign key (situation, incident, violation) references violations
);

create table docket_approvals (            -- four eyes: each office once, each person once
    situation   text not null,
    docket      uuid not null,
    role        text not null,
    subject     text not null,
    mark        bytea not null,
    approved_at timestamptz not null,
    constraint docket_approvals_each_office_once primary key (situation, docket, role),
    constraint docket_approvals_each_person_once unique (situation, docket, subject),
    constraint docket_approvals_each_mark_once unique (situation, docket, mark),
    foreign key (situation, docket) references dockets,
    constraint docket_approvals_role check (role in ('cochair_un', 'cochair_unicef'))
);

-- What the first co-chair approves is what the second one does: a docket's lines are numbered below their count, none is ever changed, and
-- all are there before the first approval. All functions here look at our tables only, whatever a session puts before them.
create function require_lines_of_docket() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    if exists (
        select from added left join dockets d on d.situation = added.situation and d.docket = added.docket
        where (added.line >= 0 and added.line < d.lines) is not true
    ) then
        raise exception using errcode = 'check_violation', constraint = 'docket_lines_of_their_docket',
            message = 'a line that its docket does not count';
    end if;
    return null;
end $$;
create trigger docket_lines_of_their_docket after insert on docket_lines referencing new table as added
    for each statement execute function require_lines_of_docket();

create function require_whole_docket() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
    kept dockets%rowtype;
begin
    select * into kept from dockets d where d.situation = new.situation and d.docket = new.docket;
    if (kept.state = 'open') is not true then
        raise exception using errcode = 'check_violation', constraint = 'docket_approvals_of_an_open_docket',
            message = 'only an open docket is approved';
    end if;
    if kept.lines <> (select count(*) from docket_lines l where l.situation = new.situation and l.docket = new.docket) then
        raise exception using errcode = 'check_violation', constraint = 'docket_approvals_of_all_lines',
            message = 'a docket is approved with all of its lines';
    end if;
    return null;
end $$;
create trigger docket_approvals_of_a_whole_docket after insert on docket_approvals for each row execute function require_whole_docket();

-- A docket begins open and ends once: withdrawn, or decided when both co-chairs have approved, by one of the two.
create function keep_docket_end() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        if new.state <> 'open' then
            raise exception using errcode = 'check_violation', constraint = 'dockets_begin_open', message = 'a docket begins open';
        end if;
    elsif old.state <> 'open' then
        raise exception using errcode = 'check_violation', constraint = 'dockets_end_once', message = 'a docket ends once';
    elsif new.state = 'decided' and (
        select count(distinct a.role) = 2 and count(distinct a.subject) = 2 and bool_or(a.subject = new.ended_by)
        from docket_approvals a where a.situation = new.situation and a.docket = new.docket
    ) is not true then
        raise exception using errcode = 'check_violation', constraint = 'dockets_both_cochairs',
            message = 'a docket is decided by the approvals of both co-chairs';
    end if;
    return null;
end $$;
create trigger dockets_end after insert or update on dockets for each row execute function keep_docket_end();

create table decisions (                   -- never edited: a later one supersedes
    situation               text not null,
    decision                uuid not null,
    recorded                bigint not null,
    recorded_at             timestamptz not null,
    incident                uuid not null,
    violation               text not null,
    stage                   text not null,
    outcome                 text not null,
    decided_on              date,
    reopening               boolean not null,
    decided_by              text[] not null,
    marks                   bytea[] not null,
    submitter               bytea not null,
    criteria                jsonb,
    attribution             jsonb,
    non_verification_reason text,
    primary_sources         integer not null,
    secondary_sources       integer not null,
    docket                  uuid,
    text                    uuid not null,
    line                    integer not null,
    primary key (situation, decision),
    constraint decisions_in_order unique (situation, recorded),
    foreign key (situation, incident, violation) references violations,
    foreign key (situation, text) references sealed_texts,
    constraint decisions_of_a_line foreign key (situation, docket, line) references docket_lines,
    constraint decisions_each_line_once unique (situation, docket, line),
    constraint decisions_of_the_submitted_report foreign key (situation, incident, submitter)
        references incidents (situation, incident, submitter),
    constraint decisions_not_on_own_report check (not submitter = any (marks)),
    constraint decisions_stage check (stage in ('focal_point', 'technical', 'ctfmr')),
    constraint decisions_day check (decided_on is not null or stage = 'ctfmr'),
    constraint decisions_four_eyes check (
        case when stage = 'ctfmr'
            then docket is not null and cardinality(decided_by) = 2 and decided_by[1] <> decided_by[2]
                and cardinality(marks) = 2 and marks[1] <> marks[2]
            else docket is null and cardinality(decided_by) = 1 and cardinality(marks) = 1
        end
    )
);
create index decisions_of_violation on decisions (situation, incident, violation, recorded);

create function require_both_cochairs() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    if exists (
        select from (select distinct situation, docket, decided_by, marks from added where stage = 'ctfmr') as claimed
        cross join lateral (
            select array_agg(a.subject order by a.role) as subjects, array_agg(a.mark order by a.role) as marks
            from dockets d join docket_approvals a using (situation, docket)
            where d.situation = claimed.situation and d.docket = claimed.docket and d.state = 'open'
        ) as given
        where claimed.decided_by is distinct from given.subjects or claimed.marks is distinct from given.marks
    ) then
        raise exception using errcode = 'check_violation', constraint = 'decisions_both_cochairs',
            message = 'a task force decision without the approvals it names';
    end if;
    if exists (
        select from added as a left join docket_lines l using (situation, docket, line)
        where a.stage = 'ctfmr' and (a.incident, a.violation, a.outcome, a.decided_on, a.criteria, a.attribution, a.non_verification_reason)
            is distinct from (l.incident, l.violation, l.outcome, l.decided_on, l.criteria, l.attribution, l.non_verification_reason)
    ) then
        raise exception using errcode = 'check_violation', constraint = 'decisions_as_approved',
            message = 'a task force decision other than the line that was approved';
    end if;
    return null;
end $$;
create trigger decisions_both_cochairs after insert on decisions referencing new table as added
    for each statement execute function require_both_cochairs();

create table links (
    situation       text not null references ledgers,
    link            uuid not null,
    kind            text not null,
    incident        uuid not null,
    item            text not null,         -- a violation's key, or a child's pseudonym
    of_incident     uuid not null,
    of_item         text not null,
    recorded        bigint not null,
    recorded_at     timestamptz not null,
    recorded_by     text not null,
    undone_recorded bigint,
    undone_at       timestamptz,
    undone_by       text,
    primary key (situation, link),
    foreign key (situation, incident) references incidents,
    foreign key (situation, of_incident) references incidents,
    constraint links_kind check (kind in ('duplicate', 'same_child')),
    constraint links_two_ends check ((incident, item) <> (of_incident, of_item)),
    constraint links_undone check ((undone_recorded is null) = (undone_at is null) and (undone_at is null) = (undone_by is null))
);
create unique index links_standing_duplicate on links (situation, incident, item, of_incident, of_item)
    where kind = 'duplicate' and undone_recorded is null;
create unique index links_standing_child on links (situation, least(item, of_item), greatest(item, of_item))
    where kind = 'same_child' and undone_recorded is null;
create index links_standing_of on links (situation, of_incident, of_item) where undone_recorded is null;
create unique index links_in_order on links (situation, recorded);
create unique index links_undone_in_order on links (situation, undone_recorded) where undone_recorded is not null;
create trigger links_undone_once before update on links for each row when (old.undone_recorded is not null)
    execute function refuse_change('a link is undone once');

create table questions (
    situation text not null,
    question  uuid not null,
    incident  uuid not null,
    needs     text[] not null,
    asked_by  text not null,
    asked_at  timestamptz not null,
    text      uuid not null,
    primary key (situation, question),
    foreign key (situation, incident) references incidents,
    foreign key (situation, text) references sealed_texts
);
create index questions_of_incident on questions (situation, incident, asked_at);

create table pseudonym_secret (            -- tells whether the secret is still the one this database was filled with
    singleton   boolean primary key default true constraint pseudonym_secret_one check (singleton),
    fingerprint bytea not null
);

-- What is recorded stays. Only a situation that was marked scratch when it was made can go, and only as a whole;
-- the service cannot turn a real one into a scratch one, for it may not write that column again.
create function remove_scratch_situation(code text) returns void language plpgsql security definer
    set search_path = pg_catalog, public, pg_temp as $$
begin
    if not exists (select from ledgers l where l.situation = code and l.scratch) then
        raise exception using errcode = 'check_violation', message = 'only a scratch situation can be removed';
    end if;
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
revoke all on function remove_scratch_situation(text) from public;
grant execute on function remove_scratch_situation(text) to :app;

-- Nothing is left to the defaults of an installation: exactly these rights.
revoke all on ledgers, incidents, reports, violations, children, sealed_texts, dockets, docket_lines, docket_approvals, decisions, links,
    questions, pseudonym_secret from :app;
grant select, insert on ledgers, incidents, reports, violations, children, sealed_texts, dockets, docket_lines, docket_approvals,
    decisions, links, questions, pseudonym_secret to :app;
grant update (recorded, facts, incidents, revisions, refused) on ledgers to :app;
grant update (revision, occurred_from, occurred_to, ongoing, region, status, needs) on incidents to :app;
grant update (held, type, boys, girls, unknown, primary_sources, secondary_sources, incomplete, focal_point, technical, ctfmr, latest,
    waits_for, settled, ctfmr_decided_on, earliest_decided_on) on violations to :app;
grant update (held) on children to :app;
grant update (state, ended_by, ended_at) on dockets to :app;
grant update (undone_recorded, undone_at, undone_by) on links to :app;
