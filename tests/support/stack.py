"""Fixtures of real servers: PostgreSQL with fresh service databases, Kafka with the topics of the topic table."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from local_stack.artifacts import cache_folder
from local_stack.identity import IdentityServer
from local_stack.kafka import KafkaServer
from local_stack.ports import free_ports
from local_stack.postgres import PostgresServer, ServiceDatabase
from support.databases import migrated_database
from support.running import Stack

NewDatabase = Callable[[str], Awaitable[ServiceDatabase]]


def as_system(url: str) -> str:
    """Return the address at which a connection speaks as the service itself; without saying for whom it speaks it sees no row."""
    return f"{url}&mrm.action=system"


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A short private folder for the servers of this run (socket paths are limited to about 100 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="mrm-test-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(server_folder: Path) -> Iterator[PostgresServer]:
    """A real PostgreSQL for the whole run; it trades safety against a power cut for speed."""
    server = PostgresServer(server_folder / "pg", secrets=server_folder / "secrets", log=server_folder / "logs" / "pg.log", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def new_database(postgres_server: PostgresServer) -> AsyncIterator[NewDatabase]:
    """`await new_database("intake")` makes an empty database with roles intake_owner, intake_app; dropped afterwards."""
    made: list[ServiceDatabase] = []

    async def create(service: str) -> ServiceDatabase:
        database = await postgres_server.create_service_database(service, f"{service}_{uuid4().hex[:12]}")
        made.append(database)
        return database

    yield create
    for database in made:
        await postgres_server.drop_database(database.name)


@pytest.fixture
async def new_migrated_database(postgres_server: PostgresServer) -> AsyncIterator[NewDatabase]:
    """`await new_migrated_database("intake")` makes a database at the newest revision; dropped afterwards."""
    made: list[ServiceDatabase] = []

    async def create(service: str) -> ServiceDatabase:
        database = await migrated_database(postgres_server, service)
        made.append(database)
        return database

    yield create
    for database in made:
        await postgres_server.drop_database(database.name)


@pytest.fixture(scope="session")
def kafka_server(server_folder: Path) -> Iterator[KafkaServer]:
    """A real broker with the topics, users and rights of the topic table; `kafka_server.user("intake")` logs in."""
    port, controller_port = free_ports(2)
    server = KafkaServer(
        server_folder / "kafka",
        secrets=server_folder / "secrets",
        log=server_folder / "logs" / "kafka.log",
        cache=cache_folder(server_folder / "cache"),
        port=port,
        controller_port=controller_port,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def identity_server(stack: Stack) -> IdentityServer:
    """The identity provider of the shared stack, with the local people."""
    return identity_of(stack)


def identity_of(stack: Stack) -> IdentityServer:
    """The identity provider of a running stack; `.access_token("monitor")` logs a person in."""
    return IdentityServer(
        stack.data / "identity",
        secrets=stack.data / "secrets",
        log=stack.data / "logs" / "identity.log",
        cache=cache_folder(stack.data / "cache"),
        port=urlsplit(stack.urls["identity"]).port or 0,
    )
