"""Sums: right figures never contradict, and a wrong one is found."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregation.domain.tables import TABLES
from contracts.bundle.sums import contradictions
from support.bundles import AFGHANISTAN, SMALL
from support.pure_counting import PureHouse

FILES = sorted((Path(__file__).parents[2] / "data" / "exchange").glob("*.json"))
PARAMS = {"late": "beside", "late_rule": "window"}
DETAILS = ("weapon_type", "child_role")


def snapshot_of(house: PureHouse, start: str, end: str, params: dict[str, str]) -> dict[str, Any]:
    """Every table of a window as the counting rules answer it."""
    tables = {name: house.answer(name, start, end, params) for name, table in TABLES.items() if not table.asks_field}
    details = {f"by_detail.{field}": house.answer("by_detail", start, end, params | {"field": field}) for field in DETAILS}
    return tables | details


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_what_the_rules_count_never_contradicts_itself(file: Path) -> None:
    document = json.loads(file.read_text("utf-8"))
    house = PureHouse(document, len(document["steps"]))
    windows = sorted({(query["from"], query["to"]) for query in document["queries"]})[:5]
    for start, end in windows:
        for late in ("beside", "inside"):
            for rule in ("quarter", "window"):
                params = {"late": late, "late_rule": rule}
                assert contradictions(snapshot_of(house, start, end, params), params=params) == [], (start, end, params)


def test_the_published_figures_agree() -> None:
    assert contradictions(AFGHANISTAN, params=PARAMS) == []
    assert contradictions(SMALL, params=PARAMS) == []
    assert contradictions({}, params={}) == []


def numbers(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from numbers(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from numbers(value, (*path, index))
    elif isinstance(node, int):
        yield path


CHECKED = (
    "summary",
    "verified_children",
    "verified_incidents",
    "late_children",
    "late_incidents",
    "verified_by_region",
    "late_by_region",
    "unverified_by_region",
    "unverified_children",
    "unverified_incidents",
    "by_grave_violation_and_parties",
    "trend",
)
"""Tables in which no single number can be one too many unseen."""


def test_any_one_number_that_is_one_too_many_is_found() -> None:
    document = json.loads((FILES[0].parent / "history1.json").read_text("utf-8"))
    house = PureHouse(document, len(document["steps"]))
    tables = snapshot_of(house, "2022-01-01", "2024-01-01", PARAMS)
    assert contradictions(tables, params=PARAMS) == []
    changed = 0
    for path in numbers({name: tables[name] for name in CHECKED}):
        wrong = copy.deepcopy(tables)
        node: Any = wrong
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] += 1
        assert contradictions(wrong, params=PARAMS), path
        changed += 1
    assert changed > 150


@pytest.mark.parametrize(
    ("table", "cell", "change"),
    [
        ("by_grave_violation_and_party", "abduction/taliban", {"abduction": {"taliban": 3, "_all": 2}}),
        ("by_grave_violation_and_party", "_all/abduction", {"abduction": {"taliban": 1, "_all": 2}}),
        ("by_grave_violation_and_party", "abduction/_all", {"abduction": {"taliban": 3, "_all": 3}}),
        ("context", "military_use/total", {"military_use": {"military_use_of_school": 1, "total": 2}}),
        ("context", "military_use/total", {"military_use": {"military_use_of_school": 3, "total": 2}}),
        ("context", "deprivation_liberty/total", {"deprivation_liberty": {"boys": 1, "girls": 1, "unknown": 0, "total": 3}}),
        ("ages", "", {"0_5": 560}),
        ("summary_previous", "violations", AFGHANISTAN["summary"] | {"violations": 7}),
        ("by_detail.weapon_type", "killing", {"killing": {"landmine": 179}}),
        ("by_detail.weapon_type", "killing", {"killing": {"landmine": 181}}),
    ],
)
def test_a_wrong_line_is_named(table: str, cell: str, change: dict[str, Any]) -> None:
    tables = copy.deepcopy(AFGHANISTAN)
    tables[table] = tables.get(table, {}) | change
    found = contradictions(tables, params=PARAMS)
    assert table in {one.table for one in found}
    if table in ("context", "ages", "summary_previous", "by_detail.weapon_type"):
        assert cell in {one.cell for one in found}


def test_memo_lines_are_no_part_of_the_lines_sum() -> None:
    tables = copy.deepcopy(SMALL)
    tables["by_grave_violation_and_party"] = {
        "recruitment_and_use": {"a": 1, "_joint": 1, "_all": 2},
        "denial_of_humanitarian_access": {"a": 1, "_all": 1},
    }
    assert [(one.table, one.cell) for one in contradictions(tables, params=PARAMS)] == [
        ("by_grave_violation_and_party", "_all/recruitment_and_use")
    ]


def test_tables_with_rules_of_their_own_are_not_compared() -> None:
    """Without one late rule for all, the main set of the GHN tables is another than that of the summary."""
    tables = copy.deepcopy(SMALL)
    tables["verified_incidents"] = {"denial_humanitarian_access": 5}
    assert contradictions(tables, params={}) == []
    assert contradictions(tables, params={"late": "inside"})
    assert contradictions(tables, params=PARAMS)


@pytest.mark.parametrize(
    ("table", "data"),
    [
        ("summary", {}),
        ("verified_children", {"killing": 4}),
        ("verified_children", {"military_use": {"boys": 1, "girls": 0, "unknown": 0, "total": 1}}),
        ("verified_incidents", {"attack_on_schools": "4"}),
        ("verified_incidents", {"attack_on_schools": 4.0}),
        ("verified_incidents", {"attack_on_schools": -4}),
        ("verified_incidents", {"attack_on_schools": True}),
        ("verified_incidents", []),
        ("trend", [{"from": "2024", "to": "2025-01-01"}]),
        ("unheard_of", {"a": [1.5]}),
        ("unheard_of", {"a": 2**53}),
    ],
)
def test_a_table_without_its_form_is_a_contradiction(table: str, data: Any) -> None:
    assert [one.table for one in contradictions({table: data}, params=PARAMS)] == [table]
