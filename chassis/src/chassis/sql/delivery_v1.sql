-- Tables that every service has: delivery, parking, the register's copy and the record of acts.
-- `:app` is replaced by the name of the service's least-privilege role.
create table outbox (
    id           bigint generated always as identity primary key,
    event_id     uuid not null constraint outbox_event_once unique,
    event_type   text not null,
    topic        text not null,
    situation    text not null,
    subject      text not null,
    sequence     bigint not null,
    value        bytea not null,
    created_at   timestamptz not null default now(),
    sent_at      timestamptz,              -- acknowledged by the broker
    attempts     integer not null default 0,
    resend_at    timestamptz,              -- sent again from then on, unless done
    awaiting     text[] not null,          -- readers that have not confirmed yet
    done_at      timestamptz,              -- confirmed by all, or acknowledged where nobody confirms
    constraint outbox_sequence_once unique (topic, situation, subject, sequence),
    constraint outbox_done_when_confirmed check (done_at is null or awaiting = '{}')
);
alter table outbox alter column value set storage external;
create index outbox_unsent on outbox (topic, id) where sent_at is null and done_at is null;
create index outbox_unconfirmed on outbox (topic, resend_at) where done_at is null;
create index outbox_done on outbox (done_at) where done_at is not null;

create table outbox_sequences (            -- `last` is also how many events ever left for a subject
    topic text not null, situation text not null, subject text not null, last bigint not null,
    primary key (topic, situation, subject)
);

create table inbox (
    reader text not null, event_id uuid not null, topic text not null, situation text not null,
    applied_at timestamptz not null default now(),
    primary key (reader, event_id)
);

create table inbox_sequences (             -- `last` is also how many events of a subject were applied
    topic text not null, situation text not null, subject text not null, last bigint not null,
    primary key (topic, situation, subject)
);

create table parked (
    id           bigint generated always as identity primary key,
    topic        text not null,
    message_key  bytea,
    value        bytea not null,           -- still sealed
    reason       text not null,
    parked_at    timestamptz not null default now(),
    situation    text,                     -- these five are null when the message could not be authenticated in its place:
    subject      text,                     -- it then holds up nothing and is kept as evidence only
    sequence     bigint,
    event_id     uuid,
    event_type   text,
    constraint parked_known_or_not check (num_nulls(situation, subject, event_id, event_type) in (0, 4))
);
alter table parked alter column value set storage external;
create unique index parked_event_once on parked (topic, event_id) where event_id is not null;
create unique index parked_evidence_once on parked (topic, sha256(value)) where event_id is null;
create index parked_by_subject on parked (topic, situation, subject, sequence);

create table refused_messages (            -- what failed authentication: counted for ever, kept only in part
    topic text primary key, seen bigint not null, last_at timestamptz not null
);

create table confirmations_due (
    writer text not null, event_id uuid not null, due_at timestamptz not null default now(),
    primary key (writer, event_id)
);

create table relay_state (
    singleton boolean primary key default true constraint relay_state_one check (singleton),
    cluster_id text
);

create table situations (                  -- a removed one stays as a mark, so that late events of it are not taken up again
    code text primary key, version integer not null, document jsonb not null, removed boolean not null default false,
    received_at timestamptz not null default now()
);

create table answered_requests (           -- whoever lost an answer and asks the same again gets it again, for 14 days
    request   bytea primary key constraint answered_requests_request_length check (octet_length(request) = 32),
                                           -- of the caller and their key; neither is kept
    digest    bytea not null constraint answered_requests_digest_length check (octet_length(digest) = 32),
                                           -- of what was sent, keyed with that key
    situation text,
    status    smallint,
    answer    json,                        -- as it went out; ids and codes only
    at        timestamptz not null,
    constraint answered_requests_whole check ((status is null) = (answer is null))
);                                         -- both null only inside the transaction that acts
create index answered_requests_by_age on answered_requests (at);
create function refuse_another_answer() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'an answer that was given stays' using errcode = 'check_violation', constraint = tg_name;
end
$$;
create trigger answered_requests_stay before update on answered_requests for each row
    when (old.status is not null
        and (new.request, new.digest, new.status, new.answer::text) is distinct from (old.request, old.digest, old.status, old.answer::text))
    execute function refuse_another_answer();

-- The record of acts (docs/audit.md). Everything but `audit_pending` only ever grows.
create table audit_log (                   -- the record's own name: a database made anew is another record
    singleton boolean primary key default true constraint audit_log_one check (singleton),
    id        uuid not null default gen_random_uuid()
);
insert into audit_log default values;

create table audit_entries (               -- written in the transaction of the act
    id          uuid primary key,
    at          timestamptz not null,
    actor       text not null,             -- the issuer's subject of a person, or the part of the system that acted
    action      text not null,
    situation   text,                      -- null: an act on the installation
    subject_ref text,
    detail      jsonb not null,
    cause       uuid not null,             -- the request or event that made the act
    salt        bytea not null constraint audit_entries_salt_length check (octet_length(salt) = 32),
    signed_by   text not null,
    signature   bytea not null             -- of the service over the entry's leaf: who can only write here cannot make one
);
create index audit_entries_by_actor on audit_entries (actor);
create index audit_entries_by_subject on audit_entries (subject_ref text_pattern_ops);
create index audit_entries_by_situation on audit_entries (situation, at);

create table audit_pending (               -- entries that have no place in the tree yet, in the order of their writing
    place bigint generated always as identity primary key,
    entry uuid not null
);

create table audit_leaves (
    position bigint primary key constraint audit_leaves_from_zero check (position between 0 and 1::bigint << 60),
    entry    uuid not null constraint audit_leaves_once unique references audit_entries,
    hash     bytea not null constraint audit_leaves_hash_length check (octet_length(hash) = 32)
);

create table audit_nodes (                 -- full subtrees above the leaves: `position` counts them along their level
    level smallint constraint audit_nodes_above_leaves check (level between 1 and 62),
    position bigint constraint audit_nodes_from_zero check (position >= 0),
    hash bytea not null constraint audit_nodes_hash_length check (octet_length(hash) = 32),
    primary key (level, position)
);

create table audit_checkpoints (           -- every checkpoint ever signed, counted without a gap
    number    bigint primary key constraint audit_checkpoints_from_one check (number >= 1),
    size      bigint not null constraint audit_checkpoints_once unique,
    note      text not null,
    at        timestamptz not null,
    signature bytea not null               -- of the service over number, instant and note
);

create function refuse_rewriting() returns trigger language plpgsql as $$
begin
    raise exception 'the record of acts only grows' using errcode = 'insufficient_privilege';
end
$$;
create trigger only_grows before update or delete or truncate on audit_log execute function refuse_rewriting();
create trigger only_grows before update or delete or truncate on audit_entries execute function refuse_rewriting();
create trigger only_grows before update or delete or truncate on audit_leaves execute function refuse_rewriting();
create trigger only_grows before update or delete or truncate on audit_nodes execute function refuse_rewriting();
create trigger only_grows before update or delete or truncate on audit_checkpoints execute function refuse_rewriting();
alter table audit_log enable always trigger only_grows;
alter table audit_entries enable always trigger only_grows;
alter table audit_leaves enable always trigger only_grows;
alter table audit_nodes enable always trigger only_grows;
alter table audit_checkpoints enable always trigger only_grows;

grant select, insert, update, delete on outbox, outbox_sequences, inbox, inbox_sequences, parked, refused_messages,
    confirmations_due, relay_state, situations, answered_requests to :app;
revoke all on audit_log, audit_entries, audit_pending, audit_leaves, audit_nodes, audit_checkpoints from :app;
grant select on audit_log to :app;
grant select, insert on audit_entries, audit_leaves, audit_nodes, audit_checkpoints to :app;
grant select, insert, delete on audit_pending to :app;
