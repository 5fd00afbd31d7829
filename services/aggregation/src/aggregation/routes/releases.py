"""Letting the linked tables of a window out in shared form: recorded, for everybody knows them from then on (C14)."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field

from aggregation import asking, sharing
from aggregation.domain.linking import SHARED
from aggregation.domain.periods import LateRule
from aggregation.domain.questions import Form, Late, Question, Refusal, read_moment, read_window
from aggregation.domain.tables import RULES_VERSION, rules_of
from aggregation.routes.tables import service_for
from aggregation.sharing import SharedSet
from aggregation.store import releases as store
from aggregation.store.ledger import Moment
from aggregation.store.releases import Release
from chassis.errors import Conflict, NotFound
from chassis.http import Caller, PageQuery, allowed, json_body, next_cursor, read_json
from chassis.service import Service
from contracts import answers as documents
from contracts.model import Day, Short, Wire

router = APIRouter(tags=["shared form"])
_TRIES: Final = 3
_RULES: Final = rules_of((*SHARED, "by_detail"), shared=True)


class ReleaseOrder(Wire):
    """What to share. `release` is an id of the caller's own: asking again shares nothing twice. `as_of` absent is now."""

    model_config = ConfigDict(populate_by_name=True)

    release: UUID
    from_: Annotated[Day, Field(alias="from")]
    to: Day
    late_rule: Literal["quarter", "window"] = "window"
    late: Literal["beside", "inside"] = "beside"
    as_of: int | Short | None = None


@router.post(
    "/v1/situations/{situation}/releases",
    status_code=201,
    response_model=None,
    responses={
        201: documents.json_response("Recorded as shared.", documents.release_answer()),
        200: documents.json_response("Shared before.", documents.release_answer()),
    },
    openapi_extra=json_body(ReleaseOrder),
    summary="Share the tables of a window",
)
async def share_window(request: Request, situation: str, caller: Annotated[Caller, allowed("snapshot.freeze")]) -> Response:
    """Record the linked tables of a window as shared and answer with them; the same order again answers 200."""
    service = await service_for(request, caller, situation)
    order = await read_json(request, ReleaseOrder)
    try:
        question = _question(order)
        position = await asking.resolve(service.database, caller, situation, question.as_of)
        release, new = await _release(service, caller, situation, order, question=question, position=position)
    except Refusal as refusal:
        raise asking.refused(refusal) from None
    same = (release.window_from, release.window_to, release.params)
    if same != (question.window.start, question.window.end, sharing.params_of(question)):
        raise Conflict("release.id_taken", "This id is taken by another release; choose a new id.")
    return JSONResponse(_document(release), status_code=201 if new else 200)


@router.get(
    "/v1/situations/{situation}/releases",
    response_model=None,
    responses={200: documents.json_response("A page of releases.", documents.releases_answer())},
    summary="What was shared",
)
async def list_releases(request: Request, situation: str, page: PageQuery, caller: Annotated[Caller, allowed("snapshot.read")]) -> Response:
    """List releases in the order of their leaving."""
    service = await service_for(request, caller, situation)
    after: Any = page.after(datetime, UUID)
    async with service.database.reading("list_releases", by=caller) as tx:
        found = await store.list_releases(tx, situation, after=after, limit=page.limit + 1)
    shown = found[: page.limit]
    last = (shown[-1].released_at, shown[-1].release) if shown else ()
    return JSONResponse({"items": [_document(entry) for entry in shown], "next": next_cursor(page, len(found), last=last)})


@router.get(
    "/v1/situations/{situation}/releases/{release}",
    response_model=None,
    responses=documents.tagged_responses("The release.", documents.release_answer()),
    summary="One release",
)
async def read_release(request: Request, situation: str, release: UUID, caller: Annotated[Caller, allowed("snapshot.read")]) -> Response:
    """Answer one release as it left."""
    service = await service_for(request, caller, situation)
    async with service.database.reading("read_release", by=caller) as tx:
        found = await store.find_release(tx, situation, release)
    if found is None:
        raise NotFound
    return asking.respond(request, _document(found))


async def _release(
    service: Service, caller: Caller, situation: str, order: ReleaseOrder, *, question: Question, position: int | None
) -> tuple[Release, bool]:
    """Record a release; returns the one there is, and whether it is new.

    What is left out is worked out before anything is locked, and again if another release came in between.
    """
    threshold = (await service.register.get(situation)).policy.disclosure_threshold
    for _ in range(_TRIES):
        async with service.database.reading("count_for_release", by=caller) as reading:
            known = await store.find_release(reading, situation, order.release)
            if known is not None:
                return known, False
            moment = await asking.moment_at(reading, situation, position)
            shared = await sharing.share(reading, question, moment, threshold=threshold)
        async with service.database.transaction("share_window", by=caller) as tx:
            await store.lock_releases(tx, situation)
            known = await store.find_release(tx, situation, order.release)
            if known is not None:
                return known, False
            if await store.count_releases(tx, situation) == shared.releases:
                release = _made(order, question, moment, shared, by=caller.subject, at=tx.now)
                await store.add_release(tx, release)
                window = {"from": order.from_.isoformat(), "to": order.to.isoformat()}
                detail = {"position": moment.position, **window}
                tx.audit("window.share", situation=situation, subject_ref=str(release.release), detail=detail)
                return release, True
    raise Conflict("release.others_at_work", "Others are sharing windows of this situation at this moment; try again.")


def _made(order: ReleaseOrder, question: Question, moment: Moment, shared: SharedSet, *, by: str, at: datetime) -> Release:
    return Release(
        situation=moment.situation,
        release=order.release,
        position=moment.position,
        as_of=moment.instant,
        window_from=question.window.start,
        window_to=question.window.end,
        rules=RULES_VERSION,
        params=sharing.params_of(question),
        shared=shared.document(),
        tables=shared.tables,
        published=[[name, value] for name, value in shared.numbers(shown=True)],
        left_out=[[name, value] for name, value in shared.numbers(shown=False)],
        released_by=by,
        released_at=at,
    )


def _question(order: ReleaseOrder) -> Question:
    window = read_window({"from": order.from_.isoformat(), "to": order.to.isoformat()})
    as_of = read_moment(None if order.as_of is None else str(order.as_of), field="as_of")
    return Question(window=window, as_of=as_of, late_rule=LateRule(order.late_rule), late=Late(order.late), form=Form.SHARED)


def _document(release: Release) -> dict[str, Any]:
    return {
        "release": str(release.release),
        "situation": release.situation,
        "from": release.window_from.isoformat(),
        "to": release.window_to.isoformat(),
        "as_of": {"position": release.position, "instant": release.as_of.isoformat() if release.as_of else None},
        "rules": release.rules,
        "applies": _RULES,
        "params": release.params,
        "shared": release.shared,
        "tables": release.tables,
        "released_by": release.released_by,
        "released_at": release.released_at.isoformat(),
    }
