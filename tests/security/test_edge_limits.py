"""Too long, too slow, too many: the edge refuses early, keeps nothing and goes on answering others."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import APIRouter, Request

from chassis.http import create_app, guard, open_to_all, server
from chassis.http.bodies import read_body
from chassis.service import Service
from local_stack.postgres import PostgresServer
from support.edge import RunningIntake, report, running_intake, served
from support.issuer import Issuer


class Connection:
    """A bare connection that sends what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, raw: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.writer.write(raw)
            await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Read until the server closes; returns status and everything."""
        raw = b""
        with contextlib.suppress(ConnectionError):
            raw = await asyncio.wait_for(self.reader.read(-1), 20)
        return int(raw.split(b" ", 2)[1]) if raw else 0, raw

    async def status(self) -> int:
        """Read the status line of an answer."""
        line = await asyncio.wait_for(self.reader.readline(), 20)
        return int(line.split()[1]) if line else 0


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


def head(intake: RunningIntake, *more: str) -> bytes:
    lines = ["POST /v1/incidents HTTP/1.1", "Host: x", "Content-Type: application/json"]
    lines += [f"Authorization: Bearer {intake.token('amina', '/XAA/monitor')}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def alive(intake: RunningIntake) -> None:
    assert (await intake.get("/v1/incidents")).status_code == 200
    assert (await intake.rows())["incidents"] == 0


async def test_a_body_announced_too_long_is_refused_before_it_comes(quiet_intake: RunningIntake) -> None:
    for length in ("1048577", "9" * 18, "9" * 40):
        async with connected(quiet_intake.url) as connection:
            await connection.send(head(quiet_intake, f"Content-Length: {length}", "Expect: 100-continue"))
            status, raw = await connection.answer()
            assert status in (400, 413)
            assert b"100 Continue" not in raw
    await alive(quiet_intake)


async def test_an_endless_body_is_cut_off(quiet_intake: RunningIntake) -> None:
    async with connected(quiet_intake.url) as connection:
        await connection.send(head(quiet_intake, "Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
        reading = asyncio.create_task(connection.answer())
        for _ in range(400):
            if reading.done():
                break
            await connection.send(chunk)
        status, _ = await reading
        assert status in (0, 413)  # cut off; whoever still sends may not get to read why
    await alive(quiet_intake)


async def test_whoever_sends_too_much_gets_to_read_why(quiet_intake: RunningIntake) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 100_000

    token = {"Authorization": f"Bearer {quiet_intake.token('amina', '/XAA/monitor')}", "Content-Type": "application/json"}
    answer = await quiet_intake.client.post("/v1/incidents", content=parts(), headers=token)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    await alive(quiet_intake)


async def test_a_stranger_is_refused_without_a_look_at_the_body(quiet_intake: RunningIntake) -> None:
    answer = await quiet_intake.client.post("/v1/incidents", content=b"x" * 500_000, headers={"Content-Type": "application/json"})
    assert answer.status_code == 401
    async with connected(quiet_intake.url) as connection:
        await connection.send(b"POST /v1/incidents HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n")
        status, raw = await connection.answer()
        assert (status, b"100 Continue" in raw) == (401, False)
        assert b"connection: close" in raw.lower()


async def test_a_gzip_bomb_is_not_opened(quiet_intake: RunningIntake) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    token = quiet_intake.token("amina", "/XAA/monitor")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await quiet_intake.client.post("/v1/incidents", content=bomb, headers=headers)).status_code == 415
    await alive(quiet_intake)


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Many: 1"] * 10_000,
        [f"X-{number}: 1" for number in range(101)],
        ["X-Long: " + "x" * 33_000],
        ["X-Endless: " + "x" * 500_000],
    ],
    ids=["10,000 lines", "101 lines", "a long line", "an endless line"],
)
async def test_heads_beyond_measure_are_431(quiet_intake: RunningIntake, lines: list[str]) -> None:
    async with connected(quiet_intake.url) as connection:
        await connection.send(head(quiet_intake, *lines))
        assert await connection.status() == 431
    await alive(quiet_intake)


async def test_a_head_that_never_ends_is_cut_off(quiet_intake: RunningIntake) -> None:
    async with connected(quiet_intake.url) as connection:
        await connection.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Endless: ")
        reading = asyncio.create_task(connection.answer())
        for _ in range(100):
            if reading.done():
                break
            await connection.send(b"x" * 10_000)
        assert (await reading)[0] in (0, 431)  # cut off; whoever still sends may not get to read why
    await alive(quiet_intake)


async def test_a_long_address_is_431(quiet_intake: RunningIntake) -> None:
    answer = await quiet_intake.client.get("/v1/incidents?cursor=" + "x" * 9_000)
    assert answer.status_code == 431


async def test_a_slow_head_is_given_up(quiet_intake: RunningIntake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    async with connected(quiet_intake.url) as silent, connected(quiet_intake.url) as slow:
        await slow.send(b"GET /healthz HTTP/1.1\r\nHo")
        assert (await silent.answer(), await slow.answer()) == ((0, b""), (0, b""))
        monkeypatch.undo()
    await alive(quiet_intake)


async def test_many_idle_connections_leave_room_for_others(quiet_intake: RunningIntake) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(300):
            connection = await stack.enter_async_context(connected(quiet_intake.url))
            await connection.send(b"GET /healthz HTTP/1.1\r\n")
        await alive(quiet_intake)


@pytest.fixture
async def small(quiet_intake: RunningIntake) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """An app that takes two requests at once, of a kilobyte, within half a second; `/wait` answers when the event is set."""
    router = APIRouter(dependencies=[open_to_all()])
    go = asyncio.Event()

    @router.get("/wait")
    async def wait() -> bool:
        return await go.wait()

    @router.post("/read")
    async def read(request: Request) -> int:
        return len(await read_body(request))

    @router.post("/ignore")
    async def ignore() -> None:
        return None

    service: Service = quiet_intake.service
    app = create_app(service, title="Small", routers=[router], body_limit=1_000, body_seconds=0.5, max_in_flight=2)
    async with served(app) as url:
        yield url, go
        go.set()


SLOW_HEAD = b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"


async def test_a_slow_body_is_408_and_holds_no_place(small: tuple[str, asyncio.Event]) -> None:
    url, _ = small
    async with contextlib.AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(url)) for _ in range(20)]
        for connection in connections:
            await connection.send(SLOW_HEAD + b"1")
        async with httpx.AsyncClient(base_url=url) as client:
            answer = await client.post("/read", content=b"12345", headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()) == (200, 5)
        for connection in connections:
            status, raw = await connection.answer()
            assert (status, b'"too_slow"' in raw) == (408, True)


async def test_a_body_that_nobody_reads_does_not_hold_the_answer_back(
    small: tuple[str, asyncio.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "DRAIN_SECONDS", 0.2)
    url, _ = small
    async with connected(url) as connection:
        await connection.send(SLOW_HEAD.replace(b"/read", b"/ignore"))
        status, raw = await connection.answer()
        assert status == 200
        assert b"connection: close" in raw.lower()


async def test_a_client_that_leaves_in_the_middle_is_no_fault(small: tuple[str, asyncio.Event]) -> None:
    url, _ = small
    for _ in range(5):
        async with connected(url) as connection:
            await connection.send(SLOW_HEAD + b"123")
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.post("/read", content=b"{}", headers={"Content-Type": "application/json"})).status_code == 200


async def test_more_requests_than_places_are_429_and_places_come_back(small: tuple[str, asyncio.Event]) -> None:
    url, go = small
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        waiting = [asyncio.create_task(client.get("/wait")) for _ in range(2)]
        while True:
            answer = await client.post("/ignore")
            if answer.status_code != 200:
                break
            await asyncio.sleep(0.01)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
        assert int(answer.headers["retry-after"]) > 0
        go.set()
        assert [(await task).status_code for task in waiting] == [200, 200]
        assert (await client.post("/ignore")).status_code == 200


async def test_intake_answers_429_when_it_is_full_and_stores_nothing_of_it(
    postgres_server: PostgresServer, issuer: Issuer, tmp_path: Path
) -> None:
    async with running_intake(postgres_server, issuer, tmp_path, max_in_flight=1) as intake:
        answers = await asyncio.gather(*(intake.post("/v1/incidents", report()) for _ in range(20)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) <= {202, 429}
        assert 429 in statuses
        assert (await intake.rows())["incidents"] == statuses.count(202)
        assert (await intake.post("/v1/incidents", report())).status_code == 202


async def test_pipelined_requests_are_answered_in_order(quiet_intake: RunningIntake) -> None:
    async with connected(quiet_intake.url) as connection:
        await connection.send(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2 + b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        _, raw = await connection.answer()
        assert [part.split(b" ", 1)[0] for part in raw.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/incidents HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/incidents HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/incidents HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/incidents HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_not_http_is_refused(quiet_intake: RunningIntake, raw: bytes) -> None:
    async with connected(quiet_intake.url) as connection:
        await connection.send(raw)
        connection.writer.write_eof()
        status, _ = await connection.answer()
        assert status in (0, 400, 401)
    await alive(quiet_intake)


async def test_json_is_read_whole_however_it_is_cut(quiet_intake: RunningIntake) -> None:
    raw = json.dumps({"situation": "XAA", "place": "é"}, ensure_ascii=False).encode()
    async with connected(quiet_intake.url) as connection:
        await connection.send(head(quiet_intake, f"Content-Length: {len(raw)}", "Connection: close"))
        for byte in raw:
            await connection.send(bytes([byte]))
            await asyncio.sleep(0)
        status, answer = await connection.answer()
        assert status == 422
        assert b'"occurred_from"' in answer
