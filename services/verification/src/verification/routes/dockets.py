"""Dockets: proposed to the co-chairs, approved by each of the two, decided by the second approval, or withdrawn."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from chassis.errors import Conflict, NotFound
from chassis.http import Caller, OncePart, PageQuery, allowed, json_body, next_cursor, problem_responses, read_json
from chassis.storage import Tx
from contracts.situation import Situation
from contracts.vocabulary import Stage
from verification.casework import record_decisions
from verification.desk import Desk, DeskPart
from verification.domain.decisions import Decided, ProposedDecision, Rules, decide
from verification.domain.dockets import Approval, DocketKind, DocketState, is_complete, next_approval
from verification.domain.refusals import Refusal
from verification.messages.answers import DocketChanged, DocketLineShown, DocketList, DocketShown
from verification.messages.requests import BODY_BYTES, DocketBody
from verification.routes.decisions import own_lines
from verification.routes.refusing import refuse, refuse_own
from verification.routes.seeing import record_search
from verification.routes.showing import attribution_shown, decision_recorded, docket_listed
from verification.store import dockets as store
from verification.store import violations
from verification.store.decisions import coded
from verification.store.dockets import KeptDocket

OPEN = DocketState.OPEN.value
router = APIRouter(tags=["dockets"])


@router.post(
    "/v1/situations/{situation}/dockets",
    status_code=201,
    openapi_extra=json_body(DocketBody),
    responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422),
)
async def propose_docket(
    situation: str, request: Request, caller: Annotated[Caller, allowed("docket.propose")], desk: DeskPart, once: OncePart
) -> DocketChanged:
    """Put decisions before the co-chairs; every line is checked now and again when they decide."""
    caller.require(situation)
    document = await desk.register.get(situation)
    body = await read_json(request, DocketBody, limit=BODY_BYTES)
    lines = [line.proposed(Stage.CTFMR) for line in body.lines]
    async with once.transaction(desk.database, "propose_docket", caller) as tx:
        await desk.enter(tx, situation)
        _require_open_for(body.kind, document)
        refuse((await _decide(tx, document, lines, body.kind))[1])
        text = await desk.keep_texts(tx, document, [line.kept_text() for line in body.lines])
        docket = tx.derived_id("docket")
        await store.add_docket(tx, situation, docket=docket, kind=body.kind, text=text, lines=lines)
        tx.audit("docket.propose", situation=situation, subject_ref=str(docket), detail={"kind": body.kind, "lines": len(lines)})
        return once.answer(DocketChanged(docket=docket, state=DocketState.OPEN, approvals=[], decisions=[]))


@router.get("/v1/situations/{situation}/dockets", responses=problem_responses(401, 403, 404, 422))
async def list_dockets(
    situation: str,
    caller: Annotated[Caller, allowed("docket.read")],
    desk: DeskPart,
    page: PageQuery,
    state: Annotated[DocketState | None, Query(description="Only dockets in this state.")] = None,
) -> DocketList:
    """List dockets, oldest first, without their lines."""
    caller.require(situation)
    await desk.register.get(situation)
    after = page.after(datetime, UUID)
    async with desk.database.transaction("list_dockets", by=caller) as tx:
        rows = await store.list_dockets(tx, situation, state=state, after=after, limit=page.limit + 1)
        shown = rows[: page.limit]
        record_search(tx, caller, situation, "dockets", found=len(shown), page=after is not None, state=state)
    last = (shown[-1]["proposed_at"], shown[-1]["docket"]) if shown else ()
    return DocketList(items=[docket_listed(row) for row in shown], next=next_cursor(page, len(rows), last=last))


@router.get("/v1/situations/{situation}/dockets/{docket}", responses=problem_responses(401, 403, 404, 422))
async def read_docket(situation: str, docket: UUID, caller: Annotated[Caller, allowed("docket.read")], desk: DeskPart) -> DocketShown:
    """Return a docket with its lines and their reasons, opened in memory; the reading is audited."""
    caller.require(situation)
    await desk.register.get(situation)
    async with desk.database.transaction("read_docket", by=caller) as tx:
        row = await store.get_docket_shown(tx, situation, docket)
        if row is None:
            raise NotFound
        lines = await store.list_docket_lines(tx, situation, docket)
        texts = (await desk.read_texts(tx, situation, [row["text"]]))[row["text"]]
        tx.audit("docket.read", situation=situation, subject_ref=str(docket), detail={"route": "docket", "lines": len(lines)})
    items = []
    for line, text in zip(lines, texts, strict=True):
        codes = coded(line)
        items.append(
            DocketLineShown(
                violation=str(line.violation),
                outcome=line.outcome,
                decided_on=line.decided_on,
                reason=text.text,
                documentation_exception=text.documentation_exception,
                criteria=codes["criteria"],
                attribution=attribution_shown(codes["attribution"]),
                non_verification_reason=line.non_verification_reason,
            )
        )
    return DocketShown(**dict(docket_listed(row)), items=items)


@router.post("/v1/situations/{situation}/dockets/{docket}/approvals", status_code=201, responses=problem_responses(401, 403, 404, 409, 422))
async def approve_docket(
    situation: str, docket: UUID, caller: Annotated[Caller, allowed("docket.approve")], desk: DeskPart, once: OncePart
) -> DocketChanged:
    """Give one co-chair's approval; with the second one every line becomes a task force decision, in order, or none does."""
    caller.require(situation, relation="not_own", state=OPEN)
    document = await desk.register.get(situation)
    async with once.transaction(desk.database, "approve_docket", caller) as tx:
        await desk.enter(tx, situation)
        kept = await _get(tx, situation, docket)
        _require_open_for(kept.kind, document)
        lines = await store.list_docket_lines(tx, situation, docket)
        approval = await _approve(tx, document, kept, lines, caller=caller, desk=desk)
        given = sorted([*kept.approvals, approval], key=lambda one: one.role)
        tx.audit("docket.approve", situation=situation, subject_ref=str(docket), detail={"role": approval.role})
        roles = [one.role for one in given]
        if not is_complete(given):
            return once.answer(DocketChanged(docket=docket, state=DocketState.OPEN, approvals=roles, decisions=[]))
        decided, refused = await _decide(tx, document, lines, kept.kind)
        if refused:
            raise Conflict(
                "line_illegal",
                "A line named in `errors` is no longer right; withdraw the docket and propose a new one.",
                errors=[refusal.error for refusal in refused],
            )
        recorded = await record_decisions(
            tx,
            situation,
            decided,
            text=kept.text,
            decided_by=[one.subject for one in given],
            marks=[one.mark for one in given],
            docket=docket,
        )
        await store.end_docket(tx, situation, docket, DocketState.DECIDED)
        decisions = [decision_recorded(one) for one in recorded]
        return once.answer(DocketChanged(docket=docket, state=DocketState.DECIDED, approvals=roles, decisions=decisions))


@router.post(
    "/v1/situations/{situation}/dockets/{docket}/withdrawal", status_code=201, responses=problem_responses(401, 403, 404, 409, 422)
)
async def withdraw_docket(
    situation: str, docket: UUID, caller: Annotated[Caller, allowed("docket.withdraw")], desk: DeskPart, once: OncePart
) -> DocketChanged:
    """Take a docket back before it is decided: its proposer, or a co-chair."""
    if not caller.may(situation, relation="own", state=OPEN):
        caller.require(situation, relation="not_own", state=OPEN)
    await desk.register.get(situation)
    async with once.transaction(desk.database, "withdraw_docket", caller) as tx:
        await desk.enter(tx, situation)
        kept = await _get(tx, situation, docket)
        caller.require(situation, relation="own" if kept.proposed_by == caller.subject else "not_own", state=OPEN)
        if kept.state is not DocketState.OPEN:
            raise Conflict("docket_not_open", "The docket is decided or withdrawn already.")
        await store.end_docket(tx, situation, docket, DocketState.WITHDRAWN)
        tx.audit("docket.withdraw", situation=situation, subject_ref=str(docket))
        roles = [one.role for one in kept.approvals]
        return once.answer(DocketChanged(docket=docket, state=DocketState.WITHDRAWN, approvals=roles, decisions=[]))


def _require_open_for(kind: DocketKind, document: Situation) -> None:
    """Refuse an import docket where nothing is being imported: a live report is decided stage by stage."""
    if kind is DocketKind.IMPORT and not (document.importing or document.scratch):
        raise Conflict(
            "situation.not_importing",
            "Propose a docket of kind `decisions`; for records of another system the operator first writes the situation with `importing`.",
        )


async def _get(tx: Tx, situation: str, docket: UUID) -> KeptDocket:
    kept = await store.find_docket(tx, situation, docket)
    if kept is None:
        raise NotFound
    return kept


async def _approve(tx: Tx, document: Situation, kept: KeptDocket, lines: list[ProposedDecision], *, caller: Caller, desk: Desk) -> Approval:
    """Keep the caller's approval if the rules allow it."""
    mark = desk.mark_of(document.code, caller.subject)
    known = await violations.find_violations(tx, document.code, [line.violation for line in lines if line.violation is not None])
    own = own_lines(lines, known, stage=Stage.CTFMR, marks={mark}, field="lines")
    refuse_own(caller, document.code, state=OPEN, fields=own)
    approval, refusal = next_approval(
        docket=kept.state, given=kept.approvals, roles=caller.roles_in(document.code), subject=caller.subject, mark=mark
    )
    if approval is None:
        refuse([refusal] if refusal is not None else [])
        raise LookupError("neither an approval nor a refusal")
    await store.add_approval(tx, document.code, kept.docket, approval)
    return approval


async def _decide(tx: Tx, document: Situation, lines: list[ProposedDecision], kind: DocketKind) -> tuple[list[Decided], list[Refusal]]:
    known = await violations.find_violations(tx, document.code, [line.violation for line in lines if line.violation is not None])
    rules = Rules(situation=document, today=document.today(tx.now), imported=kind is DocketKind.IMPORT)
    return decide(lines, known, rules, field="lines")
