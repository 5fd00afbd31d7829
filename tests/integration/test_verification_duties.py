"""Who may do what: four eyes, no decision on an own report, need to know; in the app and again in the database."""

from typing import Any

import asyncpg
import pytest

from support.stack import as_system
from support.vetting import PEOPLE, SITUATION, RunningVerification, attack, decision, line

BOTH = ("/XAA/monitor", "/XAA/focal_point", "/XAA/technical", "/XAA/cochair_un")


@pytest.fixture(autouse=True)
def _people(monkeypatch: pytest.MonkeyPatch) -> None:
    people = dict(PEOPLE)
    people["both"] = ("/XAA/cochair_un", "/XAA/cochair_unicef")
    people["deputy"] = ("/XAA/cochair_un",)
    people["many_hats"] = BOTH
    monkeypatch.setattr("support.vetting.PEOPLE", people)


async def _ready(vetting: RunningVerification, **changes: Any) -> str:
    """A violation that the task force may decide."""
    violation = f"{await vetting.report(**changes)}/k1"
    for stage in ("focal_point", "technical"):
        assert (await vetting.decide(violation, stage=stage)).status_code == 201
    return violation


async def test_nobody_decides_on_their_own_report(vetting: RunningVerification) -> None:
    own, other = await vetting.report(by="many_hats"), await vetting.report()
    lines = [decision(f"{other}/k1"), decision(f"{own}/k1")]
    answer = await vetting.post("/decisions", {"decisions": lines}, "many_hats")
    assert (answer.status_code, answer.json()["code"]) == (403, "own_report")
    assert [error["field"] for error in answer.json()["errors"]] == ["decisions[1].violation"]
    assert await vetting.owner.fetchval("select count(*) from decisions") == 0
    queue = (await vetting.get("/queue", person="many_hats")).json()["items"]
    assert {item["violation"]: item["own"] for item in queue} == {f"{own}/k1": True, f"{other}/k1": False}


async def test_nobody_approves_a_docket_with_their_own_report(vetting: RunningVerification) -> None:
    violation = await _ready(vetting, by="many_hats")
    answer = await vetting.approve(await vetting.docket(violation), "many_hats")
    assert (answer.status_code, answer.json()["code"], answer.json()["errors"][0]["field"]) == (403, "own_report", "lines[0].violation")


async def test_the_database_refuses_a_decision_on_an_own_report(vetting: RunningVerification) -> None:
    violation = await _ready(vetting)
    app = await asyncpg.connect(as_system(vetting.app_url))
    try:
        row = await vetting.owner.fetchrow("select * from decisions order by recorded limit 1")
        assert row is not None
        values: dict[str, Any] = {**dict(row), "recorded": 99}
        with pytest.raises(asyncpg.CheckViolationError) as own:
            await _insert(app, {**values, "marks": [row["submitter"]]})
        assert own.value.constraint_name == "decisions_not_on_own_report"
        with pytest.raises(asyncpg.ForeignKeyViolationError) as false_name:
            await _insert(app, {**values, "submitter": b"somebody else", "marks": [row["submitter"]]})
        assert false_name.value.constraint_name == "decisions_of_the_submitted_report"
    finally:
        await app.close()
    assert violation


async def _insert(app: asyncpg.Connection, values: dict[str, Any]) -> None:
    values = {**values, "decision": "00000000-0000-4000-8000-000000000000"}
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(f"${index}" for index in range(1, len(values) + 1))
    await app.execute(f"insert into decisions ({names}) values ({marks})", *values.values())  # noqa: S608


async def test_one_person_in_both_offices_is_not_four_eyes(vetting: RunningVerification) -> None:
    docket = await vetting.docket(await _ready(vetting))
    first = await vetting.approve(docket, "both")
    assert first.json()["approvals"] == ["cochair_un"]
    again = await vetting.approve(docket, "both")
    assert (again.status_code, again.json()["code"]) == (409, "already_approved")
    office = await vetting.approve(docket, "deputy")
    assert (office.status_code, office.json()["code"]) == (409, "role_has_approved")
    assert (await vetting.approve(docket, "imani")).json()["state"] == "decided"


async def test_the_database_refuses_two_eyes(vetting: RunningVerification) -> None:
    violation = await _ready(vetting)
    docket = await vetting.docket(violation)
    await vetting.approve(docket, "both")
    app = await asyncpg.connect(as_system(vetting.app_url))
    try:
        approve = "insert into docket_approvals values ($1, $2, $3, $4, $5, now())"
        with pytest.raises(asyncpg.UniqueViolationError) as person:
            await app.execute(approve, SITUATION, docket, "cochair_unicef", "both", b"other")
        assert person.value.constraint_name == "docket_approvals_each_person_once"
        with pytest.raises(asyncpg.UniqueViolationError) as office:
            await app.execute(approve, SITUATION, docket, "cochair_un", "imani", b"imani")
        assert office.value.constraint_name == "docket_approvals_each_office_once"
        row = await vetting.owner.fetchrow("select * from decisions order by recorded limit 1")
        assert row is not None
        alone = {**dict(row), "recorded": 99, "stage": "ctfmr", "docket": docket}
        with pytest.raises(asyncpg.CheckViolationError) as single:
            await _insert(app, alone)
        assert single.value.constraint_name == "decisions_four_eyes"
        invented = {**alone, "decided_by": ["both", "imani"], "marks": [b"1", b"2"]}
        with pytest.raises(asyncpg.CheckViolationError) as claimed:
            await _insert(app, invented)
        assert claimed.value.constraint_name == "decisions_both_cochairs"
    finally:
        await app.close()


async def test_what_is_recorded_stays(vetting: RunningVerification) -> None:
    statements = [
        "update decisions set outcome = 'not_mrm'",
        "delete from decisions",
        "update docket_lines set outcome = 'not_mrm'",
        "delete from docket_approvals",
        "update docket_approvals set subject = 'x'",
        "update incidents set submitter = '\\x00'",
        "delete from incidents",
        "delete from links",
        "update links set item = 'x'",
        "update reports set envelope = '\\x00'",
        "delete from reports",
        "update ledgers set scratch = true",
        "delete from violations",
        "delete from sealed_texts",
        "update pseudonym_secret set fingerprint = '\\x00'",
        "truncate decisions",
        "select remove_scratch_situation('XAA')",
    ]
    app = await asyncpg.connect(as_system(vetting.app_url))
    try:
        for statement in statements:
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.CheckViolationError)):
                await app.execute(statement)
    finally:
        await app.close()


ACTS: list[tuple[str, str, Any, set[str]]] = [
    ("POST", "/decisions", {"decisions": []}, {"farid", "tomas"}),
    ("POST", "/dockets", {"lines": []}, {"tomas", "ursula", "imani"}),
    ("POST", "/dockets/00000000-0000-4000-8000-000000000000/approvals", {}, {"ursula", "imani"}),
    ("POST", "/dockets/00000000-0000-4000-8000-000000000000/withdrawal", {}, {"tomas", "ursula", "imani"}),
    ("POST", "/links", {"links": []}, {"farid", "tomas"}),
    ("POST", "/incidents/00000000-0000-4000-8000-000000000000/questions", {"message": "?"}, {"farid", "tomas"}),
    ("POST", "/violations/lookup", {"violations": []}, {"farid", "tomas", "ursula", "imani"}),
    ("GET", "/queue", None, {"farid", "tomas", "ursula", "imani"}),
    ("GET", "/incidents", None, {"farid", "tomas", "ursula", "imani"}),
    ("GET", "/incidents/00000000-0000-4000-8000-000000000000", None, {"farid", "tomas", "ursula", "imani", "otto"}),
    (
        "POST",
        "/incidents/00000000-0000-4000-8000-000000000000/emergency-access",
        {"reason": "The children must be found tonight."},
        {"ursula", "imani", "otto"},
    ),
    ("DELETE", "/incidents/00000000-0000-4000-8000-000000000000/emergency-access", None, {"ursula", "imani", "otto"}),
    ("GET", "/emergency-accesses", None, {"ursula", "imani", "ada"}),
    ("POST", "/emergency-accesses/00000000-0000-4000-8000-000000000000/acknowledgement", None, {"ursula", "imani"}),
    ("GET", "/decisions?violation=00000000-0000-4000-8000-000000000000/k1", None, {"farid", "tomas", "ursula", "imani"}),
    ("GET", "/dockets", None, {"tomas", "ursula", "imani"}),
    ("GET", "/dockets/00000000-0000-4000-8000-000000000000", None, {"tomas", "ursula", "imani"}),
    ("GET", "/links", None, {"farid", "tomas", "ursula", "imani"}),
    ("GET", "/records", None, {"otto", "ada"}),
    ("GET", "", None, {"amina", "farid", "tomas", "ursula", "imani", "otto", "ada", "root"}),
    ("PUT", "", {}, {"root"}),
    ("DELETE", "", None, {"root"}),
]


async def test_every_act_belongs_to_its_roles(vetting: RunningVerification) -> None:
    for method, path, body, may in ACTS:
        for person in ("amina", "farid", "tomas", "ursula", "imani", "otto", "ada", "root", "stranger"):
            answer = await vetting.send(method, f"/v1/situations/{SITUATION}{path}", person, body)
            told = (answer.status_code, answer.json().get("code"))
            if person in may:
                assert told[0] not in (401, 403), (method, path, person, told)
            elif person == "stranger":
                assert told == (404, "not_found"), (method, path, person, told)
            else:
                assert told == (403, "forbidden"), (method, path, person, told)


async def test_foreign_and_unknown_are_one_answer(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    there = await vetting.send("GET", f"/v1/situations/XAA/incidents/{incident}", "stranger")
    nowhere = await vetting.send("GET", f"/v1/situations/XZZ/incidents/{incident}", "stranger")
    assert there.json() == nowhere.json()
    assert there.status_code == nowhere.status_code == 404


async def test_a_reviewer_of_one_stage_does_not_decide_the_other(vetting: RunningVerification) -> None:
    incident = await vetting.report(**attack())
    wrong = await vetting.decide(f"{incident}/a1", stage="technical", person="farid")
    assert (wrong.status_code, wrong.json()["code"]) == (403, "forbidden")
    mixed = [decision(f"{incident}/a1"), decision(f"{incident}/a1", stage="technical")]
    answer = await vetting.post("/decisions", {"decisions": mixed}, "farid")
    assert answer.status_code == 403
    assert (await vetting.post("/decisions", {"decisions": mixed}, "many_hats")).status_code == 201


CANARIES = {
    "narrative": "CANARY-narrative",
    "narrative_for_sharing": "CANARY-sharing",
    "collected_by": "CANARY-collector",
    "place_description": "CANARY-place",
    "coordinates": {"latitude": 31.4159, "longitude": 65.3589},
    "victims": [{"key": "c1", "sex": "male", "age": 9, "name": "CANARY-victim", "coded_id": "CANARY-coded", "violations": ["k1"]}],
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
    "evidence": [{"key": "e1", "description": "CANARY-evidence"}],
    "response": [{"type": "medical_care", "description": "CANARY-response"}],
}


async def test_nothing_confidential_stands_in_clear(vetting: RunningVerification, capfd: pytest.CaptureFixture[str]) -> None:
    incident = await vetting.report(by="CANARY-monitor", **CANARIES)
    violation = f"{incident}/k1"
    exception = {"criteria": {**line(violation)["criteria"], "documentation_exception": "CANARY-exception"}}
    for stage in ("focal_point", "technical"):
        assert (await vetting.decide(violation, stage=stage, reason="CANARY-reason", **exception)).status_code == 201
    await vetting.post(f"/incidents/{incident}/questions", {"message": "CANARY-question"}, "farid")
    docket = await vetting.docket(violation, reason="CANARY-line", **exception)
    await vetting.approved(docket)
    shown = await vetting.get(f"/dockets/{docket}")
    assert [(item["reason"], item["documentation_exception"]) for item in shown.json()["items"]] == [("CANARY-line", "CANARY-exception")]
    case = await vetting.get(f"/incidents/{incident}")
    assert "CANARY-victim" in case.text
    assert "CANARY-monitor" not in case.text
    await vetting.revise(incident, 2, by="CANARY-monitor", occurred_from="2024-06-01", occurred_to=None, narrative="CANARY-revision")
    for body in ({"decisions": "CANARY-body"}, {"CANARY-name": 1}, {"decisions": [decision("CANARY-reference/k1", outcome="CANARY-code")]}):
        refused = await vetting.post("/decisions", body, "farid")
        assert refused.status_code == 422
        assert "CANARY" not in refused.text
    dump = await vetting.dump()
    assert b"CANARY" not in dump
    assert b"31.4159" not in dump
    assert await _tables_with(vetting, "XA0102") == {"situations"}
    out = capfd.readouterr()
    assert "CANARY" not in out.out + out.err
    records = (await vetting.get("/records", person="otto")).text
    assert "CANARY" not in records
    assert '"c1"' not in records


async def _tables_with(vetting: RunningVerification, word: str) -> set[str]:
    """Return the tables in which a word stands in clear; `outbox` also holds the register, signed for all services to read."""
    found: set[str] = set()
    for row in await vetting.owner.fetch("select tablename from pg_tables where schemaname = 'public'"):
        table = row["tablename"]
        where = "where topic <> 'verification.situations'" if table == "outbox" else ""
        for values in await vetting.owner.fetch(f"select * from {table} {where}"):  # noqa: S608 - our own names
            if any(word.encode() in (value if isinstance(value, bytes) else str(value).encode()) for value in values.values()):
                found.add(table)
    return found
