"""Every file that comes with the project is valid, and every refusal of an exchange file names its field."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.exchange_check import document_of, read_exchange

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FILES = sorted((Path(__file__).parents[2] / "data" / "exchange").glob("*.json"))
Change = Callable[[dict[str, Any]], object]


def base() -> dict[str, Any]:
    return {
        "format": "mrm-exchange/1",
        "situation": {
            "code": "XAA",
            "name": "Example",
            "time_zone": "Asia/Kabul",
            "parties": [{"code": "force", "type": "armed_force", "name": "Force"}],
            "places": [{"code": "N", "name": "North", "level": 1}, {"code": "T", "name": "Town", "level": 2, "parent": "N"}],
        },
        "steps": [
            {
                "incidents": [
                    {
                        "key": "i1",
                        "occurred_from": "2024-01-10",
                        "occurred_to": "2024-01-12",
                        "place": "T",
                        "violations": [
                            {"key": "k1", "type": "killing", "boys": 2, "details": {"weapon_type": ["landmine"]}},
                            {"key": "k2", "type": "maiming"},
                        ],
                        "victims": [{"key": "c1", "sex": "male", "age": 9, "violations": ["k1", "k2"]}],
                        "groups": [{"key": "g1", "girls": 1, "violations": ["k2"]}],
                        "perpetrators": [{"party": "force", "attribution": "sole", "violations": ["k1"]}],
                        "sources": [{"category": "primary_victim", "type": "oral_testimony", "violations": ["k1"]}],
                    },
                    {
                        "key": "i2",
                        "occurred_from": "2024-01-10",
                        "violations": [{"key": "k1", "type": "killing", "boys": 1}],
                        "victims": [{"key": "c1", "sex": "male", "violations": ["k1"]}],
                    },
                ],
                "decisions": [
                    {"violation": "i1/k1", "stage": "ctfmr", "outcome": "verified", "decided_on": "2024-02-01"},
                    {"violation": "i1/k2", "stage": "ctfmr", "outcome": "verified"},
                ],
                "links": [
                    {"kind": "duplicate", "violation": "i2/k1", "of": "i1/k1"},
                    {"kind": "same_child", "victim": "i2/c1", "of": "i1/c1"},
                ],
            },
            {
                "incidents": [{"key": "i2", "occurred_from": "2024-01-11", "violations": []}],
                "decisions": [],
                "links": [],
            },
        ],
        "queries": [{"table": "ages", "from": "2024-01-01", "to": "2024-04-01", "after_step": 2, "expected": {}}],
    }


def refused(change: Change) -> list[tuple[str, str]]:
    document = deepcopy(base())
    change(document)
    accepted, errors = read_exchange(json.dumps(document), now=NOW)
    assert (accepted is None) == bool(errors)
    return [(error.field, error.code) for error in errors]


def first(document: dict[str, Any]) -> Any:
    return document["steps"][0]["incidents"][0]


def second_step(document: dict[str, Any]) -> Any:
    return document["steps"][1]


def revise(**fields: Any) -> Change:
    """Revise the first incident in the second step."""

    def change(document: dict[str, Any]) -> None:
        revision = {"key": "i1", "occurred_from": "2024-01-10", "violations": [], **fields}
        second_step(document)["incidents"].append(revision)

    return change


def link(kind: str, item: str, of: str) -> Change:
    """Add a link to the second step, in which i2 holds nothing any more."""
    name = "violation" if kind.endswith("duplicate") else "victim"
    return lambda document: second_step(document)["links"].append({"kind": kind, name: item, "of": of})


def early_link(kind: str, item: str, of: str) -> Change:
    name = "violation" if kind.endswith("duplicate") else "victim"
    return lambda document: document["steps"][0]["links"].append({"kind": kind, name: item, "of": of})


def decide(**fields: Any) -> Change:
    decision = {"violation": "i1/k1", "stage": "ctfmr", "outcome": "verified", "decided_on": "2024-02-01", **fields}
    return lambda document: document["steps"][0]["decisions"].append(decision)


def put(value: Any, *path: str | int) -> Change:
    def change(document: dict[str, Any]) -> None:
        target: Any = document
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return change


I1 = ("steps", 0, "incidents", 0)
FIRST = "steps[0].incidents[0]"
REFUSALS: dict[str, tuple[Change, tuple[str, str]]] = {
    "tally below the linked victims": (put(0, *I1, "violations", 0, "boys"), (f"{FIRST}.violations[0].boys", "does_not_cover")),
    "written zero": (put(0, *I1, "violations", 1, "girls"), (f"{FIRST}.violations[1].boys", "does_not_cover")),
    "age": (put(18, *I1, "victims", 0, "age"), (f"{FIRST}.victims[0].age", "not_a_child")),
    "type": (put("theft", *I1, "violations", 0, "type"), (f"{FIRST}.violations[0].type", "unknown_code")),
    "detail list": (put({"colour": ["red"]}, *I1, "violations", 0, "details"), (f"{FIRST}.violations[0].details", "unknown_code")),
    "detail code": (
        put({"weapon_type": ["sling"]}, *I1, "violations", 0, "details"),
        (f"{FIRST}.violations[0].details.weapon_type", "unknown_code"),
    ),
    "detail not a list": (
        put({"weapon_type": "landmine"}, *I1, "violations", 0, "details"),
        (f"{FIRST}.violations[0].details.weapon_type", "wrong_type"),
    ),
    "party": (put("other", *I1, "perpetrators", 0, "party"), (f"{FIRST}.perpetrators[0].party", "unknown_code")),
    "place": (put("X", *I1, "place"), (f"{FIRST}.place", "unknown_code")),
    "linked key": (put(["k9"], *I1, "victims", 0, "violations"), (f"{FIRST}.victims[0].violations", "unknown_reference")),
    "sole without party": (
        put({"attribution": "sole", "violations": ["k1"]}, *I1, "perpetrators", 0),
        (f"{FIRST}.perpetrators[0].party", "missing"),
    ),
    "unidentified with party": (
        put("unidentified", *I1, "perpetrators", 0, "attribution"),
        (f"{FIRST}.perpetrators[0].party", "contradiction"),
    ),
    "decision's party": (
        decide(attribution=[{"attribution": "no_actor", "party": "force"}]),
        ("steps[0].decisions[2].attribution[0].party", "contradiction"),
    ),
    "slash in a key": (put("i/1", *I1, "key"), (f"{FIRST}.key", "wrong_form")),
    "slash in a code": (put("a/b", "situation", "parties", 0, "code"), ("situation.parties[0].code", "wrong_form")),
    "leading underscore": (put("_N", "situation", "places", 0, "code"), ("situation.places[0].code", "wrong_form")),
    "situation code": (put("_X", "situation", "code"), ("situation.code", "wrong_form")),
    "time zone": (put("Mars/Base", "situation", "time_zone"), ("situation.time_zone", "unknown_code")),
    "parent listed later": (
        lambda d: d["situation"]["places"].reverse(),
        ("situation.places[0].parent", "unknown_reference"),
    ),
    "parent of the same level": (put(1, "situation", "places", 1, "level"), ("situation.places[1].parent", "unknown_reference")),
    "last day first": (put("2024-01-09", *I1, "occurred_to"), (f"{FIRST}.occurred_to", "before_start")),
    "decided before": (decide(decided_on="2024-01-09"), ("steps[0].decisions[2].decided_on", "before_incident")),
    "unknown violation": (decide(violation="i1/k9"), ("steps[0].decisions[2].violation", "unknown_reference")),
    "unknown incident": (decide(violation="i9/k1"), ("steps[0].decisions[2].violation", "unknown_reference")),
    "left out by a revision": (
        lambda d: second_step(d)["decisions"].append({"violation": "i2/k1", "stage": "ctfmr", "outcome": "not_mrm"}),
        ("steps[1].decisions[0].violation", "unknown_reference"),
    ),
    "revised after the decision": (
        revise(occurred_from="2024-02-02", violations=[{"key": "k1", "type": "killing", "boys": 1}]),
        ("steps[1].incidents[1].occurred_from", "after_decision"),
    ),
    "key twice in a step": (put("i1", "steps", 0, "incidents", 1, "key"), ("steps[0].incidents[1].key", "twice")),
    "ongoing with a last day": (put(True, *I1, "ongoing"), (f"{FIRST}.ongoing", "contradiction")),
    "ongoing false": (put(False, *I1, "ongoing"), (f"{FIRST}.ongoing", "unknown_code")),
    "occurred in the future": (
        put("2026-01-02", "steps", 1, "incidents", 0, "occurred_from"),
        ("steps[1].incidents[0].occurred_from", "in_future"),
    ),
    "ended in the future": (put("2026-01-02", *I1, "occurred_to"), (f"{FIRST}.occurred_to", "in_future")),
    "decided in the future": (decide(decided_on="2026-01-02"), ("steps[0].decisions[2].decided_on", "in_future")),
    "reversed window": (put("2023-12-31", "queries", 0, "to"), ("queries[0].to", "reversed_window")),
    "link to itself": (early_link("duplicate", "i1/k1", "i1/k1"), ("steps[0].links[2].of", "link_to_itself")),
    "stands": (early_link("duplicate", "i2/k1", "i1/k1"), ("steps[0].links[2]", "link_stands")),
    "stands the other way": (early_link("same_child", "i1/c1", "i2/c1"), ("steps[0].links[2]", "link_stands")),
    "does not stand": (early_link("not_duplicate", "i1/k1", "i2/k1"), ("steps[0].links[2]", "link_absent")),
    "circle": (early_link("duplicate", "i1/k1", "i2/k1"), ("steps[0].links[2]", "duplicate_circle")),
    "unknown victim": (link("same_child", "i1/c9", "i1/c1"), ("steps[1].links[0].victim", "unknown_reference")),
    "victim not held now": (link("not_same_child", "i1/c1", "i2/c1"), ("steps[1].links[0].of", "unknown_reference")),
    "step that is not there": (put(3, "queries", 0, "after_step"), ("queries[0].after_step", "unknown_reference")),
    "step zero": (put(0, "queries", 0, "after_step"), ("queries[0].after_step", "too_small")),
    "table": (put("totals", "queries", 0, "table"), ("queries[0].table", "unknown_code")),
    "parameter": (put({"colour": "red"}, "queries", 0, "params"), ("queries[0].params.colour", "unknown_field")),
    "parameter value": (put({"late": "never"}, "queries", 0, "params"), ("queries[0].params.late", "unknown_code")),
    "missing field": (put("by_detail", "queries", 0, "table"), ("queries[0].params.field", "missing")),
    "unknown field": (put(1, "colour"), ("colour", "unknown_field")),
    "unknown field in an incident": (put("x", *I1, "narrative"), (f"{FIRST}.narrative", "unknown_field")),
    "policy": (put({"disclosure_threshold": 5}, "situation", "policy"), ("situation.policy", "unknown_field")),
    "kind of link": (put("twin", "steps", 0, "links", 0, "kind"), ("steps[0].links[0].kind", "unknown_code")),
    "link without a kind": (put({"of": "i1/k1"}, "steps", 0, "links", 0), ("steps[0].links[0].kind", "missing")),
    "end of a link": (put(7, "steps", 0, "links", 0, "violation"), ("steps[0].links[0].violation", "wrong_type")),
    "unknown field of a link": (put(7, "steps", 0, "links", 0, "since"), ("steps[0].links[0].since", "unknown_field")),
    "not a number": (put(float("nan"), "queries", 0, "expected"), ("queries[0].expected", "not_json")),
    "infinity": (put({"a": [float("inf")]}, "queries", 0, "expected"), ("queries[0].expected.a[0]", "not_json")),
    "format": (put("mrm-exchange/2", "format"), ("format", "unknown_code")),
}


def test_the_base_is_valid() -> None:
    assert refused(deepcopy) == []


@pytest.mark.parametrize("name", list(REFUSALS))
def test_a_refusal_names_its_field(name: str) -> None:
    change, expected = REFUSALS[name]
    assert expected in refused(change)


def test_a_child_type_without_any_child_is_refused() -> None:
    def change(document: dict[str, Any]) -> None:
        first(document)["groups"] = []
        first(document)["victims"][0]["violations"] = ["k1"]

    assert refused(change) == [(f"{FIRST}.violations[1]", "no_child")]


def test_a_first_report_without_violation_is_refused_and_a_revision_is_not() -> None:
    def change(document: dict[str, Any]) -> None:
        document["steps"][0] = {"incidents": [{"key": "i1", "occurred_from": "2024-01-10", "violations": []}]}
        document["steps"][1] = {}

    assert refused(change) == [(f"{FIRST}.violations", "too_few")]


def test_an_idle_link_stands_and_counts_in_a_circle() -> None:
    def change(document: dict[str, Any]) -> None:
        # i2/k1 is left out by the second step: its link to i1/k1 lies idle, and comes back with the third.
        document["steps"].append({"incidents": [{**document["steps"][0]["incidents"][1], "victims": []}]})
        document["steps"][2]["links"] = [{"kind": "duplicate", "violation": "i1/k1", "of": "i2/k1"}]

    assert refused(change) == [("steps[2].links[0]", "duplicate_circle")]


def test_a_circle_over_an_idle_middle_is_refused() -> None:
    def change(document: dict[str, Any]) -> None:
        third = {"key": "i3", "occurred_from": "2024-01-10", "violations": [{"key": "k1", "type": "killing", "boys": 1}]}
        document["steps"][0]["incidents"].append(third)
        document["steps"][0]["links"].append({"kind": "duplicate", "violation": "i3/k1", "of": "i2/k1"})
        document["steps"][1]["links"].append({"kind": "duplicate", "violation": "i1/k1", "of": "i3/k1"})

    assert refused(change) == [("steps[1].links[0]", "duplicate_circle")]


def test_a_revision_may_move_past_the_decision_of_a_violation_that_it_leaves_out() -> None:
    assert refused(revise(occurred_from="2024-03-01")) == []


def test_today_is_the_day_in_the_situation() -> None:
    def change(document: dict[str, Any]) -> None:
        document["steps"] = [
            {"incidents": [{"key": "i", "occurred_from": "2026-01-02", "violations": [{"key": "k", "type": "military_use"}]}]}
        ]
        document["queries"] = []
        document["situation"]["time_zone"] = "Pacific/Kiritimati"

    assert refused(change) == []


@pytest.mark.parametrize(
    ("plain", "doubled", "field"),
    [
        ('"boys": 2', '"boys": 2, "boys": 3', f"{FIRST}.violations[0].boys"),
        ('"format"', '"format": "mrm-exchange/1", "format"', "format"),
        ('"expected": {}', '"expected": {"a": [{"b": 1, "b": 1}]}', "queries[0].expected.a[0].b"),
    ],
)
def test_a_name_that_stands_twice_is_refused_by_its_path(plain: str, doubled: str, field: str) -> None:
    accepted, errors = read_exchange(json.dumps(base()).replace(plain, doubled, 1), now=NOW)
    assert accepted is None
    assert [(error.field, error.code) for error in errors] == [(field, "twice")]


@pytest.mark.parametrize("number", ["1e999", "-Infinity", "NaN"])
def test_a_number_that_json_does_not_have_is_refused(number: str) -> None:
    accepted, errors = read_exchange(json.dumps(base()).replace('"expected": {}', f'"expected": {number}'), now=NOW)
    assert accepted is None
    assert [(error.field, error.code) for error in errors] == [("queries[0].expected", "not_json")]


def test_a_kind_of_link_is_refused_with_those_that_there_are() -> None:
    document = base()
    document["steps"][0]["links"][0]["kind"] = "twin"
    _, [error] = read_exchange(json.dumps(document), now=NOW)
    assert error.message == "Choose one of `duplicate`, `not_duplicate`, `same_child`, `not_same_child`."


def test_a_document_nested_without_end_is_refused() -> None:
    _, [error] = read_exchange('{"note":' * 100_000, now=NOW)
    assert (error.field, error.code) == ("(document)", "not_json")


def test_not_json_names_the_document() -> None:
    accepted, errors = read_exchange(b"\xff{", now=NOW)
    assert accepted is None
    assert [error.field for error in errors] == ["(document)"]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_file_of_the_project_is_valid_and_survives_writing(path: Path) -> None:
    accepted, errors = read_exchange(path.read_bytes(), now=NOW)
    assert errors == []
    assert accepted is not None
    again, errors = read_exchange(json.dumps(document_of(accepted)), now=NOW)
    assert (again, errors) == (accepted, [])


def test_there_are_files() -> None:
    assert len(FILES) == 20
