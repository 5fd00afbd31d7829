"""Each counting rule by its id, on a few incidents in memory; and which rules each table says it rests on (`applies`)."""

from typing import Any

import pytest

from aggregation.domain.tables import GHN, TABLES, rules_of
from support.pure_counting import PureHouse

FIRST_QUARTER, SECOND_QUARTER, YEAR = ("2022-01-01", "2022-04-01"), ("2022-04-01", "2022-07-01"), ("2022-01-01", "2023-01-01")
SITUATION = {
    "code": "XAA",
    "name": "Example",
    "time_zone": "Asia/Kabul",
    "parties": [
        {"code": "force_1", "type": "armed_force", "name": "Armed force 1"},
        {"code": "group_1", "type": "armed_group", "name": "Armed group 1"},
    ],
    "places": [{"code": "XA01", "name": "North", "level": 1}],
}


def incident(key: str, *violations: dict[str, Any], occurred: str = "2022-02-01", **more: Any) -> dict[str, Any]:
    return {"key": key, "occurred_from": occurred, "place": "XA01", "violations": list(violations), **more}


def killing(boys: int = 1, key: str = "k", **more: Any) -> dict[str, Any]:
    return {"key": key, "type": "killing", "boys": boys, **more}


def decided(violation: str, on: str = "2022-02-10", outcome: str = "verified", **more: Any) -> dict[str, Any]:
    return {"violation": violation, "stage": "ctfmr", "outcome": outcome, "decided_on": on, **more}


def counted(*incidents: dict[str, Any], decisions: list[dict[str, Any]], links: list[dict[str, Any]] | None = None) -> PureHouse:
    step = {"incidents": list(incidents), "decisions": decisions, "links": links or []}
    return PureHouse({"situation": SITUATION, "steps": [step]}, 1)


def test_the_newest_decision_of_the_task_force_is_in_force() -> None:
    """C1: another stage changes no figure; of the task force's decisions the one recorded last counts, whatever its day."""
    technical = decided("a/k", outcome="not_mrm") | {"stage": "technical"}
    assert counted(incident("a", killing()), decisions=[decided("a/k"), technical]).answer("summary", *YEAR)["violations"] == 1
    again = decided("a/k", "2022-02-05", outcome="not_mrm")
    assert counted(incident("a", killing()), decisions=[decided("a/k"), again]).answer("summary", *YEAR)["violations"] == 0


def test_verified_by_the_day_of_the_decision_and_unverified_by_that_of_the_incident() -> None:
    """C2."""
    house = counted(
        incident("a", killing(3)),
        incident("b", killing(5)),
        decisions=[decided("a/k", "2022-04-10"), decided("b/k", outcome="reported_not_verified")],
    )
    assert house.answer("unverified_children", *FIRST_QUARTER)["killing"]["boys"] == 5
    assert house.answer("verified_children", *FIRST_QUARTER) == {}
    assert house.answer("verified_children", *SECOND_QUARTER, {"late": "inside"})["killing"]["boys"] == 3


def test_a_window_holds_its_first_day_and_not_its_last() -> None:
    """C3."""
    house = counted(
        incident("a", killing()), incident("b", killing()), decisions=[decided("a/k", "2022-04-01"), decided("b/k", "2022-03-31")]
    )
    assert [house.answer("summary", *window, {"late": "inside"})["violations"] for window in (FIRST_QUARTER, SECOND_QUARTER)] == [1, 1]


def test_child_types_count_their_children_and_incident_types_one() -> None:
    """C4: boys, girls and unknown together; casualties of an attack are only noted."""
    attack = {"key": "s", "type": "attack_on_schools", "boys": 9}
    house = counted(incident("a", killing(2, girls=1, unknown=4), attack), decisions=[decided("a/k"), decided("a/s")])
    assert house.answer("verified_by_party", *YEAR)["_all"] == {"killing": 7, "attack_on_schools": 1, "total": 8}


def test_late_by_quarter_is_decided_in_a_later_quarter_than_it_ended() -> None:
    """C5: the end counts, not the beginning."""
    ends = incident("a", killing(), occurred="2022-01-05") | {"occurred_to": "2022-04-02"}
    house = counted(ends, incident("b", killing(5)), decisions=[decided("a/k", "2022-04-10"), decided("b/k", "2022-04-10")])
    assert house.answer("verified_children", *SECOND_QUARTER)["killing"]["boys"] == 1
    assert house.answer("late_children", *SECOND_QUARTER)["killing"]["boys"] == 5


def test_late_by_window_ended_before_it_and_stands_beside_or_inside() -> None:
    """C6."""
    house = counted(incident("a", killing(), occurred="2021-12-31"), incident("b", killing()), decisions=[decided("a/k"), decided("b/k")])
    beside, inside = [house.answer("summary", *YEAR, {"late": late}) for late in ("beside", "inside")]
    assert (beside["violations"], inside["violations"]) == (1, 2)
    assert beside["late"]["violations"] == inside["late"]["violations"] == 1


def test_military_use_and_deprivation_of_liberty_enter_no_total() -> None:
    """C7: they stand in `context` alone."""
    use, liberty = {"key": "u", "type": "military_use"}, {"key": "l", "type": "deprivation_liberty", "boys": 4}
    house = counted(incident("a", killing(), use, liberty), decisions=[decided(f"a/{key}") for key in "kul"])
    assert house.answer("context", *YEAR)["deprivation_liberty"]["boys"] == 4
    assert house.answer("context", *YEAR)["military_use"]["total"] == 1
    assert house.answer("summary", *YEAR)["violations"] == 1
    assert [part["violations"] for part in house.answer("trend", *YEAR)] == [1, 0, 0, 0]
    assert house.answer("by_detail", *YEAR, {"field": "weapon_type"}) == {"killing": {"_none": 1}}
    assert house.answer("by_grave_violation_and_party", *YEAR) == {"killing_and_maiming": {"_all": 1, "_unattributed": 1}}
    assert house.answer("by_grave_violation_and_parties", *YEAR) == {"killing_and_maiming": [{"lines": ["_unattributed"], "n": 1}]}


def test_a_violation_stands_once_in_the_line_of_each_party_and_once_in_all() -> None:
    """C8: joint and crossfire in lines of their own as well; only `_all` is the total."""
    both = [{"party": party, "attribution": "joint", "violations": ["k"]} for party in ("force_1", "group_1", "group_1")]
    house = counted(incident("a", killing(2), perpetrators=both), incident("b", killing()), decisions=[decided("a/k"), decided("b/k")])
    lines = {line: amounts["total"] for line, amounts in house.answer("verified_by_party", *YEAR).items()}
    assert lines == {"force_1": 2, "group_1": 2, "_joint": 2, "_unattributed": 1, "_all": 3}


def test_a_child_is_affected_once_however_many_violations_it_suffered() -> None:
    """C9: distinct children, groups by their size, and what no record explains; a link joins records of two incidents."""
    one, other = {"key": "c", "sex": "male", "age": 9, "violations": ["k", "m"]}, {"key": "c", "sex": "male", "violations": ["m"]}
    maiming = {"key": "m", "type": "maiming", "boys": 1}
    group = {"key": "g", "girls": 3, "violations": ["k"]}
    house = counted(
        incident("a", killing(2, girls=3), maiming, victims=[one], groups=[group]),
        incident("b", maiming, victims=[other]),
        decisions=[decided("a/k"), decided("a/m"), decided("b/m")],
        links=[{"kind": "same_child", "victim": "b/c", "of": "a/c"}],
    )
    summary = house.answer("summary", *YEAR)
    assert summary["children"] == {"boys": 2, "girls": 3, "unknown": 0, "total": 5}, "the child once, the group, one boy beyond both"
    assert summary["violations"] == 7
    assert house.answer("ages", *YEAR) == {"6_10": 1}


def test_children_and_groups_with_two_violations_follow_from_what_links_them() -> None:
    """C10: verified ones in the window, on time or late; two records of one child are one child."""
    maiming = {"key": "m", "type": "maiming"}
    victim = {"key": "c", "sex": "female", "age": 15}
    group = {"key": "g", "unknown": 2, "violations": ["m", "s"]}
    house = counted(
        incident("a", killing(0, girls=1), victims=[{**victim, "violations": ["k"]}], occurred="2021-05-01"),
        incident("b", maiming, {"key": "s", "type": "abduction"}, victims=[{**victim, "violations": ["m"]}], groups=[group]),
        decisions=[decided("a/k"), decided("b/m"), decided("b/s")],
        links=[{"kind": "same_child", "victim": "b/c", "of": "a/c"}],
    )
    assert house.answer("children_multiple", *YEAR) == [{"sex": "female", "age": 15, "violations": ["killing", "maiming"]}]
    assert house.answer("groups_multiple", *YEAR) == [{"boys": 0, "girls": 0, "unknown": 2, "violations": ["abduction", "maiming"]}]
    apart = counted(incident("a", killing(0, girls=1), victims=[{**victim, "violations": ["k"]}]), decisions=[decided("a/k")])
    assert apart.answer("children_multiple", *YEAR) == []


def test_what_lacks_something_required_is_in_the_list_of_exceptions() -> None:
    """C11: whatever the window; a violation without a day of decision is in no window, and listed all the same."""
    undated = {name: value for name, value in decided("a/k").items() if name != "decided_on"}
    placeless = {name: value for name, value in incident("b", killing()).items() if name != "place"}
    house = counted(incident("a", killing()), placeless, decisions=[undated, decided("b/k")])
    missing = [entry["missing"] for entry in house.answer("exceptions", "1999-01-01", "1999-01-01")]
    assert sorted(missing) == [["decided_on", "attribution"], ["place", "attribution"]]
    assert house.answer("summary", *YEAR)["violations"] == 1


AMOUNTS = {"C1", "C2", "C3", "C4", "C7", "C12", "C13"}
LATE = {"C5", "C6"}
MULTIPLE = AMOUNTS - {"C4"} | {"C9", "C10"}
APPLIES = {
    **{f"{part}_{what}": AMOUNTS | LATE for part in ("verified", "late") for what in ("children", "incidents", "by_region")},
    **{f"{part}_by_party": AMOUNTS | LATE | {"C8"} for part in ("verified", "late")},
    **{f"unverified_{what}": AMOUNTS for what in ("children", "incidents", "by_region")},
    "unverified_by_party": AMOUNTS | {"C8"},
    "children_multiple": MULTIPLE,
    "groups_multiple": MULTIPLE,
    "summary": AMOUNTS | LATE | {"C9"},
    "by_grave_violation_and_party": AMOUNTS | LATE | {"C8"},
    "by_grave_violation_and_parties": AMOUNTS | LATE | {"C8"},
    "by_detail": AMOUNTS | LATE,
    "ages": AMOUNTS - {"C4"} | LATE | {"C9"},
    "context": AMOUNTS,
    "trend": AMOUNTS,
    "exceptions": {"C1", "C11", "C12", "C13"},
}
"""From the counting page: lists of children hold no amounts, `context` and `trend` have no late part, `exceptions` know no window."""


@pytest.mark.parametrize("table", TABLES)
def test_a_table_says_which_rules_it_rests_on(table: str) -> None:
    rules = TABLES[table].rules
    assert set(rules) == APPLIES[table]
    assert list(rules) == sorted(rules, key=lambda rule: int(rule[1:]))


def test_in_shared_form_tables_rest_on_the_rule_of_small_numbers_too() -> None:
    """C14."""
    assert rules_of(["context"], shared=True) == ["C1", "C2", "C3", "C4", "C7", "C12", "C13", "C14"]
    assert "C14" not in rules_of(GHN, shared=False)
