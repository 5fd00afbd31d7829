"""Questions: every table, its contributors, the Global Horizontal Note in one answer, and how far the ledger has come."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from aggregation import answers, asking, sharing
from aggregation.domain.contributors import read_path
from aggregation.domain.periods import LateRule
from aggregation.domain.questions import Form, Question, Refusal, question_for, read_question
from aggregation.domain.tables import GHN, RULES_VERSION, TABLES, Table, rules_of
from aggregation.store import ledger
from aggregation.store.ledger import Moment
from chassis.http import Caller, allowed, problem_responses
from chassis.service import Service
from chassis.storage import Tx
from contracts import answers as documents

router = APIRouter(tags=["counts"])
Reader = Annotated[Caller, allowed("counts.read")]


async def service_for(request: Request, caller: Caller, situation: str) -> Service:
    """Return the service's parts once the caller may read a situation that exists; raises NotFound or Forbidden."""
    caller.require(situation)
    service: Service = request.app.state.service
    await service.register.get(situation)
    return service


@router.get(
    "/v1/situations/{situation}/position",
    response_model=None,
    responses=documents.tagged_responses("The newest position.", documents.position_answer()),
    summary="How far the ledger has come",
)
async def read_position(request: Request, situation: str, caller: Reader) -> Response:
    """Answer with the newest position and when it was applied."""
    service = await service_for(request, caller, situation)
    async with service.database.reading("read_position", by=caller) as tx:
        now = await ledger.get_now(tx, situation)
    document = {"situation": situation, "position": now.position, "recorded_at": now.instant.isoformat() if now.instant else None}
    return asking.respond(request, document)


@router.get(
    "/v1/situations/{situation}/tables/{table}",
    response_model=None,
    responses=documents.tagged_responses("The table.", documents.any_table_answer()) | problem_responses(409),
    openapi_extra=asking.described(*asking.QUESTION, *asking.PAGE),
    summary="One table",
)
async def read_table(request: Request, situation: str, table: str, caller: Reader) -> Response:
    """Answer one table for a window, now or as of an earlier moment."""
    threshold = await _threshold(request, caller, situation)

    async def read(tx: Tx, known: Table, question: Question, moment: Moment) -> dict[str, Any]:
        if question.form is Form.EXACT:
            return {"data": await answers.answer(tx, known, question, moment)}
        name = sharing.shared_name(known.name, question)
        shared = await sharing.share(tx, question, moment, threshold=threshold)
        return {"data": shared.tables[name], "form": "shared", "shared": shared.document([name])}

    return await _ask(request, caller, situation, table, read)


@router.get(
    "/v1/situations/{situation}/tables/{table}/contributors",
    response_model=None,
    responses=documents.tagged_responses("The violations, by their names.", documents.contributors_answer()),
    openapi_extra=asking.described(*asking.QUESTION, "cell", *asking.PAGE, required=("from", "to", "cell")),
    summary="The violations behind a number",
)
async def read_contributors(request: Request, situation: str, table: str, caller: Reader) -> Response:
    """Answer which violations stand behind one number of a table (C13), by their names."""
    cell = request.query_params.get("cell")

    async def read(tx: Tx, known: Table, question: Question, moment: Moment) -> dict[str, Any]:
        path = read_path(cell)
        if question.form is Form.SHARED:
            raise Refusal("no_shared_form", "form")
        value, found = (await answers.drill(tx, known, question, moment)).contributors(path)
        data = [
            {"violation": entry.violation} if entry.amount is None else {"violation": entry.violation, "amount": entry.amount}
            for entry in found
        ]
        return {"cell": cell, "value": value, "data": data}

    return await _ask(request, caller, situation, table, read, drop=("cell",), route="contributors")


@router.get(
    "/v1/situations/{situation}/ghn",
    response_model=None,
    responses=documents.tagged_responses("The fourteen tables.", documents.any_ghn_answer()) | problem_responses(409),
    openapi_extra=asking.described(*asking.QUESTION, *asking.PAGE),
    summary="The fourteen tables of the Global Horizontal Note",
)
async def read_ghn(request: Request, situation: str, caller: Reader) -> Response:
    """Answer the fourteen tables of one window as of one moment."""
    service = await service_for(request, caller, situation)
    try:
        params = asking.parameters(request)
        asking.take_slice(params)  # known everywhere, without effect where nothing is paged
        question = read_question(params, late_rule=LateRule.QUARTER)
        position = await asking.resolve(service.database, caller, situation, question.as_of)
        async with service.database.reading("read_ghn", by=caller) as tx:
            moment = await asking.moment_at(tx, situation, position)
            found = await _ghn(tx, question, moment, threshold=await _threshold(request, caller, situation))
    except Refusal as refusal:
        raise asking.refused(refusal) from None
    return asking.respond(request, _document("ghn", situation, question, moment, GHN) | found)


async def _ghn(tx: Tx, question: Question, moment: Moment, *, threshold: int) -> dict[str, Any]:
    if question.form is Form.EXACT:
        return {"data": await answers.answer_ghn(tx, question, moment)}
    shared = await sharing.share(tx, question, moment, threshold=threshold)
    return {"data": sharing.ghn_of(shared), "form": "shared", "shared": shared.document(GHN)}


async def _threshold(request: Request, caller: Caller, situation: str) -> int:
    """Return k of the situation (C14)."""
    service = await service_for(request, caller, situation)
    return (await service.register.get(situation)).policy.disclosure_threshold


Read = Callable[[Tx, Table, Question, Moment], Awaitable[dict[str, Any]]]


async def _ask(
    request: Request, caller: Caller, situation: str, name: str, read: Read, *, drop: tuple[str, ...] = (), route: str | None = None
) -> Response:
    service = await service_for(request, caller, situation)
    table = TABLES.get(name)
    if table is None:
        raise asking.UnknownTable
    try:
        return await _answer(request, service, caller, situation, table, read, drop=drop, route=route or (name if table.paged else None))
    except Refusal as refusal:
        raise asking.refused(refusal) from None


async def _answer(  # noqa: PLR0917
    request: Request,
    service: Service,
    caller: Caller,
    situation: str,
    table: Table,
    read: Read,
    *,
    drop: tuple[str, ...],
    route: str | None,
) -> Response:
    """Answer a question; one with a `route` lists violations, page by page, and is recorded as a search."""
    params = {key: value for key, value in asking.parameters(request).items() if key not in drop}
    part = asking.take_slice(params)
    question = question_for(table, params)
    as_of, named = (question.as_of, "as_of") if route is None else part.moment_of(question.as_of)
    position = await asking.resolve(service.database, caller, situation, as_of)
    async with service.database.reading("read_table", by=caller) as tx:
        moment = await asking.moment_at(tx, situation, position, field=named)
        found = await read(tx, table, question, moment)
    document = _document(table.name, situation, question, moment, [table.name]) | found
    if route is not None and question.form is Form.EXACT:
        document |= page_of(found["data"], part, moment)
        await record_search(service, caller, situation, route=route, document=document, part=part)
    return asking.respond(request, document)


async def record_search(
    service: Service, caller: Caller, situation: str, *, route: str, document: Mapping[str, Any], part: asking.Slice
) -> None:
    """Record that violations were listed, before the list is answered: which table and window, and how many; no cell and no violation.

    A repeated question is recorded again, although it may be answered with 304.
    """
    detail = {name: document[name] for name in ("table", "from", "to")}
    detail |= {"route": route, "found": len(document["data"]), "position": document["as_of"]["position"]}
    async with service.database.transaction("record_search", by=caller) as tx:
        tx.audit(caller.action, situation=situation, detail=detail | ({"page": "next"} if part.after else {}))


def page_of(entries: list[dict[str, Any]], part: asking.Slice, moment: Moment) -> dict[str, Any]:
    """Return the asked part of a long answer, which is in the order of violations, and the cursor of the next."""
    left = [entry for entry in entries if entry["violation"] > part.after] if part.after else entries
    page = left[: part.limit]
    more = len(left) > len(page)
    return {"data": page, "next": asking.cursor_after(moment, page[-1]["violation"]) if more else None}


def _document(name: str, situation: str, question: Question, moment: Moment, tables: Iterable[str]) -> dict[str, Any]:
    return {
        "table": name,
        "situation": situation,
        "from": question.window.start.isoformat(),
        "to": question.window.end.isoformat(),
        "as_of": asking.as_of_document(moment),
        "rules": RULES_VERSION,
        "applies": rules_of(tables, shared=question.form is Form.SHARED),
        "params": question.params(),
    }
