"""SQL of the ledger: positions in commit order per situation, one writer at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
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
class NewFact:
    """A fact that has no position yet, also as the JSON that the ledger takes."""

    event_id: UUID
    kind: str
    subject: str
    fact: Fact
    json: str
    region: str | None
    recorded_at: datetime


class Reading(StrEnum):
    """How what stood at a moment is found; all three find the same."""

    NOW = "now"
    """Nothing has come since: what stands."""
    BACKWARD = "backward"
    """What stands, and the reverse of what came since."""
    FORWARD = "forward"
    """All that had come, added up: for the distant past."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A position of a situation, when it was applied, and which side is live. Position 0: nothing has come yet."""

    situation: str
    position: int
    instant: datetime | None
    side: Side
    newest: int
    """The newest position when this was read; what is read by it is read in the same picture, or with the situation held."""
    reading: Reading = Reading.NOW

    def at(self, position: int, *, instant: datetime | None = None) -> "Moment":
        """Return an earlier moment, to be read the shorter way."""
        shorter = Reading.BACKWARD if self.newest - position <= position else Reading.FORWARD
        reading = Reading.NOW if position == self.newest else shorter
        return replace(self, position=position, instant=instant, reading=reading)


_APPEND = """
with taken as (
    insert into ledgers as ledger (situation, position, applied_at, side)
    values ($1, $3, clock_timestamp() + ($3::bigint - 1) * interval '1 microsecond', $2)
    on conflict (situation) do update set position = ledger.position + $3,
        applied_at = greatest(clock_timestamp(), ledger.applied_at + interval '1 microsecond') + ($3 - 1) * interval '1 microsecond'
    returning position, applied_at, side
), added as (
    insert into positions (situation, position, event_id, kind, subject, fact, region, recorded_at, applied_at)
    select $1, taken.position - $3 + number, event_id, kind, subject, fact::jsonb, region, recorded_at,
        taken.applied_at - ($3 - number) * interval '1 microsecond'
    from taken, unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[])
        with ordinality as new (event_id, kind, subject, fact, region, recorded_at, number)
)
select position, side from taken
"""


async def add_positions(tx: Tx, situation: str, facts: Sequence[NewFact]) -> tuple[list[Entry], Side]:
    """Give facts the next positions in their order; holds the situation until the transaction ends. Returns them with the live side.

    Their instants are a microsecond apart, so that each position has its own.
    """
    columns = zip(*((new.event_id, new.kind, new.subject, new.json, new.region, new.recorded_at) for new in facts), strict=True)
    row = await tx.fetchrow(_APPEND, situation, FIRST_SIDE, len(facts), *columns)
    assert row is not None  # noqa: S101 - the upsert always returns
    first = row["position"] - len(facts) + 1
    return [
        Entry(situation=situation, position=position, kind=new.kind, subject=new.subject, fact=new.fact, region=new.region)
        for position, new in enumerate(facts, first)
    ], row["side"]


async def get_now(tx: Tx, situation: str) -> Moment:
    """Return the newest position as this transaction sees it."""
    row = await tx.fetchrow("select position, applied_at, side from ledgers where situation = $1", situation)
    if row is None:
        return Moment(situation=situation, position=0, instant=None, side=FIRST_SIDE, newest=0)
    return Moment(situation=situation, position=row["position"], instant=row["applied_at"], side=row["side"], newest=row["position"])


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
