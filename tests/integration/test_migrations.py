"""Migrations: forward, whole or not at all, one migrator at a time, and with no more rights for the serving role than the SQL says."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from chassis import migrations
from chassis.settings import MigrationSettings
from local_stack.postgres import ServiceDatabase
from support.stack import NewDatabase, as_system

FIRST = """
from chassis.migrations import delivery_tables, run_sql
revision = "0001"
down_revision = None
def upgrade():
    run_sql(delivery_tables())
    run_sql("create table things (name text primary key); grant select on things to :app; insert into things values ('a:app b');")
"""
SECOND = """
from chassis.migrations import run_sql
revision = "0002"
down_revision = "0001"
def upgrade():
    run_sql("create table more (name text); insert into more values ('x'); select 1/{divisor};")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tinyservice"
    (folder / "migrations" / "versions").mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    (folder / "migrations" / "versions" / "0001_initial.py").write_text(FIRST)
    return folder


def settings(database: ServiceDatabase) -> MigrationSettings:
    return MigrationSettings(migrations_database_url=SecretStr(database.owner_url), app_role=f"{database.service}_app")


async def upgrade(database: ServiceDatabase) -> None:
    """Run the migrator where it runs in life: in a process without a loop."""
    import asyncio

    await asyncio.to_thread(migrations.upgrade, "tinyservice", settings(database))


async def ask(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_revisions_run_once_and_again_is_harmless(package: Path, new_database: NewDatabase) -> None:
    database = await new_database("intake")
    await upgrade(database)
    (package / "migrations" / "versions" / "0002_more.py").write_text(SECOND.format(divisor=1))
    await upgrade(database)
    await upgrade(database)
    assert await ask(as_system(database.app_url), "select version_num from tinyservice_revisions") == "0002"
    assert await ask(as_system(database.app_url), "select count(*) from more") == 1
    assert await ask(as_system(database.app_url), "select name from things") == "a:app b"


async def test_a_revision_that_fails_leaves_nothing_of_itself(package: Path, new_database: NewDatabase) -> None:
    database = await new_database("intake")
    (package / "migrations" / "versions" / "0002_more.py").write_text(SECOND.format(divisor=0))
    with pytest.raises(Exception, match="division by zero"):
        await upgrade(database)
    assert await ask(database.owner_url, "select version_num from tinyservice_revisions") == "0001"
    assert await ask(database.owner_url, "select to_regclass('more')") is None
    mended = SECOND.format(divisor=1) + "# mended: of another length, or Python may take the bytecode of the same second\n"
    (package / "migrations" / "versions" / "0002_more.py").write_text(mended)
    await upgrade(database)
    assert await ask(database.owner_url, "select count(*) from more") == 1


async def test_migrators_at_the_same_time_take_turns(package: Path, new_database: NewDatabase) -> None:
    database = await new_database("intake")
    program = (
        "import sys; from chassis.migrations import upgrade; from chassis.settings import MigrationSettings, load;"
        "upgrade('tinyservice', load(MigrationSettings))"
    )
    environment = {
        "PYTHONPATH": str(package.parent),
        "MRM_MIGRATIONS_DATABASE_URL": database.owner_url,
        "MRM_APP_ROLE": "intake_app",
    }
    processes = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE)  # noqa: ASYNC220 - both at once
        for _ in range(2)
    ]
    outcomes = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outcomes
    assert await ask(as_system(database.app_url), "select count(*) from things") == 1


async def test_the_serving_role_can_change_neither_the_record_of_acts_nor_the_revisions(package: Path, new_database: NewDatabase) -> None:
    database = await new_database("intake")
    await upgrade(database)
    for statement in (
        "delete from audit_entries",
        "update audit_entries set actor = 'x'",
        "update tinyservice_revisions set version_num = 'x'",
        "create table mine (x int)",
        "drop table outbox",
        "truncate outbox",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(database.app_url, statement)


async def test_a_role_name_that_is_none_is_refused(new_database: NewDatabase) -> None:
    database = await new_database("intake")
    bad = MigrationSettings(migrations_database_url=SecretStr(database.owner_url), app_role='x" superuser')
    with pytest.raises(ValueError, match="plain identifier"):
        migrations.upgrade("tinyservice", bad)
