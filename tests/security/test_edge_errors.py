"""Whatever goes wrong behind the edge, the answer is a problem document without a value, and the log is without a word of it."""

import io
import json
import logging
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from fastapi import APIRouter, FastAPI, HTTPException, Query
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr
from starlette.responses import Response, StreamingResponse

from chassis import telemetry, tracing
from chassis.errors import Conflict, Problem
from chassis.http import Caller, allowed, create_app, open_to_all
from chassis.http.problems import response_of
from chassis.sealing.keys import generate_signing_key
from chassis.sealing.trust import Trust
from chassis.service import Service, assemble
from chassis.settings import ServiceSettings
from support.edge import RunningIntake, report, served
from support.issuer import Issuer

CANARY = "canary-9e2f"


@pytest.fixture
def service(issuer: Issuer, tmp_path: Path) -> Service:
    """The parts of an intake that is connected to nothing."""
    signing = generate_signing_key("intake")
    signing.save(tmp_path / "keys")
    Trust().with_signing(signing.public).save(tmp_path / "trust.json")
    return assemble(
        "intake",
        ServiceSettings(
            database_url=SecretStr(f"postgresql://intake:{CANARY}@/intake?host={tmp_path}"),
            kafka_bootstrap="127.0.0.1:1",
            kafka_username="intake",
            kafka_password=SecretStr(CANARY),
            keys_dir=tmp_path / "keys",
            trust_file=tmp_path / "trust.json",
            issuer=issuer.url,
        ),
    )


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The log of the process as an operator would get it; logging is as it was afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogRecordFactory(), sys.excepthook, threading.excepthook, sys.unraisablehook
    written = io.StringIO()
    telemetry.configure("intake", level="DEBUG", stream=written)
    yield written
    root.handlers[:], root.level = before[0], before[1]
    logging.setLogRecordFactory(before[2])
    sys.excepthook, threading.excepthook, sys.unraisablehook = before[3:]
    logging.captureWarnings(capture=False)
    telemetry.configure_nothing()


ERRORS: dict[str, tuple[Exception, int, str]] = {
    "value": (ValueError(CANARY), 500, "internal"),
    "key": (KeyError(CANARY), 500, "internal"),
    "assertion": (AssertionError(CANARY), 500, "internal"),
    "recursion": (RecursionError(CANARY), 500, "internal"),
    "unique": (asyncpg.UniqueViolationError(CANARY), 500, "internal"),
    "data": (asyncpg.DataError(CANARY), 500, "internal"),
    "privilege": (asyncpg.InsufficientPrivilegeError(CANARY), 500, "internal"),
    "database gone": (asyncpg.ConnectionDoesNotExistError(CANARY), 503, "unavailable"),
    "database refuses": (ConnectionRefusedError(CANARY), 503, "unavailable"),
    "database socket gone": (FileNotFoundError(2, CANARY), 503, "unavailable"),
    "database stops": (asyncpg.AdminShutdownError(CANARY), 503, "unavailable"),
    "database starts": (asyncpg.CannotConnectNowError(CANARY), 503, "unavailable"),
    "database full": (asyncpg.TooManyConnectionsError(CANARY), 503, "unavailable"),
    "deadlock": (asyncpg.DeadlockDetectedError(CANARY), 503, "unavailable"),
    "pool closed": (asyncpg.InterfaceError(CANARY), 503, "unavailable"),
    "too slow": (TimeoutError(CANARY), 503, "unavailable"),
    "broker gone": (KafkaConnectionError(CANARY), 503, "unavailable"),
    "teapot": (HTTPException(418, detail=CANARY), 400, "bad_request"),
    "ours": (Conflict("some.code", "Do otherwise."), 409, "some.code"),
}


@pytest.fixture
async def edge(service: Service, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """An app whose routes fail in every way."""
    router = APIRouter()

    @router.get("/fail/{name}")
    async def fail(name: str, caller: Annotated[Caller, allowed("incident.submit")]) -> None:
        secret = CANARY
        caller.situations()
        try:
            raise KeyError(secret)
        except KeyError as cause:
            raise ERRORS[name][0] from cause

    @router.get("/unchecked")
    async def unchecked(caller: Annotated[Caller, allowed("incident.submit")]) -> dict[str, str]:
        return {"secret": CANARY, "for": caller.subject}

    @router.get("/numbers/{number}", dependencies=[open_to_all()])
    async def numbers(number: int, n: Annotated[int, Query()], at: Annotated[int, Query(alias="from")] = 1) -> int:
        return number + n + at

    @router.get("/own-headers", dependencies=[open_to_all()])
    async def own_headers() -> Response:
        return Response(b"x", headers={"Cache-Control": "max-age=5", "Content-Security-Policy": "default-src 'self'"})

    @router.get("/breaks", dependencies=[open_to_all()])
    async def breaks() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            raise ValueError(CANARY)

        return StreamingResponse(parts())

    app = create_app(service, title="Failing", routers=[router])
    headers = {"Authorization": f"Bearer {issuer.token('amina', '/XAA/monitor')}"}
    async with served(app) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=10) as client:
        yield client


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_becomes_a_problem_and_its_words_stay_inside(edge: httpx.AsyncClient, log: io.StringIO, name: str) -> None:
    _, status, code = ERRORS[name]
    answer = await edge.get(f"/fail/{name}")
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in answer.headers) == (status == 503)
    assert set(answer.json()) == {"type", "title", "status", "code", "detail"}
    assert CANARY not in answer.text + str(answer.headers) + log.getvalue()
    if status >= 500:
        (line,) = [line for line in lines(log) if line["event"] in ("request_failed", "dependency_unavailable")]
        assert type(ERRORS[name][0]).__qualname__ in line["error"]
        assert "builtins.KeyError" in line["error"]
        assert any("test_edge_errors.py" in frame and frame.endswith(":fail") for frame in line["frames"])
    else:
        assert not [line for line in lines(log) if line["level"] in ("warning", "error")]


async def test_an_answer_that_no_permission_stands_behind_never_leaves(edge: httpx.AsyncClient, log: io.StringIO) -> None:
    answer = await edge.get("/unchecked")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert CANARY not in answer.text
    assert "UncheckedAnswerError" in log.getvalue()


async def test_the_frameworks_own_telemetry_is_off_even_where_somebody_listens(
    service: Service, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    router = APIRouter(dependencies=[open_to_all()])

    @router.get("/fail")
    async def fail(n: int = 0) -> int:
        raise ValueError(CANARY)

    async with served(create_app(service, title="Failing", routers=[router])) as url, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/fail")).status_code == 500
        assert (await client.get(f"/fail?n={CANARY}")).status_code == 422
    assert spans.get_finished_spans() == ()
    plain = FastAPI()
    plain.include_router(router)
    async with served(plain) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/fail")
    assert spans.get_finished_spans()  # the trap is a trap


async def test_an_answer_that_breaks_off_is_cut_without_words(edge: httpx.AsyncClient, log: io.StringIO) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await edge.get("/breaks")
    assert CANARY not in log.getvalue()
    assert "server_exception" in log.getvalue()


@pytest.mark.parametrize(
    ("path", "status", "fields"),
    [
        (f"/numbers/5?n={CANARY}", 422, ["n"]),
        (f"/numbers/5?n={CANARY}&from={CANARY}", 422, ["n", "from"]),
        ("/numbers/5", 422, ["n"]),
        (f"/numbers/{CANARY}?n=1", 404, []),
        (f"/{CANARY}", 404, []),
        (f"/v1/parked/{CANARY}/replay", 405, []),
        ("/numbers/5/?n=1", 404, []),
        ("/docs", 404, []),
        ("/redoc", 404, []),
    ],
)
async def test_what_does_not_fit_is_named_and_not_repeated(edge: httpx.AsyncClient, path: str, status: int, fields: list[str]) -> None:
    answer = await edge.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json().get("errors", [])] == fields
    assert CANARY not in answer.text + str(answer.headers)


async def test_a_wrong_method_is_told_the_right_ones(edge: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        answer = await edge.request(method, "/healthz")
        assert (answer.status_code, answer.json()["code"], answer.headers["allow"]) == (405, "method_not_allowed", "GET")


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/openapi.json", "/nowhere", "/fail/value", "/unchecked", "/numbers/x", "/v1/account"]
)
async def test_every_answer_carries_the_security_headers_and_no_banner(edge: httpx.AsyncClient, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"Origin": "https://evil.example"}):
        answer = await edge.get(path, headers=headers)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; frame-ancestors 'none'")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "max-age=" in answer.headers["strict-transport-security"]
        assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(answer.headers)


@pytest.mark.parametrize("status", [429, 503])
def test_whoever_shall_come_back_is_told_when_even_if_the_refusal_forgot(status: int) -> None:
    forgetful = Problem("full", status=status, title="Full", remedy="Wait.")
    assert int(response_of(forgetful).headers["retry-after"]) > 0
    careful = Problem("full", status=status, title="Full", remedy="Wait.", headers={"Retry-After": "17"})
    assert response_of(careful).headers.getlist("retry-after") == ["17"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/v1/account", "/healthz", "/openapi.json", "/nowhere"])
async def test_a_page_of_another_origin_is_allowed_nothing(edge: httpx.AsyncClient, path: str, method: str) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
    for answer in (await edge.options(path, headers=asked), await edge.request(method, path, headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert (await edge.options(path, headers=asked)).status_code in (404, 405)


async def test_an_answer_that_a_browser_would_render_is_rendered_in_no_origin(edge: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/openapi.json", "/nowhere"):
        policy = (await edge.get(path)).headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "form-action 'none'", "sandbox"} <= set(policy)


async def test_a_route_may_say_its_own_headers(edge: httpx.AsyncClient) -> None:
    answer = await edge.get("/own-headers")
    assert answer.headers.get_list("cache-control") == ["max-age=5"]
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_not_ready_says_which_part_is_missing(edge: httpx.AsyncClient, service: Service) -> None:
    answer = await edge.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert answer.json()["checks"]["database"] != "ok"
    for part in service.health:
        service.health[part] = "ok"
    assert (await edge.get("/readyz")).json() == {"ready": True, "checks": dict.fromkeys(sorted(service.health), "ok")}
    assert (await edge.get("/healthz")).json() == {"live": True}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/account"), ("GET", "/v1/parked"), ("POST", "/v1/parked/replay"), ("POST", "/v1/parked/1/replay")]
)
async def test_the_operators_routes_are_for_the_installations_operator(quiet_intake: RunningIntake, method: str, path: str) -> None:
    async def status(*groups: str) -> int:
        headers = {"Authorization": f"Bearer {quiet_intake.token('omar', *groups)}"}
        return (await quiet_intake.client.request(method, path, headers=headers)).status_code

    assert await status() == 404
    assert await status("/XAA/monitor") == 403
    assert await status("/XAA/operator") == 403
    assert await status("/_all/operator") == (404 if path.endswith("1/replay") else 200)
    assert (await quiet_intake.client.request(method, path)).status_code == 401


def test_a_route_without_an_action_or_without_rows_stops_the_start(service: Service) -> None:
    silent, doubled, unknown, twice = APIRouter(), APIRouter(), APIRouter(), APIRouter()
    silent.add_api_route("/x", lambda: None)
    doubled.add_api_route("/x", lambda: None, dependencies=[open_to_all(), allowed("incident.submit")])
    unknown.add_api_route("/x", lambda: None, dependencies=[allowed("incident.forge")])
    twice.add_api_route("/x", lambda: None, dependencies=[allowed("incident.submit"), allowed("incident.status")])
    for router in (silent, doubled, unknown, twice):
        with pytest.raises(RuntimeError):
            create_app(service, title="x", routers=[router])


async def test_canaries_in_every_field_reach_no_log_and_no_header(intake: RunningIntake, log: io.StringIO) -> None:
    """Drive the refusals of a report full of planted words and look at all that came out."""
    planted = {
        "narrative": CANARY,
        "collected_by": CANARY,
        "place_description": CANARY,
        "victims": [{"key": "c1", "sex": "male", "name": CANARY, "violations": ["k1"]}],
    }
    said: list[str] = []
    for document in (
        report(**planted),
        report(**planted, place=CANARY),
        report(**planted, situation=CANARY),
        report(**planted, key=CANARY),
        {**report(**planted), CANARY: CANARY},
        [CANARY],
        json.dumps(report(**planted))[:-1].encode(),
        f'{{"{CANARY}": "\\ud800"}}'.encode(),
        CANARY.encode() * 200_000,
    ):
        answer = await intake.post("/v1/incidents", document, person=CANARY)
        said += [answer.text, str(answer.headers)]
    for path in (f"/{CANARY}", f"/v1/incidents/{CANARY}/status", f"/v1/situations/{CANARY}", f"/v1/incidents?cursor={CANARY}"):
        answer = await intake.get(path, person=CANARY)
        said += [answer.text, str(answer.headers)]
    answer = await intake.client.get("/v1/incidents", headers={"Authorization": f"Bearer {CANARY}", "X-Canary": CANARY})
    said += [answer.text, str(answer.headers)]
    assert all(CANARY not in text for text in said)
    assert CANARY not in log.getvalue()
    assert log.getvalue()


async def test_requests_are_measured_by_route_and_never_by_address(quiet_intake: RunningIntake) -> None:
    reader, spans = InMemoryMetricReader(), InMemorySpanExporter()
    tracing.configure("intake", spans=SimpleSpanProcessor(spans), readers=[reader])
    try:
        for path in (f"/v1/incidents/{uuid4()}/status", f"/v1/situations/{CANARY}", f"/{CANARY}", f"/v1/incidents/{CANARY}/status"):
            await quiet_intake.get(path)
        data = reader.get_metrics_data()
    finally:
        tracing.configure("intake")
    assert data is not None
    text = data.to_json()
    assert CANARY not in text
    assert '"/v1/incidents/{incident}/status"' in text
    assert '"/v1/situations/{situation}"' in text
    seen = [dict(span.attributes or {}) for span in spans.get_finished_spans()]
    assert {"route": "/v1/incidents/{incident}/status", "method": "GET", "status": 404} in seen
    assert CANARY not in "".join(span.to_json() for span in spans.get_finished_spans())
