"""Freezing the figures of a submission: at one position, once, sealed to export (C12)."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field

from aggregation import asking, freezing
from aggregation.domain.periods import LateRule
from aggregation.domain.questions import Late, Question, Refusal, read_moment, read_window
from aggregation.domain.tables import RULES_VERSION
from aggregation.routes.tables import service_for
from aggregation.store import snapshots as store
from aggregation.store.ledger import Moment
from aggregation.store.snapshots import Snapshot
from chassis.errors import Conflict, NotFound
from chassis.http import Caller, OncePart, PageQuery, allowed, json_body, next_cursor, read_json
from chassis.storage import Tx
from contracts import answers as documents
from contracts.events import SnapshotFrozen
from contracts.model import Day, Short, Wire

router = APIRouter(tags=["snapshots"])


class SnapshotOrder(Wire):
    """What to freeze. `snapshot` is the caller's own id, so that asking again freezes nothing twice; `as_of` absent is now."""

    model_config = ConfigDict(populate_by_name=True)

    snapshot: UUID | None = None
    from_: Annotated[Day, Field(alias="from")]
    to: Day
    late_rule: Literal["quarter", "window"] = "window"
    late: Literal["beside", "inside"] = "beside"
    as_of: int | Short | None = None


@router.post(
    "/v1/situations/{situation}/snapshots",
    status_code=201,
    response_model=None,
    responses={
        201: documents.json_response("Frozen and on its way to export.", documents.snapshot_answer(tables=False)),
        200: documents.json_response("Frozen before.", documents.snapshot_answer(tables=False)),
    },
    openapi_extra=json_body(SnapshotOrder),
    summary="Freeze the figures of a window",
)
async def freeze_snapshot(
    request: Request, situation: str, caller: Annotated[Caller, allowed("snapshot.freeze")], once: OncePart
) -> Response:
    """Freeze every table the products need and send them, sealed, to export; the same order again answers 200."""
    service = await service_for(request, caller, situation)
    order = await read_json(request, SnapshotOrder)
    try:
        question = _question(order)
        position = await asking.resolve(service.database, caller, situation, question.as_of)
        async with service.database.reading("read_tables", by=caller) as tx:
            known = await store.find_snapshot(tx, situation, order.snapshot) if order.snapshot else None
            moment = await asking.moment_at(tx, situation, position)
            tables = {} if known else await freezing.freeze(tx, question, moment)
    except Refusal as refusal:
        raise asking.refused(refusal) from None
    async with once.transaction(service.database, "freeze_snapshot", caller) as tx:
        frozen = None if known else await _freeze(tx, question, moment, snapshot=order.snapshot or uuid4(), tables=tables)
        if frozen is None and known is None and order.snapshot:  # somebody froze one under this id meanwhile
            known = await store.find_snapshot(tx, situation, order.snapshot)
        standing = frozen or known
        if standing is None:
            raise NotFound
        _require_same(standing, question, order)
        return once.answer(JSONResponse(_document(standing), status_code=201 if frozen else 200))


@router.get(
    "/v1/situations/{situation}/snapshots",
    response_model=None,
    responses={200: documents.json_response("A page of snapshots.", documents.snapshots_answer())},
    summary="The snapshots of a situation",
)
async def list_snapshots(
    request: Request, situation: str, page: PageQuery, caller: Annotated[Caller, allowed("snapshot.read")]
) -> Response:
    """List snapshots in the order of their freezing, without their tables."""
    service = await service_for(request, caller, situation)
    after: Any = page.after(datetime, UUID)
    async with service.database.reading("list_snapshots", by=caller) as tx:
        found = await store.list_snapshots(tx, situation, after=after, limit=page.limit + 1)
    shown = found[: page.limit]
    last = (shown[-1].frozen_at, shown[-1].snapshot) if shown else ()
    return JSONResponse({"items": [_document(entry) for entry in shown], "next": next_cursor(page, len(found), last=last)})


@router.get(
    "/v1/situations/{situation}/snapshots/{snapshot}",
    response_model=None,
    responses=documents.tagged_responses("The snapshot.", documents.snapshot_answer(tables=True)),
    summary="One snapshot with its tables",
)
async def read_snapshot(request: Request, situation: str, snapshot: UUID, caller: Annotated[Caller, allowed("snapshot.read")]) -> Response:
    """Answer one snapshot as it was frozen."""
    service = await service_for(request, caller, situation)
    async with service.database.reading("read_snapshot", by=caller) as tx:
        found = await store.find_snapshot(tx, situation, snapshot)
    if found is None:
        raise NotFound
    return asking.respond(request, _document(found) | {"tables": found.tables})


def _question(order: SnapshotOrder) -> Question:
    window = read_window({"from": order.from_.isoformat(), "to": order.to.isoformat()})
    as_of = read_moment(None if order.as_of is None else str(order.as_of), field="as_of")
    return Question(window=window, as_of=as_of, late_rule=LateRule(order.late_rule), late=Late(order.late))


async def _freeze(tx: Tx, question: Question, moment: Moment, *, snapshot: UUID, tables: dict[str, Any]) -> Snapshot | None:
    """Keep and send a snapshot; None if there is one under this id."""
    frozen = Snapshot(
        situation=moment.situation,
        snapshot=snapshot,
        position=moment.position,
        as_of=moment.instant,
        window_from=question.window.start,
        window_to=question.window.end,
        rules=RULES_VERSION,
        params=_params(question),
        tables=tables,
        frozen_by=tx.actor,
        frozen_at=tx.now,
    )
    if not await store.add_snapshot(tx, frozen):
        return None
    tx.audit(
        "snapshot.freeze",
        situation=moment.situation,
        subject_ref=str(snapshot),
        detail={"position": moment.position, "from": question.window.start.isoformat(), "to": question.window.end.isoformat()},
    )
    tx.publish(
        SnapshotFrozen(
            situation=frozen.situation,
            snapshot=snapshot,
            position=frozen.position,
            as_of=frozen.as_of or tx.now,
            window_from=frozen.window_from,
            window_to=frozen.window_to,
            rules=frozen.rules,
            params=frozen.params,
            tables=tables,
            frozen_by=frozen.frozen_by,
            frozen_at=frozen.frozen_at,
        ),
        subject=frozen.situation,
    )
    return frozen


def _require_same(known: Snapshot, question: Question, order: SnapshotOrder) -> None:
    moved = isinstance(order.as_of, int) and order.as_of != known.position
    if (known.window_from, known.window_to, known.params) != (question.window.start, question.window.end, _params(question)) or moved:
        raise Conflict("snapshot.id_taken", "This id is taken by another snapshot; choose a new id.")


def _params(question: Question) -> dict[str, str]:
    params = question.params()
    return {name: params[name] for name in ("late_rule", "late")}


def _document(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "snapshot": str(snapshot.snapshot),
        "situation": snapshot.situation,
        "from": snapshot.window_from.isoformat(),
        "to": snapshot.window_to.isoformat(),
        "as_of": {"position": snapshot.position, "instant": snapshot.as_of.isoformat() if snapshot.as_of else None},
        "rules": snapshot.rules,
        "params": snapshot.params,
        "frozen_by": snapshot.frozen_by,
        "frozen_at": snapshot.frozen_at.isoformat(),
    }
