"""SQL of the figures: net postings as of a position, added up into cells, children and flaws."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from aggregation.domain.children import Affected, AffectedGroups, MultipleChild, MultipleGroup, Suffered
from aggregation.domain.counting import Cell, Flaw
from aggregation.domain.incident import Record, Standing
from aggregation.domain.periods import LateRule, Window
from aggregation.domain.sexes import Sexes
from aggregation.store.ledger import Moment
from aggregation.store.sides import on
from aggregation.store.standing import at
from chassis.storage import Tx
from contracts.vocabulary import CHILD_TYPES, COUNTED_TYPES, Sex, ViolationType

_CHILD_TYPES: Final = sorted(kind.value for kind in CHILD_TYPES)
_COUNTED_TYPES: Final = sorted(kind.value for kind in COUNTED_TYPES)
_VERIFIED: Final = "situation = $1 and standing = 'verified' and decided_on >= $3 and decided_on < $4"
_MEMBERS: Final = f"{_VERIFIED} and position <= $2"
_UNVERIFIED: Final = """situation = $1 and standing = 'unverified' and $3::date < $4::date
    and ((ended_on >= $3 and ended_on < $4) or (ended_on is null and occurred_from < $4))"""
_LATE: Final = "case when $5 = 'quarter' then late_by_quarter else ended_on < $3 end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which violations are asked for: a moment, a window, and what is late."""

    moment: Moment
    window: Window
    late_rule: LateRule

    @property
    def arguments(self) -> tuple[str, int, date, date, str]:
        """The first five arguments of every statement."""
        return self.moment.situation, self.moment.position, self.window.start, self.window.end, self.late_rule.value

    def on_side(self, statement: str) -> str:
        """Return the statement on the side that is live, with `postings_then` as they stood at the moment."""
        return at(self.moment, statement)


def _cells_sql(standing: Standing, dimension: str) -> str:
    where = _VERIFIED if standing is Standing.VERIFIED else _UNVERIFIED
    late = _LATE if standing is Standing.VERIFIED else "$5::text is null"
    return f"""
        select {dimension} as violation, type, {late} as late, region, lines, details -> $6::text as codes,
            width_bucket(decided_on, $7::date[]) - 1 as part,
            sum(sign * amount)::bigint as amount, sum(sign * boys)::bigint as boys, sum(sign * girls)::bigint as girls,
            sum(sign * unknown)::bigint as unknown, sum(sign * beyond_boys)::bigint as beyond_boys,
            sum(sign * beyond_girls)::bigint as beyond_girls, sum(sign * beyond_unknown)::bigint as beyond_unknown
        from postings_then where {where}
        group by 1, 2, 3, 4, 5, 6, 7 having sum(sign) <> 0 order by 1
    """  # noqa: S608 - our own words


_CELLS: Final = {standing: _cells_sql(standing, "null::text") for standing in Standing}
_CELLS_BY_VIOLATION: Final = {standing: _cells_sql(standing, "violation") for standing in Standing}


async def list_cells(tx: Tx, scope: Scope, standing: Standing, *, field: str | None = None, parts: Sequence[Window] = ()) -> list[Cell]:
    """Return the net cells of a set of the window, in the situation's days (C2, C3)."""
    rows = await tx.fetch(scope.on_side(_CELLS[standing]), *scope.arguments, field, _bounds(scope, parts))
    return [_cell(row) for row in rows]


async def list_cells_by_violation(
    tx: Tx, scope: Scope, standing: Standing, *, field: str | None = None, parts: Sequence[Window] = ()
) -> list[tuple[str, Cell]]:
    """Return each violation of the set with its own cell (C13)."""
    rows = await tx.fetch(scope.on_side(_CELLS_BY_VIOLATION[standing]), *scope.arguments, field, _bounds(scope, parts))
    return [(row["violation"], _cell(row)) for row in rows]


async def list_child_links(tx: Tx, moment: Moment) -> list[tuple[str, str]]:
    """Return the same-child links that stand at a moment; some may lie idle."""
    rows = await tx.fetch(
        on(
            moment.side,
            """
            select one, other from counts_side.child_links where situation = $1 and position <= $2
            group by one, other having sum(sign) > 0
            """,
        ),
        moment.situation,
        moment.position,
    )
    return [(row["one"], row["other"]) for row in rows]


_LINKS_OF_SET: Final = f"""
    with recursive ends as materialized (
        select one as name, other from counts_side.child_links where situation = $1 and position <= $2
        union select other, one from counts_side.child_links where situation = $1 and position <= $2
    ), reached (name) as (
        select member from counts_side.memberships
        where {_MEMBERS} and $5::text is not null and kind = 'victim' and member in (select name from ends)
        union
        select ends.other from reached join ends on ends.name = reached.name
    )
    select one, other from counts_side.child_links
    where situation = $1 and position <= $2 and one in (select name from reached)
    group by one, other having sum(sign) > 0
"""  # noqa: S608 - our own words


async def list_child_links_of_set(tx: Tx, scope: Scope) -> list[tuple[str, str]]:
    """Return the standing links, however far, of records in the verified set: what history has beside them plays no part."""
    rows = await tx.fetch(scope.on_side(_LINKS_OF_SET), *scope.arguments)
    return [(row["one"], row["other"]) for row in rows]


async def list_records(tx: Tx, moment: Moment, children: Iterable[str]) -> list[Record]:
    """Return the victim records of these pseudonyms that exist at a moment."""
    rows = await tx.fetch(
        on(
            moment.side,
            """
            select child, sex, age from counts_side.records where situation = $1 and position <= $2 and child = any($3::text[])
            group by child, incident, sex, age having sum(sign) > 0
            """,
        ),
        moment.situation,
        moment.position,
        list(children),
    )
    return [Record(row["child"], Sex(row["sex"]), row["age"]) for row in rows]


_SUFFERED: Final = f"""
    select member, violation, type, sex, age, {_LATE} as late from counts_side.memberships
    where {_MEMBERS} and kind = 'victim' and type = any($6::text[]) and ($7::text[] is null or member = any($7::text[]))
    group by 1, 2, 3, 4, 5, 6 having sum(sign) > 0
"""  # noqa: S608 - our own words


async def list_suffered(tx: Tx, scope: Scope, *, children: Iterable[str] | None) -> list[Suffered]:
    """Return what these records (None: all) suffered in the verified set, counted types only."""
    rows = await tx.fetch(scope.on_side(_SUFFERED), *scope.arguments, _COUNTED_TYPES, list(children) if children is not None else None)
    return [
        Suffered(
            record=row["member"],
            violation=row["violation"],
            type=ViolationType(row["type"]),
            late=row["late"],
            sex=Sex(row["sex"]),
            age=row["age"],
        )
        for row in rows
    ]


_AFFECTED: Final = f"""
    select sex, age, on_time, late, count(*) as number from (
        select member, sex, age, coalesce(sum(sign) filter (where not {_LATE}), 0) > 0 as on_time,
            coalesce(sum(sign) filter (where {_LATE}), 0) > 0 as late
        from counts_side.memberships
        where {_MEMBERS} and kind = 'victim' and type = any($6::text[]) and member <> all($7::text[])
        group by member, sex, age
    ) as child where on_time or late group by sex, age, on_time, late
"""  # noqa: S608 - our own words


async def list_affected(tx: Tx, scope: Scope, *, linked: Iterable[str]) -> list[Affected]:
    """Return the distinct children of the verified set without any link, alike ones added up (C9)."""
    rows = await tx.fetch(scope.on_side(_AFFECTED), *scope.arguments, _CHILD_TYPES, list(linked))
    return [
        Affected(
            sex=Sex(row["sex"]),
            on_time=row["on_time"],
            late=row["late"],
            age_on_time=row["age"] if row["on_time"] else None,
            age_late=row["age"] if row["late"] else None,
            count=row["number"],
        )
        for row in rows
    ]


_AFFECTED_GROUPS: Final = f"""
    select on_time, late, sum(boys)::bigint as boys, sum(girls)::bigint as girls, sum(unknown)::bigint as unknown from (
        select member, boys, girls, unknown, coalesce(sum(sign) filter (where not {_LATE}), 0) > 0 as on_time,
            coalesce(sum(sign) filter (where {_LATE}), 0) > 0 as late
        from counts_side.memberships
        where {_MEMBERS} and kind = 'group' and type = any($6::text[])
        group by member, boys, girls, unknown
    ) as one_group where on_time or late group by on_time, late
"""  # noqa: S608 - our own words


async def list_affected_groups(tx: Tx, scope: Scope) -> list[AffectedGroups]:
    """Return the distinct groups of the verified set, added up by size (C9)."""
    rows = await tx.fetch(scope.on_side(_AFFECTED_GROUPS), *scope.arguments, _CHILD_TYPES)
    return [AffectedGroups(size=_sexes(row), on_time=row["on_time"], late=row["late"]) for row in rows]


_GROUP_PARTS: Final = f"""
    select member, boys, girls, unknown, violation, type, {_LATE} as late from counts_side.memberships
    where {_MEMBERS} and kind = 'group' and type = any($6::text[])
    group by 1, 2, 3, 4, 5, 6, 7 having sum(sign) > 0
"""  # noqa: S608 - our own words


async def list_groups_one_by_one(tx: Tx, scope: Scope) -> list[AffectedGroups]:
    """Return each distinct group with the child-type violations through which it is counted (C13)."""
    rows = await tx.fetch(scope.on_side(_GROUP_PARTS), *scope.arguments, _CHILD_TYPES)
    parts: dict[str, list[Any]] = {}
    for row in rows:
        parts.setdefault(row["member"], []).append(row)
    return [
        AffectedGroups(
            size=_sexes(mine[0]),
            on_time=any(not row["late"] for row in mine),
            late=any(row["late"] for row in mine),
            violations=frozenset((row["violation"], row["late"]) for row in mine),
        )
        for mine in parts.values()
    ]


_MULTIPLE: Final = """
    select {columns}, array_agg(type order by type, violation) as types, array_agg(violation order by violation) as violations from (
        select {columns}, violation, type from counts_side.memberships
        where {where} and $5::text is not null and kind = '{kind}' and type = any($6::text[]) and member <> all($7::text[])
        group by {columns}, violation, type having sum(sign) > 0
    ) as part group by {columns} having count(*) >= 2
"""
_MULTIPLE_CHILDREN: Final = _MULTIPLE.format(columns="member, sex, age", where=_MEMBERS, kind="victim")
_MULTIPLE_GROUPS: Final = _MULTIPLE.format(columns="member, boys, girls, unknown", where=_MEMBERS, kind="group")


async def list_multiple_children(tx: Tx, scope: Scope, *, linked: Iterable[str]) -> list[MultipleChild]:
    """Return the children without any link that have two or more violations (C10)."""
    rows = await tx.fetch(scope.on_side(_MULTIPLE_CHILDREN), *scope.arguments, _COUNTED_TYPES, list(linked))
    return [
        MultipleChild(
            id=row["member"], sex=Sex(row["sex"]), age=row["age"], types=_types(row["types"]), violations=tuple(row["violations"])
        )
        for row in rows
    ]


async def list_multiple_groups(tx: Tx, scope: Scope) -> list[MultipleGroup]:
    """Return the groups that have two or more violations (C10)."""
    rows = await tx.fetch(scope.on_side(_MULTIPLE_GROUPS), *scope.arguments, _COUNTED_TYPES, [])
    return [
        MultipleGroup(id=row["member"], size=_sexes(row), types=_types(row["types"]), violations=tuple(row["violations"])) for row in rows
    ]


async def list_flaws(tx: Tx, moment: Moment) -> list[Flaw]:
    """Return verified violations that lack a required field, by their names, whatever any window (C11)."""
    rows = await tx.fetch(
        at(
            moment,
            """
            select violation, decided_on is null as no_day, region is null as no_place, lines = '{_unattributed}' as no_attribution
            from postings_then
            where situation = $1 and standing = 'verified'
                and (decided_on is null or region is null or lines = '{_unattributed}')
            group by 1, 2, 3, 4 having sum(sign) > 0 order by violation
            """,
        ),
        moment.situation,
        moment.position,
    )
    return [
        Flaw(
            violation=row["violation"],
            missing=tuple(
                field
                for field, missing in (("decided_on", row["no_day"]), ("place", row["no_place"]), ("attribution", row["no_attribution"]))
                if missing
            ),
        )
        for row in rows
    ]


def _bounds(scope: Scope, parts: Sequence[Window]) -> list[date]:
    return [part.start for part in parts] or [scope.window.start]


def _cell(row: Any) -> Cell:  # noqa: ANN401 - asyncpg's record
    return Cell(
        type=ViolationType(row["type"]),
        late=bool(row["late"]),
        region=row["region"],
        lines=tuple(row["lines"]),
        codes=tuple(row["codes"] or ()),
        part=row["part"] or 0,
        amount=row["amount"],
        tally=_sexes(row),
        beyond=Sexes(row["beyond_boys"], row["beyond_girls"], row["beyond_unknown"]),
    )


def _sexes(row: Any) -> Sexes:  # noqa: ANN401 - asyncpg's record
    return Sexes(row["boys"], row["girls"], row["unknown"])


def _types(names: Iterable[str]) -> tuple[ViolationType, ...]:
    return tuple(ViolationType(name) for name in names)
