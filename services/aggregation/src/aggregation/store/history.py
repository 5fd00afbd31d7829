"""SQL of the difference of two moments: what the postings between them changed in a window, and which entries posted them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aggregation.domain.changes import Cause, Place
from aggregation.domain.sexes import Sexes
from aggregation.store.figures import Scope
from aggregation.store.standing import COLUMNS
from chassis.storage import Tx

_INSIDE: Final = """(
    (standing = 'verified' and decided_on >= $3 and decided_on < $4)
    or (standing = 'unverified' and $3::date < $4::date
        and ((ended_on >= $3 and ended_on < $4) or (ended_on is null and occurred_from < $4))))"""
_LATE: Final = "standing = 'verified' and case when $5 = 'quarter' then late_by_quarter else ended_on < $3 end"
_DIMENSIONS: Final = f"violation, standing, type, {_LATE} as late, decided_on, amount, boys, girls, unknown, lines, region, details"
_GROUPED: Final = "group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"
_PLACES: Final = f"""
    with posted as materialized (
        select sign, {COLUMNS} from counts_side.postings where situation = $1 and position > $6 and position <= $2
    )
    select {_DIMENSIONS}, sum(stood - change)::bigint as before, sum(stood)::bigint as after from (
        select sign as stood, 0 as change, {COLUMNS} from postings_then where violation in (select violation from posted)
        union all select 0, sign, {COLUMNS} from posted
    ) as either where {_INSIDE} {_GROUPED} having sum(change) <> 0
"""  # noqa: S608 - our own words
_PLACES_NOW: Final = f"""
    select {_DIMENSIONS} from postings_then where {_INSIDE} and violation = any($6::text[]) {_GROUPED} having sum(sign) <> 0
"""  # noqa: S608 - our own words


async def list_places(tx: Tx, scope: Scope, *, since: int) -> dict[str, tuple[Place | None, Place | None]]:
    """Return before and after of every violation whose place in the window's figures differs between two positions."""
    rows = await tx.fetch(scope.on_side(_PLACES), *scope.arguments, since)
    places: dict[str, tuple[Place | None, Place | None]] = {}
    for row in rows:
        before, after = places.get(row["violation"], (None, None))
        places[row["violation"]] = (_place(row) if row["before"] else before, _place(row) if row["after"] else after)
    return places


async def list_places_of(tx: Tx, scope: Scope, violations: Iterable[str]) -> dict[str, Place]:
    """Return where these violations stand in the window's figures now; those outside are left out."""
    rows = await tx.fetch(scope.on_side(_PLACES_NOW), *scope.arguments, list(violations))
    return {row["violation"]: _place(row) for row in rows}


async def list_posted(tx: Tx, scope: Scope, *, since: int) -> dict[str, set[int]]:
    """Return the positions after `since` that posted a violation or its children, by violation."""
    rows = await tx.fetch(
        scope.on_side(
            """
            select violation, position from counts_side.postings where situation = $1 and position > $2 and position <= $3
            union select violation, position from counts_side.memberships where situation = $1 and position > $2 and position <= $3
            """
        ),
        scope.moment.situation,
        since,
        scope.moment.position,
    )
    posted: dict[str, set[int]] = {}
    for row in rows:
        posted.setdefault(row["violation"], set()).add(row["position"])
    return posted


async def list_member_changes(tx: Tx, scope: Scope, *, since: int) -> set[str]:
    """Return the violations whose linked children or groups differ between two positions."""
    rows = await tx.fetch(
        scope.on_side(
            """
            select distinct violation from (
                select violation from counts_side.memberships where situation = $1 and position > $2 and position <= $3
                group by violation, kind, member, sex, age, boys, girls, unknown having sum(sign) <> 0
            ) as changed
            """
        ),
        scope.moment.situation,
        since,
        scope.moment.position,
    )
    return {row["violation"] for row in rows}


async def list_record_changes(tx: Tx, scope: Scope, *, since: int) -> dict[str, set[int]]:
    """Return victim records that were posted or linked after `since`, with the positions."""
    rows = await tx.fetch(
        scope.on_side(
            """
            select child, position from counts_side.records where situation = $1 and position > $2 and position <= $3
            union select unnest(array[one, other]), position from counts_side.child_links
            where situation = $1 and position > $2 and position <= $3
            """
        ),
        scope.moment.situation,
        since,
        scope.moment.position,
    )
    changed: dict[str, set[int]] = {}
    for row in rows:
        changed.setdefault(row["child"], set()).add(row["position"])
    return changed


async def list_causes(tx: Tx, situation: str, positions: Iterable[int]) -> Mapping[int, Cause]:
    """Return the entries of the ledger at these positions, by position."""
    rows = await tx.fetch(
        """
        select position, kind, recorded_at,
            coalesce(fact ->> 'decision', fact ->> 'link', subject || '/' || (fact ->> 'revision'), subject) as id
        from positions where situation = $1 and position = any($2::bigint[])
        """,
        situation,
        list(positions),
    )
    return {row["position"]: Cause(**dict(row)) for row in rows}


def _place(row: Any) -> Place:  # noqa: ANN401 - asyncpg's record
    return Place(
        standing=row["standing"],
        type=row["type"],
        late=bool(row["late"]),
        decided_on=row["decided_on"],
        amount=row["amount"],
        tally=Sexes(row["boys"], row["girls"], row["unknown"]),
        lines=tuple(row["lines"]),
        region=row["region"],
        details=tuple((name, tuple(codes)) for name, codes in sorted(row["details"].items())),
    )
