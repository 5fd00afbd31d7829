"""An act whose answer was lost is sent again: it is not done twice and its answer is the same. Real HTTP, real database."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from chassis import answered_store, register_store
from chassis.http.once import HEADER
from chassis.http.openapi import describe
from chassis.sealing.opening_keys import generate_opening_key
from chassis.storage import SYSTEM
from support.apps import SERVICES, build_app
from support.exporting import OFFICER, RunningExport
from support.running_aggregation import RunningAggregation, aggregation
from support.stack import as_system
from support.vetting import PEOPLE, SITUATION, RunningVerification, decision, line
from support.vouched import vouched

__all__ = ["aggregation"]
EXAMPLE = Path(__file__).parents[1] / "data" / "exchange" / "example.json"
ACTS = {
    "/v1/situations/{situation}/decisions",
    "/v1/situations/{situation}/dockets",
    "/v1/situations/{situation}/dockets/{docket}/approvals",
    "/v1/situations/{situation}/dockets/{docket}/withdrawal",
    "/v1/situations/{situation}/links",
    "/v1/situations/{situation}/incidents/{incident}/questions",
    "/v1/situations/{situation}/incidents/{incident}/emergency-access",
    "/v1/situations/{situation}/emergency-accesses/{access}/acknowledgement",
    "/v1/situations/{situation}/snapshots",
    "/v1/situations/{situation}/submissions",
}
HARMLESS_TO_REPEAT = {
    "/v1/devices": "the answer holds a token, which is kept nowhere; a device whose token was lost is revoked",
    "/v1/devices/revocations": "what is revoked stays so",
    "/v1/incidents": "a report's key and content tell that it is the same",
    "/v1/incidents/{incident}/revisions": "a revision's number and content tell that it is the same",
    "/v1/situations/{situation}/violations/lookup": "it reads",
    "/v1/situations/{situation}/submissions/{submission}/approvals": "a person approves one digest once",
    "/v1/situations/{situation}/rebuild": "one rebuild is under way at a time",
    "/v1/situations/{situation}/releases": "the caller's own id tells that it is the same; the answer holds figures",
    "/v1/parked/replay": "what was applied is parked no more",
    "/v1/parked/{parked}/replay": "what was applied is parked no more",
}
"""The other routes by POST, and why they need no key."""


async def act(
    vetting: RunningVerification, path: str, body: Any, person: str = "farid", *, key: str | None, groups: tuple[str, ...] = ()
) -> httpx.Response:
    """Do something as a person, with a key."""
    headers = {
        "Authorization": f"Bearer {vetting.issuer.token(person, *(groups or PEOPLE[person]))}",
        "Content-Type": "application/json",
        **({} if key is None else {HEADER: key}),
    }
    content = None if body is None else json.dumps(body).encode()
    return await vetting.client.post(f"/v1/situations/{SITUATION}{path}", content=content, headers=headers)


async def recorded(vetting: RunningVerification) -> dict[str, int]:
    """Count everything that acts leave behind, denied attempts excepted."""
    emergencies = ("emergency_accesses", "emergency_acknowledgements")
    tables = ("decisions", "dockets", "docket_approvals", "links", "questions", "sealed_texts", "outbox", *emergencies)
    counts = {table: await vetting.owner.fetchval(f"select count(*) from {table}") for table in tables}  # noqa: S608 - our own names
    counts["acts"] = await vetting.owner.fetchval("select count(*) from audit_entries where action <> 'access.denied'")
    return counts


async def answered(vetting: RunningVerification) -> int:
    count: int = await vetting.owner.fetchval("select count(*) from answered_requests")
    return count


async def reopenings(vetting: RunningVerification) -> int:
    count: int = await vetting.owner.fetchval("select count(*) from decisions where reopening")
    return count


@asynccontextmanager
async def ledger_held(vetting: RunningVerification) -> AsyncIterator[None]:
    """Keep every act of the situation waiting for the ledger."""
    connection = await asyncpg.connect(as_system(vetting.app_url))
    try:
        async with connection.transaction():
            await connection.execute("select from ledgers where situation = $1 for update", SITUATION)
            yield
    finally:
        await connection.close()


async def waiting(vetting: RunningVerification, count: int) -> list[int]:
    """Wait until so many backends wait for a lock; returns them."""
    async with asyncio.timeout(30):
        while True:
            rows = await vetting.owner.fetch(
                "select distinct pid from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()"
            )
            if len(rows) == count:
                return [row["pid"] for row in rows]
            await asyncio.sleep(0.01)


async def test_every_act_is_done_once_and_answered_the_same(vetting: RunningVerification) -> None:
    one, two = sorted([await vetting.report(), await vetting.report()])
    violation = f"{one}/k1"

    async def twice(path: str, body: Any, person: str) -> httpx.Response:
        key = str(uuid4())
        first = await act(vetting, path, body, person, key=key)
        assert first.status_code == 201, first.text
        before = await recorded(vetting)
        again = await act(vetting, path, body, person, key=f'"{key}"')  # as the draft writes it; both are one key
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert await recorded(vetting) == before
        return first

    await twice(f"/incidents/{one}/questions", {"message": "Which school was it?", "needs": ["place"]}, "farid")
    taken = await twice(f"/incidents/{one}/emergency-access", {"reason": "The children must be found tonight."}, "ursula")
    await twice(f"/emergency-accesses/{taken.json()['access']}/acknowledgement", None, "imani")
    await twice("/links", {"links": [{"kind": "duplicate", "violation": f"{two}/k1", "of": violation}]}, "farid")
    await twice("/links", {"links": [{"kind": "not_duplicate", "violation": f"{two}/k1", "of": violation}]}, "farid")
    await twice("/decisions", {"decisions": [decision(violation)]}, "farid")
    await twice("/decisions", {"decisions": [decision(violation, stage="technical")]}, "tomas")
    body = {"kind": "decisions", "lines": [line(violation)]}
    withdrawn = (await twice("/dockets", body, "tomas")).json()["docket"]
    await twice(f"/dockets/{withdrawn}/withdrawal", None, "tomas")
    docket = (await twice("/dockets", body, "tomas")).json()["docket"]
    await twice(f"/dockets/{docket}/approvals", {}, "ursula")
    decided = await twice(f"/dockets/{docket}/approvals", {}, "imani")
    assert decided.json()["state"] == "decided"
    assert await vetting.owner.fetchval("select count(*) from dockets") == 2


async def test_a_lost_answer_reopens_a_decided_violation_only_once(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    await vetting.verify(violation)
    body = {"decisions": [decision(violation)]}
    key = str(uuid4())
    for _ in range(3):
        assert (await act(vetting, "/decisions", body, key=key)).status_code == 201
    assert await reopenings(vetting) == 1
    await act(vetting, "/decisions", body, key=None)
    await act(vetting, "/decisions", body, key=str(uuid4()))
    assert await reopenings(vetting) == 3, "without the key, or with another, it is another act"


async def test_the_same_racing_itself_acts_once(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    key, body = str(uuid4()), {"decisions": [decision(violation)]}
    async with ledger_held(vetting):
        requests = [asyncio.create_task(act(vetting, "/decisions", body, key=key)) for _ in range(4)]
        await waiting(vetting, 4)
    answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert (await recorded(vetting))["decisions"] == 1


async def test_a_client_that_gave_up_finds_its_act_done(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    key, body = str(uuid4()), {"decisions": [decision(violation)]}
    async with ledger_held(vetting):
        lost = asyncio.create_task(act(vetting, "/decisions", body, key=key))
        await waiting(vetting, 1)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        again = asyncio.create_task(act(vetting, "/decisions", body, key=key))
        await waiting(vetting, 2)
    assert (await again).status_code == 201
    assert (await recorded(vetting))["decisions"] == 1


async def test_a_key_stands_for_one_request(vetting: RunningVerification) -> None:
    one, two = f"{await vetting.report()}/k1", f"{await vetting.report()}/k1"
    key = str(uuid4())
    assert (await act(vetting, "/decisions", {"decisions": [decision(one)]}, key=key)).status_code == 201
    before = await recorded(vetting)
    other_body = await act(vetting, "/decisions", {"decisions": [decision(two)]}, key=key)
    link = {"links": [{"kind": "duplicate", "violation": two, "of": one}]}
    other_path = await act(vetting, "/links", link, key=key)
    other_query = await act(vetting, "/decisions?note=1", {"decisions": [decision(one)]}, key=key)
    for answer in (other_body, other_path, other_query):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency.other_content")
    assert await recorded(vetting) == before


async def test_a_key_is_its_callers_own(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    key, body = str(uuid4()), {"decisions": [decision(violation)]}
    first = await act(vetting, "/decisions", body, key=key)
    groups = PEOPLE["farid"]
    other = await act(vetting, "/decisions", body, "fatima", key=key, groups=groups)
    assert (first.status_code, other.status_code) == (201, 201)
    assert first.json()["decisions"][0]["decision"] != other.json()["decisions"][0]["decision"]
    assert (await act(vetting, "/decisions", body, key=key)).content == first.content
    stranger = await act(vetting, "/decisions", body, "stranger", key=key)
    assert stranger.status_code == 404


async def test_an_answer_is_for_those_who_may_still_act(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    key, body = str(uuid4()), {"decisions": [decision(violation)]}
    assert (await act(vetting, "/decisions", body, key=key)).status_code == 201
    demoted = await act(vetting, "/decisions", body, key=key, groups=("/XAA/auditor",))
    assert (demoted.status_code, demoted.json()["code"]) == (403, "forbidden")


async def test_what_was_rolled_back_is_not_remembered(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    key, body = str(uuid4()), {"decisions": [decision(violation)]}
    before = await recorded(vetting)
    async with ledger_held(vetting):
        request = asyncio.create_task(act(vetting, "/decisions", body, key=key))
        (backend,) = await waiting(vetting, 1)
        killer = await asyncpg.connect(as_system(vetting.app_url))
        await killer.execute("select pg_terminate_backend($1)", backend)
        await killer.close()
        assert (await request).status_code == 503
    assert (await answered(vetting), await recorded(vetting)) == (0, before)
    again = await act(vetting, "/decisions", body, key=key)
    assert again.status_code == 201, again.text
    assert (await answered(vetting), (await recorded(vetting))["decisions"]) == (1, 1)


async def test_one_that_waited_acts_itself_if_the_first_one_fails(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    key, body = str(uuid4()), {"decisions": [decision(violation)]}
    async with ledger_held(vetting):
        first = asyncio.create_task(act(vetting, "/decisions", body, key=key))
        (backend,) = await waiting(vetting, 1)
        second = asyncio.create_task(act(vetting, "/decisions", body, key=key))
        await waiting(vetting, 2)
        killer = await asyncpg.connect(as_system(vetting.app_url))
        await killer.execute("select pg_terminate_backend($1)", backend)
        await killer.close()
        assert (await first).status_code == 503
    assert (await second).status_code == 201
    assert (await recorded(vetting))["decisions"] == 1


async def test_a_refusal_leaves_its_key_free(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    key = str(uuid4())
    refused = await act(vetting, "/decisions", {"decisions": [decision(violation, criteria=None)]}, key=key)
    assert (refused.status_code, await answered(vetting)) == (422, 0)
    assert (await act(vetting, "/decisions", {"decisions": [decision(violation)]}, key=key)).status_code == 201


@pytest.mark.parametrize("key", ["1", "", "8e03978e40d543e8bc936894a57f9324", f'"{uuid4()}', f"{uuid4()};a=b", f"urn:uuid:{uuid4()}"])
async def test_a_key_that_is_no_uuid_is_refused_by_name(vetting: RunningVerification, key: str) -> None:
    violation = f"{await vetting.report()}/k1"
    answer = await act(vetting, "/decisions", {"decisions": [decision(violation)]}, key=key)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [HEADER])
    assert (await recorded(vetting))["decisions"] == 0


async def test_two_keys_are_refused(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    headers = [
        ("Authorization", f"Bearer {vetting.issuer.token('farid', *PEOPLE['farid'])}"),
        ("Content-Type", "application/json"),
        (HEADER, str(uuid4())),
        (HEADER, str(uuid4())),
    ]
    content = json.dumps({"decisions": [decision(violation)]}).encode()
    answer = await vetting.client.post(f"/v1/situations/{SITUATION}/decisions", content=content, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, HEADER)
    assert (await recorded(vetting))["decisions"] == 0


async def test_what_is_remembered_tells_neither_what_was_said_nor_the_key(vetting: RunningVerification) -> None:
    incident, key = await vetting.report(), str(uuid4())
    body = {"message": "Which school was it?", "needs": ["place"]}
    answer = await act(vetting, f"/incidents/{incident}/questions", body, key=key)
    (row,) = await vetting.owner.fetch("select * from answered_requests")
    assert row["answer"] == answer.text
    assert json.loads(row["answer"]).keys() == {"question", "status", "needs"}
    kept = " ".join(str(value) for value in row.values())
    for secret in (key, "school", "farid"):
        assert secret not in kept
    await act(vetting, f"/incidents/{incident}/questions", body, key=str(uuid4()))
    digests = await vetting.owner.fetch("select distinct digest from answered_requests")
    assert len(digests) == 2, "without the key nobody can try out what a body said"


async def test_answers_are_forgotten_after_a_fortnight_and_with_their_situation(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    body = {"decisions": [decision(violation)]}
    old, young = str(uuid4()), str(uuid4())
    await act(vetting, "/decisions", body, key=old)
    await vetting.owner.execute("update answered_requests set at = at - interval '14 days 1 second'")
    first = await act(vetting, "/decisions", body, key=young)
    async with vetting.service.database.transaction("forget_answers", by=SYSTEM) as tx:
        await answered_store.delete_old(tx)
    assert await answered(vetting) == 1
    assert (await act(vetting, "/decisions", body, key=young)).content == first.content
    async with vetting.service.database.transaction("remove", by=SYSTEM) as tx:
        await register_store.delete_delivery_rows(tx, SITUATION)
    assert await answered(vetting) == 0


async def test_a_snapshot_without_an_id_is_frozen_once(aggregation: RunningAggregation) -> None:
    coder, _ = await aggregation.house.load(json.loads(EXAMPLE.read_text("utf-8")))
    situation = coder.names.situation
    known = await aggregation.service.register.get(situation)
    recipients = {"export": [vouched(generate_opening_key("export", situation))]}
    async with aggregation.service.database.transaction("register", by=SYSTEM) as tx:
        await aggregation.service.register.save(tx, known.model_copy(update={"version": 2, "recipients": recipients}))
    token = aggregation.issuer.token("olga", f"/{situation}/officer")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", HEADER: str(uuid4())}

    async def freeze(order: dict[str, str]) -> httpx.Response:
        return await aggregation.client.post(f"/v1/situations/{situation}/snapshots", content=json.dumps(order).encode(), headers=headers)

    year = {"from": "2022-01-01", "to": "2023-01-01"}
    first, again = await freeze(year), await freeze(year)
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    other = await freeze({**year, "late": "inside"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency.other_content")
    assert await aggregation.owner.fetchval("select count(*) from snapshots where situation = $1", situation) == 1
    assert await aggregation.owner.fetchval("select count(*) from outbox where situation = $1", situation) == 1
    kept = await aggregation.owner.fetchval("select answer from answered_requests where situation = $1", situation)
    assert "tables" not in json.loads(kept)


async def test_a_submission_is_drafted_once_and_read_anew(export: RunningExport) -> None:
    form = {
        "snapshot": str(await export.freeze()),
        "product": "annual",
        "narrative": [{"section": "overview", "text": "A sentence of ours."}],
    }
    headers = {**export.headers(OFFICER), HEADER: str(uuid4())}

    async def draft(form: dict[str, Any]) -> httpx.Response:
        return await export.client.post("/v1/situations/AFG/submissions", content=json.dumps(form).encode(), headers=headers)

    first, again = await draft(form), await draft(form)
    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert again.json() == first.json()
    assert await export.owner.fetchval("select count(*) from submissions") == 1
    assert (await draft({**form, "narrative": None})).json()["code"] == "idempotency.other_content"
    kept = await export.owner.fetchval("select answer from answered_requests")
    assert json.loads(kept) == {"submission": first.json()["submission"]}, "neither narrative nor figures are kept a second time"
    assert [action for _, action in await export.acts()].count("submission.draft") == 1


@pytest.mark.parametrize("service", SERVICES)
def test_every_post_has_a_key_or_a_reason_for_none(service: str, tmp_path: Path) -> None:
    for path, operations in describe(build_app(service, tmp_path))["paths"].items():
        if "post" in operations:
            described = [one["name"] for one in operations["post"].get("parameters", []) if one["in"] == "header"]
            assert described == ([HEADER] if path in ACTS else []), path
            assert path in ACTS or path in HARMLESS_TO_REPEAT, path
