"""Whoever lists violations behind figures leaves an entry in the record, for each page; whoever reads figures does not."""

import json
from pathlib import Path
from typing import Any

from support.running_aggregation import RunningAggregation, aggregation

__all__ = ["aggregation"]
EXCHANGE = Path(__file__).parents[1] / "data" / "exchange"
YEAR = {"from": "2022-01-01", "to": "2023-01-01"}


async def loaded(aggregation: RunningAggregation, name: str = "example") -> tuple[str, list[int]]:
    coder, reached = await aggregation.house.load(json.loads((EXCHANGE / f"{name}.json").read_text("utf-8")))
    return coder.names.situation, reached


async def searches(aggregation: RunningAggregation, situation: str) -> list[dict[str, Any]]:
    rows = await aggregation.owner.fetch(
        "select actor, detail from audit_entries where situation = $1 and action = 'counts.read' order by at, id", situation
    )
    assert {row["actor"] for row in rows} <= {"olga"}
    return [json.loads(row["detail"]) for row in rows]


async def test_listing_violations_is_recorded_without_naming_any(aggregation: RunningAggregation) -> None:
    situation, reached = await loaded(aggregation)
    path = f"/v1/situations/{situation}/tables"
    for figures in (f"{path}/summary", f"/v1/situations/{situation}/ghn", f"/v1/situations/{situation}/position"):
        assert (await aggregation.get(figures, **({} if figures.endswith("position") else YEAR))).status_code == 200
    assert await searches(aggregation, situation) == []
    answer = await aggregation.get(f"{path}/verified_incidents/contributors", cell="denial_humanitarian_access", **YEAR)
    assert answer.status_code == 200, answer.text
    listed = answer.json()["data"]
    about = {**YEAR, "position": reached[-1]}
    first = {"route": "contributors", "table": "verified_incidents", "found": len(listed), **about}
    assert await searches(aggregation, situation) == [first]
    not_modified = await aggregation.get(
        f"{path}/verified_incidents/contributors",
        cell="denial_humanitarian_access",
        headers={"If-None-Match": answer.headers["etag"]},
        **YEAR,
    )
    assert not_modified.status_code == 304
    assert await searches(aggregation, situation) == [first, first]
    exceptions = (await aggregation.get(f"{path}/exceptions", **YEAR)).json()
    changes = (await aggregation.get(f"{path}/changes", since=str(reached[0]), **YEAR)).json()
    assert (await searches(aggregation, situation))[2:] == [
        {"route": "exceptions", "table": "exceptions", "found": len(exceptions["data"]), **about},
        {"route": "changes", "table": "changes", "found": len(changes["data"]), **about},
    ]
    names = {entry["violation"] for entry in (*listed, *exceptions["data"], *changes["data"])}
    assert names
    recorded = json.dumps(await searches(aggregation, situation))
    assert not [name for name in names if name in recorded]


async def test_each_page_of_a_listing_is_an_entry(aggregation: RunningAggregation) -> None:
    situation, reached = await loaded(aggregation, "history1")
    path = f"/v1/situations/{situation}/tables/changes"
    page = (await aggregation.get(path, since=str(reached[0]), limit="2", **YEAR)).json()
    pages = 1
    while page["next"] is not None:
        page = (await aggregation.get(path, since=str(reached[0]), limit="2", cursor=page["next"], **YEAR)).json()
        pages += 1
    assert pages > 1
    assert [detail.get("page") for detail in await searches(aggregation, situation)] == [None, *["next"] * (pages - 1)]


async def test_a_refused_question_and_one_that_cannot_be_recorded_list_nothing(aggregation: RunningAggregation) -> None:
    situation, _ = await loaded(aggregation)
    path = f"/v1/situations/{situation}/tables/verified_incidents/contributors"
    assert (await aggregation.get(path, cell="no_such_cell", **YEAR)).status_code == 422
    assert await searches(aggregation, situation) == []
    await aggregation.owner.execute("revoke insert on audit_entries from aggregation_app")
    try:
        answer = await aggregation.get(path, cell="denial_humanitarian_access", **YEAR)
        assert answer.status_code >= 500
        assert "violation" not in answer.text
    finally:
        await aggregation.owner.execute("grant insert on audit_entries to aggregation_app")
