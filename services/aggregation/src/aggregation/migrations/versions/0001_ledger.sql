-- The ledger: every applied coded fact at its position, positions in commit order per situation. Nothing here is ever changed.
create table ledgers (
    situation  text primary key,
    position   bigint not null constraint ledgers_position_counts check (position >= 0),
    applied_at timestamptz not null,
    side       text not null constraint ledgers_side_known check (side in ('counts_a', 'counts_b'))  -- where the live figures are
);

create table positions (
    situation   text not null,
    position    bigint not null constraint positions_from_one check (position > 0),
    event_id    uuid not null,
    kind        text not null,
    subject     text not null,                 -- incident, or the link between children
    fact        jsonb not null,                -- the coded fact as it arrived
    region      text,                          -- place of level 1, as the register said when the fact arrived
    recorded_at timestamptz not null,
    applied_at  timestamptz not null,
    primary key (situation, position),
    constraint positions_instants_differ unique (situation, applied_at),
    constraint positions_event_once unique (situation, event_id)
);

create table snapshots (
    situation   text not null,
    snapshot    uuid not null,
    position    bigint not null,
    as_of       timestamptz,
    window_from date not null,
    window_to   date not null,
    rules       text not null,
    params      jsonb not null,
    tables      jsonb not null,
    frozen_by   text not null,
    frozen_at   timestamptz not null,
    primary key (situation, snapshot),
    constraint snapshots_window_forward check (window_from <= window_to)
);
create index snapshots_by_time on snapshots (situation, frozen_at, snapshot);

create table releases (                        -- what left in shared form: known to everybody ever after
    situation   text not null,
    release     uuid not null,
    position    bigint not null,
    as_of       timestamptz,
    window_from date not null,
    window_to   date not null,
    rules       text not null,
    params      jsonb not null,
    shared      jsonb not null,                -- threshold, and how many numbers were left out why
    tables      jsonb not null,                -- as shared
    published   jsonb not null,                -- [[name, value], …] of every number shown
    released_by text not null,
    released_at timestamptz not null,
    primary key (situation, release)
);
create index releases_by_window on releases (situation, window_from, window_to);

create table rebuilds (
    situation  text primary key,
    state      text not null constraint rebuilds_state_known check (state in ('clearing', 'replaying', 'comparing', 'swapped', 'refused')),
    side       text not null,                  -- the shadow it writes
    replayed   bigint not null default 0,      -- positions replayed so far
    compared   bigint not null default 0,      -- positions found alike so far
    target     bigint not null,                -- the newest position when it was last looked at
    difference jsonb,                          -- the first one, when refused
    asked_by   text not null,
    started_at timestamptz not null,
    ended_at   timestamptz
);

grant select, insert, delete on positions, snapshots, releases to :app;
grant select, insert, update, delete on ledgers, rebuilds to :app;
