"""SQL of rebuilds: their progress, the comparison of the two sides, the swap."""

import json
from typing import Any, Final

from aggregation.domain.rebuild import Rebuild, State
from aggregation.store.sides import Side, other_side
from chassis.storage import Tx

COMPARED: Final = {
    "postings": "position, sign, violation, type, standing, decided_on, occurred_from, ended_on, late_by_quarter, amount, boys, girls,"
    " unknown, beyond_boys, beyond_girls, beyond_unknown, lines, region, details",
    "memberships": "position, sign, violation, type, standing, decided_on, occurred_from, ended_on, late_by_quarter, kind, member, sex,"
    " age, boys, girls, unknown",
    "records": "position, sign, incident, child, sex, age",
    "child_links": "position, sign, one, other",
}
"""What the figures are made of: every column but the running number."""
_COLUMNS: Final = "situation, state, side, replayed, compared, target, difference, started_at, ended_at"


async def add_rebuild(tx: Tx, situation: str, *, side: Side, target: int) -> bool:
    """Begin a rebuild; returns False if one is under way."""
    begun = await tx.fetchval(
        """
        insert into rebuilds as rebuild (situation, state, side, target, asked_by, started_at) values ($1, 'clearing', $2, $3, $4, $5)
        on conflict (situation) do update
        set state = 'clearing', side = excluded.side, replayed = 0, compared = 0, target = excluded.target, difference = null,
            asked_by = excluded.asked_by, started_at = excluded.started_at, ended_at = null
        where rebuild.state in ('swapped', 'refused') returning true
        """,
        situation,
        side,
        target,
        tx.actor,
        tx.now,
    )
    return begun is not None


async def find_rebuild(tx: Tx, situation: str) -> Rebuild | None:
    """Return a situation's newest rebuild, None if there has been none."""
    row = await tx.fetchrow(f"select {_COLUMNS} from rebuilds where situation = $1", situation)  # noqa: S608 - our own words
    return _rebuild(row) if row is not None else None


async def lock_running(tx: Tx) -> Rebuild | None:
    """Lock a rebuild that has something to do and that no other process is at, None if there is none."""
    row = await tx.fetchrow(
        f"select {_COLUMNS} from rebuilds where state in ('clearing', 'replaying', 'comparing')"  # noqa: S608 - our own words
        " order by started_at limit 1 for update skip locked"
    )
    return _rebuild(row) if row is not None else None


async def save_progress(tx: Tx, situation: str, *, state: State, replayed: int, compared: int, target: int) -> None:
    """Keep how far a rebuild has come."""
    await tx.execute(
        "update rebuilds set state = $2, replayed = $3, compared = $4, target = $5 where situation = $1",
        situation,
        state.value,
        replayed,
        compared,
        target,
    )


async def save_end(tx: Tx, situation: str, *, state: State, difference: dict[str, Any] | None) -> None:
    """Keep how a rebuild ended."""
    await tx.execute(
        "update rebuilds set state = $2, difference = $3, ended_at = $4 where situation = $1", situation, state.value, difference, tx.now
    )


async def lock_ledger(tx: Tx, situation: str) -> tuple[int, Side]:
    """Keep every writer of a situation away until the transaction ends; returns its newest position and its live side."""
    row = await tx.fetchrow("select position, side from ledgers where situation = $1 for update", situation)
    return (row["position"], row["side"]) if row is not None else (0, "counts_a")


async def save_side(tx: Tx, situation: str, side: Side) -> None:
    """Make a side the live one."""
    await tx.execute("update ledgers set side = $2 where situation = $1", situation, side)


async def find_difference(tx: Tx, situation: str, *, live: Side, after: int, up_to: int) -> dict[str, Any] | None:
    """Return the first row in a stretch of positions that one side has and the other has not, None if they are alike."""
    first: dict[str, Any] | None = None
    for table, columns in COMPARED.items():
        row = await tx.fetchrow(_compare(table, columns, live), situation, after, up_to)
        if row is not None and (first is None or row["position"] < first["position"]):
            first = {"table": table, "position": row["position"], "only_in": row["found_in"], "row": json.loads(row["found"])}
    return first


def _compare(table: str, columns: str, live: Side) -> str:
    stretch = "where situation = $1 and position > $2 and position <= $3"
    return f"""
        with live as materialized (select {columns} from {live}.{table} {stretch}),
            rebuilt as materialized (select {columns} from {other_side(live)}.{table} {stretch}),
            differences as (
                select 'live' as found_in, missing.* from (table live except all table rebuilt) as missing
                union all select 'rebuilt', extra.* from (table rebuilt except all table live) as extra
            )
        select found_in, position, to_jsonb(differences)::text as found from differences order by position, found_in, 3 limit 1
    """  # noqa: S608 - our own words


def _rebuild(row: Any) -> Rebuild:  # noqa: ANN401 - asyncpg's record
    return Rebuild(**{**dict(row), "state": State(row["state"])})
