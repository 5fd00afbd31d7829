"""Renders figures: every table is a pure function of few net cells; the same function over one violation's cell gives its share (C13)."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aggregation.domain.children import Affected, AffectedGroups, MultipleChild, MultipleGroup
from aggregation.domain.periods import Window
from aggregation.domain.sexes import NOBODY, Sexes, total_of
from contracts.vocabulary import (
    CHILD_TYPES,
    COUNTED_TYPES,
    GRAVE_VIOLATIONS,
    INCIDENT_TYPES,
    ViolationType,
    ordered_codes,
)

Answer = Any
"""Whatever JSON a table answers with."""
ALL = "_all"
NONE = "_none"
UNKNOWN_REGION = "_unknown"
GRAVE_OF = {kind: code for code, kinds in GRAVE_VIOLATIONS.items() for kind in kinds}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Net numbers of violations alike in every dimension a table uses. `codes` are those of the detail field asked for, distinct."""

    type: ViolationType
    late: bool = False
    region: str | None = None
    lines: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    part: int = 0
    """Place of the trend part the decision lies in."""
    amount: int = 0
    tally: Sexes = NOBODY
    beyond: Sexes = NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """A verified violation and the required fields it lacks (C11)."""

    violation: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a table is rendered from. `late_inside` makes the main set the whole verified set (C6)."""

    cells: Sequence[Cell] = ()
    affected: Sequence[Affected] = ()
    groups: Sequence[AffectedGroups] = ()
    multiple_children: Sequence[MultipleChild] = ()
    multiple_groups: Sequence[MultipleGroup] = ()
    flaws: Sequence[Flaw] = ()
    parts: Sequence[Window] = ()
    late_inside: bool = False

    def main(self) -> list[Cell]:
        """Return the cells of the main set, counted types only (C7)."""
        return [cell for cell in self.cells if cell.type in COUNTED_TYPES and (self.late_inside or not cell.late)]

    def late(self) -> list[Cell]:
        """Return the cells of the late part, counted types only."""
        return [cell for cell in self.cells if cell.type in COUNTED_TYPES and cell.late]

    def counted(self) -> list[Cell]:
        """Return the cells of the whole set, counted types only."""
        return [cell for cell in self.cells if cell.type in COUNTED_TYPES]


Choose = Callable[[Material], list[Cell]]
Render = Callable[[Material], Answer]


def children_by_type(choose: Choose) -> Render:
    """Children by violation type and sex (C4)."""

    def render(material: Material) -> Answer:
        tallies: dict[ViolationType, list[Sexes]] = defaultdict(list)
        for cell in choose(material):
            if cell.type in CHILD_TYPES:
                tallies[cell.type].append(cell.tally)
        totals = {kind: total_of(numbers) for kind, numbers in tallies.items()}
        return {kind.value: totals[kind].figures() for kind in ViolationType if kind in totals and totals[kind].total}

    return render


def incidents_by_type(choose: Choose) -> Render:
    """Incidents by violation type (C4)."""

    def render(material: Material) -> Answer:
        counts = _by_type(cell for cell in choose(material) if cell.type in INCIDENT_TYPES)
        return {kind: number for kind, number in counts.items() if number}

    return render


def by_party(choose: Choose) -> Render:
    """Amounts by line and type; the lines do not add up to `_all` (C8)."""
    return _two_way(choose, lambda cell: (*cell.lines, ALL))


def by_region(choose: Choose) -> Render:
    """Amounts by region and type."""
    return _two_way(choose, lambda cell: (cell.region if cell.region is not None else UNKNOWN_REGION,))


def summary(material: Material) -> Answer:
    """The head figures: violations, the six, children affected (C9), and the late part beside them, everything always."""
    main, late = material.main(), material.late()
    return {
        "violations": _amount(main),
        "by_grave_violation": _by_grave(main),
        "children": _children_affected(material, main, late_part=False).figures(),
        "late": {
            "violations": _amount(late),
            "by_grave_violation": _by_grave(late),
            "children": _children_affected(material, late, late_part=True).figures(),
        },
    }


def by_grave_violation_and_party(material: Material) -> Answer:
    """Amounts of the main set by grave violation and line (C8)."""
    return _grouped(material.main(), lambda cell: ((GRAVE_OF[cell.type], line) for line in (*cell.lines, ALL)))


def by_grave_violation_and_parties(material: Material) -> Answer:
    """Amounts of the main set by grave violation and exact set of lines, largest first; these do add up (C8)."""
    found: dict[str, dict[tuple[str, ...], int]] = defaultdict(lambda: defaultdict(int))
    for cell in material.main():
        found[GRAVE_OF[cell.type]][cell.lines] += cell.amount
    return {
        grave: [
            {"lines": list(lines), "n": number} for lines, number in sorted(sets.items(), key=lambda item: (-item[1], item[0])) if number
        ]
        for grave, sets in found.items()
        if any(sets.values())
    }


def by_detail(material: Material) -> Answer:
    """Amounts of the main set by type and code of the field; several codes each count, `_none` without one."""
    return _grouped(material.main(), lambda cell: ((cell.type.value, code) for code in cell.codes or (NONE,)))


def ages(material: Material) -> Answer:
    """Distinct children of the main set by age band, the lowest age known deciding."""
    counts: dict[str, int] = defaultdict(int)
    for child in main_children(material):
        counts[band_of(_age_in_main(child, material))] += child.count
    return {band: counts[band] for band in ordered_codes("age_band") if counts[band]}


def context(material: Material) -> Answer:
    """Military use and deprivation of liberty, late or not, never in a total (C7)."""
    uses: dict[str, int] = defaultdict(int)
    military = [cell for cell in material.cells if cell.type is ViolationType.MILITARY_USE]
    for cell in military:
        for code in cell.codes or (NONE,):
            uses[code] += cell.amount
    deprived = total_of(cell.tally for cell in material.cells if cell.type is ViolationType.DEPRIVATION_LIBERTY)
    return {
        "military_use": {**{code: number for code, number in uses.items() if number}, "total": _amount(military)},
        "deprivation_liberty": deprived.figures(),
    }


def trend(material: Material) -> Answer:
    """Head figures of the whole verified set for every calendar part of the window, zeros too."""
    by_part: Mapping[int, list[Cell]] = defaultdict(list)
    for cell in material.counted():
        by_part[cell.part].append(cell)
    return [
        {
            "from": part.start.isoformat(),
            "to": part.end.isoformat(),
            "violations": _amount(by_part[index]),
            "by_grave_violation": _by_grave(by_part[index]),
        }
        for index, part in enumerate(material.parts)
    ]


def children_multiple(material: Material) -> Answer:
    """Children with two or more violations, on time or late (C10); of children alike the order is that of their ids."""
    return [
        {"sex": child.sex.value, "age": child.age, "violations": [kind.value for kind in child.types]}
        for child in ordered_children(material)
    ]


def groups_multiple(material: Material) -> Answer:
    """Groups with two or more violations, on time or late (C10)."""
    return [
        {
            "boys": group.size.boys,
            "girls": group.size.girls,
            "unknown": group.size.unknown,
            "violations": [kind.value for kind in group.types],
        }
        for group in ordered_groups(material)
    ]


def exceptions(material: Material) -> Answer:
    """Verified violations that lack a required field, whatever the window (C11)."""
    return [{"violation": flaw.violation, "missing": list(flaw.missing)} for flaw in material.flaws]


def ordered_children(material: Material) -> list[MultipleChild]:
    """Return the children in the order of the answer: age (unknown last), sex, types."""
    return sorted(
        material.multiple_children,
        key=lambda child: (child.age is None, child.age or 0, child.sex.value, [kind.value for kind in child.types], child.id),
    )


def ordered_groups(material: Material) -> list[MultipleGroup]:
    """Return the groups in the order of the answer: sizes, types."""
    return sorted(material.multiple_groups, key=lambda group: (group.size, [kind.value for kind in group.types], group.id))


def main_children(material: Material) -> list[Affected]:
    """Return the children counted through the main set."""
    return [child for child in material.affected if child.on_time or (material.late_inside and child.late)]


def age_in_main(child: Affected, material: Material) -> int | None:
    """Return the lowest age known among the records through which the main set counts a child."""
    return _age_in_main(child, material)


def band_of(age: int | None) -> str:
    """Return the age band of a whole number of years, `unknown` without one."""
    for band in ordered_codes("age_band"):
        low, _, high = band.partition("_")
        if age is not None and high and int(low) <= age <= int(high):
            return band
    return "unknown"


def _age_in_main(child: Affected, material: Material) -> int | None:
    if not material.late_inside:
        return child.age_on_time
    return min((age for age in (child.age_on_time, child.age_late) if age is not None), default=None)


def _children_affected(material: Material, cells: Iterable[Cell], *, late_part: bool) -> Sexes:
    if late_part:
        children = [child for child in material.affected if child.late]
        groups = [group for group in material.groups if group.late]
    else:
        children = main_children(material)
        groups = [group for group in material.groups if group.on_time or (material.late_inside and group.late)]
    records = total_of(_ONE[child.sex.value].times(child.count) for child in children)
    beyond = total_of(cell.beyond for cell in cells if cell.type in CHILD_TYPES)
    return records.plus(beyond).plus(total_of(group.size for group in groups))


_ONE = {"male": Sexes(1, 0, 0), "female": Sexes(0, 1, 0), "unknown": Sexes(0, 0, 1)}


def _amount(cells: Iterable[Cell]) -> int:
    return sum(cell.amount for cell in cells)


def _by_type(cells: Iterable[Cell]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for cell in cells:
        counts[cell.type.value] += cell.amount
    return counts


def _by_grave(cells: Iterable[Cell]) -> dict[str, int]:
    counts = dict.fromkeys(GRAVE_VIOLATIONS, 0)
    for cell in cells:
        counts[GRAVE_OF[cell.type]] += cell.amount
    return counts


def _two_way(choose: Choose, keys: Callable[[Cell], Iterable[str]]) -> Render:
    def render(material: Material) -> Answer:
        return _grouped(choose(material), lambda cell: ((key, column) for key in keys(cell) for column in (cell.type.value, "total")))

    return render


def _grouped(cells: Iterable[Cell], keys: Callable[[Cell], Iterable[tuple[str, str]]]) -> dict[str, dict[str, int]]:
    """Add amounts up under every (row, column) of a cell; no zero, no empty row."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for cell in cells:
        for key in keys(cell):
            counts[key] += cell.amount
    rows: dict[str, dict[str, int]] = {}
    for (row, column), number in counts.items():
        if number:
            rows.setdefault(row, {})[column] = number
    return rows
