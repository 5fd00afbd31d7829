"""Aggregation for the benchmarks: its real app over HTTP on a real database, its handlers behind the receiver's batch, no broker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from pydantic import SecretStr

from aggregation.app import build
from aggregation.handlers import Handlers
from benchmarks.situations import DRAFT
from chassis.delivery.batch import Batch, Isolation, Result
from chassis.delivery.messages import MessageReader, Read
from chassis.migrations import upgrade
from chassis.sealing.keys import generate_signing_key
from chassis.sealing.trust import Trust
from chassis.service import Service
from chassis.settings import MigrationSettings, ServiceSettings
from chassis.storage import SYSTEM
from contracts.situation import Situation
from local_stack.postgres import PostgresServer
from support.edge import served
from support.issuer import Issuer


@dataclass
class CountingService:
    """The service over HTTP and what is needed to feed it and to look behind it."""

    client: httpx.AsyncClient
    service: Service
    issuer: Issuer
    owner: asyncpg.Connection
    """A connection of the owner role, which speaks JSON as text."""
    settings: ServiceSettings

    def __post_init__(self) -> None:
        """Make the handlers by the names of their events."""
        self._handlers = {event.type: handler for event, handler in Handlers(self.service.register).by_event().items()}
        self._reader = MessageReader({}, trust=self.service.trust, sealed=None)

    async def register(self, code: str) -> str:
        """Register a generated situation."""
        document = Situation.model_validate({**DRAFT, "code": code, "recipients": {}, "version": 1}, strict=False)
        async with self.service.database.transaction("register", by=SYSTEM) as tx:
            await self.service.register.save(tx, document)
        return code

    async def receive(self, reads: Sequence[Read]) -> None:
        """Apply opened messages as the receiver does: one transaction with inbox, order of subjects and confirmations."""
        async with self.service.database.transaction("receive_messages", by=SYSTEM) as tx:
            batch = Batch(
                tx, service="aggregation", handlers=self._handlers, reader=self._reader, outbox=None, isolation=Isolation.TOGETHER
            )
            await batch.load(reads)
            for read in reads:
                result = await batch.take(read)
                if result is not Result.APPLIED:
                    raise SystemExit(f"a generated fact was not applied: {result}")
            await batch.write()

    async def ask(self, situation: str, what: str, **params: str) -> Any:
        """Ask over HTTP; returns the answer's data."""
        headers = {"Authorization": f"Bearer {self.issuer.token('olga', f'/{situation}/officer')}"}
        answer = await self.client.get(f"/v1/situations/{situation}/{what}", params=params, headers=headers)
        if answer.status_code != 200:
            raise SystemExit(f"unexpected answer {answer.status_code}: {answer.text}")
        return answer.json()["data"]


@asynccontextmanager
async def counting_service(server: PostgresServer, folder: Path) -> AsyncIterator[CountingService]:
    """Open the service on a fresh database below a running server."""
    database = await server.create_service_database("aggregation", "aggregation_bench")
    settings = MigrationSettings(migrations_database_url=SecretStr(database.owner_url), app_role="aggregation_app")
    await asyncio.to_thread(upgrade, "aggregation", settings)
    signing = generate_signing_key("aggregation")
    signing.save(folder / "keys")
    Trust().with_signing(signing.public).save(folder / "trust.json")
    issuer = Issuer()
    serving = ServiceSettings(
        database_url=SecretStr(database.app_url),
        kafka_bootstrap="127.0.0.1:1",
        kafka_username="aggregation",
        kafka_password=SecretStr("unused"),
        keys_dir=folder / "keys",
        trust_file=folder / "trust.json",
        issuer=issuer.url,
    )
    service, app = build(serving)
    await service.database.open()
    owner = await asyncpg.connect(database.owner_url)
    await _free_from_row_security(owner)
    try:
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=120) as client:
            yield CountingService(client, service, issuer, owner, serving)
    finally:
        await owner.close()
        await service.database.close()
        issuer.stop()


async def _free_from_row_security(owner: asyncpg.Connection) -> None:
    """Let the owner copy rows in, which row-level security forbids; the service's own role stays under it."""
    tables = await owner.fetch("select oid::regclass::text as name from pg_class where relforcerowsecurity")
    for table in tables:
        await owner.execute(f"alter table {table['name']} no force row level security")
