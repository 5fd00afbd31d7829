"""Aggregation over real HTTP on a real database: answers, refusals, contributors, snapshots."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from aggregation.domain.tables import TABLES
from contracts.answers import schemas
from contracts.events import SnapshotFrozen
from support.running_aggregation import RunningAggregation, aggregation

__all__ = ["aggregation"]
EXCHANGE = Path(__file__).parents[1] / "data" / "exchange"
YEAR = {"from": "2022-01-01", "to": "2023-01-01"}


def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((EXCHANGE / f"{name}.json").read_text("utf-8"))
    return loaded


async def loaded(aggregation: RunningAggregation, name: str = "example") -> tuple[str, list[int]]:
    coder, reached = await aggregation.house.load(document(name))
    return coder.names.situation, reached


async def test_an_answer_says_what_it_is_an_answer_to(aggregation: RunningAggregation) -> None:
    situation, reached = await loaded(aggregation)
    answer = await aggregation.table(situation, "verified_incidents", **{"from": "2022-04-01", "to": "2022-07-01"})
    instant = answer["as_of"].pop("instant")
    assert answer == {
        "table": "verified_incidents",
        "situation": situation,
        "from": "2022-04-01",
        "to": "2022-07-01",
        "as_of": {"position": reached[-1]},
        "rules": "counts/1",
        "applies": ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "C12", "C13"],
        "params": {"late_rule": "quarter", "late": "beside", "by": "quarter"},
        "data": {"denial_humanitarian_access": 1},
    }
    again = await aggregation.table(situation, "verified_incidents", as_of=instant, **{"from": "2022-04-01", "to": "2022-07-01"})
    assert (again["as_of"], again["data"]) == ({"position": reached[-1], "instant": instant}, answer["data"])


async def test_a_table_as_of_an_earlier_position_or_instant_never_changes(aggregation: RunningAggregation) -> None:
    """C12."""
    situation, reached = await loaded(aggregation)
    quarter = {"from": "2022-01-01", "to": "2022-04-01"}
    then = await aggregation.table(situation, "verified_children", as_of=str(reached[0]), **quarter)
    assert then["data"]["sexual_violence"]["girls"] == 3
    by_instant = await aggregation.table(situation, "verified_children", as_of=then["as_of"]["instant"], **quarter)
    assert by_instant == then
    now = await aggregation.table(situation, "verified_children", **quarter)
    assert "sexual_violence" not in now["data"]


async def test_the_note_in_one_answer_equals_its_fourteen_tables(aggregation: RunningAggregation) -> None:
    situation, _ = await loaded(aggregation, "history1")
    note = (await aggregation.get(f"/v1/situations/{situation}/ghn", late="inside", **YEAR)).json()
    assert len(note["data"]) == 14
    for table, data in note["data"].items():
        assert (await aggregation.table(situation, table, late="inside", **YEAR))["data"] == data


@pytest.mark.parametrize(
    ("table", "params", "status", "code"),
    [
        ("nonsense", YEAR, 404, "unknown_table"),
        ("summary", {"from": "2023-01-01", "to": "2022-01-01"}, 422, "reversed_window"),
        ("summary", {"from": "1000-01-01", "to": "2022-01-01"}, 422, "absurd_window"),
        ("summary", {"from": "2022-01-01"}, 422, "missing_parameter"),
        ("summary", {"from": "2022-01-01", "to": "20230101"}, 422, "unknown_value"),
        ("summary", {**YEAR, "late": "above"}, 422, "unknown_value"),
        ("summary", {**YEAR, "late_rule": ""}, 422, "unknown_value"),
        ("summary", {**YEAR, "colour": "blue"}, 422, "unknown_parameter"),
        ("summary", {**YEAR, "limit": "0"}, 422, "unknown_value"),
        ("summary", {**YEAR, "as_of": "999999"}, 422, "future_as_of"),
        ("summary", {**YEAR, "as_of": "2999-01-01T00:00:00Z"}, 422, "future_as_of"),
        ("summary", {**YEAR, "as_of": "2022-01-01T00:00:00"}, 422, "unknown_value"),
        ("summary", {**YEAR, "as_of": "-1"}, 422, "unknown_value"),
        ("by_detail", YEAR, 422, "missing_field"),
        ("by_detail", {**YEAR, "field": "shoe_size"}, 422, "unknown_value"),
        ("trend", {**YEAR, "by": "week"}, 422, "unknown_value"),
        ("exceptions", {**YEAR, "cursor": "nonsense"}, 422, "unknown_value"),
        ("summary/contributors", {**YEAR, "cell": "children/dogs"}, 422, "unknown_cell"),
        ("summary/contributors", {**YEAR, "cell": "children"}, 422, "unknown_cell"),
        ("summary/contributors", YEAR, 422, "missing_parameter"),
        ("trend/contributors", {**YEAR, "cell": "-1/violations"}, 422, "unknown_cell"),
        ("children_multiple/contributors", {**YEAR, "cell": "99"}, 422, "unknown_cell"),
    ],
)
async def test_a_bad_question_is_refused_with_a_code_and_a_remedy(
    aggregation: RunningAggregation, table: str, params: dict[str, str], status: int, code: str
) -> None:
    situation, _ = await loaded(aggregation)
    answer = await aggregation.get(f"/v1/situations/{situation}/tables/{table}", **params)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert problem["code"] == code
    assert problem["detail"]
    for value in ("nonsense", "colour", "shoe_size", "dogs"):
        assert value not in answer.text


async def test_a_parameter_that_stands_twice_is_refused(aggregation: RunningAggregation) -> None:
    situation, _ = await loaded(aggregation)
    answer = await aggregation.get(f"/v1/situations/{situation}/tables/summary?from=2022-01-01&from=2021-01-01&to=2023-01-01")
    assert answer.json()["code"] == "repeated_parameter"


async def test_a_foreign_and_an_unknown_situation_are_not_found_alike(aggregation: RunningAggregation) -> None:
    situation, _ = await loaded(aggregation)
    foreign = await aggregation.get(f"/v1/situations/{situation}/tables/summary", situation="XOTHER", **YEAR)
    unknown = await aggregation.get("/v1/situations/XNONE/tables/summary", **YEAR)
    assert (foreign.status_code, foreign.json()) == (404, unknown.json())
    assert foreign.json()["code"] == "not_found"
    monitor = await aggregation.get(f"/v1/situations/{situation}/tables/summary", role="monitor", **YEAR)
    assert monitor.json()["code"] == "forbidden"


async def test_what_the_caller_has_is_not_sent_again(aggregation: RunningAggregation) -> None:
    situation, _ = await loaded(aggregation)
    path = f"/v1/situations/{situation}/tables/summary"
    first = await aggregation.get(path, **YEAR)
    again = await aggregation.get(path, headers={"If-None-Match": first.headers["etag"]}, **YEAR)
    assert (again.status_code, again.content) == (304, b"")
    other = await aggregation.get(path, headers={"If-None-Match": first.headers["etag"]}, late="inside", **YEAR)
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("known", "status"),
    [("W/{tag}", 304), ("*", 304), ('"a,b" , W/{tag}', 304), ('"other"', 200), ('"*"', 200), ("{bare}", 200), ("", 200)],
)
async def test_what_the_caller_has_is_compared_weakly(aggregation: RunningAggregation, known: str, status: int) -> None:
    situation, _ = await loaded(aggregation)
    for path in ("tables/summary", "tables/summary/contributors", "tables/changes", "ghn", "position"):
        params = {} if path == "position" else {**YEAR, **({"cell": "violations"} if "contrib" in path else {})}
        params |= {"since": "0"} if "changes" in path else {}
        tag = (await aggregation.get(f"/v1/situations/{situation}/{path}", **params)).headers["etag"]
        headers = {"If-None-Match": known.format(tag=tag, bare=tag.strip('"'))}
        again = await aggregation.get(f"/v1/situations/{situation}/{path}", headers=headers, **params)
        assert (again.status_code, again.headers["etag"]) == (status, tag), path


async def test_the_description_tells_of_the_etag_and_of_what_is_not_sent_again(aggregation: RunningAggregation) -> None:
    paths = (await aggregation.client.get("/openapi.json")).json()["paths"]
    tagged = (
        "position",
        "tables/{table}",
        "tables/{table}/contributors",
        "tables/changes",
        "ghn",
        "releases/{release}",
        "snapshots/{snapshot}",
    )
    for path in tagged:
        operation = paths["/v1/situations/{situation}/" + path]["get"]
        assert "ETag" in operation["responses"]["200"]["headers"], path
        assert "ETag" in operation["responses"]["304"]["headers"], path


async def test_a_long_answer_comes_in_pages_of_one_moment(aggregation: RunningAggregation) -> None:
    situation, _ = await loaded(aggregation, "history1")
    whole = await aggregation.table(situation, "exceptions", **YEAR)
    assert whole["next"] is None
    assert len(whole["data"]) > 4
    pages: list[Any] = []
    params = {"limit": "3"}
    while True:
        page = await aggregation.table(situation, "exceptions", **params, **YEAR)
        pages += page["data"]
        assert len(page["data"]) <= 3
        if page["next"] is None:
            break
        params = {"limit": "3", "cursor": page["next"]}
    assert pages == whole["data"]


@pytest.mark.parametrize("path", ["tables/summary", "tables/children_multiple", "ghn"])
async def test_where_an_answer_is_not_paged_limit_and_cursor_have_no_effect(aggregation: RunningAggregation, path: str) -> None:
    situation, reached = await loaded(aggregation)
    whole = (await aggregation.get(f"/v1/situations/{situation}/{path}", **YEAR)).json()
    for cursor in ("3.x", "999999.x"):
        asked = await aggregation.get(f"/v1/situations/{situation}/{path}", limit="1", cursor=cursor, **YEAR)
        assert (asked.status_code, asked.json()) == (200, whole)
    assert whole["as_of"]["position"] == reached[-1]


async def test_a_snapshot_is_frozen_once_and_sent_to_export(aggregation: RunningAggregation) -> None:
    situation, reached = await loaded(aggregation)
    await aggregation.seal_for_export(situation)
    order = {"snapshot": str(uuid4()), **YEAR}
    first = await aggregation.post(f"/v1/situations/{situation}/snapshots", order)
    again = await aggregation.post(f"/v1/situations/{situation}/snapshots", order)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["as_of"]["position"] == reached[-1]
    clash = await aggregation.post(f"/v1/situations/{situation}/snapshots", {**order, "late": "inside"})
    assert (clash.status_code, clash.json()["code"]) == (409, "snapshot.id_taken")
    listed = (await aggregation.get(f"/v1/situations/{situation}/snapshots")).json()
    assert listed == {"items": [first.json()], "next": None}
    frozen = (await aggregation.get(f"/v1/situations/{situation}/snapshots/{order['snapshot']}")).json()
    assert frozen["tables"]["summary"] == (await aggregation.table(situation, "summary", **YEAR))["data"]
    assert await aggregation.owner.fetchval("select count(*) from outbox where event_type = $1", SnapshotFrozen.type) == 1
    acts = await aggregation.owner.fetch("select action, subject_ref from audit_entries where situation = $1", situation)
    assert [tuple(act) for act in acts] == [("snapshot.freeze", order["snapshot"])]


async def test_nothing_is_frozen_that_nobody_could_open(aggregation: RunningAggregation) -> None:
    situation, _ = await loaded(aggregation)
    answer = await aggregation.post(f"/v1/situations/{situation}/snapshots", YEAR)
    assert (answer.status_code, answer.json()["code"]) == (409, "situation.no_recipient")
    assert (await aggregation.get(f"/v1/situations/{situation}/snapshots")).json()["items"] == []


async def test_only_an_officer_freezes(aggregation: RunningAggregation) -> None:
    situation, _ = await loaded(aggregation)
    answer = await aggregation.post(f"/v1/situations/{situation}/snapshots", YEAR, role="auditor")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("path", "name", "params"),
    [
        *((f"tables/{table}", table, {"field": "weapon_type"}) for table in TABLES),
        ("tables/summary/contributors", "contributors", {"cell": "violations"}),
        ("tables/summary/contributors", "contributors", {"cell": "children/girls"}),
        ("tables/children_multiple/contributors", "contributors", {"cell": "0"}),
        ("tables/changes", "changes", {"since": "12"}),
        ("ghn", "ghn", {}),
    ],
)
async def test_an_answer_fits_its_published_schema(aggregation: RunningAggregation, path: str, name: str, params: dict[str, str]) -> None:
    situation, _ = await loaded(aggregation)
    answer = await aggregation.get(f"/v1/situations/{situation}/{path}", **params, **YEAR)
    assert answer.status_code == 200
    Draft202012Validator(schemas()[name]).validate(answer.json())


async def test_the_description_publishes_the_schemas(aggregation: RunningAggregation) -> None:
    described = (await aggregation.client.get("/openapi.json")).json()
    operation = described["paths"]["/v1/situations/{situation}/tables/{table}"]["get"]
    answers = operation["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"]
    assert {answer["properties"]["table"]["const"] for answer in answers} == set(TABLES)
