"""Small-cell suppression attacked by linear programming: whoever knows every relation still finds k values for what is left out (C14)."""

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from aggregation.domain.disclosure import Linked, Name, Reason, suppress
from aggregation.domain.linking import DETAILS, SHARED, LinkedTables
from support.histories import SITUATION, Author
from support.oracle import Oracle, acts_of

EXCHANGE = Path(__file__).parents[2] / "data" / "exchange"
WINDOWS = [("2022-01-01", "2022-04-01"), ("2022-01-01", "2023-01-01"), ("2000-01-01", "2030-01-01")]
PLENTY = 100_000
"""Nothing counted here comes near it; with a ceiling the solver need not tell unbounded from infeasible, which it gets wrong."""
THOROUGH = int(os.environ.get("MRM_HISTORIES", "0")) > 25


def shared_set(oracle: Oracle, window: tuple[str, str], params: dict[str, str]) -> dict[str, Any]:
    """Every table that is shared together, counted by the oracle."""
    params = {"late_rule": "window", **params}
    tables = {table: oracle.answer(table, *window, params) for table in SHARED}
    return tables | {f"by_detail.{field}": oracle.answer("by_detail", *window, {**params, "field": field}) for field in DETAILS}


def possible(linked: Linked, left_out: dict[Name, Reason], known: dict[Name, int] | None = None) -> dict[Name, float]:
    """For every number left out, how many values it can have for somebody who knows all that is published and all relations."""
    known = known or {}
    names = {name for name in left_out if linked.values.get(name)} - known.keys()
    relations = []
    for kind, group in enumerate((linked.equalities, linked.bounds)):
        for terms in group:
            unknown = {name: factor for name, factor in terms.items() if name in names}
            rest = sum(factor * linked.values.get(name, 0) for name, factor in terms.items() if name not in names)
            if unknown:
                relations.append((kind, unknown, -rest))
    found: dict[Name, float] = {}
    for part in parts_of(names, relations):
        found |= possible_in_part(sorted(part, key=str), [relation for relation in relations if relation[1].keys() & part])
    return found


def parts_of(names: set[Name], relations: list[Any]) -> list[set[Name]]:
    """Numbers that no relation connects are attacked on their own."""
    parts = [{name} for name in names]
    for _, unknown, _ in relations:
        touched = [part for part in parts if part & unknown.keys()]
        parts = [part for part in parts if not part & unknown.keys()] + [set().union(*touched)]
    return parts


def possible_in_part(names: list[Name], relations: list[Any]) -> dict[Name, float]:
    index = {name: number for number, name in enumerate(names)}
    rows: list[list[Any]] = [[], []]
    sides: list[list[int]] = [[], []]
    for kind, unknown, side in relations:
        row = np.zeros(len(names))
        for name, factor in unknown.items():
            row[index[name]] = factor
        rows[kind].append(row)
        sides[kind].append(side)
    system = {
        "A_eq": np.array(rows[0]) if rows[0] else None,
        "b_eq": sides[0] or None,
        "A_ub": np.array(rows[1]) if rows[1] else None,
        "b_ub": sides[1] or None,
        "bounds": (1, PLENTY),  # a zero is never left out, and everybody knows that
        "method": "highs",
    }
    found = {}
    for name in names:
        goal = np.zeros(len(names))
        goal[index[name]] = 1
        low, high = linprog(goal, **system), linprog(-goal, **system)
        assert (low.status, high.status) == (0, 0), (low.message, high.message)
        found[name] = -high.fun - low.fun + 1
    return found


def check_relations(linked: Linked) -> None:
    """The relations everybody is said to know do hold."""
    for terms in linked.equalities:
        assert sum(factor * linked.values.get(name, 0) for name, factor in terms.items()) == 0, terms
    for terms in linked.bounds:
        assert sum(factor * linked.values.get(name, 0) for name, factor in terms.items()) <= 0, terms


def attack(tables: dict[str, Any], *, k: int, late_inside: bool) -> None:
    linked = LinkedTables(tables, late_inside=late_inside).linked()
    check_relations(linked)
    left_out = suppress(linked, k=k)
    assert {name for name, value in linked.values.items() if 0 < value < k} <= left_out.keys()
    too_narrow = {name: width for name, width in possible(linked, left_out).items() if width < k - 1e-6}
    assert not too_narrow


@pytest.mark.parametrize("late", ["beside", "inside"])
@pytest.mark.parametrize("name", ["example", "history1", "history3"])
def test_no_small_number_of_a_file_can_be_worked_out(name: str, late: str) -> None:
    document = json.loads((EXCHANGE / f"{name}.json").read_text("utf-8"))
    oracle = Oracle(document["situation"], acts_of(document))
    for window in WINDOWS if THOROUGH else WINDOWS[1:]:
        attack(shared_set(oracle, window, {"late": late}), k=5, late_inside=late == "inside")


@pytest.mark.parametrize("seed", range(3))
def test_no_small_number_of_a_random_history_can_be_worked_out(seed: int) -> None:
    author = Author(random.Random(seed))
    for _ in range(150):
        author.act()
    oracle = Oracle(SITUATION, author.acts)
    attack(
        shared_set(oracle, ("2021-01-01", "2024-01-01"), {"late": "beside"}), k=random.Random(seed).choice([2, 3, 5, 10]), late_inside=False
    )


@pytest.mark.parametrize("source", ["history_large", "0", "1", "2"] if THOROUGH else ["history3", "0"])
def test_who_kept_an_earlier_release_of_the_window_learns_no_small_number(source: str) -> None:
    if source.isdigit():
        author = Author(random.Random(int(source)))
        for _ in range(200):
            author.act()
        situation, acts = SITUATION, author.acts
    else:
        document = json.loads((EXCHANGE / f"{source}.json").read_text("utf-8"))
        situation, acts = document["situation"], acts_of(document)
    moments = [acts[: len(acts) * 2 // 3], acts[: len(acts) - 10], acts]
    known: dict[Name, set[int]] = {}
    for moment in moments:
        tables = shared_set(Oracle(situation, moment), ("2000-01-01", "2030-01-01"), {"late": "beside"})
        linked = LinkedTables(tables, late_inside=False).linked()
        left_out = suppress(linked, k=5, known=known)
        remembered = {name: linked.values[name] for name in left_out if linked.values.get(name) in known.get(name, ())}
        widths = possible(linked, left_out, remembered)
        assert not {name: width for name, width in widths.items() if width < 5 - 1e-6 and name not in remembered}
        for name, value in linked.values.items():
            if name not in left_out:
                known.setdefault(name, set()).add(value)


def test_a_small_number_takes_few_others_with_it() -> None:
    values = {("cell", row, column): 20 + row + column for row in range(4) for column in range(4)} | {("cell", 1, 1): 3}
    rows = {("row", row): sum(values["cell", row, column] for column in range(4)) for row in range(4)}
    columns = {("column", column): sum(values["cell", row, column] for row in range(4)) for column in range(4)}
    equalities = [{name: -1} | {("cell", name[1], column): 1 for column in range(4)} for name in rows]
    equalities += [{name: -1} | {("cell", row, name[1]): 1 for row in range(4)} for name in columns]
    linked = Linked(values=values | rows | columns, equalities=equalities)
    left_out = suppress(linked, k=5)
    assert len(left_out) == 4
    assert not left_out.keys() & (rows.keys() | columns.keys())
    assert left_out["cell", 1, 1] is Reason.PRIMARY
    assert all(width >= 5 for width in possible(linked, left_out).values())


def test_a_number_left_out_is_known_to_be_at_least_one() -> None:
    linked = Linked(values={"a": 2, "b": 3, "all": 5}, equalities=[{"a": 1, "b": 1, "all": -1}])
    left_out = suppress(linked, k=5)
    assert not {name: width for name, width in possible(linked, left_out).items() if width < 5}
    assert left_out == {"a": Reason.PRIMARY, "b": Reason.PRIMARY, "all": Reason.COMPLEMENTARY}


def test_a_zero_is_never_left_out() -> None:
    linked = Linked(values={"a": 0, "b": 30, "all": 30}, equalities=[{"a": 1, "b": 1, "all": -1}])
    assert "a" not in suppress(linked, k=10, known={"a": [3]})


def test_nothing_is_left_out_where_nothing_is_small() -> None:
    linked = Linked(values={"a": 5, "b": 0, "all": 5}, equalities=[{"a": 1, "b": 1, "all": -1}])
    assert suppress(linked, k=5) == {}


def test_what_was_shared_before_protects_nothing() -> None:
    values = {"a": 2, "b": 30, "c": 40, "all": 72}
    linked = Linked(values=values, equalities=[{"a": 1, "b": 1, "c": 1, "all": -1}])
    left_out = suppress(linked, k=5, known={"b": [30]})
    assert left_out.keys() == {"a", "c"}
    assert possible(linked, left_out, {"b": 30})["a"] >= 5


def test_a_small_difference_to_what_was_shared_before_is_left_out() -> None:
    values = {"a": 32, "b": 30, "c": 40, "all": 102}
    linked = Linked(values=values, equalities=[{"a": 1, "b": 1, "c": 1, "all": -1}])
    left_out = suppress(linked, k=5, known={"a": [30], "b": [30]})
    assert left_out == {"a": Reason.DIFFERENCE, "c": Reason.COMPLEMENTARY}


def test_without_anything_that_protects_the_whole_linked_part_is_left_out() -> None:
    linked = Linked(values={"a": 2, "all": 2, "other": 50}, equalities=[{"a": 1, "all": -1}])
    left_out = suppress(linked, k=5)
    assert left_out.keys() == {"a", "all"}
