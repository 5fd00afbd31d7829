"""A service's app behind a real HTTP server in this process, and a running intake with a real database."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from chassis.http.server import server_config
from chassis.http.tls import Certificate
from chassis.sealing.keys import generate_signing_key
from chassis.sealing.opening_keys import OpeningKey, generate_opening_key
from chassis.sealing.trust import Trust
from chassis.service import Service
from chassis.storage import SYSTEM
from contracts.situation import Situation
from intake.app import build
from intake.handlers import handlers, situation_removed
from intake.settings import IntakeSettings
from local_stack.postgres import PostgresServer
from support.databases import migrated_database
from support.issuer import Issuer
from support.rates import UNHURRIED
from support.vouched import PINNED, entry


@contextlib.asynccontextmanager
async def served(app: FastAPI, *, certificate: Certificate | None = None) -> AsyncIterator[str]:
    """Serve an app on a free loopback port; yields its address."""
    server = uvicorn.Server(server_config(app, host="127.0.0.1", port=0, certificate=certificate))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    with contextlib.ExitStack() as stack:
        server.capture_signals = lambda: stack  # type: ignore[method-assign, assignment]
        task = asyncio.create_task(server.serve())
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            await task


def situation_document(code: str, keys: OpeningKey, **changes: Any) -> Situation:
    """A situation in Kabul's time with two parties and two places, sealed to one key of verification."""
    return Situation.model_validate(
        {
            "code": code,
            "name": "Example",
            "time_zone": "Asia/Kabul",
            "parties": [
                {"code": "force_1", "type": "armed_force", "name": "Armed force 1"},
                {"code": "group_1", "type": "armed_group", "name": "Armed group 1"},
            ],
            "places": [{"code": "XA01", "name": "North", "level": 1}, {"code": "XA0102", "name": "Town", "level": 2, "parent": "XA01"}],
            "recipients": {"verification": [entry(keys)]},
            "version": 1,
            **changes,
        },
        strict=False,
    )


@dataclass
class RunningIntake:
    """Intake as it answers over HTTP, and ways to look behind it."""

    url: str
    client: httpx.AsyncClient
    service: Service
    issuer: Issuer
    opening: OpeningKey
    owner: asyncpg.Connection
    folder: Path
    app: FastAPI

    def another(self) -> tuple[Service, FastAPI]:
        """Build a second process's parts on the same database and keys; nothing is connected yet."""
        assert isinstance(self.service.settings, IntakeSettings)
        return build(self.service.settings)

    def token(self, person: str, *groups: str) -> str:
        return self.issuer.token(person, *groups)

    async def post(self, path: str, body: Any, *, person: str = "amina", groups: tuple[str, ...] = ("/XAA/monitor",)) -> httpx.Response:
        """Post a document, or bytes as they are, as a person."""
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        headers = {"Authorization": f"Bearer {self.token(person, *groups)}", "Content-Type": "application/json"}
        return await self.client.post(path, content=content, headers=headers)

    async def get(self, path: str, *, person: str = "amina", groups: tuple[str, ...] = ("/XAA/monitor",)) -> httpx.Response:
        return await self.client.get(path, headers={"Authorization": f"Bearer {self.token(person, *groups)}"})

    async def rows(self) -> dict[str, int]:
        """Count what is stored of reports, acts (but not denied attempts) and events."""
        tables = ("incidents", "revisions", "outbox", "(select from audit_entries where action <> 'access.denied')")
        counts = [await self.owner.fetchval(f"select count(*) from {table}") for table in tables]  # noqa: S608 - our own names
        return dict(zip(("incidents", "revisions", "outbox", "audit_entries"), counts, strict=True))

    async def dump(self) -> bytes:
        """Return everything in every table, as text and as the bytes of the columns."""
        tables = await self.owner.fetch("select tablename from pg_tables where schemaname = 'public'")
        parts: list[bytes] = []
        for table in tables:
            for row in await self.owner.fetch(f'select * from "{table["tablename"]}"'):  # noqa: S608
                parts += [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
        return b"\n".join(parts)


@contextlib.asynccontextmanager
async def running_intake(server: PostgresServer, issuer: Issuer, folder: Path, **settings: Any) -> AsyncIterator[RunningIntake]:
    """Intake with situations XAA and XBB on a fresh database; events stay in the outbox, no broker is there."""
    database = await migrated_database(server, "intake")
    keys = folder / "keys"
    signing = generate_signing_key("intake")
    signing.save(keys)
    trust_file = folder / "trust.json"
    Trust().with_signing(signing.public, *PINNED).save(trust_file)
    service, app = build(
        IntakeSettings(
            database_url=SecretStr(database.app_url),
            kafka_bootstrap="127.0.0.1:1",
            kafka_username="intake",
            kafka_password=SecretStr("unused"),
            keys_dir=keys,
            trust_file=trust_file,
            issuer=issuer.url,
            **{**UNHURRIED, **settings},
        )
    )
    service.register.on_removed = situation_removed
    service.receiver.configure(handlers(service.register), None)
    await service.database.open()
    opening = {code: generate_opening_key("verification", code) for code in ("XAA", "XBB")}
    async with service.database.transaction("register", by=SYSTEM) as tx:
        for code, key in opening.items():
            await service.register.save(tx, situation_document(code, key))
    owner = await asyncpg.connect(database.owner_url)
    try:
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
            yield RunningIntake(url, client, service, issuer, opening["XAA"], owner, folder, app)
    finally:
        await owner.close()
        await service.database.close()
        await server.drop_database(database.name)


@pytest.fixture
async def intake(postgres_server: PostgresServer, issuer: Issuer, tmp_path: Path) -> AsyncIterator[RunningIntake]:
    """An intake of its own for one test."""
    async with running_intake(postgres_server, issuer, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
async def quiet_intake(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningIntake]:
    """One intake for the tests of a module that store nothing."""
    issuer = Issuer()
    async with running_intake(postgres_server, issuer, tmp_path_factory.mktemp("intake")) as running:
        yield running
    issuer.stop()


def report(**changes: Any) -> dict[str, Any]:
    """A complete, acceptable report of XAA; a field given as None is left out."""
    document: dict[str, Any] = {
        "situation": "XAA",
        "key": str(uuid4()),
        "occurred_from": "2024-01-23",
        "occurred_to": "2024-01-24",
        "place": "XA0102",
        "violations": [{"key": "k1", "type": "killing", "boys": 2, "unknown": 1, "details": {"weapon_type": ["landmine"]}}],
        "victims": [{"key": "c1", "sex": "male", "age": 9, "violations": ["k1"]}],
        "groups": [{"key": "g1", "unknown": 1, "violations": ["k1"]}],
        "perpetrators": [{"party": "force_1", "attribution": "sole", "violations": ["k1"]}],
        "sources": [{"category": "primary_victim", "type": "oral_testimony", "violations": ["k1"]}],
        **changes,
    }
    return {name: value for name, value in document.items() if value is not None}
