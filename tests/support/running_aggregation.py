"""Aggregation as it answers over HTTP, on a real database; coded events are handed to its handlers, no broker is there."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from aggregation.app import build
from aggregation.handlers import Handlers
from chassis.sealing.keys import generate_signing_key
from chassis.sealing.opening_keys import generate_opening_key
from chassis.sealing.trust import Trust
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.storage import SYSTEM
from local_stack.postgres import PostgresServer
from support.counting import House
from support.databases import migrated_database
from support.edge import served
from support.issuer import Issuer
from support.rates import UNHURRIED
from support.vouched import PINNED, vouched


@dataclass
class RunningAggregation:
    """The service over HTTP, its counting part, and a look behind it."""

    client: httpx.AsyncClient
    service: Service
    house: House
    issuer: Issuer
    owner: asyncpg.Connection

    async def get(
        self, path: str, *, role: str = "officer", situation: str = "", headers: dict[str, str] | None = None, **params: str
    ) -> httpx.Response:
        """Ask as a person with one role in the path's situation (or another)."""
        place = situation or path.split("/")[3]
        token = self.issuer.token("olga", f"/{place}/{role}")
        return await self.client.get(path, params=params or None, headers={"Authorization": f"Bearer {token}", **(headers or {})})

    async def post(self, path: str, body: Any, *, role: str = "officer", situation: str = "") -> httpx.Response:
        """Order something as a person with one role in the path's situation (or another)."""
        token = self.issuer.token("olga", f"/{situation or path.split('/')[3]}/{role}")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await self.client.post(path, content=json.dumps(body).encode(), headers=headers)

    async def table(self, situation: str, table: str, **params: str) -> Any:
        """Return a table's answer, which must be one."""
        answer = await self.get(f"/v1/situations/{situation}/tables/{table}", **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def set_threshold(self, situation: str, k: int) -> None:
        """Let the register name another disclosure threshold for a situation."""
        known = await self.service.register.get(situation)
        policy = known.policy.model_copy(update={"disclosure_threshold": k})
        async with self.service.database.transaction("register", by=SYSTEM) as tx:
            await self.service.register.save(tx, known.model_copy(update={"version": known.version + 1, "policy": policy}))

    async def seal_for_export(self, situation: str) -> None:
        """Let the register name a key of export for a situation, so that snapshots can leave."""
        known = await self.service.register.get(situation)
        key = generate_opening_key("export", situation)
        changed = known.model_copy(update={"version": 2, "recipients": {"export": [vouched(key)]}})
        async with self.service.database.transaction("register", by=SYSTEM) as tx:
            await self.service.register.save(tx, changed)


@pytest.fixture(scope="module")
async def aggregation(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningAggregation]:
    """Aggregation on a database of the module's own; every loaded file is a situation of its own. Events stay in the outbox."""
    database = await migrated_database(postgres_server, "aggregation")
    tmp_path, issuer = tmp_path_factory.mktemp("aggregation"), Issuer()
    keys = tmp_path / "keys"
    signing = generate_signing_key("aggregation")
    signing.save(keys)
    trust_file = tmp_path / "trust.json"
    Trust().with_signing(signing.public, *PINNED).save(trust_file)
    service, app = build(
        ServiceSettings(
            database_url=SecretStr(database.app_url),
            kafka_bootstrap="127.0.0.1:1",
            kafka_username="aggregation",
            kafka_password=SecretStr("unused"),
            keys_dir=keys,
            trust_file=trust_file,
            issuer=issuer.url,
            **UNHURRIED,
        )
    )
    handlers = Handlers(service.register)
    service.register.on_removed = handlers.situation_removed
    await service.database.open()
    house = House(database=service.database, register=service.register, handlers=handlers)
    owner = await asyncpg.connect(database.owner_url)
    try:
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
            yield RunningAggregation(client, service, house, issuer, owner)
    finally:
        await owner.close()
        await service.database.close()
        issuer.stop()
        await postgres_server.drop_database(database.name)
