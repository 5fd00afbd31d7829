"""The record of acts over HTTP: who sees what of it, and whether checkpoints and proofs hold for those who trust nobody here."""

import base64
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.audit.checkpoint import Checkpoint
from chassis.audit.leaf import Entry
from chassis.audit.merkle import EMPTY_ROOT, Head, verify_consistency, verify_inclusion
from chassis.service import growing
from chassis.storage import System
from support.edge import RunningIntake, report

AUDITOR = ("/XAA/auditor",)
OPERATOR = ("/_all/operator",)
PATHS = (
    "/v1/audit/entries",
    "/v1/audit/checkpoint",
    "/v1/audit/checkpoints",
    "/v1/audit/leaves",
    "/v1/audit/remainder",
    "/v1/audit/proof/consistency?old=0&size=0",
)


async def filled(intake: RunningIntake) -> None:
    """Two reports of Amina in XAA, one of Badr in XBB, and an act on the installation."""
    for person, situation in (("amina", "XAA"), ("amina", "XAA"), ("badr", "XBB")):
        answer = await intake.post("/v1/incidents", report(situation=situation), person=person, groups=(f"/{situation}/monitor",))
        assert answer.status_code == 202
    async with intake.service.database.transaction("act", by=System("omar")) as tx:
        tx.audit("delivery.replay", situation=None, detail={"messages": 0})


async def entries(intake: RunningIntake, query: str = "", *, groups: tuple[str, ...] = AUDITOR) -> list[dict[str, Any]]:
    answer = await intake.get(f"/v1/audit/entries{query}", person="aino", groups=groups)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def hashes(answer: Any) -> list[bytes]:
    return [base64.b64decode(text) for text in answer.json()["hashes"]]


async def test_auditor_and_cochairs_see_the_acts_of_their_situation_only(intake: RunningIntake) -> None:
    await filled(intake)
    for role in ("auditor", "cochair_un", "cochair_unicef"):
        seen = await entries(intake, "?situation=XAA", groups=(f"/XAA/{role}",))
        assert {item["situation"] for item in seen} == {"XAA"}
        acts = [item for item in seen if item["action"] == "incident.submit"]
        assert len(acts) == 2
        assert all(item["actor"].startswith("monitor:") for item in acts)  # intake names no monitor, not even here
    assert {item["situation"] for item in await entries(intake)} == {"XAA"}
    assert {item["situation"] for item in await entries(intake, groups=("/XAA/auditor", "/XBB/cochair_un"))} == {"XAA", "XBB"}


async def test_operator_sees_acts_on_the_installation_and_no_other(intake: RunningIntake) -> None:
    await filled(intake)
    assert [item["action"] for item in await entries(intake, groups=OPERATOR)] == ["delivery.replay"]
    assert (await intake.get("/v1/audit/entries?situation=XAA", groups=OPERATOR)).status_code == 403
    both = await entries(intake, groups=(*OPERATOR, *AUDITOR))
    assert {item["situation"] for item in both} == {"XAA", None}


async def test_strangers_and_others_are_refused(intake: RunningIntake) -> None:
    await filled(intake)
    for path in PATHS:
        assert (await intake.get(path, groups=("/XAA/monitor",))).status_code == 403, path
        assert (await intake.get(path, groups=())).status_code == 404, path
        assert (await intake.client.get(path)).status_code == 401, path
    assert (await intake.get("/v1/audit/entries?situation=XBB", groups=AUDITOR)).status_code == 404
    assert (await intake.get("/v1/audit/entries?situation=XZZ", groups=AUDITOR)).status_code == 404
    for path in ("/v1/audit/leaves", "/v1/audit/remainder", "/v1/audit/checkpoints"):
        assert (await intake.get(path, groups=("/XAA/cochair_un",))).status_code == 403


async def test_reading_the_record_is_recorded_where_it_was_read(intake: RunningIntake) -> None:
    await filled(intake)
    amina = next(item["actor"] for item in await entries(intake) if item["action"] == "incident.submit")
    case = str(uuid4())
    await entries(intake, f"?person=amina&case={case}", groups=("/XAA/auditor", "/XBB/auditor", "/_all/operator"))
    for query, groups in (("?situation=XAA", AUDITOR), ("?situation=XBB", ("/XBB/auditor",)), ("", OPERATOR)):
        (newest, *_) = await entries(intake, query, groups=groups)
        assert (newest["actor"], newest["action"], newest["detail"]) == ("aino", "audit.read", {"person": amina, "case": case})


async def test_a_monitor_is_found_by_the_issuers_subject_and_named_to_nobody(intake: RunningIntake) -> None:
    for person in ("canary-monitor", "amina"):
        assert (await intake.post("/v1/incidents", report(), person=person)).status_code == 202
    await intake.post("/v1/incidents", report(situation="XBB"), person="canary-monitor")  # denied, and recorded at XBB
    (act,) = await entries(intake, "?situation=XAA&person=canary-monitor")
    assert (act["action"], act["actor"].startswith("monitor:")) == ("incident.submit", True)
    (denied,) = await entries(intake, "?person=canary-monitor", groups=("/XBB/auditor",))
    assert (denied["action"], denied["actor"]) == ("access.denied", act["actor"])
    assert await entries(intake, f"?situation=XAA&person={act['actor']}") == [act]
    assert [item["detail"] for item in await entries(intake, "?person=aino") if "person" in item["detail"]] == [
        {"person": act["actor"]},
        {"person": act["actor"]},
    ]
    assert next(item["detail"].get("person") for item in await entries(intake, "?person=aino")) == "aino"
    assert (await intake.get("/v1/audit/entries?person=canary-monitor", groups=("/XAA/monitor",))).status_code == 403
    assert b"canary-monitor" not in await intake.dump()


async def test_acts_are_found_by_person_case_and_instant(intake: RunningIntake) -> None:
    await filled(intake)
    all_of_them = await entries(intake, "?situation=XAA")
    act = next(item for item in all_of_them if item["action"] == "incident.submit")
    case, person = act["subject"], act["actor"]
    assert {item["subject"] for item in await entries(intake, f"?situation=XAA&case={case}") if item["action"] != "audit.read"} == {case}
    assert await entries(intake, f"?situation=XAA&case={uuid4()}") == []
    assert {item["actor"] for item in await entries(intake, f"?situation=XAA&person={person}")} == {person}
    newest = (await entries(intake, "?situation=XAA"))[0]["at"]
    assert [item["at"] >= newest for item in await entries(intake, f"?situation=XAA&since={newest.replace('+', '%2B')}")]
    assert await entries(intake, "?situation=XAA&since=2999-01-01T00:00:00Z") == []


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "since=2024-01-01T00:00:00",
        "since=0001-01-01T00:00:00%2B14:00",
        "since=9999-12-31T23:59:59-14:00",
        "person=",
        "case=%00",
        "case=abc",
        "case=7d1e0000-0000-4000-8000-00000000000",
        "case=7d1e0000-0000-4000-8000-000000000000/",
        "case=7d1e0000-0000-4000-8000-000000000000/k1/k2",
        "person=Zzqahmad%20Khan",
        "person=%D8%A7%D8%AD%D9%85%D8%AF",
        "situation=%0a",
        f"person={'x' * 256}",
        "limit=0",
        "cursor=x",
        "cursor=W10",
    ],
)
async def test_questions_of_no_form_are_refused(intake: RunningIntake, query: str) -> None:
    answer = await intake.get(f"/v1/audit/entries?{query}", groups=AUDITOR)
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_no_words_of_a_search_enter_the_record(intake: RunningIntake) -> None:
    await filled(intake)
    known = next(item["subject"] for item in await entries(intake) if item["action"] == "incident.submit")
    words = ("case=Zzqchild of Maryam, village X", "person=Zzqahmad Khan aged nine")
    for query in words:
        answer = await intake.get(f"/v1/audit/entries?{query}", person="aino", groups=AUDITOR)
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["field"], error["code"]) == (query.partition("=")[0], "wrong_form")
        assert "Zzq" not in answer.text
    for query in (f"case={known}/Zzqchild of Maryam", f"case={uuid4()}/Zzqchild", "person=Zzqahmad-Khan"):
        assert await entries(intake, f"?{query}") == []
    assert b"Zzq" not in await intake.dump()
    details = [item["detail"] for item in await entries(intake) if item["action"] == "audit.read"]
    assert {"case": known} in details  # the key, which no entry has, is left out


async def test_pages_follow_each_other_without_gap_or_repetition(intake: RunningIntake) -> None:
    await filled(intake)
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await intake.get(f"/v1/audit/entries?situation=XAA&limit=1{cursor}", groups=AUDITOR)).json()
        seen += [item["position"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) >= 2


async def test_a_checkpoint_covers_what_was_done_before_it_and_continues_every_older_one(intake: RunningIntake) -> None:
    answer = await intake.get("/v1/audit/checkpoint", groups=OPERATOR)
    assert answer.headers["content-type"].startswith("text/plain")
    first = Checkpoint.decode(answer.text)
    assert first.head == Head(0, EMPTY_ROOT)
    heads = [first.head]
    for _ in range(4):
        await filled(intake)
        newer = Checkpoint.decode((await intake.get("/v1/audit/checkpoint", groups=AUDITOR)).text)
        newer.require_signature(intake.service.trust)
        assert (newer.origin, newer.service, newer.head.size) == (first.origin, "intake", heads[-1].size + 4)
        for older in heads:
            path = f"/v1/audit/proof/consistency?old={older.size}&size={newer.head.size}"
            assert verify_consistency(older, newer.head, hashes(await intake.get(path, groups=AUDITOR)))
        heads.append(newer.head)
    for query in ("old=1&size=99", "old=3&size=2"):
        assert (await intake.get(f"/v1/audit/proof/consistency?{query}", groups=AUDITOR)).status_code == 404
    for query in ("old=-1&size=2", "old=1", "old=x&size=2", "old=1&size=99999999999999999999"):
        assert (await intake.get(f"/v1/audit/proof/consistency?{query}", groups=AUDITOR)).status_code == 422


async def test_whoever_sees_an_act_can_prove_that_it_is_in_the_record(intake: RunningIntake) -> None:
    await filled(intake)
    items = await entries(intake, "?situation=XAA")
    head = Checkpoint.decode((await intake.get("/v1/audit/checkpoint", groups=AUDITOR)).text).head
    for item in items:
        path = f"/v1/audit/proof/inclusion?entry={item['id']}&size={head.size}"
        answer = await intake.get(path, groups=AUDITOR)
        fields = entry_of(item)
        assert answer.json()["position"] == item["position"]
        assert verify_inclusion(fields.leaf_hash(), position=item["position"], size=head.size, proof=hashes(answer), root=head.root)
    one = items[0]
    for query in (f"entry={uuid4()}&size={head.size}", f"entry={one['id']}&size={one['position']}", f"entry={one['id']}&size=99"):
        assert (await intake.get(f"/v1/audit/proof/inclusion?{query}", groups=AUDITOR)).status_code == 404


def entry_of(item: dict[str, Any]) -> Entry:
    return Entry(
        service="intake",
        id=UUID(item["id"]),
        at=datetime.fromisoformat(item["at"]),
        actor=item["actor"],
        action=item["action"],
        situation=item["situation"],
        subject_ref=item["subject"],
        detail=item["detail"],
        cause=UUID(item["cause"]),
        salt=base64.b64decode(item["salt"]),
    )


async def test_what_a_check_is_fed_with_tells_nothing_of_an_act(intake: RunningIntake) -> None:
    await filled(intake)
    await intake.get("/v1/audit/checkpoint", groups=OPERATOR)
    for path in ("/v1/audit/leaves", "/v1/audit/remainder", "/v1/audit/checkpoints", "/v1/audit/checkpoint"):
        text = (await intake.get(path, groups=OPERATOR)).text
        assert not [word for word in ("amina", "badr", "omar", '"XAA"', "incident", '"salt"', '"row":{') if word in text], path


async def test_denied_attempts_are_recorded_for_those_whose_situation_was_asked_for(intake: RunningIntake) -> None:
    incident = uuid4()
    await intake.post("/v1/incidents", report(situation="XBB"), person="aino", groups=AUDITOR)  # a stranger to XBB
    await intake.post("/v1/incidents", report(situation="XAA"), person="aino", groups=AUDITOR)  # a member without the role
    await intake.post("/v1/incidents", report(situation="XZZ"), person="aino", groups=AUDITOR)  # there is no such situation
    await intake.get("/v1/account", person="aino", groups=AUDITOR)  # for the operator only
    await intake.get(f"/v1/incidents/{incident}/status", person="omar", groups=OPERATOR)
    assert (await intake.client.get("/v1/account")).status_code == 401  # nobody: there is no one to name
    denied = {
        place: [(item["actor"], item["detail"]["action"], item["detail"]["status"]) for item in seen if item["action"] == "access.denied"]
        for place, seen in (
            ("XAA", await entries(intake, "?situation=XAA")),
            ("XBB", await entries(intake, "?situation=XBB", groups=("/XBB/auditor",))),
            (None, await entries(intake, groups=OPERATOR)),
        )
    }
    (denial,) = (item for item in await entries(intake, "?situation=XAA") if item["action"] == "access.denied")
    assert denial["detail"] == {"action": "incident.submit", "route": "POST /v1/incidents", "status": 403}
    assert denied["XAA"] == [("aino", "incident.submit", 403)]
    assert denied["XBB"] == [("aino", "incident.submit", 404)]
    assert sorted(denied[None]) == [("aino", "account.read", 403), ("aino", "incident.submit", 404), ("omar", "incident.status", 403)]
    assert "XZZ" not in (await intake.dump()).decode(errors="replace")


async def test_a_changed_record_is_told_by_readiness_and_stops_no_report(intake: RunningIntake) -> None:
    service = intake.service
    service.health.update(dict.fromkeys(service.health, "ok"))
    await filled(intake)
    await intake.get("/v1/audit/checkpoint", groups=OPERATOR)
    job = growing(service)
    await job.run()
    assert (await intake.client.get("/readyz")).json()["checks"]["audit"] == "ok"
    await intake.owner.execute("alter table audit_checkpoints disable trigger user")
    await intake.owner.execute("update audit_checkpoints set note = replace(note, E'\n', E'\n ')")
    assert (await intake.get("/v1/audit/checkpoint", groups=OPERATOR)).json()["errors"][0]["field"] == "checkpoint 1"
    await job.run()
    ready = await intake.client.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert "mrm audit verify" in ready.json()["checks"]["audit"]
    assert (await intake.post("/v1/incidents", report())).status_code == 202


async def test_intake_names_no_monitor_in_a_denied_attempt(intake: RunningIntake) -> None:
    for groups in (("/XAA/monitor",), ()):
        await intake.post("/v1/incidents", report(situation="XBB"), person="canary-monitor", groups=groups)
    assert await intake.owner.fetchval("select count(*) from audit_entries where action = 'access.denied' and actor ^@ 'monitor:'") == 2
    assert b"canary-monitor" not in await intake.dump()


async def test_a_refusal_goes_out_though_it_cannot_be_recorded(intake: RunningIntake) -> None:
    await intake.owner.execute("revoke insert on audit_entries from intake_app")
    try:
        assert (await intake.post("/v1/incidents", report(situation="XBB"))).status_code == 404
        assert (await intake.post("/v1/incidents", report())).status_code >= 500, "no entry, no act"
        assert await intake.rows() == {"incidents": 0, "revisions": 0, "outbox": 0, "audit_entries": 0}
    finally:
        await intake.owner.execute("grant insert on audit_entries to intake_app")
