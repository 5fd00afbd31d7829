"""The permission table: closed roles, relations and unique rows; a missing row is a refusal."""

from contracts import permissions
from contracts.topics import SERVICES

ROLES = {"monitor", "focal_point", "technical", "cochair_un", "cochair_unicef", "officer", "auditor", "operator", "device"}


def test_rows_use_closed_words_and_stand_once() -> None:
    rows = permissions.table()
    assert {row.service for row in rows} == set(SERVICES)
    assert {row.role for row in rows} <= ROLES
    assert {row.relation for row in rows} <= {"any", "own", "not_own"}
    assert len({(row.service, row.action, row.role, row.relation, row.state) for row in rows}) == len(rows)
    assert all(row.why.endswith(".") for row in rows)


def test_nobody_decides_on_their_own_report() -> None:
    for action, state in (("decision.record", "focal_point"), ("decision.record", "technical"), ("docket.approve", "open")):
        assert permissions.roles_allowed("verification", action, relation="own", state=state) == frozenset()
        assert permissions.roles_allowed("verification", action, relation="not_own", state=state)


def test_each_stage_is_decided_by_its_own_role() -> None:
    for stage in ("focal_point", "technical"):
        assert permissions.roles_allowed("verification", "decision.record", relation="not_own", state=stage) == {stage}
    assert permissions.roles_allowed("verification", "decision.record", relation="not_own", state="ctfmr") == frozenset()


def test_only_vetting_reads_whole_cases_and_others_while_an_emergency_access_stands() -> None:
    whole = {
        relation: permissions.roles_allowed("verification", "case.read_confidential", relation=relation, state="any")
        for relation in ("any", "own", "not_own")
    }
    assert all(roles == {"focal_point", "technical"} for roles in whole.values())
    for relation, others in (("not_own", {"cochair_un", "cochair_unicef", "officer"}), ("own", set())):
        allowed = permissions.roles_allowed("verification", "case.read_confidential", relation=relation, state="emergency_access")
        assert allowed == {"focal_point", "technical"} | others
        assert permissions.roles_allowed("verification", "case.break_glass", relation=relation, state="any") == others


def test_the_operator_reads_no_case_and_no_count() -> None:
    seen = {row.action for row in permissions.table() if row.role == "operator"}
    assert not seen & {
        "case.open",
        "case.read_confidential",
        "case.break_glass",
        "queue.read",
        "counts.read",
        "submission.read",
        "incident.status",
    }


def test_an_unknown_action_is_allowed_to_nobody() -> None:
    assert permissions.rows_for("intake", "incident.erase") == ()


def test_a_device_sends_and_follows_reports_and_does_nothing_else() -> None:
    given = {(row.service, row.action, row.relation) for row in permissions.table() if row.role == "device"}
    assert given == {("intake", "incident.submit", "any"), ("intake", "incident.revise", "own"), ("intake", "incident.status", "own")}
