"""The opened case: whole, opened in memory, for whoever may read it; coded facts for others; each time with an audit entry."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from asyncpg import Record
from fastapi import APIRouter, Query, Request

from chassis.errors import NotFound
from chassis.http import Caller, OncePart, allowed, json_body, problem_responses, read_json
from chassis.storage import Tx
from verification.casework import move_cases
from verification.desk import DeskPart
from verification.domain.progress import CaseStatus
from verification.messages.cases import Case, CodedCase, QuestionAsked, QuestionCoded, QuestionShown, RevisionShown
from verification.messages.requests import QuestionBody
from verification.messages.safe import KeptText
from verification.routes.seeing import EMERGENCY, find_emergency_access, sees_everything
from verification.routes.showing import decision_coded, link_shown, violation_coded, violation_shown
from verification.store import decisions, incidents, links, violations

router = APIRouter(tags=["cases"])


class Purpose(StrEnum):
    """Why a case is opened; kept in the audit entry."""

    VETTING = "vetting"
    DOCKET = "docket"
    DUPLICATES = "duplicates"
    QUESTION = "question"
    REPORTING = "reporting"


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
) -> Case | CodedCase:
    """Open a case: whole for those whose role or emergency access shows it, by its coded facts for others; `withheld` tells which.

    A case that no reviewer has opened before is under review from now on.
    """
    caller.require(situation)
    await desk.register.get(situation)
    by_role = sees_everything(caller, situation)
    async with desk.database.transaction("open_case", by=caller) as tx:
        row = await incidents.find_case(tx, situation, incident)
        if row is None:
            raise NotFound
        access = None if by_role else await find_emergency_access(tx, caller, situation, incident)
        tx.audit(
            caller.action,
            situation=situation,
            subject_ref=str(incident),
            detail={
                "route": "case",
                "purpose": purpose,
                "revision": row["revision"],
                "shown": "everything" if by_role or access else "coded_facts",
                **({EMERGENCY: str(access.access)} if access else {}),
            },
        )
        facts = await _facts(tx, situation, row)
        mark = desk.mark_of(situation, caller.subject)
        held = await violations.list_violations_of(tx, situation, incident)
        asked = await incidents.list_questions(tx, situation, incident)
        if not by_role and access is None:
            return CodedCase(
                **facts,
                violations=[violation_coded(one, mark=mark) for one in held],
                questions=[QuestionCoded(**_question(one)) for one in asked],
                confidential=None,
                withheld="role",
            )
        report = desk.safe.open_report(
            await incidents.get_envelope(tx, situation, incident, row["revision"]), situation=situation, incident=incident
        )
        texts = await desk.read_texts(tx, situation, [one["text"] for one in asked])
        if by_role and facts["status"] == CaseStatus.RECEIVED:
            await desk.enter(tx, situation)
            await move_cases(tx, situation, [incident], lambda case: case.progress.opened())
            facts |= {"status": CaseStatus.UNDER_REVIEW, "needs": []}
        return Case(
            **facts,
            report=report,
            children={
                victim.key: desk.pseudonyms.child(situation=situation, incident=incident, key=victim.key) for victim in report.victims
            },
            violations=[violation_shown(one, mark=mark) for one in held],
            questions=[QuestionShown(**_question(one), message=texts[one["text"]][0].text) for one in asked],
            confidential="emergency_access" if access else "role",
            withheld=None,
            emergency_access=access,
        )


async def _facts(tx: Tx, situation: str, row: Record) -> dict[str, Any]:
    """Read the coded facts that are the same for everybody who may open a case; nothing sealed is touched."""
    incident = row["incident"]
    return {
        "situation": situation,
        **dict(row),
        "decisions": [decision_coded(one) for one in await decisions.list_decisions_of(tx, situation, incident)],
        "links": [link_shown(one) for one in await links.list_links_of(tx, situation, incident)],
        "revisions": [RevisionShown(**dict(one)) for one in await incidents.list_revisions(tx, situation, incident)],
    }


def _question(row: Record) -> dict[str, Any]:
    return {name: row[name] for name in QuestionCoded.model_fields}


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
