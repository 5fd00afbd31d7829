"""The shared form over HTTP: one suppression for all linked tables of a window, remembered once it has left (C14)."""

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
    assert shared["shared"]["threshold"] == 5
    left_out = json.dumps(shared["data"]).count("null")
    assert left_out >= sum(shared["shared"]["left_out"].values()) > 0
    Draft202012Validator(schemas()[f"shared/{table}"]).validate(shared)


async def test_the_note_in_shared_form_withholds_lists_of_single_children(aggregation: RunningAggregation) -> None:
    situation = await loaded(aggregation, "history1")
    note = (await aggregation.get(f"/v1/situations/{situation}/ghn", form="shared", **ALL_TIME)).json()
    assert (note["data"]["children_multiple"], note["data"]["groups_multiple"]) == (None, None)
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
    document = json.loads((EXCHANGE / "history_large.json").read_text("utf-8"))
    coder, reached = await aggregation.house.load(document)
    situation = coder.names.situation
    order = {"release": str(uuid4()), **ALL_TIME, "as_of": reached[0]}
    first = await aggregation.post(f"/v1/situations/{situation}/releases", order)
    again = await aggregation.post(f"/v1/situations/{situation}/releases", order)
    assert (first.status_code, again.status_code, first.json()) == (201, 200, again.json())
    Draft202012Validator(schemas()["shared/release"]).validate(first.json())
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
