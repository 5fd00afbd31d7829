"""Migrations of a service's database: Alembic revisions in plain SQL, forward only, one migrator at a time; then row-level security.

Revisions live in the service's `migrations/versions`; the first begins with `run_sql(delivery_tables())`. After them row-level security
is set up for every table that they have made (`chassis.row_security`, and the service's `migrations/row_security.sql`).
"""

import asyncio
import re
import zlib
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import asyncpg
from alembic import command, context, op
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from chassis import row_security
from chassis.settings import MigrationSettings
from chassis.storage import SYSTEM_ACTION

LOCK_POLL_SECONDS: Final = 0.2
_ROLE: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ENVIRONMENT: Final = Path(__file__).parent / "migration_environment"


def upgrade(service: str, settings: MigrationSettings, *, accept_changes: bool = False) -> None:
    """Bring the database of a service to its newest revision; harmless when it is there already.

    Raises ChangedDatabaseError, before any revision runs, if somebody else has changed what the migrations left and cannot restore;
    `accept_changes` takes it as it is.
    Other migrators wait by polling a try-lock: a blocking lock and `create index concurrently` would deadlock.
    """
    if _ROLE.fullmatch(settings.app_role) is None:
        raise ValueError("the app role's name is not a plain identifier")
    asyncio.run(_upgrade(service, settings, accept_changes=accept_changes))


def run_sql(sql: str) -> None:
    """Run a text of SQL statements in a revision's transaction, with `:app` replaced by the app role's name."""
    role = context.config.attributes["app_role"]
    bind = op.get_bind()
    bind.exec_driver_sql("select 1")  # lets SQLAlchemy begin the transaction that the text must belong to
    text = re.sub(r"(?<![:\w]):app\b", f'"{role}"', sql)
    driver: Any = bind.connection.dbapi_connection
    driver.run_async(lambda connection: connection.execute(text))


def delivery_tables(version: int = 1) -> str:
    """Return the SQL of the tables that every service has: delivery, parking, register copy, record of acts."""
    return (files("chassis") / "sql" / f"delivery_v{version}.sql").read_text(encoding="utf-8")


def sessions_table(version: int = 1) -> str:
    """Return the SQL of the table of sessions that every service has, for people who sign in for pages."""
    return (files("chassis") / "sql" / f"sessions_v{version}.sql").read_text(encoding="utf-8")


def versions_folder(service: str) -> Path:
    """Return the folder of a service's revisions."""
    spec = find_spec(service)
    if spec is None or spec.origin is None:
        raise LookupError(f"the package {service} is not installed")
    return Path(spec.origin).parent / "migrations" / "versions"


async def _upgrade(service: str, settings: MigrationSettings, *, accept_changes: bool) -> None:
    url = settings.migrations_database_url.get_secret_value()
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: _connect(url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await _lock(connection.exec_driver_sql, connection.commit, zlib.crc32(f"migrations/{service}".encode()))
            raw: Any = (await connection.get_raw_connection()).driver_connection
            if not accept_changes:
                await row_security.refuse_changes(raw, service)
            await connection.run_sync(_run_revisions, service, settings.app_role)
            await connection.commit()
            await row_security.set_up(raw, service, settings.app_role, accept_changes=accept_changes)
    finally:
        await engine.dispose()


async def _connect(url: str) -> asyncpg.Connection:
    """Connect as the service itself: row-level security holds for the tables' owner too."""
    connection: asyncpg.Connection = await asyncpg.connect(url, server_settings={"mrm.action": SYSTEM_ACTION})
    return connection


async def _lock(execute: Any, commit: Any, key: int) -> None:  # noqa: ANN401 - SQLAlchemy's overloads say nothing here
    """Take the session's advisory lock; it ends with the connection."""
    while True:
        result = await execute(f"select pg_try_advisory_lock({key})")
        taken = result.scalar_one()
        await commit()
        if taken:
            return
        await asyncio.sleep(LOCK_POLL_SECONDS)


def _run_revisions(connection: Connection, service: str, app_role: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_ENVIRONMENT))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(versions_folder(service)))
    config.attributes.update(
        connection=connection, app_role=app_role, version_table=f"{service}_revisions", on_version_apply=_keep_revision
    )
    command.upgrade(config, "head")


def _keep_revision(*, ctx: Any, **_: Any) -> None:  # noqa: ANN401 - Alembic's
    """Keep what a step made of the database, within the step's transaction: a migrator that is killed leaves nothing unexplained."""
    ctx.connection.connection.dbapi_connection.run_async(row_security.keep_revision)
