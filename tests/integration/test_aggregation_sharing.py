"""The shared form over HTTP: one suppression for all linked tables of a window, remembered once it has left (C14)."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from contracts.answers import SHARED, schemas
from support.running_aggregation import RunningAggregation, aggregation

__all__ = ["aggregation"]
EXCHANGE = Path(__file__).parents[1] / "data" / "exchange"
ALL_TIME = {"from": "2000-01-01", "to": "2030-01-01"}


async def loaded(aggregation: RunningAggregation, name: str) -> str:
    coder, _ = await aggregation.house.load(json.loads((EXCHANGE / f"{name}.json").read_text("utf-8")))
    return coder.names.situation


def with_nulls(exact: Any, shared: Any) -> Any:
    """The exact answer with null where the shared one has it: what the shared one must be."""
    if isinstance(exact, dict):
        return {key: with_nulls(value, shared[key]) for key, value in exact.items()}
    if isinstance(exact, list):
        return [with_nulls(value, shared[index]) for index, value in enumerate(exact)]
    return None if shared is None else exact


@pytest.mark.parametrize("table", SHARED)
async def test_the_shared_form_is_the_exact_one_without_what_is_left_out(aggregation: RunningAggregation, table: str) -> None:
    situation = await loaded(aggregation, "history1")
    params = {**ALL_TIME, "late_rule": "quarter", "field": "weapon_type"}
    exact, shared = [await aggregation.table(situation, table, form=form, **params) for form in ("exact", "shared")]
    assert shared["data"] == with_nulls(exact["data"], shared["data"])
    assert shared["applies"] == [*exact["applies"], "C14"]
    assert shared["shared"]["threshold"] == 5
    gaps = json.dumps(shared["data"]).count("null")
    assert gaps >= shared["shared"]["left_out"] > 0
    assert shared["shared"]["left_out_in_set"] > shared["shared"]["left_out"]
    assert shared["shared"].keys() == {"threshold", "left_out", "left_out_in_set", "why"}
    Draft202012Validator(schemas()[f"shared/{table}"]).validate(shared)


async def test_the_note_in_shared_form_withholds_lists_of_single_children(aggregation: RunningAggregation) -> None:
    situation = await loaded(aggregation, "history1")
    note = (await aggregation.get(f"/v1/situations/{situation}/ghn", form="shared", **ALL_TIME)).json()
    assert (note["data"]["children_multiple"], note["data"]["groups_multiple"]) == (None, None)
    assert note["applies"] == [f"C{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14)]
    table = await aggregation.table(situation, "verified_by_region", form="shared", **ALL_TIME)
    assert note["data"]["verified_by_region"] == table["data"]
    Draft202012Validator(schemas()["shared/ghn"]).validate(note)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("tables/exceptions", {}),
        ("tables/children_multiple", {}),
        ("tables/trend", {"by": "month"}),
        ("tables/by_detail", {"field": "aid_type"}),
        ("tables/summary/contributors", {"cell": "violations"}),
        ("tables/changes", {"since": "1"}),
    ],
)
async def test_what_names_single_cases_has_no_shared_form(aggregation: RunningAggregation, path: str, params: dict[str, str]) -> None:
    situation = await loaded(aggregation, "example")
    answer = await aggregation.get(f"/v1/situations/{situation}/{path}", form="shared", **params, **ALL_TIME)
    assert (answer.status_code, answer.json()["code"]) == (422, "no_shared_form")


async def test_a_release_is_recorded_once_and_what_it_showed_is_known_from_then_on(aggregation: RunningAggregation) -> None:
    document = json.loads((EXCHANGE / "history1.json").read_text("utf-8"))
    coder, reached = await aggregation.house.load(document)
    situation = coder.names.situation
    order = {"release": str(uuid4()), **ALL_TIME, "as_of": reached[0]}
    first = await aggregation.post(f"/v1/situations/{situation}/releases", order)
    again = await aggregation.post(f"/v1/situations/{situation}/releases", order)
    assert (first.status_code, again.status_code, first.json()) == (201, 200, again.json())
    Draft202012Validator(schemas()["shared/release"]).validate(first.json())
    assert first.json()["applies"] == [f"C{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14)]
    other = await aggregation.post(f"/v1/situations/{situation}/releases", {"release": str(uuid4()), **ALL_TIME, "late": "inside"})
    assert (other.status_code, other.json()["code"]) == (409, "release.other_params")
    second = await aggregation.post(f"/v1/situations/{situation}/releases", {"release": str(uuid4()), **ALL_TIME})
    assert second.status_code == 201, second.text
    listed = (await aggregation.get(f"/v1/situations/{situation}/releases")).json()
    assert [entry["release"] for entry in listed["items"]] == [first.json()["release"], second.json()["release"]]
    assert (await aggregation.get(f"/v1/situations/{situation}/releases/{order['release']}")).json() == first.json()
    shown = second.json()["tables"]
    for path, before in numbers(first.json()["tables"]):
        now = at(shown, path)
        if before is not None and now is not None:
            assert abs(now - before) == 0 or abs(now - before) >= 5, path


async def test_a_threshold_that_is_lowered_shows_nothing_that_left_under_the_higher_one(aggregation: RunningAggregation) -> None:
    situation = await loaded(aggregation, "history1")
    releases = f"/v1/situations/{situation}/releases"
    year = {"from": "2022-01-01", "to": "2023-01-01"}
    first = (await aggregation.post(releases, {"release": str(uuid4()), **year})).json()
    await aggregation.set_threshold(situation, 2)
    second = (await aggregation.post(releases, {"release": str(uuid4()), **year})).json()
    assert [entry["shared"]["threshold"] for entry in (first, second)] == [5, 5]
    assert second["tables"] == first["tables"]
    table = await aggregation.table(situation, "summary", form="shared", **year)
    note = (await aggregation.get(f"/v1/situations/{situation}/ghn", form="shared", **year)).json()
    assert [answer["shared"]["threshold"] for answer in (table, note)] == [5, 5]
    before = await aggregation.table(situation, "summary", form="shared", **{"from": "2021-01-01", "to": "2022-01-01"})
    assert before["shared"]["threshold"] == 5, "its summary left beside that of the year after"
    never = await aggregation.table(situation, "summary", form="shared", **{"from": "2024-01-01", "to": "2025-01-01"})
    assert never["shared"]["threshold"] == 2
    await aggregation.set_threshold(situation, 9)
    third = (await aggregation.post(releases, {"release": str(uuid4()), **year})).json()
    await aggregation.set_threshold(situation, 5)
    last = await aggregation.table(situation, "summary", form="shared", **year)
    assert [answer["shared"]["threshold"] for answer in (third, last)] == [9, 9]


QUARTERS = [{"from": "2022-01-01", "to": "2022-04-01"}, {"from": "2022-04-01", "to": "2022-07-01"}]


async def test_the_window_before_is_shared_with_a_window_and_linked_with_what_was_shared_of_it(aggregation: RunningAggregation) -> None:
    situation = await loaded(aggregation, "history1")
    first, second = [
        (await aggregation.post(f"/v1/situations/{situation}/releases", {"release": str(uuid4()), **window})).json() for window in QUARTERS
    ]
    exact = (await aggregation.table(situation, "summary", **QUARTERS[0]))["data"]
    then, now = first["tables"]["summary"], second["tables"]["summary_previous"]
    assert now == with_nulls(exact, now)
    assert json.dumps(now).count("null") > 0
    assert {path for path, _ in numbers(now)} <= {path for path, _ in numbers(then)}, "nothing has changed, so nothing more may be told"
    Draft202012Validator(schemas()["shared/release"]).validate(second)


async def test_of_two_releases_at_once_the_later_knows_the_earlier(aggregation: RunningAggregation) -> None:
    situation = await loaded(aggregation, "history3")
    releases = f"/v1/situations/{situation}/releases"
    windows = [QUARTERS[0], {"from": "2022-01-01", "to": "2023-01-01"}]
    answers = await asyncio.gather(*(aggregation.post(releases, {"release": str(uuid4()), **window}) for window in windows))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert len((await aggregation.get(releases)).json()["items"]) == 1


async def test_a_window_that_overlaps_a_shared_one_is_refused_with_a_remedy(aggregation: RunningAggregation) -> None:
    situation = await loaded(aggregation, "history3")
    releases = f"/v1/situations/{situation}/releases"
    assert (await aggregation.post(releases, {"release": str(uuid4()), **QUARTERS[1]})).status_code == 201
    year = {"from": "2022-01-01", "to": "2023-01-01"}
    for answer in (
        await aggregation.post(releases, {"release": str(uuid4()), **year}),
        await aggregation.get(f"/v1/situations/{situation}/tables/summary", form="shared", **year),
        await aggregation.get(f"/v1/situations/{situation}/ghn", form="shared", **year),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "release.overlapping_window")
        assert answer.headers["content-type"] == "application/problem+json"
        assert "share that same one again" in answer.json()["detail"]
    described = (await aggregation.client.get("/openapi.json")).json()["paths"]
    assert all("409" in described[f"/v1/situations/{{situation}}/{path}"]["get"]["responses"] for path in ("ghn", "tables/{table}"))
    assert len((await aggregation.get(releases)).json()["items"]) == 1
    half = {"from": "2022-07-01", "to": "2023-01-01"}
    beside = await aggregation.post(releases, {"release": str(uuid4()), **half})
    assert (beside.status_code, beside.json()["tables"]["summary_previous"]) == (201, None), "the half year before overlaps"


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"release": "no id"}, 422, "invalid", "release"),
        ({"from": "2022-04-01", "to": "2022-01-01"}, 422, "reversed_window", "to"),
        ({"from": "1800-01-01", "to": "2022-01-01"}, 422, "absurd_window", "to"),
        ({"as_of": 999_999}, 422, "future_as_of", "as_of"),
        ({"late": "perhaps"}, 422, "invalid", "late"),
        ({"k": 1}, 422, "invalid", "(document)"),
    ],
)
async def test_a_bad_order_is_refused_and_nothing_is_shared(
    aggregation: RunningAggregation, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    situation = await loaded(aggregation, "example")
    answer = await aggregation.post(f"/v1/situations/{situation}/releases", {"release": str(uuid4()), **QUARTERS[0], **change})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await aggregation.get(f"/v1/situations/{situation}/releases")).json()["items"] == []


async def test_a_release_that_is_not_there_and_one_of_others_are_not_found(aggregation: RunningAggregation) -> None:
    situation = await loaded(aggregation, "example")
    nowhere = await aggregation.get(f"/v1/situations/{situation}/releases/{uuid4()}")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    foreign = await aggregation.get(f"/v1/situations/{situation}/releases", situation="XZZ")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")


async def test_a_release_has_an_id_of_its_callers_own(aggregation: RunningAggregation) -> None:
    situation = await loaded(aggregation, "example")
    answer = await aggregation.post(f"/v1/situations/{situation}/releases", ALL_TIME)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["release"])
    assert (await aggregation.get(f"/v1/situations/{situation}/releases")).json()["items"] == []


def numbers(answer: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], int]]:
    if isinstance(answer, dict | list):
        entries = answer.items() if isinstance(answer, dict) else ((str(index), value) for index, value in enumerate(answer))
        return [found for key, value in entries for found in numbers(value, (*path, key))]
    return [(path, answer)] if isinstance(answer, int) else []


def at(answer: Any, path: tuple[str, ...]) -> int | None:
    for step in path:
        if isinstance(answer, list):
            answer = answer[int(step)] if int(step) < len(answer) else None
        else:
            answer = answer.get(step) if isinstance(answer, dict) else None
    return answer if isinstance(answer, int) else None
