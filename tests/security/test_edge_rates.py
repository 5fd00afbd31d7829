"""Whoever asks too fast is told when to come back, over real HTTP; others are not held up, and a header of a stranger changes nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_stack.postgres import PostgresServer
from support.edge import RunningIntake, running_intake
from support.issuer import Issuer


@pytest.fixture
def limited(postgres_server: PostgresServer, issuer: Issuer, tmp_path: Path) -> Any:
    @asynccontextmanager
    async def limited(**settings: Any) -> AsyncIterator[RunningIntake]:
        """Intake with a limit that gives nothing back within the time of a test."""
        async with running_intake(postgres_server, issuer, tmp_path, **settings) as running:
            yield running

    return limited


def check_refused(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (429, "too_fast")
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Retry-After" in answer.json()["detail"]


async def test_one_person_too_fast_is_told_to_wait_and_another_is_not(limited: Any) -> None:
    async with limited(rate_per_person=0.001, burst_per_person=3) as intake:
        assert [(await intake.get("/v1/incidents")).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        check_refused(await intake.get("/v1/incidents"))
        check_refused(await intake.post("/v1/incidents", {}))
        assert (await intake.get("/v1/incidents", person="bashir")).status_code == 200
        assert (await intake.rows())["incidents"] == 0


async def test_one_address_too_fast_is_refused_before_anything_and_health_checks_go_on(limited: Any) -> None:
    async with limited(rate_per_address=0.001, burst_per_address=3) as intake:
        assert [(await intake.client.get("/nowhere")).status_code for _ in range(3)] == [404, 404, 404]
        check_refused(await intake.get("/v1/incidents"))
        check_refused(await intake.client.get("/v1/receipts/keys"))
        check_refused(await intake.client.get("/v1/incidents", headers={"X-Forwarded-For": "203.0.113.9"}))
        for path in ("/healthz", "/readyz"):
            assert (await intake.client.get(path)).status_code in (200, 503)
        other = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(base_url=intake.url, transport=other) as client:
            assert (await client.get("/v1/receipts/keys")).status_code == 200


async def test_behind_a_trusted_proxy_each_address_counts_for_itself(limited: Any) -> None:
    async with limited(rate_per_address=0.001, burst_per_address=2, trusted_proxies="127.0.0.0/8") as intake:

        async def ask(forwarded: str) -> int:
            return (await intake.client.get("/v1/receipts/keys", headers={"X-Forwarded-For": forwarded})).status_code

        assert [await ask("203.0.113.9") for _ in range(3)] == [200, 200, 429]
        assert [await ask(f"198.51.100.{number}, 203.0.113.9") for number in range(3)] == [429] * 3
        assert [await ask("203.0.113.10") for _ in range(3)] == [200, 200, 429]


async def test_wrong_credentials_are_counted_for_their_address_and_sound_ones_go_on(limited: Any) -> None:
    async with limited(rate_of_failures=0.001, burst_of_failures=2) as intake:

        async def ask(authorization: str) -> httpx.Response:
            return await intake.client.get("/v1/incidents", headers={"Authorization": authorization})

        statuses = [(await ask(guess)).status_code for guess in ("Bearer x", "Basic YTpi", "Bearer a.b.c")]
        assert statuses == [401, 401, 429]
        check_refused(await ask("Bearer mrmd_x"))
        assert (await intake.get("/v1/incidents")).status_code == 200
        assert (await intake.client.get("/v1/incidents")).status_code == 401  # who shows nothing guesses nothing
