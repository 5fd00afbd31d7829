"""The client is patient with services that are away, renews refused tokens, and says refusals as sentences; over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from local_stack.ports import free_ports
from mrm.client import Api, RefusedError, UnreachableError, batches, gathered
from mrm.journey import place_of
from mrm.people import expiry_of

Answer = tuple[int, dict[str, str], object]


@dataclass
class People:
    """Gives out a new token after each `forget`."""

    given: int = 1
    asked: list[str] = field(default_factory=list)

    async def token(self, person: str) -> str:
        self.asked.append(person)
        return f"token-{self.given}"

    def forget(self, person: str) -> None:  # noqa: ARG002 - one token for all
        self.given += 1


@dataclass
class Service:
    """A service that answers by a script, the last answer for ever; None cuts the connection instead."""

    script: list[Answer | None]
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.seen.append((lines[0], headers["authorization"], body))
                self.keys.append(headers.get("idempotency-key"))
                answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if answer is None:
                    break
                status, extra, document = answer
                content = json.dumps(document).encode()
                fields = "".join(f"{name}: {value}\r\n" for name, value in extra.items())
                writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {len(content)}\r\n{fields}\r\n".encode() + content)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*script: Answer | None, patience: float = 5.0) -> AsyncIterator[tuple[Api, Service, People]]:
    service, people = Service(list(script)), People()
    server = await asyncio.start_server(service.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Api({"intake": f"http://127.0.0.1:{port}"}, people, patience=patience) as api:
        yield api, service, people


async def test_a_request_carries_the_persons_token_and_the_body_in_utf8() -> None:
    async with serving((202, {}, {"ok": 1})) as (api, service, people):
        assert await api.post("intake", "/v1/incidents", {"narrative": "کابل"}, person="monitor") == {"ok": 1}
    [(line, authorization, body)] = service.seen
    assert (line, authorization) == ("POST /v1/incidents HTTP/1.1", "Bearer token-1")
    assert json.loads(body) == {"narrative": "کابل"}
    assert people.asked == ["monitor"]


@pytest.mark.parametrize("trouble", [(503, {"Retry-After": "0"}, {}), (429, {}, {}), None], ids=["down", "busy", "cut"])
async def test_the_same_is_sent_again_until_the_service_answers(trouble: Answer | None) -> None:
    async with serving(trouble, trouble, (200, {}, {"ok": 1})) as (api, service, _):
        assert await api.post("intake", "/v1/incidents", {"key": 1}, person="monitor") == {"ok": 1}
    assert len(service.seen) == 3
    assert len({body for _, _, body in service.seen}) == 1


async def test_who_asks_too_fast_waits_as_long_as_told_and_who_finds_nobody_only_as_long_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    script = ((429, {"Retry-After": "30"}, {}), (503, {"Retry-After": "30"}, {}), (429, {"Retry-After": "soon"}, {}), (200, {}, {"ok": 1}))
    async with serving(*script, patience=60) as (api, _, _):
        monkeypatch.setattr(asyncio, "sleep", sleep)
        await api.get("intake", "/", person="monitor")
    assert (waited[0], waited[1]) == (30.0, 2.0)
    assert waited[2] < 2
    async with serving((429, {"Retry-After": "61"}, {"code": "too_fast", "detail": "Wait."}), patience=60) as (api, _, _):
        with pytest.raises(RefusedError, match="429 too_fast"):
            await api.get("intake", "/", person="monitor")
    assert len(waited) == 3


async def test_a_post_keeps_its_key_however_often_it_is_sent_and_the_next_one_has_another() -> None:
    async with serving(None, (503, {}, {}), (401, {}, {}), (201, {}, {})) as (api, service, _):
        await api.post("intake", "/v1/approvals", {}, person="cochair_un")
        await api.post("intake", "/v1/approvals", {}, person="cochair_un")
        await api.get("intake", "/v1/approvals", person="cochair_un")
    *first, second, reading = service.keys
    assert (len(first), len(set(first)), reading) == (4, 1, None)
    assert str(UUID(str(second).strip('"'))) != str(UUID(str(first[0]).strip('"')))


async def test_a_refused_token_is_renewed_once() -> None:
    async with serving((401, {}, {}), (200, {}, {"ok": 1})) as (api, service, _):
        await api.get("intake", "/v1/incidents", person="monitor")
    assert [authorization for _, authorization, _ in service.seen] == ["Bearer token-1", "Bearer token-2"]
    async with serving((401, {}, {"code": "unauthenticated"})) as (api, service, _):
        with pytest.raises(RefusedError, match="401 unauthenticated"):
            await api.get("intake", "/v1/incidents", person="monitor")
    assert len(service.seen) == 2


async def test_a_refusal_names_the_fields_and_the_remedy() -> None:
    problem = {
        "code": "invalid",
        "detail": "Mend the fields.",
        "errors": [{"field": "violations[0].boys", "code": "x", "message": "Raise it."}],
    }
    async with serving((422, {}, problem)) as (api, _, _):
        with pytest.raises(RefusedError) as raised:
            await api.post("intake", "/v1/incidents", {}, person="monitor")
    assert "violations[0].boys: Raise it." in raised.value.sentence
    assert raised.value.remedy == "Mend the fields."
    assert (raised.value.problem_code, raised.value.repeated) == ("invalid", False)


async def test_a_refusal_after_a_lost_answer_says_that_the_request_was_repeated() -> None:
    async with serving(None, (409, {}, {"code": "already_approved"})) as (api, _, _):
        with pytest.raises(RefusedError) as raised:
            await api.post("intake", "/v1/approvals", {}, person="cochair_un")
    assert raised.value.repeated


async def test_patience_ends() -> None:
    async with serving((503, {}, {"code": "unavailable"}), patience=0.2) as (api, _, _):
        with pytest.raises(RefusedError, match="503 unavailable"):
            await api.get("intake", "/", person="monitor")
    async with Api({"intake": f"http://127.0.0.1:{free_ports(1)[0]}"}, People(), patience=0.2) as api:
        with pytest.raises(UnreachableError, match="intake does not answer"):
            await api.get("intake", "/", person="monitor")
        with pytest.raises(UnreachableError, match="No address"):
            await api.get("export", "/", person="monitor")


async def test_of_work_side_by_side_the_first_failure_is_raised_as_it_is_and_the_rest_is_cancelled() -> None:
    ended: list[str] = []

    async def fail() -> None:
        raise LookupError

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    with pytest.raises(LookupError):
        await gathered([wait(), fail()])
    assert ended == ["cancelled"]

    async def give(number: int) -> int:
        await asyncio.sleep(0.01 * (3 - number))
        return number

    assert await gathered(give(number) for number in range(3)) == [0, 1, 2]


def test_batches_keep_the_order() -> None:
    assert batches([1, 2, 3, 4, 5], 2) == [[1, 2], [3, 4], [5]]
    assert batches([], 2) == []


def test_a_text_that_is_no_token_has_ended_long_ago() -> None:
    assert expiry_of("no token") == 0.0
    assert expiry_of("a.eyJleHAiOiAxMjN9.c") == 123.0


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("place", "steps[2].incidents[5].place"),
        ("victims[0].age", "steps[2].incidents[5].victims[0].age"),
        ("lines[1].decided_on", "steps[2].links[6].decided_on"),
        ("links[0]", "steps[2].incidents[5]"),
        ("", "steps[2].incidents[5]"),
    ],
)
def test_a_refusal_names_the_place_that_a_request_came_from(field: str, named: str) -> None:
    assert place_of(field, ["steps[2].incidents[5]", "steps[2].links[6]"]) == named


def test_a_refusal_without_fields_names_the_request_itself() -> None:
    problem = {"code": "incident.key_taken", "detail": "Choose a new key."}
    error = RefusedError("intake", 409, problem, repeated=True).placed(lambda field: place_of(field, ["steps[0].incidents[0]"]))
    assert (error.status, error.problem_code, error.repeated) == (409, "incident.key_taken", True)
    assert "steps[0].incidents[0]: Choose a new key." in error.sentence
