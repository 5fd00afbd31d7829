"""Field devices over real HTTP on a real database: what a token can do, what a stolen one cannot, and what is left of a monitor's name."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from chassis.http.access import action_of, is_open
from chassis.http.openapi import routes_of
from chassis.identity import Principal
from chassis.permissions import Caller
from chassis.sealing.opening import open_sealed
from chassis.sealing.signed import Expectation
from chassis.storage import SYSTEM
from contracts.events import IncidentReported, IncidentRevised
from intake import device_store
from intake.device_tokens import DeviceToken
from local_stack.postgres import PostgresServer
from support.apps import SERVICES, build_app
from support.edge import RunningIntake, report, running_intake, served, situation_document
from support.issuer import Issuer
from support.sealing import KeysInMemory

OPERATOR = ("/_all/operator",)
COCHAIR = ("/XAA/cochair_un",)
GONE = "00000000-0000-4000-8000-000000000000"


async def added(intake: RunningIntake, *, person: str = "amina", situation: str = "XAA", **fields: Any) -> dict[str, Any]:
    answer = await intake.post("/v1/devices", {"situation": situation, **fields}, person=person, groups=(f"/{situation}/monitor",))
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def ask(intake: RunningIntake, token: str, method: str, path: str, body: object = None) -> httpx.Response:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return await intake.client.request(method, path, content=content, headers=headers)


async def delete(intake: RunningIntake, device: str, *, person: str = "amina", groups: tuple[str, ...] = ("/XAA/monitor",)) -> int:
    headers = {"Authorization": f"Bearer {intake.token(person, *groups)}"}
    return (await intake.client.delete(f"/v1/devices/{device}", headers=headers)).status_code


async def listed(intake: RunningIntake, person: str = "amina") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await intake.get("/v1/devices", person=person, groups=("/XAA/monitor", "/XBB/monitor"))).json()["items"]
    return items


async def test_a_device_is_made_and_its_token_shown_once(intake: RunningIntake) -> None:
    made = await added(intake, label="Old phone", days=30)
    assert set(made) == {"device", "token", "situation", "label", "created_at", "expires_at", "last_used_on", "revoked_at"}
    assert re.fullmatch(r"mrmd_[0-9a-f]{32}_[0-9a-f]{64}_[0-9a-f]{8}", made["token"])
    assert datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"]) == timedelta(days=30)
    (item,) = await listed(intake)
    assert item == {name: value for name, value in made.items() if name != "token"}
    assert made["token"] not in json.dumps(await listed(intake))
    assert made["token"].encode() not in await intake.dump()
    assert bytes.fromhex(made["token"].split("_")[2]) not in await intake.dump()
    assert made["token"].split("_")[2].encode() not in await intake.dump()


async def test_ninety_days_without_a_word(intake: RunningIntake) -> None:
    made = await added(intake)
    assert datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"]) == timedelta(days=90)
    assert made["label"] is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"days": 0}, "days"),
        ({"days": 181}, "days"),
        ({"days": "30"}, "days"),
        ({"label": ""}, "label"),
        ({"label": "x" * 61}, "label"),
        ({"label": "a\nb"}, "label"),
        ({"situation": "X/Y"}, "situation"),
        ({"token": "mine"}, "(document)"),
    ],
)
async def test_what_a_device_cannot_be_is_refused_by_its_field(intake: RunningIntake, fields: dict[str, Any], field: str) -> None:
    answer = await intake.post("/v1/devices", {"situation": "XAA", **fields})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert await listed(intake) == []


async def test_a_device_reports_revises_and_follows_for_its_monitor(intake: RunningIntake) -> None:
    token = (await added(intake))["token"]
    document = report()
    sent = await ask(intake, token, "POST", "/v1/incidents", document)
    again = await ask(intake, token, "POST", "/v1/incidents", document)
    revised = await ask(intake, token, "POST", f"/v1/incidents/{document['key']}/revisions", {**document, "narrative": "more"})
    assert (sent.status_code, again.status_code, revised.status_code) == (202, 200, 202)
    assert sent.json()["receipt"] == again.json()["receipt"]
    status = f"/v1/incidents/{document['key']}/status"
    assert (await ask(intake, token, "GET", status)).json() == (await intake.get(status)).json()
    assert [item["incident"] for item in (await intake.get("/v1/incidents")).json()["items"]] == [document["key"]]
    assert (await intake.post(f"/v1/incidents/{document['key']}/revisions", {**document, "narrative": "in person"})).status_code == 202


async def test_the_monitors_name_is_in_the_seal_and_nowhere_in_the_database(intake: RunningIntake) -> None:
    made = await added(intake, person="canary-monitor", label="canary-label")
    document = report()
    await ask(intake, made["token"], "POST", "/v1/incidents", document)
    await ask(intake, made["token"], "POST", f"/v1/incidents/{document['key']}/revisions", {**document, "narrative": "more"})
    for row in await intake.owner.fetch("select * from outbox order by id"):
        expect = Expectation(types=frozenset({row["event_type"]}), writer="intake", subject=row["subject"], situation="XAA")
        _, payload = open_sealed(row["value"], keys=KeysInMemory(intake.opening), trust=intake.service.trust, expect=expect)
        model = IncidentReported if row["event_type"] == "incident.reported.v1" else IncidentRevised
        assert model.model_validate_json(payload).submitted_by == "canary-monitor"
    assert await delete(intake, made["device"], person="canary-monitor") == 204
    other = await added(intake, person="canary-monitor", label="canary-label")
    everything = await intake.dump()
    assert b"canary" not in everything
    assert other["device"].encode() in everything  # the search does see what is there


async def test_reports_of_a_device_are_the_monitors_but_not_another_devices(intake: RunningIntake) -> None:
    phone, tablet = (await added(intake))["token"], (await added(intake))["token"]
    foreign = (await added(intake, person="bashir"))["token"]
    by_phone, in_person, absent = report(), report(), report()
    assert (await ask(intake, phone, "POST", "/v1/incidents", by_phone)).status_code == 202
    assert (await intake.post("/v1/incidents", in_person)).status_code == 202
    for token, document in ((tablet, by_phone), (foreign, by_phone), (phone, in_person)):
        for method, path, body in (
            ("GET", "/v1/incidents/{}/status", None),
            ("GET", "/v1/incidents/{}/status?situation=XAA", None),
            ("POST", "/v1/incidents/{}/revisions", {**document, "narrative": "x"}),
        ):
            theirs = await ask(intake, token, method, path.format(document["key"]), body)
            nobodys = await ask(intake, token, method, path.format(absent["key"]), body and {**body, "key": absent["key"]})
            assert (theirs.status_code, nobodys.status_code) == (404, 404)
            assert theirs.text == nobodys.text
            assert theirs.headers.keys() == nobodys.headers.keys()
    for token, document in ((tablet, {**by_phone, "narrative": "other"}), (tablet, by_phone), (foreign, by_phone), (phone, in_person)):
        taken = await ask(intake, token, "POST", "/v1/incidents", document)
        assert (taken.status_code, taken.json()["code"]) == (409, "incident.key_taken")
    assert (await intake.post("/v1/incidents", by_phone)).status_code == 200
    assert (await intake.rows())["revisions"] == 2


async def test_a_device_is_good_in_its_own_situation_only(intake: RunningIntake) -> None:
    answer = await intake.post("/v1/devices", {"situation": "XAA"}, groups=("/XAA/monitor", "/XBB/monitor"))
    token = answer.json()["token"]
    assert (await ask(intake, token, "POST", "/v1/incidents", report(situation="XBB"))).status_code == 404
    assert (await intake.post("/v1/devices", {"situation": "XBB"})).status_code == 404
    assert (await intake.post("/v1/devices", {"situation": "XAA"}, groups=("/XAA/focal_point",))).status_code == 403
    assert (await intake.post("/v1/devices", {"situation": "XAA"}, groups=OPERATOR)).status_code == 403


async def test_an_issuers_claim_never_makes_a_device(intake: RunningIntake) -> None:
    assert (await intake.post("/v1/incidents", report(), groups=("/XAA/device",))).status_code == 404
    assert (await intake.post("/v1/incidents", report(), groups=("/_all/device",))).status_code == 404


MAY = {("POST", "/v1/incidents"), ("POST", "/v1/incidents/{incident}/revisions"), ("GET", "/v1/incidents/{incident}/status")}
EMPTY_FOR_STRANGERS = {("GET", "/v1/incidents"), ("GET", "/v1/devices"), ("GET", "/v1/devices/counts")}


async def test_a_stolen_token_is_a_stranger_on_every_other_route_of_intake(intake: RunningIntake) -> None:
    made = await added(intake, label="Old phone")
    mine = report()
    await ask(intake, made["token"], "POST", "/v1/incidents", mine)
    await intake.post("/v1/incidents", report())
    tried: set[tuple[str, str]] = set()
    bodies: dict[str, object] = {"/v1/devices": {"situation": "XAA"}, "/v1/devices/revocations": {"situation": "XAA"}}
    for context, route in routes_of(intake.app):
        for method in sorted(route.methods or ()):
            if is_open(route.dependant) or (method, context.path) in MAY:
                continue
            path = re.sub(r"\{(\w+)\}", lambda name: {"device": made["device"], "situation": "XAA"}.get(name[1], "1"), context.path)
            path += {"/v1/audit/proof/consistency": "?old=0&size=0", "/v1/audit/proof/inclusion": f"?entry={GONE}&size=1"}.get(path, "")
            body = bodies.get(context.path, {} if method != "GET" else None)
            as_device = await ask(intake, made["token"], method, path, body)
            as_stranger = await ask(intake, intake.token("amina"), method, path, body)
            tried.add((method, context.path))
            assert as_device.status_code == as_stranger.status_code, (method, path)
            assert as_device.text == as_stranger.text, (method, path)
            if (method, context.path) in EMPTY_FOR_STRANGERS:
                assert as_device.json()["items"] == []
            else:
                assert as_device.status_code == 404, (method, path)
    assert len(tried) >= 15
    assert tried >= EMPTY_FOR_STRANGERS
    assert len(await listed(intake)) == 1
    assert (await ask(intake, made["token"], "GET", f"/v1/incidents/{mine['key']}/status")).status_code == 200


@pytest.mark.parametrize("service", [service for service in SERVICES if service != "intake"])
async def test_a_stolen_token_is_nothing_to_the_other_services(intake: RunningIntake, service: str, tmp_path: Path) -> None:
    token = (await added(intake))["token"]
    app = build_app(service, tmp_path, issuer=intake.issuer.url)
    app.state.rates = intake.app.state.rates
    tried = 0
    async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        for context, route in routes_of(app):
            if is_open(route.dependant):
                continue
            assert action_of(route.dependant) is not None
            path = re.sub(r"\{\w+\}", "1", context.path)
            for method in sorted(route.methods or ()):
                answer = await client.request(method, path, headers={"Authorization": f"Bearer {token}"})
                garbage = await client.request(method, path, headers={"Authorization": "Bearer x"})
                assert (answer.status_code, answer.text) == (401, garbage.text), (method, path)
                tried += 1
    assert tried >= 10


async def test_revoked_expired_unknown_and_garbled_are_one_answer(intake: RunningIntake) -> None:
    revoked, expired, good = await added(intake), await added(intake), await added(intake)
    assert await delete(intake, revoked["device"]) == 204
    await intake.owner.execute(
        "update devices set created_at = now() - interval '2 days', expires_at = now() - interval '1 second' where device = $1",
        expired["device"],
    )
    other_secret = DeviceToken(DeviceToken.parse(good["token"]).device, bytes(32)).text()  # type: ignore[union-attr]
    tokens = [
        revoked["token"],
        expired["token"],
        DeviceToken.new().text(),
        other_secret,
        good["token"][:-1] + ("0" if good["token"][-1] != "0" else "1"),
        good["token"] + "0",
        good["token"].upper(),
        "mrmd_",
        "mrmd_" + "x" * 10_000,
    ]
    answers = [await ask(intake, token, "POST", "/v1/incidents", report()) for token in tokens]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.text for answer in answers} == {(await intake.client.get("/v1/incidents")).text}
    assert len({tuple(sorted(set(answer.headers) - {"date"})) for answer in answers}) == 1
    assert (await ask(intake, good["token"], "POST", "/v1/incidents", report())).status_code == 202
    assert (await intake.rows())["incidents"] == 1


async def test_a_revocation_is_at_once_in_every_process(
    intake: RunningIntake, postgres_server: PostgresServer, issuer: Issuer, tmp_path: Path
) -> None:
    made = await added(intake)
    second, app = intake.another()
    await second.database.open()
    try:
        async with served(app) as url, httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {made['token']}"}) as client:
            path = f"/v1/incidents/{uuid4()}/status"
            assert (await client.get(path)).status_code == 404  # known, and nothing there
            assert await delete(intake, made["device"]) == 204
            assert (await client.get(path)).status_code == 401
            assert (await ask(intake, made["token"], "GET", path)).status_code == 401
    finally:
        await second.database.close()


async def test_a_report_under_way_when_its_device_is_revoked_does_not_come_in(intake: RunningIntake) -> None:
    made = await added(intake)
    raw = json.dumps(report()).encode()
    revoked = asyncio.Event()

    async def slowly() -> Any:
        yield raw[:10]
        assert await delete(intake, made["device"]) == 204
        revoked.set()
        yield raw[10:]

    headers = {"Authorization": f"Bearer {made['token']}", "Content-Type": "application/json"}
    answer = await intake.client.post("/v1/incidents", content=slowly(), headers=headers)
    assert revoked.is_set()
    assert answer.status_code == 401
    assert (await intake.rows())["incidents"] == 0


async def test_a_revocation_waits_for_what_is_being_committed(intake: RunningIntake) -> None:
    made = await added(intake)
    async with intake.service.database.transaction("hold", by=SYSTEM) as tx:
        assert await device_store.hold_device(tx, made["device"])
        ending = asyncio.create_task(delete(intake, made["device"]))
        done, _ = await asyncio.wait([ending], timeout=0.3)
        assert not done
    assert await ending == 204


async def test_revoking_again_changes_nothing_and_foreign_is_absent(intake: RunningIntake) -> None:
    made = await added(intake)
    theirs = await added(intake, person="bashir")
    assert [await delete(intake, made["device"]) for _ in range(3)] == [204, 204, 204]
    first = (await listed(intake))[0]["revoked_at"]
    assert await delete(intake, made["device"]) == 204
    assert (await listed(intake))[0]["revoked_at"] == first
    assert [await delete(intake, device) for device in (theirs["device"], GONE, "not-a-device")] == [404, 404, 404]
    assert await delete(intake, theirs["device"], groups=("/XAA/focal_point",)) == 403
    assert await delete(intake, GONE, groups=("/XAA/focal_point",)) == 403
    assert await delete(intake, made["device"], groups=()) == 404
    assert await delete(intake, made["device"], groups=("/XBB/monitor",)) == 404
    assert (await ask(intake, theirs["token"], "POST", "/v1/incidents", report())).status_code == 202


async def test_a_device_cannot_end_itself_or_make_another(intake: RunningIntake) -> None:
    made = await added(intake)
    assert (await ask(intake, made["token"], "DELETE", f"/v1/devices/{made['device']}")).status_code == 404
    assert (await ask(intake, made["token"], "POST", "/v1/devices", {"situation": "XAA"})).status_code == 404
    assert len(await listed(intake)) == 1


async def test_the_operator_ends_any_device_and_sees_counts_only(intake: RunningIntake) -> None:
    first, second = await added(intake), await added(intake, person="bashir", situation="XBB")
    await added(intake)
    counts = await intake.get("/v1/devices/counts", person="omar", groups=OPERATOR)
    assert counts.json()["items"] == [
        {"situation": "XAA", "active": 2, "expired": 0, "revoked": 0},
        {"situation": "XBB", "active": 1, "expired": 0, "revoked": 0},
    ]
    assert (await intake.get("/v1/devices", person="omar", groups=OPERATOR)).status_code == 403
    assert await delete(intake, second["device"], person="omar", groups=OPERATOR) == 204
    assert await delete(intake, GONE, person="omar", groups=OPERATOR) == 404
    assert (await ask(intake, second["token"], "POST", "/v1/incidents", report(situation="XBB"))).status_code == 401
    of_cochair = (await intake.get("/v1/devices/counts", person="ulla", groups=COCHAIR)).json()["items"]
    assert of_cochair == [{"situation": "XAA", "active": 2, "expired": 0, "revoked": 0}]
    assert await delete(intake, first["device"], person="ulla", groups=COCHAIR) == 403
    assert (await intake.get("/v1/devices/counts")).status_code == 403
    assert (await intake.get("/v1/devices/counts", groups=())).json()["items"] == []


@pytest.mark.parametrize("groups", [OPERATOR, COCHAIR, ("/XAA/cochair_unicef",)])
async def test_all_devices_of_a_person_or_a_situation_end_together(intake: RunningIntake, groups: tuple[str, ...]) -> None:
    amina, bashir = [await added(intake) for _ in range(2)], await added(intake, person="bashir")
    elsewhere = await added(intake, situation="XBB")
    path = "/v1/devices/revocations"
    assert (await intake.post(path, {"situation": "XAA"})).status_code == 403
    assert (await intake.post(path, {"situation": "XBB"}, person="ulla", groups=COCHAIR)).status_code == 404
    assert (await intake.post(path, {"situation": "XZZ"}, person="omar", groups=OPERATOR)).status_code == 404

    async def end(**whose: str) -> int:
        answer = await intake.post(path, {"situation": "XAA", **whose}, person="omar", groups=groups)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["revoked"])

    assert await end(person="nobody") == 0
    assert await end(person="amina") == 2
    assert {(await ask(intake, one["token"], "POST", "/v1/incidents", report())).status_code for one in amina} == {401}
    assert (await ask(intake, bashir["token"], "POST", "/v1/incidents", report())).status_code == 202
    assert await end() == 1
    assert await end() == 0
    assert (await ask(intake, bashir["token"], "POST", "/v1/incidents", report())).status_code == 401
    assert (await ask(intake, elsewhere["token"], "POST", "/v1/incidents", report(situation="XBB"))).status_code == 202


async def test_a_monitor_has_so_many_devices_and_no_more(postgres_server: PostgresServer, issuer: Issuer, tmp_path: Path) -> None:
    async with running_intake(postgres_server, issuer, tmp_path, devices_per_monitor=3) as intake:
        answers = await asyncio.gather(*(intake.post("/v1/devices", {"situation": "XAA"}) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 5
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"device.too_many"}
        await added(intake, person="bashir")
        assert await delete(intake, (await listed(intake))[0]["device"]) == 204
        await added(intake)
        await intake.owner.execute("update devices set created_at = now() - interval '2 days', expires_at = now() - interval '1 day'")
        await added(intake)


async def test_making_devices_has_a_stricter_rate(postgres_server: PostgresServer, issuer: Issuer, tmp_path: Path) -> None:
    async with running_intake(postgres_server, issuer, tmp_path, rate_of_sign_ins=0.001, burst_of_sign_ins=2) as intake:
        answers = [await intake.post("/v1/devices", {"situation": "XAA"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert int(answers[2].headers["retry-after"]) > 0
        assert (await intake.get("/v1/devices")).status_code == 200
        await added(intake, person="bashir")


async def test_of_the_use_only_the_day_is_kept(intake: RunningIntake) -> None:
    made = await added(intake)
    assert (await listed(intake))[0]["last_used_on"] is None
    await ask(intake, made["token"], "POST", "/v1/incidents", report())
    assert (await listed(intake))[0]["last_used_on"] == str(datetime.now(UTC).date())
    written = await intake.owner.fetchval("select xmin::text from devices")
    await ask(intake, made["token"], "POST", "/v1/incidents", report())
    assert await intake.owner.fetchval("select xmin::text from devices") == written
    await intake.owner.execute("update devices set last_used_on = '2024-01-01'")
    await ask(intake, made["token"], "GET", f"/v1/incidents/{uuid4()}/status")
    assert (await listed(intake))[0]["last_used_on"] == str(datetime.now(UTC).date())


async def test_adding_and_ending_are_in_the_record_by_marks(intake: RunningIntake) -> None:
    made, other = await added(intake, days=7, label="canary-label"), await added(intake)
    document = report()
    await ask(intake, made["token"], "POST", "/v1/incidents", document)
    await delete(intake, made["device"])
    await delete(intake, made["device"])
    await delete(intake, other["device"], person="omar", groups=OPERATOR)
    last = await added(intake)
    await intake.post("/v1/devices/revocations", {"situation": "XAA", "person": "amina"}, person="ulla", groups=COCHAIR)
    submitter = await intake.owner.fetchval("select submitter from devices limit 1")
    mark = f"monitor:{submitter.hex()}"
    rows = await intake.owner.fetch("select actor, action, situation, subject_ref, detail from audit_entries order by at, action")
    assert [(row["actor"], row["action"], row["situation"], row["subject_ref"], json.loads(row["detail"])) for row in rows] == [
        (mark, "device.add", "XAA", made["device"], {"days": 7}),
        (mark, "device.add", "XAA", other["device"], {"days": 90}),
        (mark, "incident.submit", "XAA", document["key"], {"revision": 1, "device": made["device"]}),
        (mark, "device.revoke", "XAA", made["device"], {}),
        ("omar", "device.revoke", "XAA", other["device"], {}),
        (mark, "device.add", "XAA", last["device"], {"days": 90}),
        ("ulla", "device.revoke_all", "XAA", last["device"], {}),
    ]
    everything = await intake.dump()
    for token in (made["token"], other["token"], last["token"]):
        assert token.encode() not in everything
        assert token.split("_")[2].encode() not in everything
    assert b"canary" not in everything


async def test_what_a_stolen_token_tries_is_in_the_record_by_a_mark(intake: RunningIntake) -> None:
    made = await added(intake)
    await ask(intake, made["token"], "POST", "/v1/incidents", report(situation="XBB"))
    row = await intake.owner.fetchrow("select actor, situation, detail from audit_entries where action = 'access.denied'")
    submitter = await intake.owner.fetchval("select submitter from devices")
    assert (row["actor"], row["situation"]) == (f"monitor:{submitter.hex()}", "XBB")
    assert b"amina" not in await intake.dump()


async def test_what_has_ended_is_forgotten(intake: RunningIntake) -> None:
    live, revoked, expired, old = [(await added(intake))["device"] for _ in range(4)]
    await delete(intake, revoked)
    sql = "update devices set created_at = now() - interval '180 days', expires_at = now() - $2::text::interval where device = $1"
    await intake.owner.execute(sql, expired, "1 day")
    await intake.owner.execute(sql, old, "91 days")
    await intake.app.state.devices.forget()
    rows = await intake.owner.fetch("select device::text, token is null as gone, subject is null as nameless from devices")
    assert {tuple(row) for row in rows} == {(live, False, False), (revoked, True, True), (expired, True, True)}
    assert {item["device"] for item in await listed(intake)} == {live, revoked, expired}


async def test_the_list_pages_through_everything_once(intake: RunningIntake) -> None:
    devices = [(await added(intake, label=f"{number}"))["device"] for number in range(5)]
    await added(intake, person="bashir")
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await intake.get(f"/v1/devices?limit=2{cursor}")).json()
        seen += [item["device"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == devices[::-1]


async def test_a_removed_situation_takes_its_devices_along(intake: RunningIntake) -> None:
    made, kept = await added(intake), await added(intake, situation="XBB")
    async with intake.service.database.transaction("remove", by=SYSTEM) as tx:
        await intake.service.register.save(tx, situation_document("XAA", intake.opening, version=2, removed=True))
    assert [row["device"] for row in await listed(intake)] == [kept["device"]]
    assert (await ask(intake, made["token"], "POST", "/v1/incidents", report())).status_code == 401


async def test_the_database_itself_shows_a_device_only_what_came_through_it(intake: RunningIntake) -> None:
    phone, tablet = await added(intake), await added(intake)
    by_phone, in_person = report(), report()
    await ask(intake, phone["token"], "POST", "/v1/incidents", by_phone)
    await intake.post("/v1/incidents", in_person)
    verify = intake.app.state.devices.verify
    database, mark = intake.service.database, intake.app.state.desk.actor_of(Principal("amina", "", frozenset()))

    async def seen(principal: Principal, action: str, table: str) -> set[str]:
        by = Caller(principal, service="intake", action=action).known_as(mark)
        async with database.reading("look", by=by) as tx:
            column = "device" if table == "devices" else "incident"
            return {str(row[0]) for row in await tx.fetch(f"select {column} from {table}")}  # noqa: S608 - our own names

    monitor = Principal("amina", "", frozenset({("XAA", "monitor")}))
    for action in ("incident.submit", "incident.revise", "incident.status"):
        assert await seen(monitor, action, "incidents") == {by_phone["key"], in_person["key"]}
        assert await seen(await verify(phone["token"]), action, "incidents") == {by_phone["key"]}
        assert await seen(await verify(tablet["token"]), action, "incidents") == set()
    assert await seen(await verify(phone["token"]), "incident.revise", "revisions") == {by_phone["key"]}
    assert await seen(await verify(phone["token"]), "incident.submit", "devices") == {phone["device"]}
    for action in ("incident.list", "device.list", "device.revoke"):
        assert await seen(await verify(phone["token"]), action, "incidents") == set()
        assert await seen(await verify(phone["token"]), action, "devices") == set()


async def test_the_serving_role_cannot_give_a_device_another_owner_or_a_longer_life(intake: RunningIntake) -> None:
    await added(intake)
    for statement in (
        "update devices set submitter = submitter",
        "update devices set situation = situation",
        "update devices set expires_at = expires_at",
        "update devices set created_at = created_at",
        "update incidents set device = null",
        "truncate devices",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with intake.service.database.transaction("attack", by=SYSTEM) as tx:
                await tx.execute(statement)
    for statement in (
        "update devices set revoked_at = now()",
        "update devices set token = null",
        "update devices set token = 'short'",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            async with intake.service.database.transaction("attack", by=SYSTEM) as tx:
                await tx.execute(statement)
