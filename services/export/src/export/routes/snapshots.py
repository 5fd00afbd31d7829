"""Frozen snapshots: what submissions are drafted from."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from chassis.errors import NotFound
from chassis.http import Caller, PageQuery, allowed, next_cursor
from chassis.service import Service
from export import store
from export.documents import SnapshotDocument, SnapshotItem, Snapshots, WindowAnswer
from export.domain.drafting import Snapshot

router = APIRouter(tags=["snapshots"])


@router.get("/v1/situations/{situation}/snapshots", summary="List frozen snapshots")
async def list_snapshots(
    situation: str, request: Request, page: PageQuery, caller: Annotated[Caller, allowed("snapshot.read")]
) -> Snapshots:
    """Return the situation's snapshots, the newest first."""
    caller.require(situation)
    service: Service = request.app.state.service
    after = page.after(datetime, UUID)
    async with service.database.reading("list_snapshots", by=caller) as tx:
        found = await store.list_snapshots(tx, situation=situation, after=after, limit=page.limit + 1)
    items = [SnapshotItem(**_facts(snapshot)) for snapshot in found[: page.limit]]
    last = (items[-1].frozen_at, items[-1].snapshot) if items else ()
    return Snapshots(items=items, next=next_cursor(page, len(found), last=last))


@router.get("/v1/situations/{situation}/snapshots/{snapshot}", summary="Read a frozen snapshot")
async def read_snapshot(
    situation: str, snapshot: UUID, request: Request, caller: Annotated[Caller, allowed("snapshot.read")]
) -> SnapshotDocument:
    """Return one snapshot with its tables."""
    caller.require(situation)
    service: Service = request.app.state.service
    async with service.database.reading("read_snapshot", by=caller) as tx:
        found = await store.find_snapshot(tx, situation=situation, snapshot=snapshot)
    if found is None:
        raise NotFound
    return SnapshotDocument(**_facts(found), situation=situation, tables=dict(found.tables))


def _facts(snapshot: Snapshot) -> dict[str, object]:
    return {
        "snapshot": snapshot.snapshot,
        "window": WindowAnswer(from_=snapshot.window_from, to=snapshot.window_to),
        "position": snapshot.position,
        "as_of": snapshot.as_of,
        "rules": snapshot.rules,
        "params": dict(snapshot.params),
        "frozen_by": snapshot.frozen_by,
        "frozen_at": snapshot.frozen_at,
    }
