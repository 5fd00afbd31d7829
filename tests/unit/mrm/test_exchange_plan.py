"""What a file's steps become: who decides what, in which order, with what filled in; and records become steps again."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts.exchange import ExchangeFile, ExchangeStep
from contracts.exchange_check import read_exchange
from contracts.incident import IncidentReport, check_incident
from mrm.check import in_words_of_the_file, same_answer
from mrm.exchange_plan import Plan
from mrm.exchange_records import situation_part, steps_of

FILES = sorted((Path(__file__).parents[2] / "data" / "exchange").glob("*.json"))
TODAY = date(2026, 1, 1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def step(**parts: Any) -> ExchangeStep:
    return ExchangeStep.model_validate_json(json.dumps(parts))


def incident(key: str = "i1", **fields: Any) -> dict[str, Any]:
    return {"key": key, "occurred_from": "2024-01-10", "violations": [{"key": "k1", "type": "killing", "boys": 1}], **fields}


def decision(stage: str = "ctfmr", outcome: str = "verified", **fields: Any) -> dict[str, Any]:
    return {"violation": "i1/k1", "stage": stage, "outcome": outcome, "decided_on": "2024-02-01", **fields}


def planned(*steps: ExchangeStep, vetted: bool = True) -> tuple[Plan, list[list[tuple[str, list[dict[str, Any]]]]]]:
    plan = Plan(situation="S", today=TODAY, vetted=vetted)
    rounds = []
    for one in steps:
        plan.reports(one)
        rounds.append([(decided.slot, list(decided.lines)) for decided in plan.rounds(one)])
    return plan, rounds


def test_a_decision_of_the_task_force_gets_the_earlier_stages_it_needs_once() -> None:
    first = step(incidents=[incident()], decisions=[decision()])
    second = step(decisions=[decision(outcome="not_mrm")])
    _, [rounds, later] = planned(first, second)
    assert [slot for slot, _ in rounds] == ["focal_point", "technical", "decisions"]
    assert {line["decided_on"] for _, lines in rounds for line in lines} == {"2024-02-01"}
    assert all(lines[0]["criteria"]["primary_source"] for _, lines in rounds)
    assert [slot for slot, _ in later] == ["decisions"]
    assert "criteria" not in later[0][1][0]


def test_the_order_of_one_violation_is_kept_and_different_violations_share_a_round() -> None:
    decisions = [decision("technical"), decision(), decision("focal_point", "not_mrm"), decision(outcome="not_mrm")]
    other = [{**entry, "violation": "i2/k1"} for entry in (decision(), decision(outcome="not_mrm"))]
    _, [rounds] = planned(step(incidents=[incident(), incident("i2")], decisions=[*decisions, *other]))
    assert [slot for slot, _ in rounds] == ["focal_point", "technical", "decisions", "focal_point", "decisions"]
    assert [len(lines) for _, lines in rounds] == [2, 2, 3, 1, 1]


def test_a_decision_without_a_day_is_an_imported_record() -> None:
    undated = {name: value for name, value in decision().items() if name != "decided_on"}
    _, [rounds] = planned(step(incidents=[incident()], decisions=[undated]))
    [(slot, [line])] = rounds
    assert slot == "import"
    assert "decided_on" not in line
    assert "criteria" not in line


def test_an_import_takes_decisions_of_the_task_force_as_they_stand() -> None:
    _, [rounds] = planned(step(incidents=[incident()], decisions=[decision()]), vetted=False)
    assert [slot for slot, _ in rounds] == ["import"]


def test_an_import_fills_in_only_what_a_decision_of_the_file_cannot_do_without_and_says_so() -> None:
    whole = [decision("focal_point"), decision("technical"), decision()]
    _, [rounds] = planned(step(incidents=[incident()], decisions=whole), vetted=False)
    assert [(slot, [line["reason"] for line in lines]) for slot, lines in rounds] == [
        (slot, ["As recorded in the exchange file."]) for slot in ("focal_point", "technical", "import")
    ]
    _, [rounds] = planned(step(incidents=[incident()], decisions=[decision("technical")]), vetted=False)
    [(first, [filled]), (second, _)] = rounds
    assert (first, second) == ("focal_point", "technical")
    assert "a decision of the technical level and none of the focal point before it" in filled["reason"]
    assert "task force" not in filled["reason"]


def test_given_attribution_is_passed_on_an_empty_one_too_and_not_to_filled_stages() -> None:
    _, [rounds] = planned(step(incidents=[incident()], decisions=[decision(attribution=[])]))
    assert [line.get("attribution") for _, [line] in rounds] == [None, None, []]


def test_without_a_primary_source_the_documents_are_the_reason() -> None:
    sources = [{"category": "secondary", "type": "document", "violations": ["k1"]}]
    _, [rounds] = planned(step(incidents=[incident(sources=sources)], decisions=[decision()]))
    assert all(not line["criteria"]["primary_source"] and line["criteria"]["documentation_exception"] for _, [line] in rounds)


def test_a_later_report_of_a_key_is_its_next_revision() -> None:
    plan = Plan(situation="S", today=TODAY, vetted=True)
    [first] = plan.reports(step(incidents=[incident()]))
    [second] = plan.reports(step(incidents=[incident(violations=[])]))
    assert "revision" not in first
    assert (second["key"], second["revision"]) == (first["key"], 2)
    assert (plan.incidents, plan.revisions) == (1, 1)
    assert first["sources"][0]["violations"] == ["k1"]
    assert second.get("sources", []) == []


def test_ids_are_of_one_situation_and_lead_back_to_the_file() -> None:
    plan = Plan(situation="S", today=TODAY, vetted=True)
    named = plan.reference("i1/k1")
    assert UUID(named.split("/")[0])
    assert named != Plan(situation="T", today=TODAY, vetted=True).reference("i1/k1")
    assert plan.file_reference(named) == "i1/k1"
    answer = [{"violation": named, "missing": ["place"]}]
    assert in_words_of_the_file("exceptions", answer, plan) == [{"violation": "i1/k1", "missing": ["place"]}]
    kept = Plan(situation="S", today=TODAY, vetted=False, keep_ids=True)
    assert kept.incident_id("6c1f8d0e-5a53-4f6e-9d1c-7b1d3a5f0001") == "6c1f8d0e-5a53-4f6e-9d1c-7b1d3a5f0001"
    assert kept.incident_id("6C1F8D0E-5A53-4F6E-9D1C-7B1D3A5F0001") != "6c1f8d0e-5a53-4f6e-9d1c-7b1d3a5f0001"


@pytest.mark.parametrize(
    ("table", "expected", "answered", "same"),
    [
        ("ages", {"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ("trend", [1, 2], [2, 1], False),
        ("exceptions", [{"violation": "a"}, {"violation": "b"}], [{"violation": "b"}, {"violation": "a"}], True),
        ("exceptions", [{"violation": "a"}], [{"violation": "a"}, {"violation": "a"}], False),
        ("ages", {"a": 1}, {"a": True}, False),
        ("ages", {"a": 1}, {"a": 1, "b": 0}, False),
    ],
)
def test_answers_are_compared_as_json(table: str, expected: object, answered: object, same: bool) -> None:
    assert same_answer(table, expected, answered) is same


def read(path: Path) -> ExchangeFile:
    document, errors = read_exchange(path.read_bytes(), now=NOW)
    assert errors == []
    assert document is not None
    return document


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_every_report_of_a_file_is_one_that_intake_takes(path: Path) -> None:
    document = read(path)
    plan = Plan(situation=document.situation.code, today=TODAY, vetted=True)
    for one in document.steps:
        for body in plan.reports(one):
            report = IncidentReport.model_validate_json(json.dumps(body))
            assert check_incident(report, document.situation, today=TODAY, first="revision" not in body) == []
        decided = [line["violation"] for round_ in plan.rounds(one) for line in round_.lines if line["reason"].startswith("As")]
        assert sorted(decided) == sorted(plan.reference(entry.violation) for entry in one.decisions)


def test_records_become_steps_that_keep_their_order() -> None:
    records: list[dict[str, Any]] = [
        {"incident": {"key": "a"}},
        {"incident": {"key": "b"}},
        {"decision": {"violation": "a/k"}},
        {"link": {"kind": "duplicate"}},
        {"link": {"kind": "not_duplicate"}},
        {"decision": {"violation": "b/k"}},
        {"incident": {"key": "c"}},
        {"incident": {"key": "c"}},
    ]
    assert steps_of(records) == [
        {
            "incidents": [{"key": "a"}, {"key": "b"}],
            "decisions": [{"violation": "a/k"}],
            "links": [{"kind": "duplicate"}, {"kind": "not_duplicate"}],
        },
        {"decisions": [{"violation": "b/k"}]},
        {"incidents": [{"key": "c"}]},
        {"incidents": [{"key": "c"}]},
    ]
    assert steps_of([]) == []


def test_a_register_entry_leaves_its_keys_its_policy_and_its_version_behind() -> None:
    entry = {"code": "A", "name": "A", "time_zone": "UTC", "parties": [], "places": [], "policy": {}, "recipients": {}, "version": 3}
    assert set(situation_part(entry)) == {"code", "name", "time_zone", "parties", "places"}
