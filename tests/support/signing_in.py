"""A service whose pages people sign in to: behind a public HTTPS origin of its own, on a real database, at any issuer."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from chassis.service import Service
from chassis.sessions import Sessions
from local_stack.postgres import PostgresServer
from support.apps import build_app
from support.browser import Browser
from support.databases import migrated_database
from support.edge import served
from support.pages_issuer import CLIENT, GRANTS_CLAIM, PagesIssuer


class Turned:
    """A clock that a test turns forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def turn(self, **by: float) -> None:
        self.ahead += timedelta(**by)


@dataclass
class Pages:
    """A service with pages, and ways to look behind it."""

    app: FastAPI
    url: str
    origin: str
    owner: asyncpg.Connection
    clock: Turned

    @property
    def service(self) -> Service:
        service: Service = self.app.state.service
        return service

    @property
    def sessions(self) -> Sessions:
        sessions: Sessions = self.app.state.sessions
        return sessions

    @property
    def cookie_name(self) -> str:
        return f"__Host-mrm-{self.service.name}"

    def browser(self) -> Browser:
        """Open a browser of somebody new."""
        return Browser({self.origin: self.url})

    async def signed_in(self, browser: Browser, goal: str = "/account") -> httpx.Response:
        """Sign in at an issuer that asks nothing."""
        answer = await browser.get(f"{self.origin}/sign-in?next={goal}")
        assert self.cookie_of(browser) is not None, answer.text
        return answer

    def cookie_of(self, browser: Browser) -> str | None:
        return browser.cookie(self.origin, self.cookie_name)

    async def session(self, browser: Browser) -> httpx.Response:
        return await browser.get(f"{self.origin}/v1/session")

    async def acts(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return the record: actor, action, detail."""
        rows = await self.owner.fetch("select actor, action, detail::text as detail from audit_entries order by at, id")
        return [(row["actor"], row["action"], json.loads(row["detail"])) for row in rows]

    async def count(self) -> int:
        return int(await self.owner.fetchval("select count(*) from sessions"))


@contextlib.asynccontextmanager
async def pages_of(
    service: str, server: PostgresServer, folder: Path, *, issuer: str, origin: str | None = None, **settings: Any
) -> AsyncIterator[Pages]:
    """Serve one service on a fresh database with pages for `issuer`."""
    database = await migrated_database(server, service)
    origin = origin or f"https://{service}.test"
    app = build_app(service, folder, issuer=issuer, database_url=database.app_url, public_url=origin, **settings)
    clock = Turned()
    app.state.sessions.clock = clock
    await app.state.service.database.open()
    owner = await asyncpg.connect(database.owner_url)
    try:
        async with served(app) as url:
            yield Pages(app, url, origin, owner, clock)
    finally:
        await owner.close()
        await app.state.service.database.close()
        await server.drop_database(database.name)


def registered(issuer: PagesIssuer) -> dict[str, Any]:
    """Return the settings of a client at the unlike issuer."""
    return {
        "issuer": issuer.url,
        "client_id": CLIENT,
        "client_secret": None if issuer.secret is None else SecretStr(issuer.secret),
        "grants_claim": GRANTS_CLAIM,
        "rate_of_sign_ins": 1000.0,
        "burst_of_sign_ins": 1000,
    }


@pytest.fixture
async def pages(postgres_server: PostgresServer, pages_issuer: PagesIssuer, tmp_path: Path) -> AsyncIterator[Pages]:
    """Intake's pages at the unlike issuer, for one test."""
    async with pages_of("intake", postgres_server, tmp_path, **registered(pages_issuer)) as made:
        yield made
