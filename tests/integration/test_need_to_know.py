"""Need to know at verification: who sees what of a case, emergency access with its end and its announcement, searches in the record."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from support.stack import as_system
from support.vetting import PEOPLE, SITUATION, RunningVerification, decision, line

REASON = "The family must be warned before the convoy leaves tonight."
WHOLE, CODED = ("farid", "tomas"), ("ursula", "imani", "otto")
NOBODY = ("amina", "ada", "root", "stranger")
EVERYBODY = (*WHOLE, *CODED, *NOBODY)
CONFIDENTIAL: dict[str, Any] = {
    "occurred_from": "2024-01-23",
    "occurred_to": "2024-02-24",
    "place": "XA0102",
    "violations": [{"key": "k1", "type": "killing", "boys": 1, "girls": 2, "details": {"weapon_type": ["landmine"]}}],
    "narrative": "CANARY-narrative",
    "narrative_for_sharing": "CANARY-sharing",
    "collected_by": "CANARY-collector",
    "place_type": "school",
    "place_description": "CANARY-place",
    "coordinates": {"latitude": 31.4159, "longitude": 65.3589},
    "victims": [{"key": "CANARY-key", "sex": "male", "age": 9, "name": "CANARY-victim", "coded_id": "CANARY-coded", "violations": ["k1"]}],
    "groups": [{"key": "CANARY-group", "girls": 2, "violations": ["k1"]}],
    "perpetrators": [{"party": "force_1", "attribution": "sole", "description": "CANARY-unit", "violations": ["k1"]}],
    "sources": [
        {
            "category": "primary_victim",
            "type": "oral_testimony",
            "name": "CANARY-source",
            "contact": "CANARY-contact",
            "violations": ["k1"],
        }
    ],
    "evidence": [{"key": "e1", "description": "CANARY-evidence", "sha256": "ab" * 32, "violations": ["k1"]}],
    "response": [{"type": "medical_care", "description": "CANARY-response", "violations": ["k1"]}],
}
"""A report that has a word, a number or a day of its own in every field that only a whole case shows."""
UNMISTAKABLE = (
    "CANARY",
    "31.4159",
    "65.3589",
    "XA0102",
    "2024-01-23",
    "2024-02-24",
    "ab" * 32,
    "landmine",
    "oral_testimony",
    "medical_care",
)


@pytest.fixture(autouse=True)
def _people(monkeypatch: pytest.MonkeyPatch) -> None:
    people = dict(PEOPLE)
    people["many_hats"] = ("/XAA/monitor", "/XAA/cochair_un", "/XAA/officer")
    people["both"] = ("/XAA/cochair_un", "/XAA/cochair_unicef")
    people["deputy"] = ("/XAA/cochair_un",)
    people["reviewing_officer"] = ("/XAA/technical", "/XAA/officer")
    monkeypatch.setattr("support.vetting.PEOPLE", people)


def walked(value: Any) -> Iterator[str]:
    """Every name and every value of a JSON document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from walked(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walked(inner)
    else:
        yield str(value)


def words_in(answer: httpx.Response) -> set[str]:
    """The unmistakable words that an answer holds."""
    return {word for word in UNMISTAKABLE for found in walked(answer.json()) if word in found}


async def broken(vetting: RunningVerification, incident: str, person: str = "otto", *, reason: str = REASON, **body: Any) -> httpx.Response:
    return await vetting.post(f"/incidents/{incident}/emergency-access", {"reason": reason, **body}, person)


async def entries(vetting: RunningVerification, action: str) -> list[tuple[str, str | None, dict[str, Any]]]:
    rows = await vetting.owner.fetch("select actor, subject_ref, detail from audit_entries where action = $1 order by at, id", action)
    return [(row["actor"], row["subject_ref"], json.loads(row["detail"])) for row in rows]


async def later(vetting: RunningVerification, minutes: int) -> None:
    """Let so many minutes pass for every emergency access."""
    await vetting.owner.execute(
        "update emergency_accesses set taken_at = taken_at - $1 * interval '1 minute', ends_at = ends_at - $1 * interval '1 minute'",
        minutes,
    )


async def whole_history(vetting: RunningVerification) -> str:
    """A case with everything that can lie in one: decisions, a question, a link, a docket; returns the incident."""
    incident, other = await vetting.report(by="CANARY-monitor", **CONFIDENTIAL), await vetting.report()
    violation = f"{incident}/k1"
    for stage in ("focal_point", "technical"):
        assert (await vetting.decide(violation, stage=stage, reason="CANARY-reason", decided_on="2024-03-03")).status_code == 201
    await vetting.approved(await vetting.docket(violation, reason="CANARY-line", decided_on="2024-03-03"))
    assert (await vetting.post(f"/incidents/{incident}/questions", {"message": "CANARY-question"}, "farid")).status_code == 201
    link = {"kind": "duplicate", "violation": f"{other}/k1", "of": violation}
    assert (await vetting.post("/links", {"links": [link]}, "farid")).status_code == 201
    return incident


async def test_each_role_sees_of_a_case_what_its_rows_say(vetting: RunningVerification) -> None:
    incident = await whole_history(vetting)
    for person in EVERYBODY:
        answer = await vetting.get(f"/incidents/{incident}", person=person)
        case = answer.json()
        if person in WHOLE:
            assert words_in(answer) == set(UNMISTAKABLE), person
            assert (case["confidential"], case["withheld"], case["emergency_access"]) == ("role", None, None)
            assert [question["message"] for question in case["questions"]] == ["CANARY-question"]
        elif person in CODED:
            assert (answer.status_code, words_in(answer)) == (200, set()), person
            assert (case["confidential"], case["withheld"]) == (None, "role")
            assert not {"report", "children"} & set(case)
        else:
            assert answer.status_code == (404 if person == "stranger" else 403), person
            assert words_in(answer) == set()


async def test_coded_facts_hold_what_a_decision_rests_on(vetting: RunningVerification) -> None:
    incident = await whole_history(vetting)
    case = (await vetting.get(f"/incidents/{incident}", person="ursula")).json()
    assert set(case) == {
        "situation", "incident", "revision", "status", "needs", "region", "violations", "decisions", "links", "revisions", "questions",
        "confidential", "withheld",
    }  # fmt: skip
    (violation,) = case["violations"]
    facts = ("type", "boys", "girls", "month_from", "month_to", "region", "status", "decided_on", "primary_sources")
    assert [violation[name] for name in facts] == ["killing", 1, 2, "2024-01", "2024-02", "XA01", "verified", "2024-03-03", 1]
    assert not {"occurred_from", "occurred_to"} & set(violation)
    assert [(one["stage"], one["outcome"], one["decided_by"]) for one in case["decisions"]] == [
        ("focal_point", "verified", ["farid"]),
        ("technical", "verified", ["tomas"]),
        ("ctfmr", "verified", ["ursula", "imani"]),
    ]
    assert [(one["kind"], one["of"]) for one in case["links"]] == [("duplicate", f"{incident}/k1")]
    assert [set(one) for one in case["questions"]] == [{"question", "needs", "asked_by", "asked_at"}]
    whole = (await vetting.get(f"/incidents/{incident}")).json()
    assert whole["violations"][0] == violation | {"occurred_from": "2024-01-23", "occurred_to": "2024-02-24"}
    assert whole["decisions"] == case["decisions"]


async def test_lists_show_days_only_to_those_who_read_whole_cases(vetting: RunningVerification) -> None:
    incident = await vetting.report(**CONFIDENTIAL)
    for person, days in (("farid", True), ("tomas", True), ("ursula", False), ("imani", False)):
        answers = [
            await vetting.get("/queue", person=person),
            await vetting.get("/incidents", person=person),
            await vetting.post("/violations/lookup", {"violations": [f"{incident}/k1"]}, person),
        ]
        for answer in answers:
            assert words_in(answer) == ({"2024-01-23", "2024-02-24"} if days else set()), (person, answer.url)
            assert answer.json()["withheld"] == (None if days else "role")
            assert answer.json()["items"][0]["month_from"] == "2024-01"


async def test_a_look_at_coded_facts_puts_no_case_under_review(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    assert (await vetting.get(f"/incidents/{incident}", person="otto")).json()["status"] == "received"
    assert (await broken(vetting, incident)).status_code == 201
    assert (await vetting.get(f"/incidents/{incident}", person="otto")).json()["status"] == "received"
    assert await vetting.progress(incident) == []
    assert (await vetting.get(f"/incidents/{incident}", person="farid")).json()["status"] == "under_review"
    assert await vetting.progress(incident) == [("under_review", [])]


async def test_an_emergency_access_shows_one_whole_case_to_one_person_until_it_ends(vetting: RunningVerification) -> None:
    incident, other = await vetting.report(**CONFIDENTIAL), await vetting.report(**CONFIDENTIAL)
    taken = await broken(vetting, incident, minutes=10)
    assert taken.status_code == 201
    access = taken.json()["access"]
    case = await vetting.get(f"/incidents/{incident}", person="otto")
    assert words_in(case) == set(UNMISTAKABLE)
    assert (case.json()["confidential"], case.json()["withheld"]) == ("emergency_access", None)
    assert case.json()["emergency_access"] == {"access": access, "ends_at": taken.json()["ends_at"]}
    for path, person in ((f"/incidents/{other}", "otto"), (f"/incidents/{incident}", "ursula"), (f"/incidents/{incident}", "imani")):
        assert words_in(await vetting.get(path, person=person)) == set(), (path, person)
    await later(vetting, 9)
    assert words_in(await vetting.get(f"/incidents/{incident}", person="otto")) == set(UNMISTAKABLE)
    await later(vetting, 1)
    expired = await vetting.get(f"/incidents/{incident}", person="otto")
    assert (words_in(expired), expired.json()["withheld"]) == (set(), "role")
    assert [detail.get("emergency_access") for actor, _, detail in await entries(vetting, "case.open") if actor == "otto"] == [
        access,
        None,
        access,
        None,
    ]
    shown = {(actor, subject, detail["shown"]) for actor, subject, detail in await entries(vetting, "case.open")}
    assert shown == {
        ("otto", incident, "everything"),
        ("otto", incident, "coded_facts"),
        ("otto", other, "coded_facts"),
        ("ursula", incident, "coded_facts"),
        ("imani", incident, "coded_facts"),
    }


async def test_an_emergency_access_is_worth_nothing_without_the_role(vetting: RunningVerification, monkeypatch: pytest.MonkeyPatch) -> None:
    incident = await vetting.report(**CONFIDENTIAL)
    assert (await broken(vetting, incident)).status_code == 201
    monkeypatch.setattr("support.vetting.PEOPLE", {**PEOPLE, "otto": ("/XAA/auditor",)})
    assert (await vetting.get(f"/incidents/{incident}", person="otto")).status_code == 403
    monkeypatch.setattr("support.vetting.PEOPLE", {**PEOPLE, "otto": ("/XBB/officer",)})
    assert (await vetting.get(f"/incidents/{incident}", person="otto")).status_code == 404


async def test_its_holder_ends_an_emergency_access_and_nobody_else(vetting: RunningVerification) -> None:
    incident = await vetting.report(**CONFIDENTIAL)
    path = f"/v1/situations/{SITUATION}/incidents/{incident}/emergency-access"
    access = (await broken(vetting, incident)).json()["access"]
    assert (await vetting.send("DELETE", path, "ursula")).status_code == 404
    assert words_in(await vetting.get(f"/incidents/{incident}", person="otto"))
    assert (await vetting.send("DELETE", path, "otto")).status_code == 204
    assert words_in(await vetting.get(f"/incidents/{incident}", person="otto")) == set()
    assert (await vetting.send("DELETE", path, "otto")).status_code == 404
    assert await entries(vetting, "emergency.end") == [("otto", incident, {"emergency_access": access})]
    (told,) = (await vetting.get("/emergency-accesses", person="ursula")).json()["items"]
    assert (told["stands"], told["ended_at"] is not None) == (False, True)
    assert (await broken(vetting, incident)).status_code == 201, "another one needs another reason"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "reason", "missing"),
        ({"reason": "x" * 19}, "reason", "too_short"),
        ({"reason": " " * 30 + "x" * 19 + "\n"}, "reason", "too_short"),
        ({"reason": "x" * 1_001}, "reason", "too_long"),
        ({"reason": 7}, "reason", "wrong_type"),
        ({"reason": REASON, "minutes": 0}, "minutes", "too_small"),
        ({"reason": REASON, "minutes": 61}, "minutes", "too_large"),
        ({"reason": REASON, "minutes": "30"}, "minutes", "wrong_type"),
        ({"reason": REASON, "for_ever": True}, "(document)", "unknown_field"),
    ],
)
async def test_a_reason_and_minutes_of_no_form_are_refused(vetting: RunningVerification, body: Any, field: str, code: str) -> None:
    answer = await vetting.post(f"/incidents/{await vetting.report()}/emergency-access", body, "otto")
    assert (answer.status_code, [(one["field"], one["code"]) for one in answer.json()["errors"]]) == (422, [(field, code)])
    assert await vetting.owner.fetchval("select count(*) from emergency_accesses") == 0


async def test_who_may_not_take_an_emergency_access(vetting: RunningVerification) -> None:
    incident, own = await vetting.report(), await vetting.report(by="many_hats")
    for person, place, told in (
        ("many_hats", own, (403, "own_report")),
        ("reviewing_officer", incident, (409, "access_not_needed")),
        ("tomas", incident, (403, "forbidden")),
        ("ada", incident, (403, "forbidden")),
        ("stranger", incident, (404, "not_found")),
        ("otto", str(uuid4()), (404, "not_found")),
    ):
        answer = await broken(vetting, place, person)
        assert (answer.status_code, answer.json()["code"]) == told, person
    assert await vetting.owner.fetchval("select count(*) from emergency_accesses") == 0
    route = "POST /v1/situations/{situation}/incidents/{incident}/emergency-access"
    denied = {(actor, detail["status"]) for actor, _, detail in await entries(vetting, "access.denied") if detail["route"] == route}
    assert denied == {("many_hats", 403), ("tomas", 403), ("ada", 403), ("stranger", 404)}
    assert (await broken(vetting, incident, "many_hats")).status_code == 201
    again = await broken(vetting, incident, "many_hats")
    assert (again.status_code, again.json()["code"]) == (409, "access_stands")


async def test_the_reason_lies_sealed_and_the_record_has_codes_only(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    answer = await broken(vetting, incident, reason="CANARY-reason: " + REASON, minutes=7)
    access = answer.json()["access"]
    assert set(answer.json()) == {"access", "incident", "taken_at", "ends_at"}
    assert await entries(vetting, "case.break_glass") == [("otto", incident, {"emergency_access": access, "minutes": 7, "role": "officer"})]
    assert b"CANARY" not in await vetting.dump()


async def test_both_cochairs_are_told_and_each_acknowledges(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    assert [(await vetting.get("/queue", person=one)).json()["emergency_accesses"] for one in ("ursula", "imani", "farid")] == [0, 0, None]
    taken = (await broken(vetting, incident, minutes=5)).json()
    for person in ("ursula", "imani", "ada"):
        listed = (await vetting.get("/emergency-accesses", person=person)).json()
        (told,) = listed["items"]
        assert listed["unseen"] == 1
        assert told == {
            **taken,
            "holder": "otto",
            "holder_name": told["holder_name"],
            "role": "officer",
            "reason": REASON,
            "ended_at": None,
            "stands": True,
            "acknowledged": [],
            "awaits": ["cochair_un", "cochair_unicef"],
            "seen": False,
        }
        assert told["holder_name"]
    assert [(await vetting.get("/queue", person=one)).json()["emergency_accesses"] for one in ("ursula", "imani")] == [1, 1]
    path = f"/emergency-accesses/{taken['access']}/acknowledgement"
    first = await vetting.post(path, None, "ursula")
    assert (first.status_code, first.json()["acknowledged"], first.json()["awaits"]) == (201, ["cochair_un"], ["cochair_unicef"])
    for person, code in (("ursula", "already_acknowledged"), ("deputy", "office_knows")):
        again = await vetting.post(path, None, person)
        assert (again.status_code, again.json()["code"]) == (409, code)
    assert [(await vetting.get("/queue", person=one)).json()["emergency_accesses"] for one in ("ursula", "imani")] == [0, 1]
    await later(vetting, 6)
    second = await vetting.post(path, None, "imani")
    assert (second.json()["acknowledged"], second.json()["awaits"]) == (["cochair_un", "cochair_unicef"], [])
    assert [(await vetting.get("/queue", person=one)).json()["emergency_accesses"] for one in ("ursula", "imani")] == [0, 0]
    (told,) = (await vetting.get("/emergency-accesses", person="ada")).json()["items"]
    assert [(one["role"], one["subject"]) for one in told["acknowledged"]] == [("cochair_un", "ursula"), ("cochair_unicef", "imani")]
    assert (told["seen"], told["stands"]) == (True, False)
    assert await entries(vetting, "emergency.acknowledge") == [
        ("ursula", incident, {"emergency_access": taken["access"], "role": "cochair_un"}),
        ("imani", incident, {"emergency_access": taken["access"], "role": "cochair_unicef"}),
    ]
    assert len(await entries(vetting, "emergency.read")) == 4
    assert (await vetting.post(f"/emergency-accesses/{uuid4()}/acknowledgement", None, "ursula")).status_code == 404


async def test_nobody_acknowledges_their_own_access_and_their_office_is_not_asked(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    taken = (await broken(vetting, incident, "both")).json()
    path = f"/emergency-accesses/{taken['access']}/acknowledgement"
    own = await vetting.post(path, None, "both")
    assert (own.status_code, own.json()["code"]) == (403, "own_access")
    office = await vetting.post(path, None, "ursula")
    assert (office.status_code, office.json()["code"]) == (409, "office_knows")
    counts = [(await vetting.get("/queue", person=one)).json()["emergency_accesses"] for one in ("both", "ursula", "imani")]
    assert counts == [0, 0, 1]
    assert (await vetting.post(path, None, "imani")).json() == {
        "access": taken["access"],
        "acknowledged": ["cochair_unicef"],
        "awaits": [],
    }


async def test_unseen_accesses_come_first_page_by_page(vetting: RunningVerification) -> None:
    incidents = [await vetting.report() for _ in range(5)]
    accesses = []
    for incident in incidents:
        accesses.append((await broken(vetting, incident)).json()["access"])
        await later(vetting, 1)
    for seen in (accesses[4], accesses[1]):
        assert (await vetting.post(f"/emergency-accesses/{seen}/acknowledgement", None, "ursula")).status_code == 201
    expected = [accesses[place] for place in (3, 2, 0, 4, 1)]
    found, cursor = [], ""
    while True:
        page = (await vetting.get(f"/emergency-accesses?limit=2{cursor}", person="ursula")).json()
        assert page["unseen"] == 3
        found += [item["access"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == expected
    imani = (await vetting.get("/emergency-accesses", person="imani")).json()
    assert ([item["access"] for item in imani["items"]], imani["unseen"]) == (accesses[::-1], 5)


async def test_the_database_holds_the_rules_of_emergency_access_as_well(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    taken = UUID((await broken(vetting, incident, "ursula")).json()["access"])
    row = await vetting.owner.fetchrow("select * from emergency_accesses")
    assert row is not None
    app = await asyncpg.connect(as_system(vetting.app_url))

    async def insert(**changes: Any) -> None:
        values = {**dict(row), "access": uuid4(), **changes}
        names, marks = ", ".join(values), ", ".join(f"${index}" for index in range(1, len(values) + 1))
        await app.execute(f"insert into emergency_accesses ({names}) values ({marks})", *values.values())  # noqa: S608 - our own names

    async def acknowledge(role: str, subject: str, holder: str = "ursula", holder_role: str = "cochair_un") -> None:
        sql = "insert into emergency_acknowledgements values ($1, $2, $3, $4, $5, $6, now())"
        await app.execute(sql, SITUATION, taken, role, subject, holder, holder_role)

    hour = await vetting.owner.fetchval("select interval '60 minutes'")
    try:
        await app.execute("select set_config('mrm.action', 'system', false)")
        for constraint, changes in (
            ("emergency_accesses_limited", {"ends_at": row["taken_at"]}),
            ("emergency_accesses_limited", {"ends_at": row["taken_at"] + hour + hour / 3600}),
            ("emergency_accesses_not_on_own_report", {"mark": row["submitter"]}),
            ("emergency_accesses_role", {"role": "monitor"}),
            ("emergency_accesses_ended", {"ended_at": row["ends_at"]}),
        ):
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                await insert(**changes)
            assert refused.value.constraint_name == constraint
        with pytest.raises(asyncpg.ForeignKeyViolationError) as false_name:
            await insert(submitter=b"somebody else")
        assert false_name.value.constraint_name == "emergency_accesses_of_the_submitted_report"
        for role, subject in (("cochair_unicef", "ursula"), ("cochair_un", "deputy")):
            with pytest.raises(asyncpg.CheckViolationError) as own:
                await acknowledge(role, subject)
            assert own.value.constraint_name == "emergency_acknowledgements_not_own"
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await acknowledge("cochair_unicef", "ursula", holder="somebody else")
        await app.execute("update emergency_accesses set ended_at = taken_at")
        with pytest.raises(asyncpg.CheckViolationError) as back:
            await app.execute("update emergency_accesses set ended_at = null")
        assert back.value.constraint_name == "emergency_accesses_end_stays"
        for statement in (
            "update emergency_accesses set ends_at = ends_at + interval '1 minute'",
            "update emergency_accesses set holder = 'imani'",
            "delete from emergency_accesses",
            "update emergency_acknowledgements set subject = 'x'",
            "delete from emergency_acknowledgements",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
    finally:
        await app.close()


async def test_a_scratch_situation_goes_with_its_emergency_accesses(vetting: RunningVerification) -> None:
    def at_xsc(path: str = "") -> str:
        return f"/v1/situations/XSC{path}"

    answer = await vetting.send("PUT", at_xsc(), "root", vetting.document("XSC", scratch=True))
    assert answer.status_code == 201, answer.text
    incident = await vetting.report(situation="XSC")
    vetting_people = {"otto": ("/XSC/officer",), "ursula": ("/XSC/cochair_un",)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("support.vetting.PEOPLE", {**PEOPLE, **vetting_people})
        taken = await vetting.send("POST", at_xsc(f"/incidents/{incident}/emergency-access"), "otto", {"reason": REASON})
        assert taken.status_code == 201
        path = at_xsc(f"/emergency-accesses/{taken.json()['access']}/acknowledgement")
        assert (await vetting.send("POST", path, "ursula")).status_code == 201
    assert (await vetting.send("DELETE", at_xsc(), "root")).status_code == 204
    for table in ("emergency_accesses", "emergency_acknowledgements", "incidents"):
        assert await vetting.owner.fetchval(f"select count(*) from {table}") == 0, table  # noqa: S608 - our own names


async def test_every_search_and_reading_is_in_the_record_in_codes(vetting: RunningVerification) -> None:
    incident = await vetting.report(**CONFIDENTIAL)
    violation = f"{incident}/k1"
    await vetting.post("/decisions", {"decisions": [decision(violation, decided_on="2024-03-03")]}, "farid")
    await vetting.owner.execute("delete from answered_requests")
    searches: list[tuple[str, Any, str, str, dict[str, Any]]] = [
        ("/queue?stage=technical&type=killing&region=XA01", None, "tomas", "queue.read",
         {"route": "queue", "found": 1, "stage": "technical", "type": "killing", "region": True}),
        ("/queue?region=CANARY-word", None, "ursula", "queue.read", {"route": "queue", "found": 0, "region": True}),
        ("/violations/lookup", {"violations": [violation, "CANARY-word/k1"]}, "farid", "queue.read",
         {"route": "lookup", "found": 1, "asked": 2}),
        ("/incidents", None, "imani", "queue.read", {"route": "incidents", "found": 1}),
        ("/links", None, "tomas", "link.read", {"route": "links", "found": 0}),
        ("/dockets?state=open", None, "ursula", "docket.read", {"route": "dockets", "found": 0, "state": "open"}),
        (f"/decisions?violation={violation}", None, "imani", "decision.read", {"route": "decisions", "decisions": 1}),
        ("/records", None, "otto", "records.export", {"route": "records", "after": 0, "count": 2}),
        ("/emergency-accesses", None, "ada", "emergency.read", {"found": 0, "unseen": 0}),
    ]  # fmt: skip
    for path, body, person, action, detail in searches:
        answer = await (vetting.get(path, person=person) if body is None else vetting.post(path, body, person))
        assert answer.status_code == 200, answer.text
        newest = (await entries(vetting, action))[-1]
        assert (newest[0], newest[2]) == (person, detail), path
    for _ in range(2):
        await vetting.report()
    cursor = (await vetting.get("/incidents?limit=2")).json()["next"]
    await vetting.get(f"/incidents?limit=2&cursor={cursor}")
    assert [detail for _, _, detail in (await entries(vetting, "queue.read"))[-2:]] == [
        {"route": "incidents", "found": 2},
        {"route": "incidents", "found": 1, "page": "next"},
    ]
    assert b"CANARY" not in await vetting.dump()


async def test_no_search_is_answered_that_cannot_be_recorded(vetting: RunningVerification) -> None:
    incident = await vetting.report(**CONFIDENTIAL)
    await vetting.owner.execute("revoke insert on audit_entries from verification_app")
    try:
        for path, person in (
            (f"/incidents/{incident}", "ursula"),
            (f"/incidents/{incident}", "farid"),
            ("/queue", "farid"),
            ("/links", "farid"),
        ):
            answer = await vetting.get(path, person=person)
            assert answer.status_code >= 500, path
            assert words_in(answer) == set()
        assert (await broken(vetting, incident)).status_code >= 500
    finally:
        await vetting.owner.execute("grant insert on audit_entries to verification_app")
    assert await vetting.owner.fetchval("select count(*) from emergency_accesses") == 0


async def test_reasons_in_a_docket_stay_with_those_who_decide(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    for stage in ("focal_point", "technical"):
        await vetting.decide(f"{incident}/k1", stage=stage)
    answer = await vetting.post("/dockets", {"kind": "decisions", "lines": [line(f"{incident}/k1", reason="CANARY-line")]}, "tomas")
    docket = answer.json()["docket"]
    assert "CANARY-line" in (await vetting.get(f"/dockets/{docket}", person="imani")).text
    assert (await vetting.get(f"/dockets/{docket}", person="otto")).status_code == 403
