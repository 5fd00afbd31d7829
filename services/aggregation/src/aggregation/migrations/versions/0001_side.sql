-- One side of the counts; there are two alike, and each situation says which is live (a rebuild writes the other and swaps).
-- Made from the ledger alone: what stands now, and the immutable postings whose sums as of a position are the figures.
create schema counts_side;

create table counts_side.incidents (
    situation text not null,
    incident  text not null,
    coded_at  bigint,                           -- position of the newest revision; null while only decisions have come
    decisions jsonb not null default '{}',      -- the newest decision per violation (C1)
    primary key (situation, incident)
);

create table counts_side.duplicates (           -- links that stand; idle ones included
    situation    text not null,
    incident     text not null,
    violation    text not null,
    of_incident  text not null,
    of_violation text not null,
    of_present   boolean not null,
    primary key (situation, incident, violation, of_incident, of_violation)
);
create index duplicates_by_target on counts_side.duplicates (situation, of_incident, of_violation);

create table counts_side.postings (
    situation       text not null,
    position        bigint not null,
    sign            smallint not null constraint postings_sign check (sign in (-1, 1)),
    violation       text collate "C" not null,
    type            text not null,
    standing        text not null constraint postings_standing_known check (standing in ('verified', 'unverified')),
    decided_on      date,
    occurred_from   date not null,
    ended_on        date,
    late_by_quarter boolean not null,
    amount          integer not null,
    boys            integer not null,
    girls           integer not null,
    unknown         integer not null,
    beyond_boys     integer not null,
    beyond_girls    integer not null,
    beyond_unknown  integer not null,
    lines           text[] not null,
    region          text,
    details         jsonb not null,
    primary key (situation, position, violation, sign)
);
create index postings_by_decision on counts_side.postings (situation, standing, decided_on);
create index postings_by_end on counts_side.postings (situation, ended_on) where standing = 'unverified';
create index postings_with_flaws on counts_side.postings (situation, violation)
    where standing = 'verified' and (decided_on is null or region is null or lines = '{_unattributed}');

create table counts_side.net_postings (         -- the postings without a reverse: their sums are the figures now (docs/decisions/0003)
    situation       text not null,
    position        bigint not null,            -- of the posting
    violation       text collate "C" not null,
    type            text not null,
    standing        text not null constraint net_postings_standing_known check (standing in ('verified', 'unverified')),
    decided_on      date,
    occurred_from   date not null,
    ended_on        date,
    late_by_quarter boolean not null,
    amount          integer not null,
    boys            integer not null,
    girls           integer not null,
    unknown         integer not null,
    beyond_boys     integer not null,
    beyond_girls    integer not null,
    beyond_unknown  integer not null,
    lines           text[] not null,
    region          text,
    details         jsonb not null,
    primary key (situation, violation)          -- conservation: a violation stands under its dimensions once or not at all
);
create index net_postings_by_decision on counts_side.net_postings (situation, standing, decided_on);
create index net_postings_by_end on counts_side.net_postings (situation, ended_on) where standing = 'unverified';
create index net_postings_with_flaws on counts_side.net_postings (situation, violation)
    where standing = 'verified' and (decided_on is null or region is null or lines = '{_unattributed}');

create table counts_side.memberships (
    situation       text not null,
    position        bigint not null,
    sign            smallint not null constraint memberships_sign check (sign in (-1, 1)),
    violation       text collate "C" not null,
    type            text not null,
    standing        text not null,
    decided_on      date,
    occurred_from   date not null,
    ended_on        date,
    late_by_quarter boolean not null,
    kind            text not null constraint memberships_kind_known check (kind in ('victim', 'group')),
    member          text collate "C" not null,
    sex             text,
    age             smallint,
    boys            integer not null,
    girls           integer not null,
    unknown         integer not null,
    primary key (situation, position, violation, kind, member, sign)
);
create index memberships_by_decision on counts_side.memberships (situation, standing, kind, decided_on);

create table counts_side.records (              -- victim records that exist, also where nothing counts them
    situation text not null,
    position  bigint not null,
    sign      smallint not null constraint records_sign check (sign in (-1, 1)),
    incident  text not null,
    child     text collate "C" not null,
    sex       text not null,
    age       smallint,
    primary key (situation, child, incident, position, sign)
);
create index records_by_position on counts_side.records (situation, position);

create table counts_side.child_links (
    situation text not null,
    position  bigint not null,
    sign      smallint not null constraint child_links_sign check (sign in (-1, 1)),
    one       text collate "C" not null,
    other     text collate "C" not null,
    primary key (situation, one, other, position, sign),
    constraint child_links_ordered check (one < other)
);

grant usage on schema counts_side to :app;
grant select, insert, delete on counts_side.postings, counts_side.net_postings,
    counts_side.memberships, counts_side.records, counts_side.child_links to :app;
grant select, insert, update, delete on counts_side.incidents, counts_side.duplicates to :app;
