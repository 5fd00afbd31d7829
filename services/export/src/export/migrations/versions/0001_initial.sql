-- What export keeps: frozen figures, what is said about them, who approved it, and the signed bundle.
-- Who may change what and when is held here as well as in the service: the database is the second pair of eyes.
create table snapshots (
    situation   text not null,
    snapshot    uuid not null,
    position    bigint not null,
    as_of       timestamptz not null,
    window_from date not null,             -- half-open days [window_from, window_to)
    window_to   date not null,
    rules       text not null,
    params      jsonb not null,
    tables      jsonb not null,
    digest      bytea not null,            -- of the whole event, to tell a repeat from a change
    frozen_by   text not null,
    frozen_at   timestamptz not null,
    received_at timestamptz not null default now(),
    primary key (situation, snapshot),
    constraint snapshots_window_forward check (window_from <= window_to)
);
create index snapshots_newest on snapshots (situation, frozen_at desc, snapshot desc);

create table submissions (
    situation         text not null,
    submission        uuid not null,
    product           text not null,
    snapshot          uuid not null,
    state             text not null default 'draft',
    revision          integer not null default 1,   -- rises with every edit
    digest            text not null,                -- of the content that an approval is of
    figures           bytea not null,               -- figures.json, byte for byte
    narrative         jsonb not null,
    previous          uuid,
    previous_manifest text,
    drafted_by        text not null,
    drafted_at        timestamptz not null,
    edited_at         timestamptz not null,
    signed_at         timestamptz,
    primary key (situation, submission),
    foreign key (situation, snapshot) references snapshots (situation, snapshot),
    foreign key (situation, previous) references submissions (situation, submission),
    constraint submissions_product_known check (product in ('annual')),
    constraint submissions_state_known check (state in ('draft', 'signing', 'signed')),
    constraint submissions_revision_counts check (revision >= 1),
    constraint submissions_digest_form check (digest ~ '^[0-9a-f]{64}$'),
    constraint submissions_previous_whole check ((previous is null) = (previous_manifest is null)),
    constraint submissions_signed_dated check ((state = 'signed') = (signed_at is not null))
);
create index submissions_newest on submissions (situation, drafted_at desc, submission desc);
create index submissions_unsigned on submissions (edited_at) where state = 'signing';

create table approvals (
    situation   text not null,
    submission  uuid not null,
    revision    integer not null,
    digest      text not null,
    role        text not null,
    approved_by text not null,
    name        text not null,
    approved_at timestamptz not null,
    primary key (situation, submission, revision, role),
    foreign key (situation, submission) references submissions (situation, submission),
    constraint approvals_role_known check (role in ('cochair_un', 'cochair_unicef')),
    constraint approvals_two_people unique (situation, submission, revision, approved_by)
);

create table bundles (
    situation       text not null,
    submission      uuid not null,
    bundle          bytea not null,
    sha256          text not null,
    manifest_sha256 text not null,
    signed_at       timestamptz not null,
    primary key (situation, submission),
    foreign key (situation, submission) references submissions (situation, submission)
);
alter table bundles alter column bundle set storage external;

-- An approval is of the draft as it stands: this revision, this digest.
create function approvals_fit() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    perform 1 from submissions
    where situation = new.situation and submission = new.submission
      and state = 'draft' and revision = new.revision and digest = new.digest
    for update;
    if not found then
        raise exception 'an approval must be of the present draft' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger approvals_fit before insert on approvals for each row execute function approvals_fit();

-- draft -> draft with a new revision; draft -> signing with both approvals; signing -> signed with a bundle; then nothing.
create function submissions_move() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
    same_content boolean := (new.snapshot, new.revision, new.digest, new.figures, new.narrative, new.edited_at)
            is not distinct from (old.snapshot, old.revision, old.digest, old.figures, old.narrative, old.edited_at)
        and (new.previous, new.previous_manifest) is not distinct from (old.previous, old.previous_manifest);
begin
    if (new.situation, new.submission, new.product, new.drafted_by, new.drafted_at)
        is distinct from (old.situation, old.submission, old.product, old.drafted_by, old.drafted_at) then
        raise exception 'what a submission is never changes' using errcode = 'check_violation';
    end if;
    if old.state = 'draft' and new.state = 'draft' and new.revision = old.revision + 1 then
        return new;
    end if;
    if old.state = 'draft' and new.state = 'signing' and same_content and 2 = (
        select least(count(distinct role), count(distinct approved_by)) from approvals
        where situation = new.situation and submission = new.submission and revision = new.revision and digest = new.digest
    ) then
        return new;
    end if;
    if old.state = 'signing' and new.state = 'signed' and same_content and exists (
        select from bundles where situation = new.situation and submission = new.submission
    ) then
        return new;
    end if;
    raise exception 'a submission may not change like this' using errcode = 'check_violation';
end $$;
create trigger submissions_move before update on submissions for each row execute function submissions_move();

create function submissions_begin() returns trigger language plpgsql as $$
begin
    if new.state <> 'draft' or new.revision <> 1 then
        raise exception 'a submission begins as a draft' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger submissions_begin before insert on submissions for each row execute function submissions_begin();

create function bundles_fit() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    perform 1 from submissions where situation = new.situation and submission = new.submission and state = 'signing' for update;
    if not found then
        raise exception 'only what both co-chairs approved is signed' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger bundles_fit before insert on bundles for each row execute function bundles_fit();

create function never_changes() returns trigger language plpgsql as $$
begin
    raise exception 'this row never changes' using errcode = 'check_violation';
end $$;
create trigger snapshots_never_change before update on snapshots for each row execute function never_changes();
create trigger approvals_never_change before update on approvals for each row execute function never_changes();
create trigger bundles_never_change before update on bundles for each row execute function never_changes();

-- Rows go only with their situation.
create function goes_with_situation() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
    if not exists (select from situations where code = old.situation and removed) then
        raise exception 'rows go only with their situation' using errcode = 'check_violation';
    end if;
    return old;
end $$;
create trigger snapshots_stay before delete on snapshots for each row execute function goes_with_situation();
create trigger submissions_stay before delete on submissions for each row execute function goes_with_situation();
create trigger approvals_stay before delete on approvals for each row execute function goes_with_situation();
create trigger bundles_stay before delete on bundles for each row execute function goes_with_situation();

grant select, insert, delete on snapshots, submissions, approvals, bundles to :app;
grant update (snapshot, state, revision, digest, figures, narrative, previous, previous_manifest, edited_at, signed_at) on submissions to :app;
