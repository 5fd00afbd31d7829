"""Four eyes as plain SQL under verification's own role, as the service itself: the database refuses every way around both co-chairs.

Those of emergency access are in `integration/test_need_to_know.py`, those of a submission in `integration/test_export_signing.py`.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from support.issuer import issuer
from support.stack import as_system
from support.vetting import SITUATION, RunningVerification, vetting

__all__ = ["issuer", "vetting"]
APPROVE = "insert into docket_approvals values ($1, $2, $3, $4, $5, now())"
DECIDE = "update dockets set state = 'decided', ended_by = $3, ended_at = now() where situation = $1 and docket = $2"
WITHDRAW = "update dockets set state = 'withdrawn', ended_by = $3, ended_at = now() where situation = $1 and docket = $2"


@pytest.fixture
async def app(vetting: RunningVerification) -> AsyncIterator[asyncpg.Connection]:
    """A connection in verification's own role that the row-level security lets through everywhere."""
    connection = await asyncpg.connect(as_system(vetting.app_url))
    yield connection
    await connection.close()


async def refused(app: asyncpg.Connection, constraint: str, sql: str, *values: Any) -> None:
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError)) as answer:
        await app.execute(sql, *values)
    assert answer.value.constraint_name == constraint


async def ready(vetting: RunningVerification, **changes: Any) -> str:
    """A violation that waits for the task force."""
    violation = f"{await vetting.report(**changes)}/k1"
    for stage in ("focal_point", "technical"):
        assert (await vetting.decide(violation, stage=stage)).status_code == 201
    return violation


async def row_of(app: asyncpg.Connection, table: str, docket: str) -> dict[str, Any]:
    row = await app.fetchrow(f"select * from {table} where docket = $1 limit 1", docket)  # noqa: S608 - our own names
    assert row is not None
    return dict(row)


async def insert(app: asyncpg.Connection, table: str, row: dict[str, Any], constraint: str, **changes: Any) -> None:
    """Try to add a copy of a row with changes."""
    values = {**row, **changes}
    names, marks = ", ".join(values), ", ".join(f"${index}" for index in range(1, len(values) + 1))
    await refused(app, constraint, f"insert into {table} ({names}) values ({marks})", *values.values())  # noqa: S608


async def test_a_docket_is_decided_by_both_cochairs_only(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    docket = await vetting.docket(await ready(vetting))
    await refused(app, "dockets_both_cochairs", DECIDE, SITUATION, docket, "ursula")
    assert (await vetting.approve(docket, "ursula")).status_code == 201
    await refused(app, "dockets_both_cochairs", DECIDE, SITUATION, docket, "ursula")
    await refused(app, "docket_approvals_each_person_once", APPROVE, SITUATION, docket, "cochair_unicef", "ursula", b"other")
    await refused(app, "docket_approvals_each_office_once", APPROVE, SITUATION, docket, "cochair_un", "imani", b"imani")
    await app.execute(APPROVE, SITUATION, docket, "cochair_unicef", "imani", b"imani")
    await refused(app, "dockets_both_cochairs", DECIDE, SITUATION, docket, "somebody else")
    await app.execute(DECIDE, SITUATION, docket, "imani")


async def test_a_docket_begins_open_and_ends_once(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    decided, withdrawn = await vetting.docket(await ready(vetting)), await vetting.docket(await ready(vetting))
    await vetting.approved(decided)
    row = await row_of(app, "dockets", decided)
    await insert(app, "dockets", row, "dockets_begin_open", docket=uuid4())
    await refused(app, "dockets_end_once", WITHDRAW, SITUATION, decided, "tomas")
    await app.execute(APPROVE, SITUATION, withdrawn, "cochair_un", "ursula", b"ursula")
    await app.execute(WITHDRAW, SITUATION, withdrawn, "tomas")
    await refused(app, "docket_approvals_of_an_open_docket", APPROVE, SITUATION, withdrawn, "cochair_unicef", "imani", b"imani")
    for docket in (decided, withdrawn):
        await refused(app, "dockets_end_once", DECIDE, SITUATION, docket, "imani")
        await refused(
            app,
            "dockets_end_once",
            "update dockets set state = 'open', ended_by = null, ended_at = null where situation = $1 and docket = $2",
            SITUATION,
            docket,
        )


async def test_what_the_first_cochair_approved_is_what_the_second_one_does(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    docket, other = await vetting.docket(await ready(vetting)), await ready(vetting)
    row = await row_of(app, "docket_lines", docket)
    for line in (1, -1):
        await insert(app, "docket_lines", row, "docket_lines_of_their_docket", line=line, incident=UUID(other.split("/")[0]))
    half = {**await row_of(app, "dockets", docket), "docket": uuid4(), "lines": 2}
    names, marks = ", ".join(half), ", ".join(f"${index}" for index in range(1, len(half) + 1))
    await app.execute(f"insert into dockets ({names}) values ({marks})", *half.values())  # noqa: S608 - our own names
    await refused(app, "docket_approvals_of_all_lines", APPROVE, SITUATION, half["docket"], "cochair_un", "ursula", b"ursula")
    await vetting.approved(docket)
    await insert(app, "docket_lines", row, "docket_lines_of_their_docket", line=1)


async def test_a_decision_of_the_task_force_is_what_both_approved(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    docket, other = await vetting.docket(await ready(vetting)), await ready(vetting)
    elsewhere = await vetting.docket(other)
    await vetting.approved(docket)
    row = {**await row_of(app, "decisions", docket), "recorded": 99}
    new = {"decision": uuid4()}
    given = [("cochair_un", "ursula"), ("cochair_unicef", "imani")]
    assert list(row["decided_by"]) == [subject for _, subject in given]
    await insert(app, "decisions", row, "decisions_each_line_once", **new)
    await insert(app, "decisions", row, "decisions_of_a_line", **new, line=1)
    await insert(app, "decisions", row, "decisions_both_cochairs", **new, docket=UUID(elsewhere))
    for (role, subject), mark in zip(given, row["marks"], strict=True):
        await app.execute(APPROVE, SITUATION, elsewhere, role, subject, mark)
    await insert(app, "decisions", row, "decisions_as_approved", **new, docket=UUID(elsewhere))
    incident = UUID(other.split("/")[0])
    submitter = await app.fetchval("select submitter from incidents where incident = $1", incident)
    right = {**new, "docket": UUID(elsewhere), "incident": incident, "submitter": submitter}
    for changes in ({"outcome": "not_mrm"}, {"criteria": None}, {"decided_on": None}, {"non_verification_reason": "x"}):
        await insert(app, "decisions", row, "decisions_as_approved", **right, **changes)
    await app.execute(WITHDRAW, SITUATION, elsewhere, "tomas")
    await insert(app, "decisions", row, "decisions_both_cochairs", **right)


async def test_tables_of_ones_own_do_not_stand_in_for_approvals(vetting: RunningVerification, app: asyncpg.Connection) -> None:
    """An installation may leave everybody the right to make temporary tables, which a session finds before all others."""
    docket = await vetting.docket(await ready(vetting))
    await vetting.owner.execute(f'grant temporary on database "{await vetting.owner.fetchval("select current_database()")}" to public')
    row = {**dict(await app.fetchrow("select * from decisions order by recorded limit 1") or {}), "decision": uuid4(), "recorded": 99}
    await app.execute("create temp table docket_approvals as select * from public.docket_approvals")
    for role, subject, mark in (("cochair_un", "ursula", b"1"), ("cochair_unicef", "imani", b"2")):
        await app.execute("insert into pg_temp.docket_approvals values ($1, $2, $3, $4, $5, now())", SITUATION, docket, role, subject, mark)
    await refused(app, "dockets_both_cochairs", DECIDE, SITUATION, docket, "imani")
    claimed = {"stage": "ctfmr", "docket": UUID(docket), "decided_by": ["ursula", "imani"], "marks": [b"1", b"2"]}
    await insert(app, "decisions", row, "decisions_both_cochairs", **claimed)


async def test_an_act_that_sees_no_approvals_decides_no_docket(vetting: RunningVerification) -> None:
    """Under a person's action, row-level security hides rows; what is hidden never counts as given."""
    docket = await vetting.docket(await ready(vetting))
    await vetting.approve(docket, "ursula")
    app = await asyncpg.connect(vetting.app_url)
    try:
        for action, person, role in (("docket.approve", "imani", "cochair_unicef"), ("docket.withdraw", "tomas", "technical")):
            async with app.transaction():
                await app.execute(
                    "select set_config('mrm.action', $1, true), set_config('mrm.subject', $2, true), set_config('mrm.grants', $3, true)",
                    action,
                    person,
                    f'[["{SITUATION}", "{role}"]]',
                )
                with pytest.raises((asyncpg.CheckViolationError, asyncpg.InsufficientPrivilegeError)):
                    async with app.transaction():
                        await app.execute(DECIDE, SITUATION, docket, person)
    finally:
        await app.close()
