"""A stranger to a situation gets one answer to whatever is sent, and is in the record: permission comes before parameters and bodies."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import asyncpg
import httpx
import pytest

from support.edge import RunningIntake, report
from support.exporting import RunningExport, export
from support.issuer import Issuer, issuer
from support.matrix import ABSENT, FOREIGN, UNKNOWN
from support.running_aggregation import RunningAggregation, aggregation
from support.vetting import RunningVerification, vetting

__all__ = ["aggregation", "export", "issuer", "vetting"]
STRANGER = "stella"
ROLES = ("monitor", "focal_point", "technical", "cochair_un", "cochair_unicef", "officer", "auditor")
GARBAGE = "Zzq garbage %00 {"
BY_BODY = {"POST /v1/incidents", "POST /v1/incidents/{incident}/revisions", "POST /v1/devices", "POST /v1/devices/revocations"}
"""Where nothing but the body names the situation."""
FEWEST = {"intake": 7, "verification": 20, "aggregation": 12, "export": 8}


class Running(Protocol):
    """A running service of any kind."""

    @property
    def client(self) -> httpx.AsyncClient:
        """Speaks to it."""

    @property
    def issuer(self) -> Issuer:
        """Signs people in."""

    @property
    def owner(self) -> asyncpg.Connection:
        """Looks into its database."""


def about_situations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Every operation that is about one situation: its method, its path, and the names of its parameters."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            names = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
            operation_name = f"{method.upper()} {path}"
            if "x-mrm-action" in operation and ("{situation}" in path or "situation" in names or operation_name in BY_BODY):
                yield method.upper(), path, names


def garbage_at(place: str, path: str, names: list[str], *, ids: str) -> dict[str, Any]:
    """What a stranger sends: garbage everywhere but in the situation's name."""
    address = re.sub(r"\{(\w+)\}", lambda name: place if name[1] == "situation" else ids, path)
    params = {name: place if name == "situation" else GARBAGE for name in names}
    body = {"content": json.dumps({"situation": place, "garbage": GARBAGE}), "headers": {"Content-Type": "application/json"}}
    return {"url": address, "params": params, **body}


async def strangers_are_told_one_thing(service: Running, name: str) -> None:
    token = service.issuer.token(STRANGER, *(f"/XCC/{role}" for role in ROLES))
    operations = list(about_situations((await service.client.get("/openapi.json")).json()))
    assert len(operations) >= FEWEST[name]
    wrong = []
    for method, path, names in operations:
        for ids in (UNKNOWN, *(("garbage",) if f"{method} {path}" not in BY_BODY else ())):  # a body is not looked for at no object
            answers = []
            for place in (FOREIGN, ABSENT):
                before = await denials(service)
                sent = garbage_at(place, path, names, ids=ids)
                sent["headers"] |= {"Authorization": f"Bearer {token}"}
                if method == "GET":
                    del sent["content"]
                answer = await service.client.request(method, **sent)
                new = (await denials(service))[len(before) :]
                answers.append((answer.status_code, answer.content))
                if answer.status_code != 404 or answer.json()["code"] != "not_found" or b"Zzq" in answer.content:
                    wrong.append(f"{method} {path} at {place}: {answer.status_code} {answer.text[:100]}")
                if [(row["route"], row["status"]) for row in new] != [(f"{method} {path}", str(answer.status_code))]:
                    wrong.append(f"{method} {path} at {place}: recorded {[dict(row) for row in new]}")
            if answers[0] != answers[1]:
                wrong.append(f"{method} {path}: {FOREIGN} and {ABSENT} are told apart")
    assert wrong == []
    assert await service.owner.fetchval("select count(*) from audit_entries where detail::text like '%Zzq%'") == 0


async def denials(service: Running) -> list[asyncpg.Record]:
    return list(
        await service.owner.fetch(
            "select detail->>'route' as route, detail->>'status' as status, situation, subject_ref, detail->>'code' as code "
            "from audit_entries where action = 'access.denied' order by at, id"
        )
    )


async def test_strangers_to_a_situation_at_intake(intake: RunningIntake) -> None:
    await strangers_are_told_one_thing(intake, "intake")


async def test_strangers_to_a_situation_at_verification(vetting: RunningVerification) -> None:
    assert (await vetting.send("PUT", f"/v1/situations/{FOREIGN}", "root", vetting.document(FOREIGN))).status_code == 201
    await strangers_are_told_one_thing(vetting, "verification")


async def test_strangers_to_a_situation_at_aggregation(aggregation: RunningAggregation) -> None:
    await strangers_are_told_one_thing(aggregation, "aggregation")


async def test_strangers_to_a_situation_at_export(export: RunningExport) -> None:
    await strangers_are_told_one_thing(export, "export")


@pytest.mark.parametrize("body", [b"{}", b"[", b'{"situation": 7}', b'{"situation": {"situation": "XAA"}}', b'"XAA"', b"null"])
async def test_whoever_may_report_nowhere_is_not_told_what_a_report_needs(intake: RunningIntake, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {intake.issuer.token('aino', '/XAA/auditor')}", "Content-Type": "application/json"}
    answer = await intake.client.post("/v1/incidents", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert [(row["route"], row["status"]) for row in await denials(intake)] == [("POST /v1/incidents", "403")]


async def test_looking_for_a_report_of_somebody_else_is_recorded(intake: RunningIntake) -> None:
    document = report()
    assert (await intake.post("/v1/incidents", document, person="amina")).status_code == 202
    incident = document["key"]
    for path in (f"/v1/incidents/{incident}/status", f"/v1/incidents/{incident}/status?situation=XAA"):
        assert (await intake.get(path, person="badr")).status_code == 404
    assert (await intake.post(f"/v1/incidents/{incident}/revisions", document, person="badr")).status_code == 404
    assert (await intake.get(f"/v1/incidents/{incident}/status", person="badr", groups=("/XAA/monitor", "/XBB/monitor"))).status_code == 404
    assert (await intake.get(f"/v1/incidents/{UNKNOWN}/status", person="badr")).status_code == 404
    assert (await intake.get(f"/v1/incidents/{incident}/status", person="amina")).status_code == 200
    status, revisions = "GET /v1/incidents/{incident}/status", "POST /v1/incidents/{incident}/revisions"
    assert [(row["route"], row["situation"], row["subject_ref"]) for row in await denials(intake)] == [
        (status, "XAA", incident),
        (status, "XAA", incident),
        (revisions, "XAA", incident),
        (status, None, incident),  # of several situations none is named
        (status, "XAA", UNKNOWN),
    ]


async def test_looking_for_a_device_of_somebody_else_is_recorded(intake: RunningIntake) -> None:
    made = await intake.post("/v1/devices", {"situation": "XAA"}, person="amina")
    device = made.json()["device"]
    token = intake.issuer.token("badr", "/XAA/monitor")
    answer = await intake.client.delete(f"/v1/devices/{device}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 404
    assert [(row["route"], row["situation"], row["subject_ref"]) for row in await denials(intake)] == [
        ("DELETE /v1/devices/{device}", "XAA", device)
    ]
