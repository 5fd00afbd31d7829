"""The difference of two moments as a table of its own; restatements rest on it (C12)."""

from typing import Final

from fastapi import APIRouter, Request, Response

from aggregation import asking, comparing
from aggregation.domain.periods import LateRule
from aggregation.domain.questions import Form, Refusal, read_moment, read_question
from aggregation.domain.tables import RULES_VERSION
from aggregation.routes.tables import Reader, page_of, record_search, service_for
from aggregation.store.figures import Scope
from chassis.permissions import Caller
from chassis.service import Service
from contracts import answers as documents

router = APIRouter(tags=["counts"])
RULES: Final = ["C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9", "C12", "C13"]


@router.get(
    "/v1/situations/{situation}/tables/changes",
    response_model=None,
    responses=documents.tagged_responses("The changes, by their violations.", documents.changes_answer()),
    openapi_extra=asking.described("since", *asking.QUESTION, *asking.PAGE, required=("since", "from", "to")),
    summary="What changed between two moments",
)
async def read_changes(request: Request, situation: str, caller: Reader) -> Response:
    """Answer which violations entered, left or moved in a window's figures after `since` and up to `as_of`, and what made them."""
    service = await service_for(request, caller, situation)
    try:
        return await _answer(request, service, caller, situation)
    except Refusal as refusal:
        raise asking.refused(refusal) from None


async def _answer(request: Request, service: Service, caller: Caller, situation: str) -> Response:
    params = asking.parameters(request)
    part = asking.take_slice(params)
    before = read_moment(params.pop("since", None), field="since")
    if before is None:
        raise Refusal("missing_parameter", "since")
    question = read_question(params, late_rule=LateRule.WINDOW)
    if question.form is Form.SHARED:
        raise Refusal("no_shared_form", "form")
    as_of, named = part.moment_of(question.as_of)
    since = await asking.resolve(service.database, caller, situation, before, field="since")
    position = await asking.resolve(service.database, caller, situation, as_of)
    async with service.database.reading("read_changes", by=caller) as tx:
        moment = await asking.moment_at(tx, situation, position, field=named)
        earlier = await asking.moment_at(tx, situation, since, field="since")
        if earlier.position > moment.position:
            raise Refusal("reversed_moments", "since")
        scope = Scope(moment=moment, window=question.window, late_rule=question.late_rule)
        found = await comparing.compare(tx, scope, since=earlier.position)
    document = {
        "table": "changes",
        "situation": situation,
        "from": question.window.start.isoformat(),
        "to": question.window.end.isoformat(),
        "since": asking.as_of_document(earlier),
        "as_of": asking.as_of_document(moment),
        "rules": RULES_VERSION,
        "applies": RULES,
        "params": question.params(),
    }
    document |= page_of([change.document() for change in found], part, moment)
    await record_search(service, caller, situation, route="changes", document=document, part=part)
    return asking.respond(request, document)
