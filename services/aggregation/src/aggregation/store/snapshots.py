"""SQL of frozen snapshots: written once, never changed (C12)."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from chassis.storage import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The figures of one window as known at one position. `as_of` None: nothing had been recorded."""

    situation: str
    snapshot: UUID
    position: int
    as_of: datetime | None
    window_from: date
    window_to: date
    rules: str
    params: dict[str, str]
    tables: dict[str, Any]
    frozen_by: str
    frozen_at: datetime


_COLUMNS = "situation, snapshot, position, as_of, window_from, window_to, rules, params, tables, frozen_by, frozen_at"


async def add_snapshot(tx: Tx, snapshot: Snapshot) -> bool:
    """Keep a snapshot; returns False if there is one of that id."""
    added = await tx.fetchval(
        f"insert into snapshots ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"  # noqa: S608 - our own words
        " on conflict do nothing returning true",
        snapshot.situation,
        snapshot.snapshot,
        snapshot.position,
        snapshot.as_of,
        snapshot.window_from,
        snapshot.window_to,
        snapshot.rules,
        snapshot.params,
        snapshot.tables,
        snapshot.frozen_by,
        snapshot.frozen_at,
    )
    return added is not None


async def find_snapshot(tx: Tx, situation: str, snapshot: UUID) -> Snapshot | None:
    """Return a snapshot, None if there is none of that id."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from snapshots where situation = $1 and snapshot = $2",  # noqa: S608 - our own words
        situation,
        snapshot,
    )
    return Snapshot(**dict(row)) if row is not None else None


async def list_snapshots(tx: Tx, situation: str, *, after: tuple[datetime, UUID] | None, limit: int) -> list[Snapshot]:
    """Return snapshots in the order of their freezing, without their tables."""
    rows = await tx.fetch(
        """
        select situation, snapshot, position, as_of, window_from, window_to, rules, params, '{}'::jsonb as tables, frozen_by, frozen_at
        from snapshots where situation = $1 and ($2::timestamptz is null or (frozen_at, snapshot) > ($2, $3))
        order by frozen_at, snapshot limit $4
        """,
        situation,
        *(after or (None, None)),
        limit,
    )
    return [Snapshot(**dict(row)) for row in rows]
