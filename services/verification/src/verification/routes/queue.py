"""The queue: which violations wait for which stage and what they lack, by coded facts only."""

from collections.abc import Sequence
from typing import Annotated

from asyncpg import Record
from fastapi import APIRouter, Query, Request

from chassis.http import Caller, PageQuery, allowed, json_body, next_cursor, problem_responses, read_json
from contracts.vocabulary import Stage, Status, ViolationType
from verification.desk import Desk, DeskPart
from verification.domain.references import parse_reference
from verification.messages.answers import (
    IncidentCoded,
    IncidentList,
    IncidentListed,
    IncidentViolation,
    Lookup,
    Queue,
    ViolationCoded,
    ViolationShown,
)
from verification.messages.requests import LookupBody
from verification.routes.seeing import count_unseen, record_search, sees_everything, withheld
from verification.routes.showing import months_of, violation_coded, violation_shown
from verification.store import incidents, violations
from verification.store.violations import QueueFilter

router = APIRouter(tags=["queue"])


@router.get("/v1/situations/{situation}/queue", responses=problem_responses(401, 403, 404, 422))
async def list_queue(
    situation: str,
    *,
    caller: Annotated[Caller, allowed("queue.read")],
    desk: DeskPart,
    page: PageQuery,
    stage: Annotated[Stage | None, Query(description="Only violations waiting for this stage.")] = None,
    violation_type: Annotated[ViolationType | None, Query(alias="type", description="Only this violation type.")] = None,
    region: Annotated[
        str | None, Query(max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$", description="Only this place of level 1; `_unknown` for none.")
    ] = None,
    status: Annotated[Status | None, Query(description="Only violations with this status in force.")] = None,
) -> Queue:
    """List violations that wait for a stage, oldest reports first."""
    caller.require(situation)
    await desk.register.get(situation)
    after = page.after(int, str)
    asked = QueueFilter(stage=stage, type=violation_type, region=region, status=status)
    async with desk.database.transaction("list_queue", by=caller) as tx:
        rows = await violations.list_queue(tx, situation, asked, after=after, limit=page.limit + 1)
        shown = rows[: page.limit]
        unseen = await count_unseen(tx, caller, situation)
        filters = {"stage": stage, "type": violation_type, "status": status, "region": region is not None}
        record_search(tx, caller, situation, "queue", found=len(shown), page=after is not None, **filters)
    last = (shown[-1]["opened"], shown[-1]["violation"]) if shown else ()
    return Queue(
        items=_states(desk, caller, situation, shown),
        withheld=withheld(caller, situation),
        emergency_accesses=unseen,
        next=next_cursor(page, len(rows), last=last),
    )


@router.post(
    "/v1/situations/{situation}/violations/lookup",
    openapi_extra=json_body(LookupBody),
    responses=problem_responses(400, 401, 403, 404, 413, 415, 422),
)
async def look_up_violations(situation: str, request: Request, caller: Annotated[Caller, allowed("queue.read")], desk: DeskPart) -> Lookup:
    """Return the state of many violations at once; those that no incident holds now are left out."""
    caller.require(situation)
    await desk.register.get(situation)
    body = await read_json(request, LookupBody)
    asked = [reference for text in body.violations if (reference := parse_reference(text)) is not None]
    async with desk.database.transaction("look_up_violations", by=caller) as tx:
        rows = await violations.list_violations(tx, situation, asked)
        record_search(tx, caller, situation, "lookup", found=len(rows), asked=len(body.violations))
    return Lookup(items=_states(desk, caller, situation, rows), withheld=withheld(caller, situation))


@router.get("/v1/situations/{situation}/incidents", responses=problem_responses(401, 403, 404, 422))
async def list_incidents(situation: str, caller: Annotated[Caller, allowed("queue.read")], desk: DeskPart, page: PageQuery) -> IncidentList:
    """List incidents by their coded facts, in the order of their first reports."""
    caller.require(situation)
    await desk.register.get(situation)
    after = page.after(int)
    async with desk.database.transaction("list_incidents", by=caller) as tx:
        rows = await incidents.list_incidents(tx, situation, after=after[0] if after else 0, limit=page.limit + 1)
        shown = rows[: page.limit]
        record_search(tx, caller, situation, "incidents", found=len(shown), page=after is not None)
    days = sees_everything(caller, situation)
    return IncidentList(
        items=[_listed(row) if days else _coded(row) for row in shown],
        withheld=withheld(caller, situation),
        next=next_cursor(page, len(rows), last=(shown[-1]["opened"],) if shown else ()),
    )


def _states(desk: Desk, caller: Caller, situation: str, rows: Sequence[Record]) -> list[ViolationShown | ViolationCoded]:
    """Return states of violations with their days, or with their months for those who do not read whole cases."""
    mark = desk.mark_of(situation, caller.subject)
    show = violation_shown if sees_everything(caller, situation) else violation_coded
    return [show(row, mark=mark) for row in rows]


def _listed(row: Record) -> IncidentListed:
    return IncidentListed(**dict(_coded(row)), occurred_from=row["occurred_from"], occurred_to=row["occurred_to"])


def _coded(row: Record) -> IncidentCoded:
    return IncidentCoded(
        incident=row["incident"],
        revision=row["revision"],
        **months_of(row),
        ongoing=row["ongoing"],
        region=row["region"],
        status=row["status"],
        violations=[
            IncidentViolation(
                violation=f"{row['incident']}/{one['violation']}",
                type=one["type"],
                status=one["status"],
                waits_for=one["waits_for"],
            )
            for one in row["violations"]
        ],
    )
