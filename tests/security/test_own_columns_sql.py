"""What one person's transaction may write, as plain SQL under the service's own role: what the act itself writes, and under one's own name.

The rows are `test_matrix_sql.py`'s; here are the columns of those rows.
"""

import json
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from local_stack.postgres import PostgresServer
from support.edge import RunningIntake, report
from support.issuer import issuer
from support.vetting import SITUATION, RunningVerification, vetting

__all__ = ["issuer", "vetting"]
NOTHING = "UPDATE 0"
REFUSED = "row security"
"""What an answer is where no row is found, and where the row would be none of theirs."""
ROLES_OPENING = ("officer", "cochair_un", "cochair_unicef", "focal_point", "technical")
REPORTED = (
    "revision = 7",
    "occurred_from = '2000-01-01'",
    "occurred_to = '2000-01-01'",
    "ongoing = not ongoing",
    "region = 'elsewhere'",
)


@pytest.fixture
async def app(vetting: RunningVerification) -> AsyncIterator[asyncpg.Connection]:
    """A connection in verification's own role."""
    connection = await asyncpg.connect(vetting.app_url)
    yield connection
    await connection.close()


async def attempt(app: asyncpg.Connection, action: str, role: str, sql: str, *values: object, subject: str = "farid") -> str:
    """Try a statement at somebody's action and take it back; returns its status, or what refused it."""
    transaction = app.transaction()
    await transaction.start()
    try:
        grants = json.dumps([[SITUATION, role]])
        settings = {"mrm.action": action, "mrm.subject": subject, "mrm.grants": grants}
        for name, value in settings.items():
            await app.execute("select set_config($1, $2, true)", name, value)
        return str(await app.execute(sql, *values))
    except asyncpg.CheckViolationError as error:
        return str(error.constraint_name)
    except asyncpg.InsufficientPrivilegeError:
        return REFUSED
    finally:
        await transaction.rollback()


async def test_an_opening_changes_no_case_but_for_the_first_one_by_a_reviewer(
    vetting: RunningVerification, app: asyncpg.Connection
) -> None:
    fresh, decided = await vetting.report(), await vetting.report()
    await vetting.verify(f"{decided}/k1")
    for role in ROLES_OPENING:
        reviewer = role in ("focal_point", "technical")
        for incident, found in ((fresh, reviewer), (decided, False)):
            moves = ("status = 'closed', needs = '{}'", "status = 'needs_information', needs = '{details}'", "status = 'received'")
            for change in moves:
                sql = f"update incidents set {change} where incident = '{incident}'"  # noqa: S608 - our own words
                assert await attempt(app, "case.open", role, sql) == (REFUSED if found else NOTHING), (role, change)
            for change in REPORTED:
                sql = f"update incidents set status = 'under_review', {change} where incident = '{incident}'"  # noqa: S608
                assert await attempt(app, "case.open", role, sql) == ("incidents_as_reported" if found else NOTHING), (role, change)
            sql = f"update incidents set status = 'under_review' where incident = '{incident}'"  # noqa: S608
            assert await attempt(app, "case.open", role, sql) == ("UPDATE 1" if found else NOTHING), role


async def test_a_reading_changes_nothing_of_a_case(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    await vetting.verify(f"{await vetting.report()}/k1")
    readings = (
        "queue.read",
        "case.open",
        "decision.read",
        "docket.read",
        "link.read",
        "emergency.read",
        "records.export",
        "situation.list",
    )
    changes = (
        "ledgers set facts = facts + 1",
        "violations set settled = false",
        "children set held = false",
        "dockets set ended_at = now()",
        "links set undone_at = now()",
    )
    for action in readings:
        for role in (*ROLES_OPENING, "auditor"):
            for change in changes:
                assert await attempt(app, action, role, f"update {change}") in (NOTHING, REFUSED), (action, role, change)


async def test_a_decision_changes_what_it_decides(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    violation = f"{await vetting.report()}/k1"
    assert (await vetting.decide(violation)).status_code == 201
    acts = {"decision.record": "focal_point", "docket.approve": "cochair_un"}
    for action, role in acts.items():
        for change in REPORTED:
            assert await attempt(app, action, role, f"update incidents set {change}") == "incidents_as_reported", (action, change)  # noqa: S608
        for change in ("held = false", "type = 'x'", "boys = 9", "girls = 9", "unknown = 9", "primary_sources = 9", "incomplete = '{x}'"):
            assert await attempt(app, action, role, f"update violations set {change}") == "violations_as_reported", (action, change)  # noqa: S608
        for change in ("incidents = 0", "revisions = 9", "refused = 9", "recorded = recorded - 1", "facts = facts - 1"):
            assert await attempt(app, action, role, f"update ledgers set {change}") == "ledgers_only_count", (action, change)  # noqa: S608
        for change in ("status = 'received'", "status = 'needs_information', needs = '{details}'"):
            assert await attempt(app, action, role, f"update incidents set {change}") == REFUSED, (action, change)  # noqa: S608
    for change in ("ctfmr = 'verified'", "ctfmr_decided_on = '2000-01-01'"):
        assert await attempt(app, "decision.record", "focal_point", f"update violations set {change}") == "violations_by_stage"  # noqa: S608
    for change in ("focal_point = null", "technical = 'verified'"):
        assert await attempt(app, "docket.approve", "cochair_un", f"update violations set {change}") == "violations_by_stage"  # noqa: S608
    assert await attempt(app, "question.ask", "focal_point", "update incidents set status = 'closed'") == REFUSED
    asked = "update incidents set status = 'needs_information', needs = '{details}'"
    assert await attempt(app, "question.ask", "focal_point", asked) == "UPDATE 1"


async def test_a_link_is_undone_under_ones_own_name_and_once(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    one, two = [f"{await vetting.report()}/k1" for _ in range(2)]
    link = {"kind": "duplicate", "violation": one, "of": two}
    answer = await vetting.post("/links", {"links": [link]}, "farid")
    assert answer.status_code == 201, answer.text
    undo = "update links set undone_recorded = 900, undone_at = now(), undone_by = $1"
    assert await attempt(app, "link.record", "focal_point", undo, "another person") == REFUSED
    assert await attempt(app, "link.record", "focal_point", undo, "farid") == "UPDATE 1"
    answer = await vetting.post("/links", {"links": [{**link, "kind": "not_duplicate"}]}, "tomas")
    assert answer.status_code == 201, answer.text
    assert await attempt(app, "link.record", "focal_point", undo, "farid") == "links_undone_once"
    assert await attempt(app, "system", "focal_point", undo, "farid") == "links_undone_once"


async def test_an_emergency_access_begins_when_it_is_taken(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    incident = UUID(await vetting.report())
    submitter = await vetting.owner.fetchval("select submitter from incidents")
    text = uuid4()
    await vetting.owner.execute("insert into sealed_texts values ($1, $2, '')", SITUATION, text)
    sql = """
        insert into emergency_accesses (situation, access, incident, holder, role, mark, submitter, taken_at, ends_at, text)
        select $1, $2, $3, 'farid', 'officer', 'mark', $4, taken, taken + interval '1 hour', $5
        from (select now() + $6::text::interval) as given (taken)
    """
    for ahead, answer in (
        ("1 year", "emergency_accesses_begin_now"),
        ("2 minutes", "emergency_accesses_begin_now"),
        ("30 seconds", "INSERT 0 1"),
        ("0 seconds", "INSERT 0 1"),
        ("-10 minutes", "INSERT 0 1"),
    ):
        for action in ("case.break_glass", "system"):
            values = (SITUATION, uuid4(), incident, submitter, text, ahead)
            assert await attempt(app, action, "officer", sql, *values) == answer, (ahead, action)


async def test_a_monitor_changes_the_number_of_revisions_only(intake: RunningIntake, postgres_server: PostgresServer) -> None:
    assert (await intake.post("/v1/incidents", report())).status_code == 202
    subject = await intake.owner.fetchval("select 'monitor:' || encode(submitter, 'hex') from incidents")
    name = await intake.owner.fetchval("select current_database()")
    app = await asyncpg.connect(postgres_server.service_database("intake", name).app_url)
    try:
        for change, outcome in {
            "status = 'closed'": "incidents_revised",
            "needs = '{details}'": "incidents_revised",
            "progressed_at = now()": "incidents_revised",
            "revision = revision - 1": "incidents_revised",
            "revision = revision + 1": "UPDATE 1",
        }.items():
            sql = f"update incidents set {change}"  # noqa: S608 - our own words
            assert await attempt(app, "incident.revise", "monitor", sql, subject=subject) == outcome, change
    finally:
        await app.close()


async def test_an_answer_that_was_given_stays(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    request = "insert into answered_requests values (sha256('r'), sha256('d'), $1, 201, '{}', now())"
    await vetting.owner.execute(request, SITUATION)
    for change in ("status = 500", 'answer = \'{"docket": "x"}\'', "digest = sha256('x')"):
        for action in ("link.record", "system"):
            sql = f"update answered_requests set {change}"  # noqa: S608 - our own words
            assert await attempt(app, action, "focal_point", sql) == "answered_requests_stay", (action, change)
