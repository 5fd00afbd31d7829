"""The difference of two moments: what entered, left and moved explains every difference between the tables of the two (C12)."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.running_aggregation import RunningAggregation, aggregation

__all__ = ["aggregation"]
EXCHANGE = Path(__file__).parents[1] / "data" / "exchange"
DOCUMENTS = {path.stem: json.loads(path.read_text("utf-8")) for path in EXCHANGE.glob("*.json")}
WINDOW = {"from": "2022-01-01", "to": "2022-04-01"}


async def changes(aggregation: RunningAggregation, situation: str, since: int, as_of: int, **params: str) -> list[Any]:
    answer = await aggregation.table(situation, "changes", since=str(since), as_of=str(as_of), **{**WINDOW, **params})
    assert (answer["since"]["position"], answer["as_of"]["position"], answer["next"]) == (since, as_of, None)
    data: list[Any] = answer["data"]
    return data


async def test_each_change_names_what_made_it(aggregation: RunningAggregation) -> None:
    coder, reached = await aggregation.house.load(DOCUMENTS["example"])
    situation = coder.names.situation
    found = {change["violation"]: change for change in await changes(aggregation, situation, *reached, late_rule="quarter")}
    violence = found[coder.names.violation("girls/violence")]
    assert violence["change"] == "moved"
    assert (violence["before"]["set"], violence["after"]["set"]) == ("verified", "unverified")
    assert [cause["kind"] for cause in violence["causes"]] == ["violation.decided.v1"]
    school = found[coder.names.violation("school/attack")]
    assert (school["change"], school["before"]["lines"], school["after"]["lines"]) == ("moved", ["_unidentified"], ["group_2"])
    again = found[coder.names.violation("market-again/killing")]
    assert (again["change"], again["after"], [cause["kind"] for cause in again["causes"]]) == ("left", None, ["violation.linked.v1"])
    second = {"from": "2022-04-01", "to": "2022-07-01", "late_rule": "quarter"}
    found = {change["violation"]: change for change in await changes(aggregation, situation, *reached, **second)}
    convoy = found[coder.names.violation("convoy/abduction")]
    assert (convoy["change"], [cause["kind"] for cause in convoy["causes"]]) == ("left", ["incident.coded.v1"])
    road = found[coder.names.violation("road/maiming")]
    assert (road["change"], [cause["kind"] for cause in road["causes"]]) == ("entered", ["incident.coded.v1", "violation.decided.v1"])
    siege = found[coder.names.violation("siege/denial")]
    assert (siege["change"], siege["before"]["set"], siege["after"]["set"]) == ("moved", "unverified", "verified")


async def test_a_link_between_children_is_a_change_of_the_violations_that_count_them(aggregation: RunningAggregation) -> None:
    coder, reached = await aggregation.house.load(DOCUMENTS["example"])
    found = {
        change["violation"]: change
        for change in await changes(aggregation, coder.names.situation, reached[1] - 1, reached[1], to="2023-01-01")
    }
    expected = {coder.names.violation(ref) for ref in ("boy/recruitment", "boy/abduction", "boy-again/recruitment")}
    assert found.keys() == expected
    assert {change["change"] for change in found.values()} == {"children"}
    assert {cause["kind"] for change in found.values() for cause in change["causes"]} == {"children.linked.v1"}


async def test_nothing_changes_between_a_moment_and_itself(aggregation: RunningAggregation) -> None:
    coder, reached = await aggregation.house.load(DOCUMENTS["history1"])
    assert await changes(aggregation, coder.names.situation, reached[0], reached[0]) == []


@pytest.mark.parametrize("name", ["example", "history1", "history2", "history3"])
@pytest.mark.parametrize("window", [("2022-01-01", "2022-04-01"), ("2020-01-01", "2026-01-01")])
async def test_the_changes_add_up_to_the_difference_of_the_two_moments(
    aggregation: RunningAggregation, name: str, window: tuple[str, str]
) -> None:
    coder, reached = await aggregation.house.load(DOCUMENTS[name])
    situation, span = coder.names.situation, {"from": window[0], "to": window[1], "late_rule": "window"}
    middle = reached[0] + (reached[-1] - reached[0]) // 2
    for since, as_of in [(0, reached[0]), (reached[0], reached[-1]), (middle, reached[-1])]:
        found = await changes(aggregation, situation, since, as_of, **span)
        then, now = [
            (await aggregation.table(situation, "summary", as_of=str(position), **span))["data"]["violations"]
            for position in (since, as_of)
        ]
        delta = sum(_main(change["after"]) - _main(change["before"]) for change in found)
        assert now - then == delta
        then_children, now_children = [
            (await aggregation.table(situation, "summary", as_of=str(position), **span))["data"]["children"] for position in (since, as_of)
        ]
        assert then_children == now_children or found


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "missing_parameter"),
        ({"since": "5", "as_of": "3"}, "reversed_moments"),
        ({"since": "99999"}, "future_as_of"),
        ({"since": "yesterday"}, "unknown_value"),
    ],
)
async def test_a_bad_comparison_is_refused(aggregation: RunningAggregation, params: dict[str, str], code: str) -> None:
    coder, _ = await aggregation.house.load(DOCUMENTS["example"])
    answer = await aggregation.get(f"/v1/situations/{coder.names.situation}/tables/changes", **{**WINDOW, **params})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def _main(place: Any) -> int:
    counted = place is not None and place["set"] == "verified" and not place["late"]
    return place["amount"] if counted and place["type"] not in ("military_use", "deprivation_liberty") else 0
