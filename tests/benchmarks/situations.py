"""Generated situations for the benchmarks: coded facts in their order, and a way to load many at once with the handlers' own rules.

The fast path derives every row with the service's own pure functions and copies the rows in; `bench_counting` proves on a small
situation that it leaves the same rows as the handlers. History is that situation again and again, in earlier decades.
"""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import asyncpg

from aggregation import messages
from aggregation.domain.incident import Rows, rows_of
from aggregation.messages import membership_values, posting_values, record_values
from contracts.events import EVENTS, Event
from contracts.situation import region_of

RECORDED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACE: Final = UUID("0d9d7f2c-3c0d-4a53-8a55-6e1d0d6f7a01")
YEARS: Final = 10
"""What one situation spans, from the first of 2015; history repeats it in the decades before."""
WINDOW: Final = {"from": "2024-01-01", "to": "2025-01-01"}
BLOCK: Final = 250
"""So many incidents are reported before the task force decides on them."""
PER_INCIDENT: Final = 2
PARTIES: Final = [f"party_{number}" for number in range(20)]
DRAFT: Final[dict[str, Any]] = {
    "code": "BENCH",
    "name": "Generated",
    "time_zone": "UTC",
    "parties": [{"code": code, "type": "armed_group", "name": code} for code in PARTIES],
    "places": [
        *({"code": f"R{number}", "name": f"R{number}", "level": 1} for number in range(10)),
        *(
            {"code": f"R{number}D{part}", "name": f"R{number}D{part}", "level": 2, "parent": f"R{number}"}
            for number in range(10)
            for part in range(5)
        ),
    ],
}
_TYPES: Final = ["killing"] * 5 + ["maiming"] * 5 + ["recruitment"] * 4 + ["abduction"] * 2 + ["sexual_violence"]
_TYPES_WITHOUT_CHILDREN: Final = ["attack_on_schools", "attack_on_hospitals", "denial_humanitarian_access", "military_use"]
_OUTCOMES: Final = ["verified"] * 14 + ["reported_not_verified"] * 2 + ["not_mrm"] + ["verification_found_that_incident_did_not_occur"]
_POSTING: Final = (
    "violation type standing decided_on occurred_from ended_on late_by_quarter amount boys girls unknown"
    " beyond_boys beyond_girls beyond_unknown region lines details"
)
_COLUMNS: Final = {
    "postings": f"position sign {_POSTING}",
    "net_postings": f"position {_POSTING}",
    "memberships": "position sign violation type standing decided_on occurred_from ended_on late_by_quarter kind member sex age boys girls"
    " unknown",
    "records": "position sign incident child sex age",
    "child_links": "position sign one other",
    "incidents": "incident coded_at decisions",
}
"""The columns of a side's tables, besides the situation."""
FIGURES: Final = ("postings", "net_postings", "memberships", "records", "child_links")
_POSITIONS: Final = "situation position event_id kind subject fact region recorded_at applied_at"
Fact = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CodedFact:
    """A fact as the ledger keeps it, with its kind and subject."""

    kind: str
    subject: str
    fact: Fact

    def event(self, situation: str) -> Event:
        """Return the event that brings this fact."""
        return EVENTS[self.kind].model_validate({**self.fact, "situation": situation}, strict=False)

    def event_id(self, situation: str) -> UUID:
        """Return an id of its own in every situation."""
        own = self.fact.get("decision") or self.fact.get("link") or self.fact["revision"]
        return uuid5(NAMESPACE, f"{situation}/{self.kind}/{self.subject}/{own}")


def facts(violations: int, *, history: int = 0, seed: int = 1) -> Iterator[CodedFact]:
    """Yield the facts of a situation with so many violations; `history` 1, 2 … is the same situation so many decades earlier."""
    incidents = violations // PER_INCIDENT
    for start in range(0, incidents, BLOCK):
        block = [_Author(number, incidents, history, seed) for number in range(start, min(start + BLOCK, incidents))]
        for author in block:
            yield author.coded(1)
        for author in block:
            yield from author.later()


class _Author:
    """Writes the facts of one incident; the same number gives the same facts, but for the decade."""

    def __init__(self, number: int, incidents: int, history: int, seed: int) -> None:
        self._rng = random.Random(f"{seed}/{number}")
        self._number = number
        self._prefix = f"{history:08x}"
        self._id = f"{self._prefix}-0000-4000-8000-{number:012x}"
        self._year = 2015 + number * YEARS // incidents - YEARS * history
        self._month = self._rng.randrange(1, 13)
        self._day = self._rng.randrange(1, 29)
        self._ongoing = self._rng.random() < 0.03
        self._keys = [f"v{key}" for key in range(PER_INCIDENT)]
        children = self._rng.random() < 0.85
        self._types = [self._rng.choice(_TYPES if children else _TYPES_WITHOUT_CHILDREN) for _ in self._keys]
        self._place = self._rng.choice(DRAFT["places"])["code"]
        self._perpetrators = [self._entry() | {"violations": [key]} for key in self._keys]
        self._victims = [
            self._victim(number, self._rng.choice([[key], [key], self._keys])) for number, key in enumerate(self._keys) if children
        ]

    def coded(self, revision: int) -> CodedFact:
        """Return the incident as first recorded or revised."""
        rng = random.Random(f"{revision}/{self._number}")
        fact: Fact = {
            "incident": self._id,
            "revision": revision,
            "recorded_at": "2026-01-01T00:00:00Z",
            "occurred_from": self._date(self._year, self._month),
            "ongoing": self._ongoing,
            "place": self._place,
            "violations": [
                {
                    "key": key,
                    "type": kind,
                    "boys": rng.randrange(4),
                    "girls": rng.randrange(4),
                    "unknown": rng.randrange(4) // 3,
                    "details": {"weapon_type": [rng.choice("abcdef")]},
                }
                for key, kind in zip(self._keys, self._types, strict=True)
            ],
            "victims": self._victims,
            "groups": [{"key": "g", "boys": 3, "girls": 2, "unknown": 1, "violations": self._keys}] if rng.random() < 0.1 else [],
            "perpetrators": self._perpetrators,
        }
        return CodedFact("incident.coded.v1", self._id, fact)

    def later(self) -> Iterator[CodedFact]:
        """Yield the decisions, a revision of some, a second decision on some, and a link of some children."""
        for key in self._keys:
            if self._ongoing or self._rng.random() < 0.92:
                yield self._decided(key, 1, "verified" if self._ongoing else self._rng.choice(_OUTCOMES))
        if self._rng.random() < 0.05:
            yield self.coded(2)
        if self._rng.random() < 0.05:
            yield self._decided(self._keys[0], 2, "verified")
        if self._victims and self._rng.random() < 0.01:
            link = str(uuid5(NAMESPACE, f"link/{self._id}"))
            of = f"{self._prefix}{self._number:08x}{'e' * 16}"
            yield CodedFact(
                "children.linked.v1",
                link,
                {"link": link, "child": self._victims[0]["child"], "of": of, "recorded_at": "2026-01-01T00:00:00Z"},
            )

    def _decided(self, key: str, ordinal: int, outcome: str) -> CodedFact:
        month = self._month + self._rng.randrange(8)
        fact: Fact = {
            "incident": self._id,
            "violation": key,
            "decision": str(uuid5(NAMESPACE, f"{self._id}/{key}/{ordinal}")),
            "recorded_at": "2026-01-01T00:00:00Z",
            "outcome": outcome,
            "decided_on": self._date(self._year + (month - 1) // 12, (month - 1) % 12 + 1),
        }
        if self._rng.random() < 0.1:
            fact["attribution"] = [self._entry()]
        return CodedFact("violation.decided.v1", self._id, fact)

    def _entry(self) -> Fact:
        kind = self._rng.choice(["sole", "sole", "sole", "joint", "alleged", "unidentified"])
        return {"attribution": kind} if kind == "unidentified" else {"party": self._rng.choice(PARTIES), "attribution": kind}

    def _victim(self, ordinal: int, keys: Sequence[str]) -> Fact:
        child = f"{self._prefix}{self._number:08x}{ordinal:016x}"
        return {
            "child": child,
            "sex": self._rng.choice(["male", "female", "unknown"]),
            "age": self._rng.randrange(18),
            "violations": list(keys),
        }

    def _date(self, year: int, month: int) -> str:
        return f"{year:04}-{month:02}-{self._day:02}"


@dataclass
class _Standing:
    """An incident as it stands while its facts come."""

    coded_at: int | None = None
    coded: Fact | None = None
    region: str | None = None
    decisions: dict[str, Fact] = field(default_factory=dict)
    rows: Rows = field(default_factory=Rows)
    positions: dict[str, int] = field(default_factory=dict)
    """Of what stands, by violation."""


@dataclass
class FastPath:
    """Collects the rows of facts; `copy` puts them into the tables of one side and of the ledger."""

    situation: str
    position: int = 0
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in (*_COLUMNS, "positions")})
    _incidents: dict[str, _Standing] = field(default_factory=dict)

    def add(self, fact: CodedFact) -> None:
        """Derive what follows from one fact."""
        self.position += 1
        region = _region(fact.fact.get("place")) if fact.kind == "incident.coded.v1" else None
        event_id, text = fact.event_id(self.situation), _json(fact.fact)
        entry = (self.situation, self.position, event_id, fact.kind, fact.subject, text, region, RECORDED_AT, _instant(self.position))
        self.rows["positions"].append(entry)
        if fact.kind == "children.linked.v1":
            self.rows["child_links"].append((self.situation, self.position, 1, *sorted((fact.fact["child"], fact.fact["of"]))))
            return
        standing = self._incidents.setdefault(fact.subject, _Standing())
        if fact.kind == "incident.coded.v1":
            standing.coded_at, standing.coded, standing.region = self.position, fact.fact, region
        else:
            kept = {name: fact.fact[name] for name in ("outcome", "decided_on", "attribution") if name in fact.fact}
            standing.decisions = {**standing.decisions, fact.fact["violation"]: kept}
        incident = messages.incident_from(
            fact.subject, coded=standing.coded, region=standing.region, decisions=standing.decisions, suppressed=frozenset()
        )
        self._post(fact.subject, standing, rows_of(incident))

    def _post(self, incident: str, standing: _Standing, after: Rows) -> None:
        at, before = (self.situation, self.position), standing.rows
        for rows, sign in ((before.without(after), -1), (after.without(before), 1)):
            self.rows["postings"] += [(*at, sign, *posting_values(posting)) for posting in rows.postings]
            self.rows["memberships"] += [(*at, sign, *membership_values(membership)) for membership in rows.memberships]
            self.rows["records"] += [(*at, sign, incident, *record_values(record)) for record in rows.records]
            if sign == 1:
                standing.positions |= {posting.violation: self.position for posting in rows.postings}
        standing.rows = after

    async def copy(self, connection: asyncpg.Connection, *, side: str = "counts_a", unfinished: int = 2 * BLOCK) -> None:
        """Write what was collected since the last time, and what stands of all incidents but the newest, to which more may come."""
        done = list(self._incidents)[: max(len(self._incidents) - unfinished, 0)]
        for name in done:
            standing = self._incidents.pop(name)
            self.rows["incidents"].append((self.situation, name, standing.coded_at, _json(standing.decisions)))
            self.rows["net_postings"] += [
                (self.situation, standing.positions[posting.violation], *posting_values(posting)) for posting in standing.rows.postings
            ]
        for table in (*_COLUMNS, "positions"):
            await _copy(connection, side, table, self.rows[table])
            self.rows[table] = []

    async def close(self, connection: asyncpg.Connection, *, side: str = "counts_a") -> None:
        """Write everything that is left, and the ledger's counter."""
        await self.copy(connection, side=side, unfinished=0)
        await connection.execute(
            "insert into ledgers (situation, position, applied_at, side) values ($1, $2, $3, $4)",
            self.situation,
            self.position,
            _instant(self.position),
            side,
        )


async def load(connection: asyncpg.Connection, situation: str, every: Iterable[CodedFact]) -> int:
    """Load facts by the fast path; returns the newest position."""
    path = FastPath(situation)
    for fact in every:
        path.add(fact)
        if path.position % 20_000 == 0:
            await path.copy(connection)
    await path.close(connection)
    return path.position


async def add_history(connection: asyncpg.Connection, of: str, situation: str, decades: int) -> None:
    """Make a situation whose figures are those of `of` with so many decades of the same before it (figures only, no ledger entries).

    The newest decade keeps the names of `of`: a window inside it holds the same violations.
    """
    newest = await connection.fetchval("select position from ledgers where situation = $1", of)
    for decade in range(decades, -1, -1):
        for table in FIGURES:
            names = _COLUMNS[table].split()
            values = ", ".join(_in_decade(name) for name in names)
            await connection.execute(
                f"insert into counts_a.{table} (situation, {', '.join(names)}) select $2, {values} from counts_a.{table}"  # noqa: S608
                " where situation = $1 and ($3::int, $4::bigint, $5::text) is not null",
                of,
                situation,
                decade * YEARS,
                (decades - decade) * newest,
                f"{decade:08x}",
            )
    await connection.execute(
        "insert into ledgers (situation, position, applied_at, side)"
        " select $2, position * $3, applied_at, side from ledgers where situation = $1",
        of,
        situation,
        decades + 1,
    )


async def multiply(connection: asyncpg.Connection, of: str, situation: str, times: int) -> int:
    """Make a situation of so many copies of the facts of `of`, with their ledger and all that follows; returns its newest position.

    A copy has incidents and children of its own and the same dates.
    """
    newest: int = await connection.fetchval("select position from ledgers where situation = $1", of)
    for copy in range(times):
        for table, columns in {name: _COLUMNS[name] for name in (*FIGURES, "incidents")}.items():
            values = ", ".join(f"{name} + $4" if name == "coded_at" else _in_decade(name) for name in columns.split())
            await connection.execute(
                f"insert into counts_a.{table} (situation, {', '.join(columns.split())}) select $2, {values} from counts_a.{table}"  # noqa: S608
                " where situation = $1 and ($3::int, $4::bigint, $5::text) is not null",
                of,
                situation,
                0,
                copy * newest,
                f"{copy:08x}",
            )
        await connection.execute(
            """
            insert into positions (situation, position, event_id, kind, subject, fact, region, recorded_at, applied_at)
            select $2, position + $3::bigint, md5(concat_ws('/', $2::text, $3::bigint, position))::uuid, kind,
                case when kind like 'children.%' then subject else overlay(subject placing $4::text from 1 for 8) end,
                regexp_replace(fact::text, '"(incident|child|of)": "00000000', '"\\1": "' || $4::text, 'g')::jsonb, region, recorded_at,
                applied_at + $3::bigint * interval '1 millisecond'
            from positions where situation = $1
            """,
            of,
            situation,
            copy * newest,
            f"{copy:08x}",
        )
    await connection.execute(
        "insert into ledgers (situation, position, applied_at, side)"
        " select $2, $3::bigint, applied_at + $3::bigint * interval '1 millisecond', side from ledgers where situation = $1",
        of,
        situation,
        newest * times,
    )
    return newest * times


def _in_decade(column: str) -> str:
    match column:
        case "position":
            return "position + $4"
        case "decided_on" | "occurred_from" | "ended_on":
            return f"({column} - make_interval(years => $3))::date"
        case "violation" | "member" | "incident" | "child" | "one" | "other":
            return f"overlay({column} placing $5 from 1 for 8)"
        case _:
            return column


async def state(connection: asyncpg.Connection, situation: str, *, tables: Iterable[str]) -> dict[str, list[Any]]:
    """Return all rows of a situation but for running numbers, event ids and instants, in one order, to be compared."""
    found = {}
    for table in tables:
        name, columns = (
            (f"counts_a.{table}", _COLUMNS[table]) if table in _COLUMNS else (table, "position kind subject fact region recorded_at")
        )
        row = f"jsonb_build_array({', '.join(columns.split())})"
        rows = await connection.fetch(f"select {row}::text as row from {name} where situation = $1 order by 1", situation)  # noqa: S608
        found[table] = [entry["row"] for entry in rows]
    return found


async def _copy(connection: asyncpg.Connection, side: str, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    schema, columns = (None, _POSITIONS) if table == "positions" else (side, f"situation {_COLUMNS[table]}")
    await connection.copy_records_to_table(table, schema_name=schema, columns=columns.split(), records=rows)


@cache
def _region(place: str | None) -> str | None:
    from contracts.situation import SituationDraft

    return region_of(SituationDraft.model_validate(DRAFT, strict=False), place)


def _instant(position: int) -> datetime:
    return datetime.fromtimestamp(RECORDED_AT.timestamp() + position * 1e-3, UTC)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def new_code(name: str) -> str:
    """Return a situation code that is free."""
    return f"{name}-{uuid4().hex[:6]}"
