"""Databases of services at their newest revision: migrated once for each server, then copied."""

import asyncio
from uuid import uuid4
from weakref import WeakKeyDictionary

import asyncpg
from pydantic import SecretStr

from chassis.migrations import upgrade
from chassis.settings import MigrationSettings
from local_stack.postgres import PostgresServer, ServiceDatabase

_originals: WeakKeyDictionary[PostgresServer, dict[str, asyncio.Task[ServiceDatabase]]] = WeakKeyDictionary()


async def migrated_database(server: PostgresServer, service: str) -> ServiceDatabase:
    """Make a fresh database of a service as its migrations leave it; whoever asks drops it.

    A copy takes a fifth of the time of the revisions. `tests/integration/test_migrations.py` holds the migrations themselves.
    """
    made = _originals.setdefault(server, {})
    if service not in made:
        made[service] = asyncio.create_task(_original(server, service))
    original = await made[service]
    database = server.service_database(service, f"{service}_{uuid4().hex[:12]}")
    connection = await asyncpg.connect(server.superuser_url())
    try:
        await connection.execute(f'create database "{database.name}" template "{original.name}" strategy file_copy owner "{service}_owner"')
        await connection.execute(
            f'revoke all on database "{database.name}" from public; grant connect on database "{database.name}" to "{service}_app"'
        )
    finally:
        await connection.close()
    return database


def migrations(database: ServiceDatabase) -> MigrationSettings:
    """Return the settings of a database's migrations."""
    return MigrationSettings(migrations_database_url=SecretStr(database.owner_url), app_role=f"{database.service}_app")


async def _original(server: PostgresServer, service: str) -> ServiceDatabase:
    database = await server.create_service_database(service, f"{service}_original_{uuid4().hex[:12]}")
    await asyncio.to_thread(upgrade, service, migrations(database))
    connection = await asyncpg.connect(server.superuser_url())
    try:
        await connection.execute(f'alter database "{database.name}" allow_connections false')
    finally:
        await connection.close()
    return database
