"""Intake over real HTTP on a real database: reports, receipts, revisions, status, and what is left behind."""

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from chassis.errors import Rejected
from chassis.sealing.opening import open_sealed
from chassis.sealing.signed import Expectation
from chassis.storage import SYSTEM
from contracts.events import IncidentProgressed, IncidentReported, IncidentRevised
from contracts.incident import IncidentReport
from intake.domain import canonical_content
from intake.handlers import handlers
from support.edge import RunningIntake, report, situation_document
from support.sealing import KeysInMemory


def receipt_of(receipt: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Check a receipt the way a monitor's device would."""
    header = json.loads(base64.urlsafe_b64decode(receipt.split(".", maxsplit=1)[0] + "=="))
    (key,) = [entry for entry in keys["keys"] if entry["kid"] == header["kid"]]
    checked = jws.deserialize_compact(receipt, OKPKey.import_key(key), algorithms=["EdDSA"])
    assert header["typ"] == "mrm-receipt"
    payload: dict[str, Any] = json.loads(checked.payload)
    return payload


async def opened(intake: RunningIntake) -> list[IncidentReported | IncidentRevised]:
    """Open what is in the outbox as verification would."""
    events: list[IncidentReported | IncidentRevised] = []
    for row in await intake.owner.fetch("select * from outbox order by id"):
        expect = Expectation(types=frozenset({row["event_type"]}), writer="intake", subject=row["subject"], situation=row["situation"])
        _, payload = open_sealed(row["value"], keys=KeysInMemory(intake.opening), trust=intake.service.trust, expect=expect)
        model = IncidentReported if row["event_type"] == "incident.reported.v1" else IncidentRevised
        events.append(model.model_validate_json(payload))
    return events


async def test_a_report_is_accepted_with_a_receipt_anyone_can_check(intake: RunningIntake) -> None:
    document = report(narrative="Zwei Kinder starben. کودک", coordinates={"latitude": 34.5, "longitude": 69.2})
    answer = await intake.post("/v1/incidents", document)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert (body["situation"], body["incident"], body["revision"], body["status"]) == ("XAA", document["key"], 1, "received")
    payload = receipt_of(body["receipt"], (await intake.client.get("/v1/receipts/keys")).json())
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert payload == {
        "situation": "XAA",
        "incident": document["key"],
        "revision": 1,
        "received_at": payload["received_at"],
        "content_sha256": hashlib.sha256(canonical).hexdigest(),
    }
    assert abs(datetime.fromisoformat(payload["received_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert await intake.rows() == {"incidents": 1, "revisions": 1, "outbox": 1, "audit_entries": 1}


async def test_the_event_holds_the_report_sealed_for_verification(intake: RunningIntake) -> None:
    document = report(narrative="Two children died.")
    await intake.post("/v1/incidents", document)
    (event,) = await opened(intake)
    assert isinstance(event, IncidentReported)
    assert event.report == IncidentReport.model_validate_json(json.dumps(document))
    assert (event.submitted_by, event.incident, event.revision) == ("amina", UUID(document["key"]), 1)
    row = await intake.owner.fetchrow("select topic, subject, sequence, awaiting from outbox")
    assert tuple(row) == ("intake.incidents", document["key"], 1, ["verification"])


async def test_hints_name_what_verification_will_miss(intake: RunningIntake) -> None:
    answer = await intake.post("/v1/incidents", report(sources=None, place=None))
    assert answer.status_code == 202
    assert {hint["field"] for hint in answer.json()["hints"]} >= {"place", "narrative", "violations[0]"}


async def test_the_same_again_gives_the_same_receipt_and_stores_nothing(intake: RunningIntake) -> None:
    document = report(victims=[], groups=None)
    first = await intake.post("/v1/incidents", document)
    before = await intake.rows()
    again = await intake.post("/v1/incidents", document)
    other_spelling = {name: document[name] for name in reversed(document)} | {"groups": [], "narrative": None, "revision": 1}
    del other_spelling["victims"]
    spelled = await intake.post("/v1/incidents", json.dumps(other_spelling, indent=2).encode())
    assert (first.status_code, again.status_code, spelled.status_code) == (202, 200, 200)
    assert first.json() == again.json() == spelled.json()
    assert await intake.rows() == before


async def test_a_repeat_is_answered_even_when_the_register_has_moved_on(intake: RunningIntake) -> None:
    document = report()
    first = await intake.post("/v1/incidents", document)
    async with intake.service.database.transaction("register", by=SYSTEM) as tx:
        await intake.service.register.save(tx, situation_document("XAA", intake.opening, version=2, places=[], parties=[]))
    again = await intake.post("/v1/incidents", document)
    other = await intake.post("/v1/incidents", report())
    assert (first.status_code, again.status_code, other.status_code) == (202, 200, 422)
    assert again.json()["receipt"] == first.json()["receipt"]


async def test_a_taken_key_is_one_answer_whoever_took_it(intake: RunningIntake) -> None:
    document = report()
    await intake.post("/v1/incidents", document)
    before = await intake.rows()
    own = await intake.post("/v1/incidents", {**document, "narrative": "more"})
    foreign_same = await intake.post("/v1/incidents", document, person="bashir")
    foreign_other = await intake.post("/v1/incidents", {**document, "narrative": "more"}, person="bashir")
    assert {own.status_code, foreign_same.status_code, foreign_other.status_code} == {409}
    assert own.json() == foreign_same.json() == foreign_other.json()
    assert own.json()["code"] == "incident.key_taken"
    assert "receipt" not in own.text
    assert await intake.rows() == before


async def test_the_same_key_in_another_situation_is_another_incident(intake: RunningIntake) -> None:
    document = report()
    first = await intake.post("/v1/incidents", document)
    second = await intake.post("/v1/incidents", {**document, "situation": "XBB"}, person="bashir", groups=("/XBB/monitor",))
    assert (first.status_code, second.status_code) == (202, 202)


async def test_identical_posts_at_once_make_one_incident(intake: RunningIntake) -> None:
    for _ in range(5):
        document = report()
        answers = await asyncio.gather(*(intake.post("/v1/incidents", document) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
        assert len({answer.json()["receipt"] for answer in answers}) == 1
    assert await intake.rows() == {"incidents": 5, "revisions": 5, "outbox": 5, "audit_entries": 5}


async def test_different_posts_of_one_key_at_once_let_one_through(intake: RunningIntake) -> None:
    document = report()
    answers = await asyncio.gather(*(intake.post("/v1/incidents", {**document, "narrative": f"{n}"}) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 7
    assert (await intake.rows())["outbox"] == 1


async def test_a_first_report_is_revision_one(intake: RunningIntake) -> None:
    answer = await intake.post("/v1/incidents", report(revision=2))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["revision"]
    assert (await intake.post("/v1/incidents", report(revision=1))).status_code == 202


async def test_a_revision_follows_and_reaches_verification(intake: RunningIntake) -> None:
    document = report()
    path = f"/v1/incidents/{document['key']}/revisions"
    first = await intake.post("/v1/incidents", document)
    second = await intake.post(path, {**document, "narrative": "second"})
    third = await intake.post(path, {**document, "violations": [], "victims": [], "groups": [], "perpetrators": [], "sources": []})
    assert [answer.status_code for answer in (first, second, third)] == [202, 202, 202]
    assert [answer.json()["revision"] for answer in (first, second, third)] == [1, 2, 3]
    events = await opened(intake)
    assert [(event.type, event.revision) for event in events] == [
        ("incident.reported.v1", 1),
        ("incident.revised.v1", 2),
        ("incident.revised.v1", 3),
    ]
    assert [row["sequence"] for row in await intake.owner.fetch("select sequence from outbox order by id")] == [1, 2, 3]
    status = (await intake.get(f"/v1/incidents/{document['key']}/status")).json()
    assert status == {"situation": "XAA", "incident": document["key"], "status": "received", "revision": 3, "needs": []}


@pytest.mark.parametrize("given", [None, 2])
async def test_a_repeated_revision_gives_the_same_receipt(intake: RunningIntake, given: int | None) -> None:
    document = report()
    path = f"/v1/incidents/{document['key']}/revisions"
    await intake.post("/v1/incidents", document)
    revised = {**document, "narrative": "second", **({"revision": given} if given else {})}
    first = await intake.post(path, revised)
    before = await intake.rows()
    again = await intake.post(path, revised)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == again.json()
    assert await intake.rows() == before


async def test_an_older_revision_repeated_late_is_still_a_repeat(intake: RunningIntake) -> None:
    document = report()
    path = f"/v1/incidents/{document['key']}/revisions"
    first = await intake.post("/v1/incidents", document)
    second = await intake.post(path, {**document, "narrative": "second", "revision": 2})
    await intake.post(path, {**document, "narrative": "third"})
    again = await intake.post(path, {**document, "narrative": "second", "revision": 2})
    very_first = await intake.post("/v1/incidents", document)
    assert (again.status_code, again.json()["receipt"]) == (200, second.json()["receipt"])
    assert (very_first.status_code, very_first.json()["receipt"]) == (200, first.json()["receipt"])


async def test_going_back_to_older_content_is_a_new_revision(intake: RunningIntake) -> None:
    document = report()
    path = f"/v1/incidents/{document['key']}/revisions"
    await intake.post("/v1/incidents", document)
    await intake.post(path, {**document, "narrative": "second"})
    back = await intake.post(path, document)
    assert (back.status_code, back.json()["revision"]) == (202, 3)


@pytest.mark.parametrize("given", [1, 2, 4, 10_000])
async def test_a_revision_number_out_of_turn_is_a_conflict_that_names_the_field(intake: RunningIntake, given: int) -> None:
    document = report()
    path = f"/v1/incidents/{document['key']}/revisions"
    await intake.post("/v1/incidents", document)
    await intake.post(path, {**document, "narrative": "second"})
    answer = await intake.post(path, {**document, "narrative": "other", "revision": given})
    assert answer.status_code == 409
    assert [error["field"] for error in answer.json()["errors"]] == ["revision"]


async def test_revisions_at_once_get_numbers_without_gap_or_double(intake: RunningIntake) -> None:
    document = report()
    path = f"/v1/incidents/{document['key']}/revisions"
    await intake.post("/v1/incidents", document)
    answers = await asyncio.gather(*(intake.post(path, {**document, "narrative": f"{n}"}) for n in range(10)))
    assert sorted(answer.json()["revision"] for answer in answers) == list(range(2, 12))
    assert [row[0] for row in await intake.owner.fetch("select sequence from outbox order by id")] == list(range(1, 12))


async def test_a_revision_of_a_foreign_or_absent_incident_is_not_found(intake: RunningIntake) -> None:
    document = report()
    await intake.post("/v1/incidents", document)
    foreign = await intake.post(f"/v1/incidents/{document['key']}/revisions", {**document, "narrative": "x"}, person="bashir")
    absent_document = report()
    absent = await intake.post(f"/v1/incidents/{absent_document['key']}/revisions", absent_document, person="bashir")
    assert foreign.status_code == absent.status_code == 404
    assert foreign.json() == absent.json()


async def test_the_key_in_address_and_body_must_agree(intake: RunningIntake) -> None:
    document = report()
    await intake.post("/v1/incidents", document)
    answer = await intake.post(f"/v1/incidents/{uuid4()}/revisions", document)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["key"]


async def test_status_is_for_the_submitting_monitor_alone(intake: RunningIntake) -> None:
    document = report()
    await intake.post("/v1/incidents", document)
    path = f"/v1/incidents/{document['key']}/status"
    assert (await intake.get(path)).json()["status"] == "received"
    answers = [
        await intake.get(path, person="bashir"),
        await intake.get(f"/v1/incidents/{uuid4()}/status"),
        await intake.get("/v1/incidents/not-a-key/status"),
        await intake.get(path, groups=("/XBB/monitor",)),
        await intake.get(path, groups=()),
        await intake.get(f"{path}?situation=XBB"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert (await intake.get(path, groups=("/XAA/focal_point",))).status_code == 403


async def test_the_own_list_pages_through_everything_once(intake: RunningIntake) -> None:
    keys = []
    for number in range(7):
        document = report()
        keys.append(document["key"])
        await intake.post("/v1/incidents", document)
        await intake.post("/v1/incidents", report(narrative=f"{number}"), person="bashir")
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await intake.get(f"/v1/incidents?limit=3{cursor}")).json()
        seen += [item["incident"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == keys[::-1]
    assert (await intake.get("/v1/incidents", person="nobody")).json() == {"items": [], "next": None}
    assert (await intake.get("/v1/incidents", groups=())).json() == {"items": [], "next": None}
    assert (await intake.get("/v1/incidents", groups=("/XAA/officer",))).status_code == 403


@pytest.mark.parametrize("cursor", ["x", "W10", "WzFd", "bm90IGpzb24", "%00", "W251bGwsIlhBQSIsIngiXQ"])
async def test_a_cursor_that_we_did_not_give_is_refused(intake: RunningIntake, cursor: str) -> None:
    answer = await intake.get(f"/v1/incidents?cursor={cursor}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]


async def test_a_report_form_names_parties_and_places_and_no_key(intake: RunningIntake) -> None:
    answer = await intake.get("/v1/situations/XAA")
    assert answer.status_code == 200
    assert set(answer.json()) == {"code", "name", "time_zone", "version", "parties", "places"}
    assert [place["code"] for place in answer.json()["places"]] == ["XA01", "XA0102"]
    assert (await intake.get("/v1/situations/XBB")).status_code == 404
    assert (await intake.get("/v1/situations/XZZ", groups=("/XZZ/monitor",))).status_code == 404


@pytest.mark.parametrize(
    ("groups", "situation", "status"),
    [
        ((), "XAA", 404),
        (("/XBB/monitor",), "XAA", 404),
        (("/XZZ/monitor",), "XZZ", 404),
        (("/XAA/focal_point",), "XAA", 403),
        (("/XAA/unheard_of",), "XAA", 404),
        (("/_all/operator",), "XAA", 403),
        (("/_all/monitor",), "XAA", 404),
    ],
)
async def test_only_a_monitor_of_the_situation_reports(intake: RunningIntake, groups: tuple[str, ...], situation: str, status: int) -> None:
    answer = await intake.post("/v1/incidents", report(situation=situation), groups=groups)
    assert answer.status_code == status
    assert await intake.rows() == {"incidents": 0, "revisions": 0, "outbox": 0, "audit_entries": 0}


def progress(document: dict[str, Any], status: str, at: datetime, *needs: str) -> IncidentProgressed:
    return IncidentProgressed(situation="XAA", incident=UUID(document["key"]), status=status, needs=list(needs), at=at)


async def test_progress_is_shown_and_never_goes_back(intake: RunningIntake) -> None:
    document = report()
    await intake.post("/v1/incidents", document)
    handle = handlers(intake.service.register)[IncidentProgressed]
    path = f"/v1/incidents/{document['key']}/status"
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)

    async def told(event: IncidentProgressed) -> tuple[str, list[str]]:
        async with intake.service.database.transaction("progress", by=SYSTEM) as tx:
            await handle(event, tx)
        answer = (await intake.get(path)).json()
        return answer["status"], answer["needs"]

    assert await told(progress(document, "under_review", noon)) == ("under_review", [])
    assert await told(progress(document, "needs_information", noon, "source")) == ("needs_information", ["source"])
    assert await told(progress(document, "closed", noon - timedelta(seconds=1))) == ("needs_information", ["source"])
    assert await told(progress(document, "closed", noon + timedelta(days=1))) == ("closed", [])
    assert await told(progress(document, "under_review", noon)) == ("closed", [])


async def test_progress_of_an_unknown_incident_is_rejected_unless_its_situation_is_gone(intake: RunningIntake) -> None:
    handle = handlers(intake.service.register)[IncidentProgressed]
    event = progress(report(), "closed", datetime.now(UTC))
    with pytest.raises(Rejected, match="incident_unknown"):
        async with intake.service.database.transaction("progress", by=SYSTEM) as tx:
            await handle(event, tx)
    async with intake.service.database.transaction("progress", by=SYSTEM) as tx:
        await handle(event.model_copy(update={"situation": "XZZ"}), tx)


async def test_a_removed_situation_takes_its_reports_along(intake: RunningIntake) -> None:
    await intake.post("/v1/incidents", report())
    kept = report(situation="XBB")
    await intake.post("/v1/incidents", kept, groups=("/XBB/monitor",))
    async with intake.service.database.transaction("remove", by=SYSTEM) as tx:
        await intake.service.register.save(tx, situation_document("XAA", intake.opening, version=2, removed=True))
    rows = await intake.rows()
    assert (rows["incidents"], rows["revisions"], rows["outbox"], rows["audit_entries"]) == (1, 1, 1, 2)
    assert (await intake.post("/v1/incidents", report())).status_code == 404


async def test_no_clear_text_is_kept(intake: RunningIntake) -> None:
    canaries = {
        "narrative": "canary-narrative نرگس",
        "narrative_for_sharing": "canary-sharing",
        "place_description": "canary-place",
        "collected_by": "canary-collector",
        "coordinates": {"latitude": 34.987654321, "longitude": 69.123456789},
        "victims": [
            {"key": "canary-victim", "sex": "male", "age": 9, "violations": ["k1"], "name": "canary-name", "coded_id": "canary-id"}
        ],
        "sources": [
            {
                "category": "primary_victim",
                "type": "oral_testimony",
                "violations": ["k1"],
                "name": "canary-source",
                "contact": "canary-contact",
            }
        ],
    }
    document = report(**canaries)
    assert (await intake.post("/v1/incidents", document, person="canary-monitor")).status_code == 202
    revised = {**document, "narrative": "canary-revised"}
    await intake.post(f"/v1/incidents/{document['key']}/revisions", revised, person="canary-monitor")
    await intake.get("/v1/incidents", person="canary-monitor")
    everything = await intake.dump()
    digests = [hashlib.sha256(canonical_content(IncidentReport.model_validate_json(json.dumps(d)))) for d in (document, revised)]
    for digest in digests:
        assert digest.digest() not in everything
        assert digest.hexdigest().encode() not in everything
    for trace in (b"canary", "نرگس".encode(), b"34.98", b"69.12", b"landmine", b"killing"):
        assert trace not in everything
    assert document["key"].encode() in everything  # the search does see what is there


async def test_the_record_of_acts_names_the_monitor_by_a_mark(intake: RunningIntake) -> None:
    document = report()
    await intake.post("/v1/incidents", document)
    row = await intake.owner.fetchrow("select actor, action, situation, subject_ref, detail from audit_entries")
    submitter = await intake.owner.fetchval("select submitter from incidents")
    assert row["actor"] == f"monitor:{submitter.hex()}"
    assert (row["action"], row["situation"], row["subject_ref"]) == ("incident.submit", "XAA", document["key"])
    assert json.loads(row["detail"]) == {"revision": 1}


async def test_the_serving_role_cannot_rewrite_what_was_accepted(intake: RunningIntake) -> None:
    await intake.post("/v1/incidents", report())
    for statement in (
        "update revisions set content = content",
        "update incidents set submitter = submitter",
        "update incidents set received_at = now()",
        "update audit_entries set actor = ''",
        "delete from audit_entries",
        "truncate incidents cascade",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with intake.service.database.transaction("attack", by=SYSTEM) as tx:
                await tx.execute(statement)


async def test_a_lost_database_is_503_and_nothing_is_promised(intake: RunningIntake) -> None:
    await intake.owner.execute(
        "create function refuse() returns trigger language plpgsql as"
        " $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$"
    )
    await intake.owner.execute("create trigger outbox_refuses before insert on outbox execute function refuse()")
    answer = await intake.post("/v1/incidents", report())
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert int(answer.headers["retry-after"]) > 0
    await intake.owner.execute("drop trigger outbox_refuses on outbox")
    assert (await intake.rows())["incidents"] == 0
    assert (await intake.post("/v1/incidents", report())).status_code == 202
