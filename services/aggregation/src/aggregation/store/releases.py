"""SQL of what has left in shared form: recorded once, known to everybody ever after (C14)."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from aggregation.domain.knowledge import Numbers
from aggregation.domain.periods import Window
from chassis.storage import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The linked tables of one window in shared form."""

    situation: str
    release: UUID
    position: int
    as_of: datetime | None
    window_from: date
    window_to: date
    rules: str
    params: dict[str, str]
    shared: dict[str, Any]
    tables: dict[str, Any]
    published: list[Any]
    left_out: list[Any] | None
    released_by: str
    released_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a release told, and what it did not tell."""

    params: dict[str, str]
    numbers: Numbers


_COLUMNS = (
    "situation, release, position, as_of, window_from, window_to, rules, params, shared, tables, published, left_out,"
    " released_by, released_at"
)


async def add_release(tx: Tx, release: Release) -> bool:
    """Record a release; returns False if there is one of that id."""
    values = [getattr(release, column) for column in _COLUMNS.split(", ")]
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    added = await tx.fetchval(
        f"insert into releases ({_COLUMNS}) values ({places}) on conflict do nothing returning true",  # noqa: S608 - our own words
        *values,
    )
    return added is not None


async def lock_releases(tx: Tx, situation: str) -> None:
    """Let no other release of a situation happen until this transaction ends: each has to know the one before."""
    await tx.execute("select pg_advisory_xact_lock(hashtextextended('releases/' || $1, 0))", situation)


async def count_releases(tx: Tx, situation: str) -> int:
    """Return how many releases of a situation there are."""
    return int(await tx.fetchval("select count(*) from releases where situation = $1", situation))


async def list_shared(tx: Tx, situation: str) -> list[Shared]:
    """Return what was shared of a situation, in order. Of some old releases nobody knows what they left out."""
    rows = await tx.fetch(
        "select window_from, window_to, params, published, left_out, (shared ->> 'threshold')::int as threshold from releases"
        " where situation = $1 order by released_at, release",
        situation,
    )
    return [Shared(params=row["params"], numbers=_numbers(row)) for row in rows]


async def find_release(tx: Tx, situation: str, release: UUID) -> Release | None:
    """Return a release, None if there is none of that id."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from releases where situation = $1 and release = $2",  # noqa: S608 - our own words
        situation,
        release,
    )
    return Release(**dict(row)) if row is not None else None


async def list_releases(tx: Tx, situation: str, *, after: tuple[datetime, UUID] | None, limit: int) -> list[Release]:
    """Return releases in the order of their leaving."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from releases"  # noqa: S608 - our own words
        " where situation = $1 and ($2::timestamptz is null or (released_at, release) > ($2, $3)) order by released_at, release limit $4",
        situation,
        *(after or (None, None)),
        limit,
    )
    return [Release(**dict(row)) for row in rows]


def _numbers(row: Any) -> Numbers:  # noqa: ANN401 - asyncpg's record
    left_out = {tuple(name): value for name, value in row["left_out"] or ()}
    return Numbers(
        window=Window(row["window_from"], row["window_to"]),
        late_inside=row["params"]["late"] == "inside",
        values={tuple(name): value for name, value in row["published"]} | left_out,
        left_out=frozenset(left_out),
        complete=row["left_out"] is not None,
        k=row["threshold"],
    )
