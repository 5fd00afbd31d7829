"""Crowds of connections that ask for nothing, or never finish asking, at a real process: it answers everybody else."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from chassis.http import server
from local_stack.postgres import PostgresServer
from support.edge import RunningIntake, running_intake
from support.issuer import Issuer
from support.serving import environment, intake_process

CROWD = 1_000
FEW_FILES = 256
HEAD = b"GET /v1/incidents HTTP/1.1\r\nHost: x\r\n"
BODY = (
    b"POST /v1/incidents HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nAuthorization: Bearer %s\r\n\r\n{"
)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process have a crowd's sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * CROWD)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def crowd(url: str, count: int, *sent: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Hold so many connections open, each of which has sent one of the texts, in turn."""
    parts = urlsplit(url)
    readers, writers = [], []
    try:
        for number in range(count):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            readers.append(reader)
            writers.append(writer)
            if sent:
                writer.write(sent[number % len(sent)])
        yield readers
    finally:
        for writer in writers:
            writer.close()


@pytest.fixture
async def process(
    postgres_server: PostgresServer, issuer: Issuer, tmp_path: Path, many_files: None
) -> AsyncIterator[tuple[str, httpx.AsyncClient, RunningIntake]]:
    """A process of intake with a database, started with as few open files as some systems give."""
    async with running_intake(postgres_server, issuer, tmp_path) as beside:
        (tmp_path / "process").mkdir()
        url = beside.service.settings.database_url.get_secret_value()
        settings = environment(tmp_path / "process", database_url=url, issuer=issuer.url)
        async with (
            intake_process(settings, tmp_path / "log", open_files=FEW_FILES) as (address, _),
            httpx.AsyncClient(base_url=address, timeout=60) as client,
        ):
            while (await client.get("/readyz")).json()["checks"]["database"] != "ok":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
            yield address, client, beside


@pytest.mark.parametrize("kind", ["idle", "half a head", "half a body"])
async def test_a_thousand_who_do_not_finish_asking_hold_up_nobody(process: tuple[str, httpx.AsyncClient, RunningIntake], kind: str) -> None:
    address, client, beside = process
    token = beside.token("amina", "/XAA/monitor")
    sent = {"idle": (), "half a head": (HEAD,), "half a body": (BODY % token.encode(), BODY % b"x")}[kind]
    async with crowd(address, CROWD, *sent):
        for _ in range(20):
            answer = await client.get("/v1/incidents", headers={"Authorization": f"Bearer {token}", "Connection": "close"})
            assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None})
        assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/healthz")).status_code == 200


async def test_beyond_the_limit_the_longest_idle_makes_room(quiet_intake: RunningIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    headers = {"Authorization": f"Bearer {quiet_intake.token('amina', '/XAA/monitor')}"}
    async with crowd(quiet_intake.url, 100) as readers:
        for _ in range(10):
            async with httpx.AsyncClient(base_url=quiet_intake.url, headers=headers) as client:
                assert (await client.get("/v1/incidents")).status_code == 200
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(readers[0].read(), 10) == b""
        assert sum(reader.at_eof() or reader.exception() is not None for reader in readers) >= 80
        assert not readers[-1].at_eof()


async def test_when_all_are_at_work_a_newcomer_is_told_when_to_come_back(
    quiet_intake: RunningIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = quiet_intake.token("amina", "/XAA/monitor").encode()
    asking = (BODY % token).replace(b"\r\n\r\n{", b"\r\nExpect: 100-continue\r\n\r\n")
    async with crowd(quiet_intake.url, 3, asking) as busy:
        for reader in busy:
            assert b"100 Continue" in await asyncio.wait_for(reader.readline(), 20)  # the body is awaited
        monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
        async with httpx.AsyncClient(base_url=quiet_intake.url) as client:
            answer = await client.get("/healthz")
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        monkeypatch.undo()
    assert (await quiet_intake.get("/v1/incidents")).status_code == 200
