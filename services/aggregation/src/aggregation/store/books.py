"""SQL of one side of the counts: what stands now of each incident and link, and the postings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aggregation.domain.incident import Incident, Rows
from aggregation.messages import Fact, incident_from, membership_row, posting_row, record_row
from aggregation.store.ledger import Entry
from aggregation.store.sides import Side, on
from chassis.storage import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An incident as the store has it. `named` tells whether a duplicate link names one of its violations as the original."""

    incident: Incident
    coded: Fact | None
    region: str | None
    decisions: dict[str, Fact]
    named: bool


_GET_INCIDENT = """
select stored.coded, stored.region, coalesce(stored.decisions, '{}') as decisions,
    array(select distinct violation from counts_side.duplicates where situation = $1 and incident = $2 and of_present) as suppressed,
    exists (select 1 from counts_side.duplicates where situation = $1 and of_incident = $2) as named
from (select 1) as one left join counts_side.incidents as stored on stored.situation = $1 and stored.incident = $2
"""

_SAVE_INCIDENT = """
insert into counts_side.incidents (situation, incident, coded, region, decisions) values ($1, $3, $7, $8, $9)
on conflict (situation, incident) do update set coded = excluded.coded, region = excluded.region, decisions = excluded.decisions
"""

_ADD_ROWS = """
with posted as (
    insert into counts_side.postings (situation, position, sign, violation, type, standing, decided_on, occurred_from, ended_on,
        late_by_quarter, amount, boys, girls, unknown, beyond_boys, beyond_girls, beyond_unknown, lines, region, details)
    select $1, $2, sign, violation, type, standing, decided_on, occurred_from, ended_on,
        late_by_quarter, amount, boys, girls, unknown, beyond_boys, beyond_girls, beyond_unknown, lines, region, details
    from jsonb_to_recordset($4::jsonb) as row (sign smallint, violation text, type text, standing text, decided_on date,
        occurred_from date, ended_on date, late_by_quarter boolean, amount integer, boys integer, girls integer, unknown integer,
        beyond_boys integer, beyond_girls integer, beyond_unknown integer, lines text[], region text, details jsonb)
    returning violation, sign
), joined as (
    insert into counts_side.memberships (situation, position, sign, violation, type, standing, decided_on, occurred_from, ended_on,
        late_by_quarter, kind, member, sex, age, boys, girls, unknown)
    select $1, $2, sign, violation, type, standing, decided_on, occurred_from, ended_on,
        late_by_quarter, kind, member, sex, age, boys, girls, unknown
    from jsonb_to_recordset($5::jsonb) as row (sign smallint, violation text, type text, standing text, decided_on date,
        occurred_from date, ended_on date, late_by_quarter boolean, kind text, member text, sex text, age smallint,
        boys integer, girls integer, unknown integer)
), recorded as (
    insert into counts_side.records (situation, position, sign, incident, child, sex, age)
    select $1, $2, sign, $3, child, sex, age
    from jsonb_to_recordset($6::jsonb) as row (sign smallint, child text, sex text, age smallint)
), balanced as (
    insert into counts_side.balances as kept (situation, violation, balance, step)
    select $1, violation, greatest(sum(sign), 0), sum(sign) from posted group by violation having sum(sign) <> 0
    on conflict (situation, violation) do update set balance = kept.balance + excluded.step, step = excluded.step
)
"""


async def get_incident(tx: Tx, side: Side, situation: str, incident: str) -> Stored:
    """Return what stands of an incident; empty if nothing has come of it."""
    row = await tx.fetchrow(on(side, _GET_INCIDENT), situation, incident)
    assert row is not None  # noqa: S101 - one row always
    domain = incident_from(
        incident, coded=row["coded"], region=row["region"], decisions=row["decisions"], suppressed=frozenset(row["suppressed"])
    )
    return Stored(incident=domain, coded=row["coded"], region=row["region"], decisions=row["decisions"], named=row["named"])


async def save_incident(
    tx: Tx,
    side: Side,
    entry: Entry,
    incident: str,
    *,
    coded: Fact | None,
    region: str | None,
    decisions: dict[str, Fact],
    before: Rows,
    after: Rows,
) -> None:
    """Keep what stands of an incident and post the difference between what it contributed and what it contributes now."""
    rows = _signed(before, after)
    await tx.execute(on(side, _ADD_ROWS + _SAVE_INCIDENT), entry.situation, entry.position, incident, *rows, coded, region, decisions)


async def add_rows(tx: Tx, side: Side, entry: Entry, incident: str, *, before: Rows, after: Rows) -> None:
    """Post the difference between what an incident contributed and what it contributes now."""
    rows = _signed(before, after)
    if any(rows):
        await tx.execute(on(side, _ADD_ROWS + "select 1"), entry.situation, entry.position, incident, *rows)


def _signed(before: Rows, after: Rows) -> tuple[list[Fact], list[Fact], list[Fact]]:
    """Return the exact reverse of superseded rows, and the new ones."""
    signed = ((before.without(after), -1), (after.without(before), 1))
    return (
        [posting_row(posting, sign) for rows, sign in signed for posting in rows.postings],
        [membership_row(membership, sign) for rows, sign in signed for membership in rows.memberships],
        [record_row(record, sign) for rows, sign in signed for record in rows.records],
    )


async def add_duplicate(
    tx: Tx, side: Side, situation: str, *, violation: tuple[str, str], of: tuple[str, str], present: Sequence[Fact]
) -> bool:
    """Let a duplicate link stand; it lies idle until its original exists. Returns False if it stands already.

    `present` is the search pattern of the original's key, as jsonb.
    """
    added = await tx.fetchval(
        on(
            side,
            """
            insert into counts_side.duplicates (situation, incident, violation, of_incident, of_violation, of_present)
            values ($1, $2, $3, $4, $5, exists (
                select 1 from counts_side.incidents where situation = $1 and incident = $4 and coded -> 'violations' @> $6::jsonb))
            on conflict do nothing returning true
            """,
        ),
        situation,
        *violation,
        *of,
        present,
    )
    return added is not None


async def delete_duplicate(tx: Tx, side: Side, situation: str, *, violation: tuple[str, str], of: tuple[str, str]) -> bool:
    """Undo a duplicate link; returns False if it does not stand."""
    deleted = await tx.fetchval(
        on(
            side,
            """
            delete from counts_side.duplicates
            where situation = $1 and incident = $2 and violation = $3 and of_incident = $4 and of_violation = $5 returning true
            """,
        ),
        situation,
        *violation,
        *of,
    )
    return deleted is not None


async def list_duplicates_of(tx: Tx, side: Side, situation: str, incident: str, keys: Sequence[str]) -> list[str]:
    """Return the incidents with a link that names one of these violations as the original."""
    rows = await tx.fetch(
        on(
            side,
            """
            select distinct incident from counts_side.duplicates
            where situation = $1 and of_incident = $2 and of_violation = any($3) order by 1
            """,
        ),
        situation,
        incident,
        keys,
    )
    return [row["incident"] for row in rows]


async def save_presence(tx: Tx, side: Side, situation: str, incident: str, *, held: Sequence[str], gone: Sequence[str]) -> None:
    """Wake the links to violations that an incident holds now and put those to violations it has lost to rest."""
    await tx.execute(
        on(
            side,
            """
            update counts_side.duplicates set of_present = of_violation = any($3::text[])
            where situation = $1 and of_incident = $2 and of_violation = any($3::text[] || $4::text[])
            """,
        ),
        situation,
        incident,
        held,
        gone,
    )


async def add_child_link(tx: Tx, side: Side, situation: str, position: int, *, pair: tuple[str, str], sign: int) -> bool:
    """Post a same-child link (+1) or its undoing (-1); returns False if it stands already, or does not stand."""
    added = await tx.fetchval(
        on(
            side,
            """
            insert into counts_side.child_links (situation, position, sign, one, other)
            select $1, $2, $3::smallint, $4, $5
            where (select coalesce(sum(sign), 0) from counts_side.child_links where situation = $1 and one = $4 and other = $5)
                = case when $3::smallint = 1 then 0 else 1 end
            returning true
            """,
        ),
        situation,
        position,
        sign,
        *pair,
    )
    return added is not None


async def delete_situation(tx: Tx, side: Side, situation: str) -> None:
    """Delete every row of a situation on one side."""
    for table in ("postings", "memberships", "records", "child_links", "balances", "duplicates", "incidents"):
        await tx.execute(on(side, f"delete from counts_side.{table} where situation = $1"), situation)  # noqa: S608 - our own names


def pattern(key: str) -> list[dict[str, Any]]:
    """Return the jsonb pattern that finds a violation by its key."""
    return [{"key": key}]
