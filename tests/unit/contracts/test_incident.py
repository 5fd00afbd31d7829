"""Every reason to refuse an incident at the door (counts.md section 1), and that nothing else is one."""

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.incident import IncidentReport, check_incident, hints, tally_of
from contracts.model import field_errors
from contracts.situation import SituationDraft

TODAY = date(2024, 6, 1)
SITUATION = SituationDraft.model_validate_json(
    """{"code": "XAA", "name": "Example", "time_zone": "Asia/Kabul",
        "parties": [{"code": "force_1", "type": "armed_force", "name": "Force"}],
        "places": [{"code": "XA01", "name": "North", "level": 1}]}"""
)


def report(**changes: Any) -> IncidentReport:
    import json

    body = {
        "situation": "XAA",
        "key": "6f1d3c52-8a44-4a57-9d0e-2f7a1c9b3e10",
        "occurred_from": "2024-03-01",
        "violations": [{"key": "k1", "type": "killing", "boys": 1}],
    } | changes
    return IncidentReport.model_validate_json(json.dumps({name: value for name, value in body.items() if value is not None}))


def refusals(**changes: Any) -> list[tuple[str, str]]:
    found = check_incident(report(**changes), SITUATION, today=TODAY, first=True)
    return [(error.field, error.code) for error in found]


def test_the_least_report_is_accepted() -> None:
    assert refusals() == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"occurred_from": "2024-06-02"}, [("occurred_from", "in_future")]),
        ({"occurred_to": "2024-06-02"}, [("occurred_to", "in_future")]),
        ({"occurred_to": "2024-02-29"}, [("occurred_to", "before_start")]),
        ({"occurred_to": "2024-03-02", "ongoing": True}, [("ongoing", "contradiction")]),
        ({"place": "XA09"}, [("place", "unknown_code")]),
        ({"violations": []}, [("violations", "too_few")]),
        ({"violations": [{"key": "k1", "type": "killing"}]}, [("violations[0]", "no_child")]),
        ({"violations": [{"key": "k1", "type": "killing", "boys": 0}]}, [("violations[0]", "no_child")]),
        (
            {"violations": [{"key": "k1", "type": "killing", "boys": 1}, {"key": "k1", "type": "maiming", "boys": 1}]},
            [("violations[1].key", "twice")],
        ),
        (
            {"violations": [{"key": "k1", "type": "killing", "boys": 1, "details": {"weapon_type": ["sword"]}}]},
            [("violations[0].details.weapon_type", "unknown_code")],
        ),
        (
            {"violations": [{"key": "k1", "type": "killing", "boys": 1, "details": {"colour": ["red"]}}]},
            [("violations[0].details", "unknown_code")],
        ),
        ({"victims": [{"key": "c1", "sex": "female", "violations": ["k1"]}]}, [("violations[0].girls", "does_not_cover")]),
        ({"victims": [{"key": "c1", "sex": "male", "age": 18, "violations": ["k1"]}]}, [("victims[0].age", "not_a_child")]),
        ({"victims": [{"key": "c1", "sex": "male", "violations": ["k9"]}]}, [("victims[0].violations", "unknown_reference")]),
        ({"groups": [{"key": "g1", "unknown": 1, "violations": ["k1"]}]}, [("violations[0].unknown", "does_not_cover")]),
        ({"perpetrators": [{"attribution": "sole", "violations": ["k1"]}]}, [("perpetrators[0].party", "missing")]),
        ({"perpetrators": [{"attribution": "alleged", "violations": ["k1"]}]}, [("perpetrators[0].party", "missing")]),
        (
            {"perpetrators": [{"party": "force_1", "attribution": "unidentified", "violations": ["k1"]}]},
            [("perpetrators[0].party", "contradiction")],
        ),
        (
            {"perpetrators": [{"party": "force_9", "attribution": "joint", "violations": ["k1"]}]},
            [("perpetrators[0].party", "unknown_code")],
        ),
        (
            {"sources": [{"category": "rumour", "type": "oral_testimony", "violations": ["k1"]}]},
            [("sources[0].category", "unknown_code")],
        ),
        ({"place_type": "moon"}, [("place_type", "unknown_code")]),
    ],
)
def test_refusal_names_the_field(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert refusals(**changes) == expected


def test_a_written_zero_is_a_tally_and_must_cover() -> None:
    changes = {
        "violations": [{"key": "k1", "type": "recruitment", "boys": 0}],
        "victims": [{"key": "c1", "sex": "male", "violations": ["k1"]}],
    }
    assert ("violations[0].boys", "does_not_cover") in refusals(**changes)


def test_a_tally_that_is_not_given_comes_from_victims_and_groups() -> None:
    incident = report(
        violations=[{"key": "k1", "type": "recruitment"}],
        victims=[{"key": "c1", "sex": "male", "violations": ["k1"]}, {"key": "c2", "sex": "unknown", "violations": ["k1"]}],
        groups=[{"key": "g1", "girls": 3, "violations": ["k1"]}],
    )
    assert tally_of(incident.violations[0], incident) == (1, 3, 1)
    assert check_incident(incident, SITUATION, today=TODAY, first=True) == []


def test_a_revision_may_hold_no_violation() -> None:
    assert check_incident(report(violations=[]), SITUATION, today=TODAY, first=False) == []


def test_what_is_missing_is_a_hint_and_no_refusal() -> None:
    assert {hint.field for hint in hints(report())} >= {"place", "narrative", "violations[0]"}


@pytest.mark.parametrize("number", ["1.5", '"1"', "-1", "100001", "true", "1e9"])
def test_a_tally_is_a_small_whole_number(number: str) -> None:
    text = report().model_dump_json(exclude_none=True).replace('"boys":1', f'"boys":{number}')
    with pytest.raises(ValidationError) as refused:
        IncidentReport.model_validate_json(text)
    assert [error.field for error in field_errors(refused.value)] == ["violations[0].boys"]


def test_a_refusal_never_repeats_a_value_or_an_invented_name() -> None:
    text = '{"situation": "XAA", "key": "CANARY", "CANARY2": 1, "occurred_from": "CANARY3", "violations": "CANARY4"}'
    with pytest.raises(ValidationError) as refused:
        IncidentReport.model_validate_json(text)
    errors = field_errors(refused.value)
    assert {error.field for error in errors} == {"key", "(document)", "occurred_from", "violations"}
    assert "CANARY" not in repr(errors)
