"""Decisions of the focal point and the technical level, and the history of a violation."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request

from chassis.errors import NotFound
from chassis.http import Caller, OncePart, allowed, json_body, problem_responses, read_json
from contracts.model import Ref
from contracts.vocabulary import Stage
from verification.casework import record_decisions as record
from verification.desk import DeskPart
from verification.domain.decisions import KnownViolation, ProposedDecision, Rules, decide
from verification.domain.references import Reference, parse_reference
from verification.messages.answers import DecisionHistory, DecisionShown, DecisionsRecorded, Sources
from verification.messages.requests import BODY_BYTES, DecisionsBody
from verification.routes.refusing import refuse, refuse_own
from verification.routes.showing import attribution_shown, decision_recorded
from verification.store import decisions as store
from verification.store import violations

STAGES = (Stage.FOCAL_POINT, Stage.TECHNICAL)
router = APIRouter(tags=["decisions"])


@router.post(
    "/v1/situations/{situation}/decisions",
    status_code=201,
    openapi_extra=json_body(DecisionsBody),
    responses=problem_responses(400, 401, 403, 404, 409, 413, 415, 422),
)
async def record_decisions(
    situation: str, request: Request, caller: Annotated[Caller, allowed("decision.record")], desk: DeskPart, once: OncePart
) -> DecisionsRecorded:
    """Record decisions of the earlier stages, all or none; one after a task force decision reopens the violation."""
    if not any(caller.may(situation, relation="not_own", state=stage) for stage in STAGES):
        caller.require(situation, relation="not_own", state=Stage.FOCAL_POINT)
    document = await desk.register.get(situation)
    body = await read_json(request, DecisionsBody, limit=BODY_BYTES)
    proposed = [line.proposed(Stage(line.stage)) for line in body.decisions]
    for stage in sorted({one.stage for one in proposed}):
        caller.require(situation, relation="not_own", state=stage)
    async with once.transaction(desk.database, "record_decisions", caller) as tx:
        await desk.enter(tx, situation)
        known = await violations.find_violations(tx, situation, [one.violation for one in proposed if one.violation is not None])
        mark = desk.mark_of(situation, caller.subject)
        for stage in STAGES:
            own = own_lines(proposed, known, stage=stage, marks={mark}, field="decisions")
            refuse_own(caller, situation, state=stage, fields=own)
        decided, refused = decide(proposed, known, Rules(situation=document, today=document.today(tx.now)), field="decisions")
        refuse(refused)
        text = await desk.keep_texts(tx, document, [line.kept_text() for line in body.decisions])
        recorded = await record(tx, situation, decided, text=text, decided_by=[caller.subject], marks=[mark])
        return once.answer(DecisionsRecorded(decisions=[decision_recorded(one) for one in recorded]))


@router.get("/v1/situations/{situation}/decisions", responses=problem_responses(401, 403, 404, 422))
async def list_decisions(
    situation: str,
    caller: Annotated[Caller, allowed("decision.read")],
    desk: DeskPart,
    violation: Annotated[Ref, Query(description="The violation, `<incident>/<key>`.")],
) -> DecisionHistory:
    """Return all decisions on a violation with their reasons, opened in memory; the reading is audited."""
    caller.require(situation)
    await desk.register.get(situation)
    reference = parse_reference(violation)
    if reference is None:
        raise NotFound
    async with desk.database.transaction("list_decisions", by=caller) as tx:
        if not await store.has_violation(tx, situation, reference):
            raise NotFound
        rows = await store.list_decisions(tx, situation, reference)
        texts = await desk.read_texts(tx, situation, [row["text"] for row in rows])
        tx.audit("decision.read", situation=situation, subject_ref=str(reference), detail={"route": "decisions", "decisions": len(rows)})
    items = [
        DecisionShown(
            decision=row["decision"],
            recorded=row["recorded"],
            recorded_at=row["recorded_at"],
            stage=row["stage"],
            outcome=row["outcome"],
            decided_on=row["decided_on"],
            decided_by=row["decided_by"],
            reopening=row["reopening"],
            reason=texts[row["text"]][row["line"]].text,
            documentation_exception=texts[row["text"]][row["line"]].documentation_exception,
            criteria=row["criteria"],
            attribution=attribution_shown(row["attribution"]),
            non_verification_reason=row["non_verification_reason"],
            sources=Sources(primary=row["primary_sources"], secondary=row["secondary_sources"]),
            docket=row["docket"],
        )
        for row in rows
    ]
    return DecisionHistory(violation=str(reference), items=items)


def own_lines(
    proposed: Sequence[ProposedDecision],
    known: Mapping[Reference, KnownViolation],
    *,
    stage: Stage,
    marks: set[bytes],
    field: str,
) -> list[str]:
    """Return the lines of a stage whose report was submitted by one of the people with these marks."""
    return [
        f"{field}[{index}].violation"
        for index, one in enumerate(proposed)
        if one.stage is stage and one.violation is not None and one.violation in known and known[one.violation].submitter in marks
    ]
