"""Row-level security agrees with the permission table, is evaluated once per statement, and a service refuses to work where it could be
bypassed: as owner, superuser or with BYPASSRLS, with a policy gone or added, with it off on one table, with another permission table."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from random import Random

import asyncpg
import pytest

from chassis import row_security
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
    "a table more": ("create table notes (situation text)", row_security.CHANGED),
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
    await superuser.execute(PLANTED[planted][0].replace("create table notes", "set role export_owner; create table notes"))
    await superuser.execute("reset role")
    if planted.startswith("a right more"):
        await superuser.execute("update row_security_state set source = 'older'")
    await asyncio.to_thread(upgrade, "export", migrations(export))
    assert await hole(export.app_url) is None


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
