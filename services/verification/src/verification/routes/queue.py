"""The queue: which violations wait for which stage and what they lack, by coded facts only."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from chassis.http import Caller, PageQuery, allowed, json_body, next_cursor, problem_responses, read_json
from contracts.vocabulary import Stage, Status, ViolationType
from verification.desk import DeskPart
from verification.domain.references import parse_reference
from verification.messages.answers import IncidentList, IncidentListed, IncidentViolation, Lookup, Queue
from verification.messages.requests import LookupBody
from verification.routes.showing import violation_shown
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
    async with desk.database.reading("list_queue", by=caller) as tx:
        rows = await violations.list_queue(tx, situation, asked, after=after, limit=page.limit + 1)
    mark = desk.mark_of(situation, caller.subject)
    shown = rows[: page.limit]
    last = (shown[-1]["opened"], shown[-1]["violation"]) if shown else ()
    return Queue(items=[violation_shown(row, mark=mark) for row in shown], next=next_cursor(page, len(rows), last=last))


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
    async with desk.database.reading("look_up_violations", by=caller) as tx:
        rows = await violations.list_violations(tx, situation, asked)
    mark = desk.mark_of(situation, caller.subject)
    return Lookup(items=[violation_shown(row, mark=mark) for row in rows])


@router.get("/v1/situations/{situation}/incidents", responses=problem_responses(401, 403, 404, 422))
async def list_incidents(situation: str, caller: Annotated[Caller, allowed("queue.read")], desk: DeskPart, page: PageQuery) -> IncidentList:
    """List incidents by their coded facts, in the order of their first reports."""
    caller.require(situation)
    await desk.register.get(situation)
    after = page.after(int)
    async with desk.database.reading("list_incidents", by=caller) as tx:
        rows = await incidents.list_incidents(tx, situation, after=after[0] if after else 0, limit=page.limit + 1)
    shown = rows[: page.limit]
    return IncidentList(
        items=[
            IncidentListed(
                incident=row["incident"],
                revision=row["revision"],
                occurred_from=row["occurred_from"],
                occurred_to=row["occurred_to"],
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
            for row in shown
        ],
        next=next_cursor(page, len(rows), last=(shown[-1]["opened"],) if shown else ()),
    )
