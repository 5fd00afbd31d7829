"""SQL of rebuilds: their progress, the comparison of the two sides, the swap."""

import json
from typing import Any, Final

from aggregation.domain.rebuild import Rebuild, State
from aggregation.store.sides import Side, other_side
from aggregation.store.standing import COLUMNS
from chassis.storage import Tx

COMPARED: Final = {
    "postings": f"position, sign, {COLUMNS}",
    "memberships": "position, sign, violation, type, standing, decided_on, occurred_from, ended_on, late_by_quarter, kind, member, sex,"
    " age, boys, girls, unknown",
    "records": "position, sign, incident, child, sex, age",
    "child_links": "position, sign, one, other",
}
"""What the figures are made of, besides the net postings, which are compared for what a stretch has posted."""
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


async def find_difference(tx: Tx, situation: str, *, live: Side, after: int, up_to: int, replayed: int) -> dict[str, Any] | None:
    """Return the first row in a stretch of positions that one side has and the other has not, None if they are alike.

    Net postings are those as of `replayed`, up to which the rebuilt side has come.
    """
    first: dict[str, Any] | None = None
    statements = [(table, _compare(table, columns, live), (after, up_to)) for table, columns in COMPARED.items()]
    for table, statement, arguments in (*statements, ("net_postings", _compare_net(live), (after, up_to, replayed))):
        row = await tx.fetchrow(statement, situation, *arguments)
        if row is not None and (first is None or row["position"] < first["position"]):
            first = _difference(table, row)
    return first


async def find_extra(tx: Tx, situation: str, *, live: Side) -> dict[str, Any] | None:
    """Return a net posting that one side alone has, though nothing ever posted it; None if there is none.

    Both sides have come equally far and nobody writes.
    """
    counts = await tx.fetchrow(_COUNTS.format(live=live, rebuilt=other_side(live)), situation)
    assert counts is not None  # noqa: S101 - a select without from
    if counts["live"] == counts["rebuilt"]:
        return None
    row = await tx.fetchrow(_EXTRA.format(live=live, rebuilt=other_side(live)), situation)
    return _difference("net_postings", row) if row is not None else None


def _difference(table: str, row: Any) -> dict[str, Any]:  # noqa: ANN401 - asyncpg's record
    return {"table": table, "position": row["position"], "only_in": row["found_in"], "row": json.loads(row["found"])}


_DIFFERENCES: Final = """
    differences as (
        select 'live' as found_in, missing.* from (table live except all table rebuilt) as missing
        union all select 'rebuilt', extra.* from (table rebuilt except all table live) as extra
    )
"""
_COUNTS: Final = """
    select (select count(*) from {live}.net_postings where situation = $1) as live,
        (select count(*) from {rebuilt}.net_postings where situation = $1) as rebuilt
"""
_EXTRA: Final = """
    select 'live' as found_in, position, to_jsonb(one)::text as found from {live}.net_postings as one where situation = $1
        and not exists (select 1 from {rebuilt}.net_postings as two where two.situation = $1 and two.violation = one.violation)
    union all select 'rebuilt', position, to_jsonb(one)::text from {rebuilt}.net_postings as one where situation = $1
        and not exists (select 1 from {live}.net_postings as two where two.situation = $1 and two.violation = one.violation)
    order by position, found_in limit 1
"""


def _compare(table: str, columns: str, live: Side) -> str:
    stretch = "where situation = $1 and position > $2 and position <= $3"
    return f"""
        with live as materialized (select {columns} from {live}.{table} {stretch}),
            rebuilt as materialized (select {columns} from {other_side(live)}.{table} {stretch}),
            {_DIFFERENCES}
        select found_in, position, to_jsonb(differences)::text as found from differences order by position, found_in, 3 limit 1
    """  # noqa: S608 - our own words


def _compare_net(live: Side) -> str:
    rebuilt = other_side(live)
    posted = "situation = $1 and violation in (select violation from posted)"
    return f"""
        with posted as materialized (
                select violation, max(position) as position from {rebuilt}.postings
                where situation = $1 and position > $2 and position <= $3 group by violation
            ), live as materialized (
                select {COLUMNS} from (
                    select 1 as sign, {COLUMNS} from {live}.net_postings where {posted}
                    union all select -sign, {COLUMNS} from {live}.postings where position > $4 and {posted}
                ) as stood group by {COLUMNS} having sum(sign) <> 0
            ), rebuilt as materialized (select {COLUMNS} from {rebuilt}.net_postings where {posted}),
            {_DIFFERENCES}
        select found_in, position, to_jsonb(differences)::text as found from differences join posted using (violation)
        order by position, found_in, 3 limit 1
    """  # noqa: S608 - our own words


def _rebuild(row: Any) -> Rebuild:  # noqa: ANN401 - asyncpg's record
    return Rebuild(**{**dict(row), "state": State(row["state"])})
