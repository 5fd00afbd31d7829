"""Row-level security agrees with the permission table, is evaluated once per statement, and a service refuses to work where it could be
bypassed: as owner, superuser or with BYPASSRLS, with a policy gone or added, with it off on one table, with another permission table,
with a constraint, a trigger or a privilege that the migrations did not leave. Those the migrations name, and bless only when told to."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from random import Random

import asyncpg
import pytest

from chassis import row_security
from chassis.catalog import LISTING, ChangedDatabaseError
from chassis.errors import Unavailable
from chassis.identity import Principal
from chassis.migrations import upgrade
from chassis.permissions import Caller
from chassis.storage import SYSTEM, Database
from contracts.topics import SERVICES
from local_stack.postgres import PostgresServer, ServiceDatabase
from support.databases import migrations
from support.expected import ROLES, actions_of
from support.stack import NewDatabase

PLACES = ("XAA", "XBB", "_all")
RELATIONS = ("any", "own", "not_own")
STATES = ("any", "open", "draft", "signed", "installation", "situation", "focal_point", "technical", "emergency_access", "decided", "")
CASES = 400


@pytest.fixture
async def export(new_migrated_database: NewDatabase) -> ServiceDatabase:
    """An export database as the migrations leave it."""
    return await new_migrated_database("export")


@pytest.fixture
async def superuser(export: ServiceDatabase, postgres_server: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who can plant holes in it."""
    connection = await asyncpg.connect(postgres_server.superuser_url(export.name))
    yield connection
    await connection.close()


async def hole(url: str, service: str = "export") -> str | None:
    """What a service process finds when it opens its database; nothing else gets a connection then."""
    database = Database(url)

    async def look(connection: asyncpg.Connection) -> str | None:
        return await row_security.find_hole(connection, service)

    await database.open(look)
    try:
        found = await database.examine(look)
        if found is None:
            async with database.reading("look", by=SYSTEM) as tx:
                assert await tx.fetchval("select 1") == 1
        else:
            with pytest.raises(Unavailable):
                async with database.reading("look", by=SYSTEM):
                    pass
            with pytest.raises(Unavailable):
                await database.connect()
    finally:
        await database.close()
    return found


@pytest.mark.parametrize("service", SERVICES)
async def test_the_database_agrees_with_the_table_on_random_people(
    service: str, new_migrated_database: NewDatabase, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("MRM_TEST_SEED", "0")) or Random().randrange(2**32)
    record_property("said", f"{CASES} random questions, seed {seed}")
    random = Random(seed)
    database = await new_migrated_database(service)
    connection = await asyncpg.connect(database.app_url)
    actions = [*actions_of(service), "no.such_action"]
    try:
        for _ in range(CASES):
            grants = frozenset((random.choice(PLACES), random.choice(ROLES)) for _ in range(random.randrange(4)))
            action, relation, state = random.choice(actions), random.choice(RELATIONS), random.choice(STATES)
            caller = Caller(Principal("amina", "Amina", grants), service=service, action=action)
            async with connection.transaction():
                await speak(connection, action, grants)
                covered, situations, everywhere, somewhere = await connection.fetchrow(
                    "select covered_situations(null, $1, $2), covered_situations(null), acts_everywhere(null), acts_somewhere(null)",
                    relation,
                    state,
                )
            question = (action, sorted(grants), relation, state)
            for place in ("XAA", "XBB", "XCC"):
                assert (place in covered or "_all" in covered) == caller.may(place, relation=relation, state=state), question
            assert set(situations) - {"_all"} == caller.situations(), question
            assert everywhere == caller.everywhere, question
            assert somewhere == (bool(caller.situations()) or caller.everywhere), question
    finally:
        await connection.close()


async def speak(connection: asyncpg.Connection, action: str, grants: frozenset[tuple[str, str]], subject: str = "amina") -> None:
    await connection.execute(
        "select set_config('mrm.action', $1, true), set_config('mrm.subject', $2, true), set_config('mrm.grants', $3, true)",
        action,
        subject,
        json.dumps(sorted(grants)),
    )


@pytest.mark.parametrize("service", SERVICES)
async def test_who_says_nothing_of_themselves_sees_nothing(service: str, new_migrated_database: NewDatabase) -> None:
    database = await new_migrated_database(service)
    connection = await asyncpg.connect(database.app_url)
    owner = await asyncpg.connect(database.owner_url.removesuffix("&mrm.action=system"))
    try:
        assert await hole(database.app_url, service) is None
        for one in (connection, owner):
            assert await one.fetchval("select count(*) from audit_log") == 0
            for statement in ("insert into relay_state default values", "insert into confirmations_due values ('x', gen_random_uuid())"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await one.execute(statement)
            for settings in ("mrm.action", "mrm.subject", "mrm.grants"):
                await one.execute("select set_config($1, '', false)", settings)
            assert await one.fetchval("select count(*) from audit_log") == 0
        assert await connection.fetchval("select count(*) from permission_rows") > 0
    finally:
        await connection.close()
        await owner.close()


PLANTED = {
    "policy dropped": ('drop policy "_system" on submissions', row_security.CHANGED),
    "policy added": ("create policy more on submissions using (true)", row_security.CHANGED),
    "policy widened": ('alter policy "_system" on submissions using (true)', row_security.CHANGED),
    "off on one table": ("alter table approvals disable row level security", row_security.CHANGED),
    "not forced on one table": ("alter table approvals no force row level security", row_security.CHANGED),
    "a function replaced": (
        "create or replace function acts_everywhere(actions text[], relation text default null, state text default null,"
        " office text default null) returns boolean language sql stable as 'select true'",
        row_security.CHANGED,
    ),
    "a right more in the table": (
        "insert into permission_rows values ('submission.approve', 'officer', 'any', 'any')",
        row_security.OUTDATED,
    ),
    "BYPASSRLS": ("alter role export_app bypassrls", row_security.ROLE),
    "superuser": ("alter role export_app superuser", row_security.ROLE),
    "replication": ("alter role export_app replication", row_security.ROLE),
    "member of the owner": ("grant export_owner to export_app", row_security.ROLE),
    "member, without inheriting": ("grant export_owner to export_app with inherit false", row_security.ROLE),
    "owner of one table": ("alter table approvals owner to export_app", row_security.ROLE),
}
MEND = "alter role export_app nosuperuser nobypassrls noreplication; revoke export_owner from export_app"
UNSEEN_PLACES = {
    "a table more": ("export", "create table notes (situation text)", "table notes: new"),
    "a unique constraint gone": (
        "verification",
        "alter table docket_approvals drop constraint docket_approvals_each_person_once",
        "constraint docket_approvals_each_person_once of docket_approvals: gone",
    ),
    "a check gone": (
        "verification",
        "alter table decisions drop constraint decisions_four_eyes",
        "constraint decisions_four_eyes of decisions: gone",
    ),
    "a check that old rows need not meet": (
        "verification",
        "alter table decisions drop constraint decisions_stage;"
        "alter table decisions add constraint decisions_stage check (stage in ('focal_point', 'technical', 'ctfmr')) not valid",
        "constraint decisions_stage of decisions: different",
    ),
    "a trigger off": (
        "verification",
        "alter table decisions disable trigger decisions_both_cochairs",
        "trigger decisions_both_cochairs of decisions: different",
    ),
    "the record may shrink": (
        "verification",
        "alter table audit_entries disable trigger only_grows",
        "trigger only_grows of audit_entries: different",
    ),
    "a trigger in replicas only": (
        "verification",
        "alter table decisions enable replica trigger decisions_both_cochairs",
        "trigger decisions_both_cochairs of decisions: different",
    ),
    "a foreign key unheld": (
        "verification",
        "alter table decisions disable trigger all; alter table decisions enable trigger decisions_both_cochairs",
        "constraint decisions_of_a_line of decisions: different",
    ),
    "rights on tables": (
        "verification",
        "grant all on audit_entries, docket_approvals, decisions to verification_app",
        "privileges on docket_approvals: different",
    ),
    "a right on a column": (
        "verification",
        "grant update (decided_by) on decisions to verification_app",
        "privileges on column decisions.decided_by: new",
    ),
    "a right to everybody": ("verification", "grant select on violations to public", "privileges on violations: different"),
    "rights on the schema": ("verification", "grant create on schema public to verification_app", "privileges on schema public: different"),
    "rights in the database": (
        "verification",
        "do $$ begin execute format('grant create on database %I to verification_app', current_database()); end $$",
        "privileges on the database: new",
    ),
    "rights on row security's own tables": (
        "verification",
        "grant insert, update, delete on permission_rows, row_security_state to verification_app",
        "privileges on permission_rows: different",
    ),
    "rights on tables to come": (
        "verification",
        "alter default privileges for role verification_owner in schema public grant truncate on tables to verification_app",
        "default privileges of verification_owner, public, r: different",
    ),
    "a function for everybody": (
        "verification",
        "grant execute on function remove_scratch_situation(text) to public",
        "privileges on function remove_scratch_situation(text): different",
    ),
    "a superuser's view": (
        "verification",
        "create view zz_incidents as select * from incidents; grant select on zz_incidents to verification_app",
        "view zz_incidents: new",
    ),
    "a superuser's materialized view": ("verification", "create materialized view kept as select * from incidents", "view kept: new"),
    "another owner": ("verification", "alter table decisions owner to current_user", "table decisions: different"),
    "a unique index gone": ("verification", "drop index links_standing_child", "unique index links_standing_child of links: gone"),
    "a column that may be empty": (
        "verification",
        "alter table decisions alter column decided_by drop not null",
        "column decisions.decided_by: different",
    ),
    "a rule": ("verification", "create rule quiet as on insert to audit_entries do instead nothing", "rule quiet of audit_entries: new"),
    "a trigger's function replaced": (
        "verification",
        "create or replace function require_both_cochairs() returns trigger language plpgsql as 'begin return null; end'",
        "function require_both_cochairs(): different",
    ),
    "a function of a policy's name": (
        "verification",
        "create function acting_subject(text) returns text language sql as 'select $1'",
        "function acting_subject(text): new",
    ),
}
"""What row security's own text does not put back, and a line of what the migrations say then."""


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_service_refuses_a_database_with_a_hole(planted: str, export: ServiceDatabase, superuser: asyncpg.Connection) -> None:
    statement, reason = PLANTED[planted]
    assert await hole(export.app_url) is None
    await superuser.execute(statement)
    try:
        assert await hole(export.app_url) == reason
    finally:
        await superuser.execute(MEND)


@pytest.mark.parametrize("planted", [name for name, (_, reason) in PLANTED.items() if reason != row_security.ROLE])
async def test_the_migrations_close_what_was_opened(planted: str, export: ServiceDatabase, superuser: asyncpg.Connection) -> None:
    await superuser.execute(PLANTED[planted][0])
    if planted.startswith("a right more"):
        await superuser.execute("update row_security_state set source = 'older'")
    await asyncio.to_thread(upgrade, "export", migrations(export))
    assert await hole(export.app_url) is None


@pytest.mark.parametrize("planted", UNSEEN_PLACES)
async def test_what_the_migrations_cannot_put_back_is_seen_and_never_blessed_unasked(
    planted: str, new_migrated_database: NewDatabase, postgres_server: PostgresServer
) -> None:
    service, statement, line = UNSEEN_PLACES[planted]
    database = await new_migrated_database(service)
    superuser = await asyncpg.connect(postgres_server.superuser_url(database.name))
    try:
        assert await hole(database.app_url, service) is None
        await superuser.execute(statement)
        reason = await hole(database.app_url, service)
        assert reason is not None
        assert reason.startswith("the database is not as the migrations left it (")
        for _ in range(2):
            with pytest.raises(ChangedDatabaseError) as named:
                await asyncio.to_thread(upgrade, service, migrations(database))
            assert f"  {line}\n" in str(named.value)
            assert await hole(database.app_url, service) == reason
    finally:
        await superuser.close()


async def test_a_change_that_is_meant_is_accepted_by_name_only(new_migrated_database: NewDatabase) -> None:
    database = await new_migrated_database("verification")
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute("alter table decisions drop constraint decisions_stage")
        await owner.execute("drop policy _system on decisions")
        changed = row_security.altered(["constraint"])
        assert await hole(database.app_url, "verification") == changed
        assert await asyncio.to_thread(command, "verification", database) == (
            1,
            "The database is not as the migrations left it:\n  constraint decisions_stage of decisions: gone\n"
            "Put it back by hand. Only if all of this is meant, say `migrate --accept-changes`.\n",
        )
        assert await hole(database.app_url, "verification") == changed
        assert await asyncio.to_thread(command, "verification", database, "--accept-changes") == (0, "")
        assert await hole(database.app_url, "verification") is None
    finally:
        await owner.close()


async def test_a_change_put_back_by_hand_is_no_change(new_migrated_database: NewDatabase) -> None:
    database = await new_migrated_database("verification")
    owner = await asyncpg.connect(database.owner_url)
    try:
        await owner.execute("alter table audit_entries disable trigger only_grows; grant delete on audit_entries to verification_app")
        assert await hole(database.app_url, "verification") == row_security.altered(["privileges on", "trigger"])
        await owner.execute(
            "alter table audit_entries enable always trigger only_grows; revoke delete on audit_entries from verification_app"
        )
        assert await hole(database.app_url, "verification") is None
    finally:
        await owner.close()


async def test_a_service_refuses_sessions_without_triggers(export: ServiceDatabase, superuser: asyncpg.Connection) -> None:
    await superuser.execute(f'alter database "{export.name}" set session_replication_role = replica')
    assert await hole(export.app_url) == row_security.TRIGGERS_OFF


@pytest.mark.parametrize("service", SERVICES)
async def test_what_the_migrations_leave_is_told_alike_by_every_role_and_in_every_copy(
    service: str, new_migrated_database: NewDatabase, postgres_server: PostgresServer
) -> None:
    first, second = await new_migrated_database(service), await new_migrated_database(service)
    await postgres_server.create_service_database(service, second.name)  # as each start of a local stack does
    told = set()
    for url in (first.owner_url, first.app_url, second.app_url, postgres_server.superuser_url(second.name)):
        connection = await asyncpg.connect(url)
        await connection.execute("select set_config('search_path', 'public', false)")
        told.add(await connection.fetchval(LISTING))
        await connection.close()
    (listing,) = told
    assert "\nconstraint\taudit_leaves_once of audit_leaves\t" in listing
    assert len(listing.split("\n")) > 300


def command(service: str, database: ServiceDatabase, *options: str) -> tuple[int, str]:
    """Run `python -m <service> migrate` as an operator does."""
    environment = {"MRM_MIGRATIONS_DATABASE_URL": database.owner_url, "MRM_APP_ROLE": f"{service}_app"}
    ended = subprocess.run(
        [sys.executable, "-m", service, "migrate", *options], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return ended.returncode, ended.stderr


async def test_a_service_refuses_to_be_the_owner_or_a_superuser(export: ServiceDatabase, postgres_server: PostgresServer) -> None:
    assert await hole(export.owner_url) == row_security.ROLE
    assert await hole(postgres_server.superuser_url(export.name)) == row_security.ROLE


async def test_a_service_refuses_a_database_before_its_migrations(new_database: NewDatabase) -> None:
    assert await hole((await new_database("export")).app_url) == row_security.CHANGED


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_is_forced_and_every_function_call_of_a_policy_stands_alone(
    service: str, new_migrated_database: NewDatabase
) -> None:
    """A call in a sub-select without reference to the row is made once per statement; one beside it would be made for every row."""
    database = await new_migrated_database(service)
    owner = await asyncpg.connect(database.owner_url)
    try:
        tables = await owner.fetch(
            "select relname, relrowsecurity and relforcerowsecurity as forced from pg_class c join pg_namespace n on n.oid = relnamespace"
            " where relkind in ('r', 'p') and nspname not like 'pg\\_%' and nspname <> 'information_schema'"
        )
        assert len(tables) > 15
        assert all(table["forced"] for table in tables)
        policies = await owner.fetch("select policyname, qual, with_check, roles, permissive from pg_policies")
        for policy in policies:
            for text in (policy["qual"], policy["with_check"]):
                for name in ("covered_situations(", "acts_everywhere(", "acts_somewhere(", "member_situations(", "acting_subject("):
                    assert (text or "").count(name) == (text or "").count(f"( SELECT {name}") + (text or "").count(f"= ANY ({name}"), policy
    finally:
        await owner.close()


async def test_counting_asks_the_policy_once_per_statement(new_migrated_database: NewDatabase, postgres_server: PostgresServer) -> None:
    database = await new_migrated_database("aggregation")
    superuser = await asyncpg.connect(postgres_server.superuser_url(database.name))
    await superuser.execute("alter role aggregation_app set track_functions = 'all'")
    await superuser.execute(
        """
        insert into counts_a.records (situation, position, sign, incident, child, sex)
        select case n % 2 when 0 then 'XAA' else 'XBB' end, n, 1, 'i' || n, 'c' || n, 'female' from generate_series(1, 20000) n;
        analyze counts_a.records
        """
    )
    connection = await asyncpg.connect(database.app_url)
    count = "select count(*) from counts_a.records"
    try:
        async with connection.transaction():
            await speak(connection, "counts.read", frozenset({("XAA", "officer")}))
            assert await connection.fetchval(count) == 10_000
            calls = await connection.fetch("select funcname, calls from pg_stat_xact_user_functions")
            assert {row["funcname"]: row["calls"] for row in calls}["covered_situations"] <= 2  # one of them within acts_everywhere
            plan = "\n".join(row[0] for row in await connection.fetch(f"explain {count} where situation = 'XAA' and position < 100"))
            assert "InitPlan" in plan
            assert "SubPlan" not in plan
            assert "Index" in plan
        async with connection.transaction():
            await speak(connection, "system", frozenset())
            before = await connection.fetchval("select coalesce(sum(calls), 0) from pg_stat_xact_user_functions")
            assert await connection.fetchval(count) == 20_000
            assert await connection.fetchval("select coalesce(sum(calls), 0) from pg_stat_xact_user_functions") <= before + 4
    finally:
        await connection.close()
        await superuser.execute("alter role aggregation_app reset track_functions")
        await superuser.close()
