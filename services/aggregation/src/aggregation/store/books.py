"""SQL of one side of the counts: what stands now of incidents and links, and the postings; read and written for many facts at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aggregation.domain.incident import Membership, Posting, Record
from aggregation.messages import Fact, json_text, membership_values, posting_values, record_values
from aggregation.store.sides import Side, on
from chassis.storage import Tx


class Link(NamedTuple):
    """A duplicate link: a violation, and its original."""

    incident: str
    violation: str
    of_incident: str
    of_violation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIncident:
    """An incident as the store has it: the position of its newest revision, that fact with its region, the decisions in force."""

    coded_at: int | None
    coded: Fact | None
    region: str | None
    decisions: dict[str, Fact]


@dataclass(slots=True, kw_only=True)
class Changes:
    """What posting some facts leaves to be written. Rows stand behind their position and sign."""

    postings: list[tuple[int, int, Posting]] = field(default_factory=list)
    memberships: list[tuple[int, int, Membership]] = field(default_factory=list)
    records: list[tuple[int, int, str, Record]] = field(default_factory=list)
    """With the incident before the record."""
    child_links: list[tuple[int, int, str, str]] = field(default_factory=list)
    risen: dict[str, tuple[int, Posting]] = field(default_factory=dict)
    """By violation: what stands of these postings, with its position."""
    fallen: set[str] = field(default_factory=set)
    """Violations whose posting from before these facts is reversed."""
    incidents: dict[str, tuple[int | None, dict[str, Fact]]] = field(default_factory=dict)
    """By name: the position of the newest revision, and the decisions in force."""
    links: dict[Link, bool | None] = field(default_factory=dict)
    """Whether the original of a duplicate exists; None: the link stands no longer."""


class ImbalanceError(Exception):
    """A posting was reversed that does not stand on this side, or a violation would stand twice: the books are wrong."""


async def list_links(tx: Tx, side: Side, situation: str, incidents: Collection[str]) -> dict[Link, bool]:
    """Return the duplicate links from these incidents, to them, and all others from the incidents that have one to them.

    The value says whether the original exists; else the link lies idle.
    """
    rows = await tx.fetch(
        on(
            side,
            """
            select incident, violation, of_incident, of_violation, of_present from counts_side.duplicates
            where situation = $1 and incident in (
                select unnest($2::text[])
                union select incident from counts_side.duplicates where situation = $1 and of_incident = any($2::text[]))
            """,
        ),
        situation,
        incidents,
    )
    return {Link(*row[:4]): row["of_present"] for row in rows}


async def list_incidents(tx: Tx, side: Side, situation: str, incidents: Collection[str]) -> dict[str, StoredIncident]:
    """Return what stands of incidents, by their names; those of which nothing has come are left out."""
    rows = await tx.fetch(
        on(
            side,
            """
            select incident, coded_at, fact, region, decisions from counts_side.incidents as stored
            left join positions on positions.situation = $1 and positions.position = coded_at
            where stored.situation = $1 and incident = any($2::text[])
            """,
        ),
        situation,
        incidents,
    )
    return {
        row["incident"]: StoredIncident(coded_at=row["coded_at"], coded=row["fact"], region=row["region"], decisions=row["decisions"])
        for row in rows
    }


async def list_child_links(tx: Tx, side: Side, situation: str, pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return which of these same-child links stand."""
    rows = await tx.fetch(
        on(
            side,
            """
            select one, other from counts_side.child_links join unnest($2::text[], $3::text[]) as wanted (one, other) using (one, other)
            where situation = $1 group by one, other having sum(sign) > 0
            """,
        ),
        situation,
        [one for one, _ in pairs],
        [other for _, other in pairs],
    )
    return {(row["one"], row["other"]) for row in rows}


_DIMENSIONS: Final = {
    "violation": "text",
    "type": "text",
    "standing": "text",
    "decided_on": "date",
    "occurred_from": "date",
    "ended_on": "date",
    "late_by_quarter": "boolean",
}
_SEXES: Final = {"boys": "integer", "girls": "integer", "unknown": "integer"}
_POSTING: Final = {
    **_DIMENSIONS,
    "amount": "integer",
    **_SEXES,
    **{f"beyond_{name}": kind for name, kind in _SEXES.items()},
    "region": "text",
    "lines": "text[]",
    "details": "jsonb",
}
_MEMBERSHIP: Final = {**_DIMENSIONS, "kind": "text", "member": "text", "sex": "text", "age": "smallint", **_SEXES}
_RECORD: Final = {"incident": "text", "child": "text", "sex": "text", "age": "smallint"}
_AT: Final = {"position": "bigint"}
_SIGNED: Final = {**_AT, "sign": "smallint"}
_AS_TEXT: Final = ("text[]", "jsonb")
"""Types whose values travel as text: arrays of them cannot be unnested, or are slow to encode."""


def _insert(table: str, columns: Mapping[str, str], conflict: str = "") -> str:
    """Return the statement that inserts rows given as one array per column."""
    names = ", ".join(columns)
    arrays = ", ".join(f"${place}::{'text' if kind in _AS_TEXT else kind}[]" for place, kind in enumerate(columns.values(), 2))
    values = ", ".join(f"{name}::{kind}" if kind in _AS_TEXT else name for name, kind in columns.items())
    return f"insert into counts_side.{table} (situation, {names}) select $1, {values} from unnest({arrays}) as new ({names}) {conflict}"  # noqa: S608 - our own words


_ADD_POSTINGS: Final = _insert("postings", {**_SIGNED, **_POSTING})
_ADD_NET_POSTINGS: Final = _insert("net_postings", {**_AT, **_POSTING})
_ADD_MEMBERSHIPS: Final = _insert("memberships", {**_SIGNED, **_MEMBERSHIP})
_ADD_RECORDS: Final = _insert("records", {**_SIGNED, **_RECORD})
_ADD_CHILD_LINKS: Final = _insert("child_links", {**_SIGNED, "one": "text", "other": "text"})
_SAVE_INCIDENTS: Final = _insert(
    "incidents",
    {"incident": "text", "coded_at": "bigint", "decisions": "jsonb"},
    "on conflict (situation, incident) do update set coded_at = excluded.coded_at, decisions = excluded.decisions",
)
_SAVE_LINKS: Final = _insert(
    "duplicates",
    {**dict.fromkeys(Link._fields, "text"), "of_present": "boolean"},
    "on conflict (situation, incident, violation, of_incident, of_violation) do update set of_present = excluded.of_present",
)
_DELETE_LINKS: Final = """
delete from counts_side.duplicates as kept
using unnest($2::text[], $3::text[], $4::text[], $5::text[]) as gone (incident, violation, of_incident, of_violation)
where situation = $1 and (kept.incident, kept.violation, kept.of_incident, kept.of_violation)
    = (gone.incident, gone.violation, gone.of_incident, gone.of_violation)
"""


async def save(tx: Tx, side: Side, situation: str, changes: Changes) -> None:
    """Write what posting some facts has left; raises ImbalanceError if this side does not hold what they reverse."""
    await _delete_net_postings(tx, side, situation, changes.fallen)
    every: list[tuple[str, list[tuple[Any, ...]]]] = [
        (_ADD_POSTINGS, [(position, sign, *_posting(row)) for position, sign, row in changes.postings]),
        (_ADD_NET_POSTINGS, [(position, *_posting(row)) for position, row in changes.risen.values()]),
        (_ADD_MEMBERSHIPS, [(position, sign, *membership_values(row)) for position, sign, row in changes.memberships]),
        (_ADD_RECORDS, [(position, sign, incident, *record_values(row)) for position, sign, incident, row in changes.records]),
        (_ADD_CHILD_LINKS, [*changes.child_links]),
        (_SAVE_INCIDENTS, [(name, coded_at, json_text(decisions)) for name, (coded_at, decisions) in sorted(changes.incidents.items())]),
        (_SAVE_LINKS, [(*link, present) for link, present in changes.links.items() if present is not None]),
        (_DELETE_LINKS, [link for link, present in changes.links.items() if present is None]),
    ]
    for statement, rows in every:
        if rows:
            await tx.execute(on(side, statement), situation, *zip(*rows, strict=True))


async def _delete_net_postings(tx: Tx, side: Side, situation: str, violations: Collection[str]) -> None:
    if not violations:
        return
    statement = "delete from counts_side.net_postings where situation = $1 and violation = any($2::text[])"
    deleted = await tx.execute(on(side, statement), situation, violations)
    if deleted != f"DELETE {len(violations)}":
        raise ImbalanceError(f"{len(violations)} are reversed: {deleted}")


def _posting(row: Posting) -> tuple[Any, ...]:
    *plain, lines, details = posting_values(row)
    return (*plain, _array_text(lines), details)


@lru_cache(maxsize=4096)
def _array_text(values: tuple[str, ...]) -> str:
    """Write an array as Postgres reads it."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


_TABLES: Final = ("postings", "net_postings", "memberships", "records", "child_links", "duplicates", "incidents")


async def delete_situation(tx: Tx, side: Side, situation: str) -> None:
    """Delete every row of a situation on one side."""
    for table in _TABLES:
        await tx.execute(on(side, f"delete from counts_side.{table} where situation = $1"), situation)  # noqa: S608 - our own names


async def delete_some(tx: Tx, side: Side, situation: str, *, limit: int) -> bool:
    """Delete at most so many rows of a situation on one side; returns whether there were any."""
    for table in _TABLES:
        some = f"select ctid from counts_side.{table} where situation = $1 limit $2"  # noqa: S608 - our own names
        deleted = await tx.execute(on(side, f"delete from counts_side.{table} where ctid = any(array({some}))"), situation, limit)  # noqa: S608
        if deleted != "DELETE 0":
            return True
    return False
