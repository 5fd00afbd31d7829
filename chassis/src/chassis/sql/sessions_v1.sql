-- Sessions of people who signed in for pages. `:app` is replaced by the name of the service's least-privilege role.
-- Who opens one of these rows needs the cookie: its hash is the key of the row, and the contents are sealed under a key derived from it.
create table sessions (
    id              bytea primary key constraint sessions_id_length check (octet_length(id) = 32),
    person          text not null,         -- as the service names them to itself: at intake a mark
    issuer_session  bytea constraint sessions_issuer_session_length check (octet_length(issuer_session) = 32),
                                           -- digest of what the issuer calls its session, at intake of a mark of it; null: it named none
    contents        bytea not null,        -- sealed: subject, name, roles, what renews them at the issuer
    started_at      timestamptz not null,
    seen_at         timestamptz not null,
    refresh_at      timestamptz,           -- the issuer is asked again then; null: it gave nothing to ask with
    idle_expires_at timestamptz not null,
    expires_at      timestamptz not null,
    constraint sessions_idle_before_end check (idle_expires_at <= expires_at)
);
create index sessions_by_person on sessions (person, seen_at);
create index sessions_by_issuer_session on sessions (issuer_session);
create index sessions_by_end on sessions (idle_expires_at);

revoke all on sessions from :app;
grant select, insert, delete on sessions to :app;
grant update (contents, seen_at, refresh_at, idle_expires_at) on sessions to :app;
