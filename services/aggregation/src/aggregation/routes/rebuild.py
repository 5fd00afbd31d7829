"""The operator proves that the live figures equal the ledger."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from aggregation.routes.tables import service_for
from aggregation.store import ledger
from aggregation.store import rebuilds as store
from aggregation.store.sides import other_side
from chassis.errors import NotFound
from chassis.http import Caller, allowed
from contracts import answers as documents

router = APIRouter(tags=["rebuild"])
Operator = Annotated[Caller, allowed("counts.rebuild")]


@router.post(
    "/v1/situations/{situation}/rebuild",
    status_code=202,
    response_model=None,
    responses={202: documents.json_response("The progress.", documents.rebuild_answer())},
    summary="Recompute the figures from the ledger",
)
async def rebuild(request: Request, situation: str, caller: Operator) -> JSONResponse:
    """Begin a rebuild, or answer how far the one under way has come; the live figures go on answering."""
    service = await service_for(request, caller, situation)
    async with service.database.transaction("begin_rebuild", by=caller) as tx:
        now = await ledger.get_now(tx, situation)
        if await store.add_rebuild(tx, situation, side=other_side(now.side), target=now.position):
            tx.audit("counts.rebuild", situation=situation, detail={"position": now.position})
        found = await store.find_rebuild(tx, situation)
    if found is None:
        raise NotFound
    return JSONResponse(found.document(), status_code=202)


@router.get(
    "/v1/situations/{situation}/rebuild",
    response_model=None,
    responses={200: documents.json_response("The progress.", documents.rebuild_answer())},
    summary="How far the rebuild has come",
)
async def read_rebuild(request: Request, situation: str, caller: Operator) -> JSONResponse:
    """Answer the progress of the newest rebuild, and the first difference of a refused one."""
    service = await service_for(request, caller, situation)
    async with service.database.reading("read_rebuild", by=caller) as tx:
        found = await store.find_rebuild(tx, situation)
    if found is None:
        raise NotFound
    return JSONResponse(found.document())
