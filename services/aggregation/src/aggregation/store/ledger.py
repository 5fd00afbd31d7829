"""SQL of the ledger: positions in commit order per situation, one writer at a time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from aggregation.messages import Fact
from aggregation.store.sides import FIRST_SIDE, Side
from chassis.storage import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One applied fact at its position."""

    situation: str
    position: int
    kind: str
    subject: str
    fact: Fact
    region: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A position of a situation, when it was applied, and which side is live. Position 0: nothing has come yet."""

    situation: str
    position: int
    instant: datetime | None
    side: Side


_APPEND = """
with taken as (
    insert into ledgers as ledger (situation, position, applied_at, side) values ($1, 1, clock_timestamp(), $2)
    on conflict (situation) do update
    set position = ledger.position + 1, applied_at = greatest(clock_timestamp(), ledger.applied_at + interval '1 microsecond')
    returning position, applied_at, side
)
insert into positions (situation, position, event_id, kind, subject, fact, region, recorded_at, applied_at)
select $1, taken.position, $3, $4, $5, $6, $7, $8, taken.applied_at from taken
returning position, (select side from taken) as side
"""


async def add_position(
    tx: Tx, *, situation: str, event_id: UUID, kind: str, subject: str, fact: Fact, region: str | None, recorded_at: datetime
) -> tuple[Entry, Side]:
    """Give a fact the next position; holds the situation's counter until the transaction ends. Returns it with the live side."""
    row = await tx.fetchrow(_APPEND, situation, FIRST_SIDE, event_id, kind, subject, fact, region, recorded_at)
    assert row is not None  # noqa: S101 - the upsert always returns
    entry = Entry(situation=situation, position=row["position"], kind=kind, subject=subject, fact=fact, region=region)
    return entry, row["side"]


async def get_now(tx: Tx, situation: str) -> Moment:
    """Return the newest position as this transaction sees it."""
    row = await tx.fetchrow("select position, applied_at, side from ledgers where situation = $1", situation)
    if row is None:
        return Moment(situation=situation, position=0, instant=None, side=FIRST_SIDE)
    return Moment(situation=situation, position=row["position"], instant=row["applied_at"], side=row["side"])


async def hold(tx: Tx, situation: str) -> None:
    """Keep a situation's position and live side as they are until the transaction ends."""
    await tx.execute("select 1 from ledgers where situation = $1 for share", situation)


async def find_position_at(tx: Tx, situation: str, instant: datetime) -> int | None:
    """Return the last position applied at or before an instant, None for an instant in the future.

    Waits for a writer at work, so that the answer for an instant never changes later; needs a read-committed transaction.
    """
    await hold(tx, situation)
    row = await tx.fetchrow(
        """
        select $2 > clock_timestamp() as ahead,
            (select position from positions where situation = $1 and applied_at <= $2 order by applied_at desc limit 1) as position
        """,
        situation,
        instant,
    )
    assert row is not None  # noqa: S101 - a select without from
    return None if row["ahead"] else row["position"] or 0


async def find_instant_of(tx: Tx, situation: str, position: int) -> datetime | None:
    """Return when a position was applied, None if there is no such position."""
    instant: datetime | None = await tx.fetchval(
        "select applied_at from positions where situation = $1 and position = $2", situation, position
    )
    return instant


async def list_entries(tx: Tx, situation: str, *, after: int, up_to: int, limit: int) -> list[Entry]:
    """Return the next entries of the ledger in order."""
    rows = await tx.fetch(
        """
        select position, kind, subject, fact, region from positions
        where situation = $1 and position > $2 and position <= $3 order by position limit $4
        """,
        situation,
        after,
        up_to,
        limit,
    )
    return [_entry(situation, row) for row in rows]


async def delete_situation(tx: Tx, situation: str) -> None:
    """Delete the ledger of a removed scratch situation."""
    for table in ("positions", "ledgers", "snapshots", "releases", "rebuilds"):
        await tx.execute(f"delete from {table} where situation = $1", situation)  # noqa: S608 - our own names


def _entry(situation: str, row: Any) -> Entry:  # noqa: ANN401 - asyncpg's record
    return Entry(
        situation=situation,
        position=row["position"],
        kind=row["kind"],
        subject=row["subject"],
        fact=row["fact"],
        region=row["region"],
    )
