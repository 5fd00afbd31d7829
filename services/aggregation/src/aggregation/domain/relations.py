"""What everybody knows to hold between the numbers of one window: which add up, and which are at most others (C14)."""

from collections.abc import Iterable, Iterator, Mapping

from aggregation.domain.linking import CHILD_KINDS, KINDS, ONE_TYPE, PARTS, SEXES, Number, grave_name
from contracts.vocabulary import GRAVE_VIOLATIONS

Relation = Mapping[Number, int]
_MEMO_LINES = ("_joint", "_crossfire")
_CHILD_GRAVES = [grave for grave, kinds in GRAVE_VIOLATIONS.items() if all(kind.value in CHILD_KINDS for kind in kinds)]


def relations_of(values: Mapping[Number, int], *, late_inside: bool) -> tuple[list[Relation], list[Relation]]:
    """Return the equalities and bounds between the numbers of all tables of a window."""
    relations = _Relations(values, late_inside=late_inside)
    return list(relations.equalities()), list(relations.bounds())


def relations_of_summary(*, late_inside: bool) -> tuple[list[Relation], list[Relation]]:
    """Return the same for a summary that stands alone, as that of the window before does."""
    equalities: list[Relation] = []
    bounds: list[Relation] = []
    for part in ("verified", "late"):
        equalities.append(_sum(("total", part), [grave_name(part, grave) for grave in GRAVE_VIOLATIONS]))
        equalities.append(_sum(("affected", part, "total"), [("affected", part, sex) for sex in SEXES]))
        bounds.append(_covered(("affected", part, "total"), [grave_name(part, grave) for grave in _CHILD_GRAVES]))
    if late_inside:
        bounds.append(_within(("total", "late"), ("total", "verified")))
        bounds += [_within(grave_name("late", grave), grave_name("verified", grave)) for grave in GRAVE_VIOLATIONS]
        bounds += [_within(("affected", "late", sex), ("affected", "verified", sex)) for sex in (*SEXES, "total")]
    return equalities, bounds


class _Relations:
    """The relations between the numbers of all tables of one window."""

    def __init__(self, values: Mapping[Number, int], *, late_inside: bool) -> None:
        self._values = values
        self._late_inside = late_inside

    def equalities(self) -> Iterator[Relation]:
        """Yield what adds up."""
        for part in PARTS:
            yield _sum(("total", part), [("amount", part, kind) for kind in KINDS])
            for kind in KINDS:
                yield _sum(("amount", part, kind), [("region", part, region, kind) for region in self._second("region", part)])
                if kind in CHILD_KINDS:
                    yield _sum(("amount", part, kind), [("sex", part, kind, sex) for sex in SEXES])
            for row in ("line", "region"):
                for code in self._second(row, part):
                    yield _sum((row, part, code, "total"), [(row, part, code, kind) for kind in KINDS])
            yield _sum(("total", part), [("region", part, region, "total") for region in self._second("region", part)])
            yield _sum(("affected", part, "total"), [("affected", part, sex) for sex in SEXES])
        for grave, kinds in GRAVE_VIOLATIONS.items():
            if grave not in ONE_TYPE:
                for part in ("verified", "late"):
                    yield _sum(("grave", part, grave), [("amount", part, kind.value) for kind in kinds])
                for line in self._second("line", "verified"):
                    yield _sum(("grave line", grave, line), [("line", "verified", line, kind.value) for kind in kinds])
        yield _sum(("liberty", "total"), [("liberty", sex) for sex in SEXES])
        yield from self._trend()

    def _trend(self) -> Iterator[Relation]:
        indexes = {name[1] for name in self._values if name[0] == "part"}
        for index in sorted(indexes):
            yield _sum(("part", index, "violations"), [("part", index, grave) for grave in GRAVE_VIOLATIONS])
        if indexes:
            sets = ("verified",) if self._late_inside else ("verified", "late")
            for grave in GRAVE_VIOLATIONS:
                terms: dict[Number, int] = {("part", index, grave): 1 for index in indexes}
                yield terms | {grave_name(part, grave): -1 for part in sets}
            whole: dict[Number, int] = {("part", index, "violations"): 1 for index in indexes}
            yield whole | {("total", part): -1 for part in sets}

    def bounds(self) -> Iterator[Relation]:
        """Yield what is at most something else."""
        for part in PARTS:
            lines = self._second("line", part)
            for kind in (*KINDS, "total"):
                whole = ("total", part) if kind == "total" else ("amount", part, kind)
                for line in lines:
                    yield _within(("line", part, line, kind), whole)
                yield _covered(whole, [("line", part, line, kind) for line in lines if line not in _MEMO_LINES])
                parties = [("line", part, line, kind) for line in lines if not line.startswith("_")]
                for line in set(lines).intersection(_MEMO_LINES):
                    yield _covered(("line", part, line, kind), parties)
            yield _covered(("affected", part, "total"), [("amount", part, kind) for kind in CHILD_KINDS])
        yield from self._details()
        ages: dict[Number, int] = {name: 1 for name in self._values if name[0] == "age"}
        yield ages | {("affected", "verified", "total"): -1}
        uses = [name for name in self._values if name[0] == "use" and name[1] != "total"]
        for use in uses:
            yield _within(use, ("use", "total"))
        yield _covered(("use", "total"), uses)
        if self._late_inside:
            yield from self._late_within()

    def _details(self) -> Iterator[Relation]:
        """A violation stands under every code of a detail that it has, at least under one."""
        rows: dict[tuple[str | int, ...], list[Number]] = {}
        for name in self._values:
            if name[0] == "detail":
                rows.setdefault(name[1:3], []).append(name)
        for (_, kind), codes in rows.items():
            whole = ("amount", "verified", kind)
            for code in codes:
                yield _within(code, whole)
            yield _covered(whole, codes)

    def _late_within(self) -> Iterator[Relation]:
        """What is late is part of the main set, number by number."""
        for name in list(self._values):
            if "late" in name[1:2]:
                yield _within(name, (name[0], "verified", *name[2:]))

    def _second(self, row: str, part: str) -> list[str]:
        return sorted({str(name[2]) for name in self._values if name[:2] == (row, part)})


def _sum(whole: Number, parts: list[Number]) -> Relation:
    return {whole: -1} | dict.fromkeys(parts, 1)


def _within(part: Number, whole: Number) -> Relation:
    """A number that is at most another."""
    return {part: 1, whole: -1}


def _covered(name: Number, others: Iterable[Number]) -> Relation:
    """A number that is at most the others together."""
    return {name: 1} | dict.fromkeys(others, -1)
