"""The opened case: the whole report, opened in memory for whoever may read it, each time with an audit entry."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from chassis.errors import NotFound
from chassis.http import Caller, OncePart, allowed, json_body, problem_responses, read_json
from verification.casework import move_cases
from verification.desk import DeskPart
from verification.domain.progress import CaseStatus
from verification.messages.answers import Case, QuestionAsked, QuestionShown, RevisionShown
from verification.messages.requests import QuestionBody
from verification.messages.safe import KeptText
from verification.routes.showing import link_shown, violation_shown
from verification.store import incidents, links, violations

router = APIRouter(tags=["cases"])


class Purpose(StrEnum):
    """Why a case is opened; kept in the audit entry."""

    VETTING = "vetting"
    DOCKET = "docket"
    DUPLICATES = "duplicates"
    QUESTION = "question"


@router.get(
    "/v1/situations/{situation}/incidents/{incident}",
    responses=problem_responses(401, 403, 404, 422),
)
async def open_case(
    situation: str,
    incident: UUID,
    caller: Annotated[Caller, allowed("case.open")],
    desk: DeskPart,
    purpose: Annotated[Purpose, Query(description="Why the case is opened.")] = Purpose.VETTING,
) -> Case:
    """Open a case; a case nobody has opened before is under review from now on."""
    caller.require(situation)
    await desk.register.get(situation)
    async with desk.database.transaction("open_case", by=caller) as tx:
        row = await incidents.find_case(tx, situation, incident)
        if row is None:
            raise NotFound
        report = desk.safe.open_report(row["envelope"], situation=situation, incident=incident)
        tx.audit(
            "case.open",
            situation=situation,
            subject_ref=str(incident),
            detail={"route": "case", "purpose": purpose, "revision": row["revision"]},
        )
        status, needs = CaseStatus(row["status"]), row["needs"]
        if status is CaseStatus.RECEIVED:
            await desk.enter(tx, situation)
            await move_cases(tx, situation, [incident], lambda case: case.progress.opened())
            status, needs = CaseStatus.UNDER_REVIEW, []
        questions = await incidents.list_questions(tx, situation, incident)
        texts = await desk.read_texts(tx, situation, [question["text"] for question in questions])
        mark = desk.mark_of(situation, caller.subject)
        return Case(
            situation=situation,
            incident=incident,
            revision=row["revision"],
            status=status,
            needs=needs,
            region=row["region"],
            report=report,
            children={
                victim.key: desk.pseudonyms.child(situation=situation, incident=incident, key=victim.key) for victim in report.victims
            },
            violations=[violation_shown(one, mark=mark) for one in await violations.list_violations_of(tx, situation, incident)],
            links=[link_shown(one) for one in await links.list_links_of(tx, situation, incident)],
            revisions=[RevisionShown(**dict(one)) for one in await incidents.list_revisions(tx, situation, incident)],
            questions=[
                QuestionShown(
                    question=one["question"],
                    needs=one["needs"],
                    message=texts[one["text"]][0].text,
                    asked_by=one["asked_by"],
                    asked_at=one["asked_at"],
                )
                for one in questions
            ],
        )


@router.post(
    "/v1/situations/{situation}/incidents/{incident}/questions",
    status_code=201,
    openapi_extra=json_body(QuestionBody),
    responses=problem_responses(400, 401, 403, 404, 413, 415, 422),
)
async def ask_question(
    situation: str,
    incident: UUID,
    *,
    request: Request,
    caller: Annotated[Caller, allowed("question.ask")],
    desk: DeskPart,
    once: OncePart,
) -> QuestionAsked:
    """Ask the monitor for more: the report needs information until it is revised or decided on."""
    caller.require(situation)
    document = await desk.register.get(situation)
    body = await read_json(request, QuestionBody)
    async with once.transaction(desk.database, "ask_question", caller) as tx:
        await desk.enter(tx, situation)
        if await incidents.find_incident(tx, situation, incident) is None:
            raise NotFound
        needs = tuple(dict.fromkeys(body.needs))
        text = await desk.keep_texts(tx, document, [KeptText(text=body.message)])
        question = tx.derived_id("question")
        await incidents.add_question(tx, situation, question=question, incident=incident, needs=needs, text=text)
        tx.audit("question.ask", situation=situation, subject_ref=str(incident), detail={"question": str(question), "needs": list(needs)})
        await move_cases(tx, situation, [incident], lambda case: case.progress.asked(needs))
        return once.answer(QuestionAsked(question=question, status=CaseStatus.NEEDS_INFORMATION, needs=list(needs)))
