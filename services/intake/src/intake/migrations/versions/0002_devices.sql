-- What intake keeps of a field device: whose it is and what its token was only as keyed marks, the rest sealed.
create table devices (
    device       uuid primary key,
    situation    text not null,
    submitter    bytea not null,           -- keyed mark of the monitor, as in incidents
    token        bytea,                    -- keyed mark of the token
    subject      bytea,                    -- the issuer's name for the monitor, sealed under a key that only the token holds
    label        bytea,                    -- what the monitor calls it, sealed under a key that takes the monitor's name to make
    created_at   timestamptz not null,
    expires_at   timestamptz not null,
    last_used_on date,                     -- UTC; no trail of single uses
    revoked_at   timestamptz,
    constraint devices_submitter_mark check (length(submitter) = 32),
    constraint devices_token_mark check (length(token) = 32),
    constraint devices_token_with_subject check ((token is null) = (subject is null)),
    constraint devices_end_forgets check (revoked_at is null or token is null),
    constraint devices_live_at_most_180_days check (expires_at > created_at and expires_at <= created_at + interval '4320 hours')
);
create index devices_own on devices (submitter, created_at desc, device);
create index devices_of_situation on devices (situation);

alter table incidents add column device uuid;  -- through which the first report came; null: the monitor in person

-- A device never becomes another's, never lives longer than it was made for, and its report stays its own.
revoke all on devices from :app;
grant select, insert, delete on devices to :app;
grant update (token, subject, last_used_on, revoked_at) on devices to :app;
