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
create index outbox_unsent on outbox (id) where sent_at is null and done_at is null;
create index outbox_unconfirmed on outbox (resend_at) where done_at is null;
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

create table audit_entries (
    id          bigint generated always as identity primary key,
    at          timestamptz not null,
    actor       text not null,
    action      text not null,
    situation   text,
    subject_ref text,
    detail      jsonb not null default '{}'
);
create index audit_by_situation on audit_entries (situation, id);

grant select, insert, update, delete on outbox, outbox_sequences, inbox, inbox_sequences, parked, refused_messages,
    confirmations_due, relay_state, situations to :app;
revoke all on audit_entries from :app;
grant select, insert on audit_entries to :app;
