"""Bad questions to every counting route: a problem with a code, the field and a remedy; nothing repeated; foreign is not found."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from support.running_aggregation import RunningAggregation, aggregation

__all__ = ["aggregation"]
EXAMPLE = Path(__file__).parents[1] / "data" / "exchange" / "example.json"
YEAR = {"from": "2022-01-01", "to": "2023-01-01"}
CANARY = "canary-3b8f"
LONG = CANARY * 700
QUESTIONS: dict[str, dict[str, str]] = {
    "tables/summary": {},
    "tables/exceptions": {},
    "tables/summary/contributors": {"cell": "violations"},
    "tables/changes": {"since": "0"},
    "ghn": {},
}
"""Routes that answer a question, with what they need besides the window."""
PAGED = ("tables/exceptions", "tables/summary/contributors", "tables/changes")
ORDERS = ("snapshots", "releases")
ALL_READS = [*QUESTIONS, "position", "snapshots", "releases", f"snapshots/{uuid4()}", f"releases/{uuid4()}"]
BAD: list[tuple[dict[str, str], str, str]] = [
    ({"from": "2023-01-01", "to": "2022-01-01"}, "reversed_window", "to"),
    ({"from": "0001-01-01", "to": "9999-12-31"}, "absurd_window", "to"),
    ({"from": ""}, "unknown_value", "from"),
    ({"from": "2022-02-30"}, "unknown_value", "from"),
    ({"to": "2022-1-1"}, "unknown_value", "to"),
    ({"to": "２０２２-01-01"}, "unknown_value", "to"),
    ({"to": LONG}, "unknown_value", "to"),
    ({"late": CANARY}, "unknown_value", "late"),
    ({"late_rule": LONG}, "unknown_value", "late_rule"),
    ({"by": "week"}, "unknown_value", "by"),
    ({"form": CANARY}, "unknown_value", "form"),
    ({"field": CANARY}, "unknown_value", "field"),
    ({"field": "weapon_type\0"}, "unknown_value", "field"),
    ({"as_of": "999999"}, "future_as_of", "as_of"),
    ({"as_of": "9" * 18}, "future_as_of", "as_of"),
    ({"as_of": "2999-01-01T00:00:00Z"}, "future_as_of", "as_of"),
    ({"as_of": "9" * 5_000}, "unknown_value", "as_of"),
    ({"as_of": "-1"}, "unknown_value", "as_of"),
    ({"as_of": "1.5"}, "unknown_value", "as_of"),
    ({"as_of": ""}, "unknown_value", "as_of"),
    ({"as_of": "２"}, "unknown_value", "as_of"),
    ({"as_of": "2022-01-01"}, "unknown_value", "as_of"),
    ({"as_of": "2022-01-01T00:00:00"}, "unknown_value", "as_of"),
    ({"as_of": "0001-01-01T00:00:00+14:00"}, "unknown_value", "as_of"),
    ({"as_of": LONG}, "unknown_value", "as_of"),
    ({CANARY: "1"}, "unknown_parameter", "(query)"),
    ({LONG: "1"}, "unknown_parameter", "(query)"),
]
BAD_PAGES: list[tuple[dict[str, str], str, str]] = [
    ({"limit": "0"}, "unknown_value", "limit"),
    ({"limit": "10001"}, "unknown_value", "limit"),
    ({"limit": "-1"}, "unknown_value", "limit"),
    ({"limit": "9" * 5_000}, "unknown_value", "limit"),
    ({"limit": "³"}, "unknown_value", "limit"),
    ({"cursor": CANARY}, "unknown_value", "cursor"),
    ({"cursor": "9999." + CANARY}, "future_as_of", "cursor"),
    ({"cursor": "1.\0"}, "unknown_value", "cursor"),
]


@pytest.fixture(scope="module")
async def situation(aggregation: RunningAggregation) -> str:
    coder, _ = await aggregation.house.load(json.loads(EXAMPLE.read_text("utf-8")))
    code: str = coder.names.situation
    return code


def problem(answer: httpx.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """Return the problem that an answer is: a code, a sentence on what to do, the field with its own, and no value repeated."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    told: dict[str, Any] = answer.json()
    assert (told["status"], told["code"], told["type"]) == (status, code, f"urn:mrm:problem:{code}")
    assert len(told["title"]) > 3
    assert len(told["detail"]) > 10
    if field is not None:
        assert [error["field"] for error in told["errors"]] == [field]
        assert all(len(error["message"]) > 10 and error["code"] for error in told["errors"])
    assert CANARY not in answer.text
    assert "Traceback" not in answer.text
    return told


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("route", QUESTIONS)
async def test_a_bad_question_names_its_field(
    aggregation: RunningAggregation, situation: str, route: str, bad: tuple[dict[str, str], str, str]
) -> None:
    change, code, field = bad
    params = {**QUESTIONS[route], **YEAR, **change}
    problem(await aggregation.get(f"/v1/situations/{situation}/{route}", **params), 422, code, field)


@pytest.mark.parametrize("bad", BAD_PAGES)
@pytest.mark.parametrize("route", PAGED)
async def test_a_bad_page_names_its_field(
    aggregation: RunningAggregation, situation: str, route: str, bad: tuple[dict[str, str], str, str]
) -> None:
    change, code, field = bad
    params = {**QUESTIONS[route], **YEAR, **change}
    problem(await aggregation.get(f"/v1/situations/{situation}/{route}", **params), 422, code, field)


@pytest.mark.parametrize("bad", [({"limit": "0"}, "limit"), ({"cursor": CANARY}, "cursor")])
async def test_where_nothing_is_paged_a_page_that_could_be_none_is_refused_all_the_same(
    aggregation: RunningAggregation, situation: str, bad: tuple[dict[str, str], str]
) -> None:
    for route in ("tables/summary", "ghn"):
        problem(await aggregation.get(f"/v1/situations/{situation}/{route}", **YEAR, **bad[0]), 422, "unknown_value", bad[1])


REMEDIES = [
    ({"from": "2024-02-30"}, "YYYY-MM-DD"),
    ({"to": ""}, "YYYY-MM-DD"),
    ({"as_of": "2026-01-01"}, "2026-01-31T12:00:00Z"),
    ({"as_of": ""}, "a position"),
    ({"late": "above"}, "`beside` or `inside`"),
    ({"late_rule": "month"}, "`quarter` or `window`"),
    ({"by": "week"}, "`quarter`, `month` or `year`"),
    ({"form": "short"}, "`exact` or `shared`"),
    ({"field": "shoe_size"}, "weapon_type"),
    ({"limit": "many"}, "from 1 to 10000"),
    ({"cursor": "x"}, "`next`"),
    ({"colour": "blue"}, "from, to, as_of, late_rule, late, field, by, form, limit, cursor"),
]


@pytest.mark.parametrize(("change", "remedy"), REMEDIES)
@pytest.mark.parametrize("route", QUESTIONS)
async def test_a_remedy_says_what_is_wanted(
    aggregation: RunningAggregation, situation: str, route: str, change: dict[str, str], remedy: str
) -> None:
    answer = await aggregation.get(f"/v1/situations/{situation}/{route}", **{**QUESTIONS[route], **YEAR, **change})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert remedy in error["message"]


@pytest.mark.parametrize(("route", "name"), [(route, name) for route, needed in QUESTIONS.items() for name in [*YEAR, *needed]])
async def test_what_is_missing_or_twice_is_named(aggregation: RunningAggregation, situation: str, route: str, name: str) -> None:
    params = {**QUESTIONS[route], **YEAR}
    path = f"/v1/situations/{situation}/{route}"
    rest = {key: value for key, value in params.items() if key != name}
    problem(await aggregation.get(path, **rest), 422, "missing_parameter", name)
    twice = str(httpx.QueryParams([*params.items(), (name, params[name])]))
    problem(await aggregation.get(f"{path}?{twice}"), 422, "repeated_parameter", "(query)")


@pytest.mark.parametrize("since", ["-1", "1.5", "", "yesterday", "9" * 5_000, "2022-01-01T00:00:00", LONG])
async def test_a_malformed_since_is_refused(aggregation: RunningAggregation, situation: str, since: str) -> None:
    answer = await aggregation.get(f"/v1/situations/{situation}/tables/changes", since=since, **YEAR)
    problem(answer, 422, "unknown_value", "since")


@pytest.mark.parametrize(("since", "code"), [("999999", "future_as_of"), ("2999-01-01T00:00:00Z", "future_as_of")])
async def test_a_since_that_has_not_come_is_refused(aggregation: RunningAggregation, situation: str, since: str, code: str) -> None:
    answer = await aggregation.get(f"/v1/situations/{situation}/tables/changes", since=since, **YEAR)
    problem(answer, 422, code, "since")


@pytest.mark.parametrize(
    "cell",
    ["/", CANARY, "children", "children/dogs", "violations/x", "0", "late/children/-1", "by_grave_violation//", LONG, "a/" * 1_000],
)
async def test_a_cell_that_is_no_number_of_the_answer_is_refused(aggregation: RunningAggregation, situation: str, cell: str) -> None:
    answer = await aggregation.get(f"/v1/situations/{situation}/tables/summary/contributors", cell=cell, **YEAR)
    problem(answer, 422, "unknown_cell", "cell")


@pytest.mark.parametrize("cell", ["-1", "99", "00", "1e0", "٣", "0/age/0", "9" * 5_000])
async def test_a_place_of_a_list_that_is_not_there_is_refused(aggregation: RunningAggregation, situation: str, cell: str) -> None:
    answer = await aggregation.get(f"/v1/situations/{situation}/tables/children_multiple/contributors", cell=cell, **YEAR)
    problem(answer, 422, "unknown_cell", "cell")


@pytest.mark.parametrize("table", [CANARY, "Summary", "verified", "verified_children%00", LONG, "..", "ghn"])
@pytest.mark.parametrize("rest", ["", "/contributors"])
async def test_an_unknown_table_is_not_found(aggregation: RunningAggregation, situation: str, table: str, rest: str) -> None:
    answer = await aggregation.get(f"/v1/situations/{situation}/tables/{table}{rest}", situation=situation, cell="total", **YEAR)
    code = answer.json()["code"]
    assert code == ("not_found" if table == ".." else "unknown_table")
    problem(answer, 404, code)


async def test_by_detail_needs_its_field(aggregation: RunningAggregation, situation: str) -> None:
    path = f"/v1/situations/{situation}/tables/by_detail"
    problem(await aggregation.get(path, **YEAR), 422, "missing_field", "field")
    problem(await aggregation.get(f"{path}/contributors", cell="killing/_none", **YEAR), 422, "missing_field", "field")


async def test_an_empty_cell_and_an_address_without_end_are_refused(aggregation: RunningAggregation, situation: str) -> None:
    path = f"/v1/situations/{situation}/tables/summary/contributors"
    problem(await aggregation.get(path, cell="", **YEAR), 422, "missing_parameter", "cell")
    problem(await aggregation.get(path, cell="a/" * 10_000, **YEAR), 431, "headers_too_large")


@pytest.mark.parametrize("route", ALL_READS)
async def test_a_foreign_situation_is_not_found_like_one_that_does_not_exist(
    aggregation: RunningAggregation, situation: str, route: str
) -> None:
    params = {**QUESTIONS[route], **YEAR} if route in QUESTIONS else {}
    foreign = await aggregation.get(f"/v1/situations/{situation}/{route}", situation="XOTHER", **params)
    unknown = await aggregation.get(f"/v1/situations/XNONE/{route}", **params)
    assert problem(foreign, 404, "not_found") == problem(unknown, 404, "not_found")
    problem(await aggregation.get(f"/v1/situations/{LONG}/{route}", **params), 404, "not_found")
    problem(await aggregation.get(f"/v1/situations/{situation}/{route}", role="monitor", **params), 403, "forbidden")
    nobody = await aggregation.client.get(f"/v1/situations/{situation}/{route}", params=params)
    problem(nobody, 401, "unauthenticated")
    assert nobody.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("route", ["tables/nonsense", "tables/summary/contributors", "ghn", "tables/changes"])
async def test_a_bad_question_to_a_foreign_situation_tells_nothing(aggregation: RunningAggregation, situation: str, route: str) -> None:
    """Who has no part in a situation learns not even that a question was bad."""
    answer = await aggregation.get(f"/v1/situations/{situation}/{route}", situation="XOTHER", colour="blue")
    problem(answer, 404, "not_found")


@pytest.mark.parametrize("route", ORDERS)
@pytest.mark.parametrize("name", [CANARY, "00000000", str(uuid4())[:-1], LONG])
async def test_an_id_that_is_none_is_not_found(aggregation: RunningAggregation, situation: str, route: str, name: str) -> None:
    answer = await aggregation.get(f"/v1/situations/{situation}/{route}/{name}")
    assert answer.status_code in (404, 422)
    problem(answer, answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("route", ORDERS)
@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "x"}, {"cursor": CANARY}, {"cursor": "!"}, {"limit": "9" * 5_000}])
async def test_a_bad_page_of_a_list_is_refused(aggregation: RunningAggregation, situation: str, route: str, params: dict[str, str]) -> None:
    [name] = params
    problem(await aggregation.get(f"/v1/situations/{situation}/{route}", **params), 422, "invalid", name)


BAD_ORDERS: list[tuple[dict[str, Any], str]] = [
    ({"from": "2023-01-01", "to": "2022-01-01"}, "to"),
    ({"from": "0001-01-01", "to": "9999-12-31"}, "to"),
    ({"from": None}, "from"),
    ({"from": "2022-02-30"}, "from"),
    ({"from": 20220101}, "from"),
    ({"to": CANARY}, "to"),
    ({"late": CANARY}, "late"),
    ({"late_rule": "Quarter"}, "late_rule"),
    ({"as_of": 999_999}, "as_of"),
    ({"as_of": "999999"}, "as_of"),
    ({"as_of": 10**40}, "as_of"),
    ({"as_of": -1}, "as_of"),
    ({"as_of": 1.5}, "as_of"),
    ({"as_of": True}, "as_of"),
    ({"as_of": "2999-01-01T00:00:00Z"}, "as_of"),
    ({"as_of": "2022-01-01T00:00:00"}, "as_of"),
    ({"as_of": LONG}, "as_of"),
    ({"id": CANARY}, "id"),
    ({"colour": CANARY}, "colour"),
]


@pytest.mark.parametrize(("change", "field"), BAD_ORDERS)
@pytest.mark.parametrize("route", ORDERS)
async def test_a_bad_order_names_its_field(
    aggregation: RunningAggregation, situation: str, route: str, change: dict[str, Any], field: str
) -> None:
    name = route.removesuffix("s")
    change = {name if key == "id" else key: value for key, value in change.items()}
    order = {name: str(uuid4()), **YEAR, **change}
    answer = await aggregation.post(
        f"/v1/situations/{situation}/{route}", {key: value for key, value in order.items() if value is not None}
    )
    assert answer.status_code == 422, answer.text
    told = problem(answer, 422, answer.json()["code"])
    shown = {"id": name, "colour": "(document)"}.get(field, field)  # a name that is not known is not repeated
    assert {error["field"].partition(".")[0] for error in told["errors"]} == {shown}
    assert (await aggregation.get(f"/v1/situations/{situation}/{route}")).json()["items"] == []


@pytest.mark.parametrize("route", ORDERS)
async def test_an_order_that_nobody_may_give_is_refused(aggregation: RunningAggregation, situation: str, route: str) -> None:
    order = {route.removesuffix("s"): str(uuid4()), **YEAR}
    path = f"/v1/situations/{situation}/{route}"
    foreign = await aggregation.post(path, order, situation="XOTHER")
    unknown = await aggregation.post(f"/v1/situations/XNONE/{route}", order)
    assert problem(foreign, 404, "not_found") == problem(unknown, 404, "not_found")
    problem(await aggregation.post(path, order, role="auditor"), 403, "forbidden")
    problem(await aggregation.client.post(path, json=order), 401, "unauthenticated")


@pytest.mark.parametrize("route", ORDERS)
@pytest.mark.parametrize(
    "bad",
    [
        (b"", "application/json", 400, "not_json"),
        (b'{"from": canary-3b8f}', "application/json", 400, "not_json"),
        (b"\xff\xfe", "application/json", 400, "not_utf8"),
        (b"[" * 500 + b"]" * 500, "application/json", 400, "too_deep"),
        (b"[]", "application/json", 422, "invalid"),
        (b"{}", "application/json", 422, "invalid"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b'{"from": "' + b"x" * 3_000_000 + b'"}', "application/json", 413, "too_large"),
    ],
)
async def test_an_order_that_is_no_document_is_refused(
    aggregation: RunningAggregation, situation: str, route: str, bad: tuple[bytes, str, int, str]
) -> None:
    body, kind, status, code = bad
    token = aggregation.issuer.token("olga", f"/{situation}/officer")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    answer = await aggregation.client.post(f"/v1/situations/{situation}/{route}", content=body, headers=headers)
    problem(answer, status, code)
