"""Emergency access: taken with a reason for one case and some minutes, announced to both co-chairs, acknowledged by each."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from chassis.errors import Conflict, Forbidden, NotFound
from chassis.http import Caller, OncePart, PageQuery, allowed, json_body, next_cursor, problem_responses, read_json
from verification.desk import DeskPart
from verification.domain.dockets import CO_CHAIRS
from verification.domain.emergency import awaited, next_acknowledgement, taking_role
from verification.messages.emergency import (
    EmergencyAccessAcknowledged,
    EmergencyAccessList,
    EmergencyAccessShown,
    EmergencyAccessTaken,
    EmergencyBody,
)
from verification.messages.safe import KeptText
from verification.routes.refusing import refuse
from verification.routes.seeing import EMERGENCY, offices_of, sees_everything
from verification.store import emergency as store
from verification.store import incidents
from verification.store.emergency import NewAccess

NAME_LENGTH = 200
router = APIRouter(tags=["emergency access"])


@router.post(
    "/v1/situations/{situation}/incidents/{incident}/emergency-access",
    status_code=201,
    openapi_extra=json_body(EmergencyBody),
    responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422),
    summary="Break the glass",
)
async def take_emergency_access(
    situation: str,
    incident: UUID,
    *,
    request: Request,
    caller: Annotated[Caller, allowed("case.break_glass")],
    desk: DeskPart,
    once: OncePart,
) -> EmergencyAccessTaken:
    """Take the right to see one whole case for some minutes. Both co-chairs learn of it, with the reason."""
    caller.require(situation, relation="not_own")
    document = await desk.register.get(situation)
    body = await read_json(request, EmergencyBody)
    role = taking_role(caller.roles_in(situation))
    if role is None:
        raise Forbidden
    if sees_everything(caller, situation):
        raise Conflict("access_not_needed", "Your role shows every whole case; open it.")
    async with once.transaction(desk.database, "take_emergency_access", caller) as tx:
        await desk.enter(tx, situation)
        known = await incidents.find_incident(tx, situation, incident)
        if known is None:
            raise NotFound
        mark = desk.mark_of(situation, caller.subject)
        if known.submitter == mark and not caller.may(situation, relation="own"):
            raise Forbidden("own_report", "You submitted this report; emergency access to it is for others.")
        if await store.find_standing(tx, situation, incident) is not None:
            raise Conflict("access_stands", "Your emergency access to this case still stands; open the case, or end the access first.")
        name = caller.principal.name[:NAME_LENGTH] or caller.subject
        text = await desk.keep_texts(tx, document, [KeptText(text=body.reason), KeptText(text=name)])
        access, ends_at = tx.derived_id("emergency_access"), tx.now + timedelta(minutes=body.minutes)
        new = NewAccess(access=access, incident=incident, role=role, mark=mark, submitter=known.submitter, ends_at=ends_at, text=text)
        await store.add_access(tx, situation, new)
        detail = {EMERGENCY: str(access), "minutes": body.minutes, "role": role}
        tx.audit(caller.action, situation=situation, subject_ref=str(incident), detail=detail)
        return once.answer(EmergencyAccessTaken(access=access, incident=incident, taken_at=tx.now, ends_at=ends_at))


@router.delete(
    "/v1/situations/{situation}/incidents/{incident}/emergency-access",
    status_code=204,
    responses=problem_responses(401, 403, 404),
    summary="Give an emergency access back",
)
async def end_emergency_access(
    situation: str, incident: UUID, caller: Annotated[Caller, allowed("case.break_glass")], desk: DeskPart
) -> None:
    """End one's own emergency access to a case before its time."""
    caller.require(situation, relation="not_own")
    await desk.register.get(situation)
    async with desk.database.transaction("end_emergency_access", by=caller) as tx:
        await desk.enter(tx, situation)
        standing = await store.find_standing(tx, situation, incident)
        if standing is None:
            raise NotFound
        await store.end_access(tx, situation, standing["access"])
        tx.audit("emergency.end", situation=situation, subject_ref=str(incident), detail={EMERGENCY: str(standing["access"])})


@router.get(
    "/v1/situations/{situation}/emergency-accesses",
    responses=problem_responses(401, 403, 404, 422),
    summary="Who broke the glass?",
)
async def list_emergency_accesses(
    situation: str, caller: Annotated[Caller, allowed("emergency.read")], desk: DeskPart, page: PageQuery
) -> EmergencyAccessList:
    """List emergency accesses with their reasons, opened in memory: unseen ones first, then the newest; the reading is recorded.

    Unseen are, for a co-chair, those that their office has yet to acknowledge; for others, those that any office has.
    """
    caller.require(situation)
    await desk.register.get(situation)
    after = page.after(int, datetime, UUID)
    if after is not None:
        after = (min(max(after[0], 0), 1), *after[1:])
    offices = offices_of(caller, situation) or list(CO_CHAIRS)
    async with desk.database.transaction("list_emergency_accesses", by=caller) as tx:
        rows = await store.list_announced(tx, situation, offices=offices, after=after, limit=page.limit + 1)
        unseen = await store.count_unseen(tx, situation, offices=offices)
        shown = rows[: page.limit]
        texts = await desk.read_texts(tx, situation, [row["text"] for row in shown])
        tx.audit(caller.action, situation=situation, detail={"found": len(shown), "unseen": unseen})
    items = [
        EmergencyAccessShown.model_validate(
            {
                **{name: value for name, value in row.items() if name != "text"},
                "reason": texts[row["text"]][0].text,
                "holder_name": texts[row["text"]][1].text,
                "stands": row["ended_at"] is None and row["ends_at"] > tx.now,
            }
        )
        for row in shown
    ]
    last = (int(shown[-1]["seen"]), shown[-1]["taken_at"], shown[-1]["access"]) if shown else ()
    return EmergencyAccessList(items=items, unseen=unseen, next=next_cursor(page, len(rows), last=last))


@router.post(
    "/v1/situations/{situation}/emergency-accesses/{access}/acknowledgement",
    status_code=201,
    responses=problem_responses(401, 403, 404, 409, 422),
    summary="Say that your office knows",
)
async def acknowledge_emergency_access(
    situation: str, access: UUID, caller: Annotated[Caller, allowed("emergency.acknowledge")], desk: DeskPart, once: OncePart
) -> EmergencyAccessAcknowledged:
    """Acknowledge an emergency access for one's co-chair's office; nobody acknowledges their own."""
    caller.require(situation, relation="not_own")
    await desk.register.get(situation)
    async with once.transaction(desk.database, "acknowledge_emergency_access", caller) as tx:
        await desk.enter(tx, situation)
        taken = await store.find_access(tx, situation, access)
        if taken is None:
            raise NotFound
        if taken.holder == caller.subject and not caller.may(situation, relation="own"):
            raise Forbidden("own_access", "You took this emergency access; the co-chairs' other office acknowledges it.")
        given, refusal = next_acknowledgement(taken, roles=caller.roles_in(situation), subject=caller.subject)
        if given is None:
            refuse([refusal] if refusal is not None else [])
            raise LookupError("neither an acknowledgement nor a refusal")
        await store.add_acknowledgement(tx, situation, taken, given)
        detail = {EMERGENCY: str(access), "role": given.role}
        tx.audit(caller.action, situation=situation, subject_ref=str(taken.incident), detail=detail)
        after = replace(taken, given=[*taken.given, given])
        known = sorted(one.role for one in after.given)
        return once.answer(EmergencyAccessAcknowledged(access=access, acknowledged=known, awaits=awaited(after)))
