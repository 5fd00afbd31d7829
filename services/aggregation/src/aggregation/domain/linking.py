"""Which numbers of the tables shared together are the same number or add up: the linked set that suppression works on (C14)."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from aggregation.domain.disclosure import Linked, Name, Terms
from contracts.vocabulary import CHILD_TYPES, COUNTED_TYPES, GRAVE_VIOLATIONS, ViolationType

Path = tuple[str, ...]
SHARED: Final = (
    "summary",
    *(f"{part}_{what}" for part in ("verified", "late", "unverified") for what in ("children", "incidents", "by_party", "by_region")),
    "by_grave_violation_and_party",
    "ages",
    "context",
    "trend",
)
"""Tables that have a shared form, besides `by_detail` of the fields below; lists of single children, groups or violations have none."""
DETAILS: Final = (
    "weapon_type",
    "child_role",
    "abduction_purpose",
    "sexual_violence_type",
    "facility_attack_type",
    "facility_impact",
    "denial_method",
    "detention_reason",
)
"""The details the products break down; they are frozen and shared together, each as `by_detail.<field>`."""
MEMO_LINES: Final = ("_joint", "_crossfire")
_SEXES: Final = ("boys", "girls", "unknown")
_TYPES: Final = [kind.value for kind in ViolationType if kind in COUNTED_TYPES]
_CHILDREN: Final = [kind.value for kind in ViolationType if kind in CHILD_TYPES]
_GRAVE_OF: Final = {kind.value: grave for grave, kinds in GRAVE_VIOLATIONS.items() for kind in kinds}
_ONE_TYPE: Final = {grave: kinds[0].value for grave, kinds in GRAVE_VIOLATIONS.items() if len(kinds) == 1}
_PARTS: Final = ("verified", "late", "unverified")


class LinkedTables:
    """The numbers of the tables of one window as of one moment, each once, with every place where it stands."""

    def __init__(self, tables: Mapping[str, Any], *, late_inside: bool) -> None:
        self._late_inside = late_inside
        self.places: dict[tuple[str, Path], Name] = {}
        """Which number stands at a path of a table."""
        self.values: dict[Name, int] = {}
        for table in tables:
            for path, value in numbers_in(tables[table]):
                name = _name_of(table, path)
                self.places[table, path] = name
                self.values[name] = value

    def shared(self, table: str, answer: Any, left_out: Collection[Name]) -> Any:  # noqa: ANN401 - whatever an answer holds
        """Return a table's answer with null for every number left out."""
        return self._without(table, answer, (), left_out)

    def _without(self, table: str, answer: Any, path: Path, left_out: Collection[Name]) -> Any:  # noqa: ANN401
        if isinstance(answer, dict):
            return {key: self._without(table, value, (*path, key), left_out) for key, value in answer.items()}
        if isinstance(answer, list):
            return [self._without(table, value, (*path, str(index)), left_out) for index, value in enumerate(answer)]
        return None if self.places.get((table, path)) in left_out else answer

    def linked(self) -> Linked:
        """Return the numbers with all relations between them."""
        return Linked(values=self.values, equalities=list(self._equalities()), bounds=list(self._bounds()))

    def _equalities(self) -> Iterator[Terms]:
        for part in _PARTS:
            yield _sum(("total", part), [("amount", part, kind) for kind in _TYPES])
            for kind in _TYPES:
                yield _sum(("amount", part, kind), [("region", part, region, kind) for region in self._second("region", part)])
                if kind in _CHILDREN:
                    yield _sum(("amount", part, kind), [("sex", part, kind, sex) for sex in _SEXES])
            for row in ("line", "region"):
                for code in self._second(row, part):
                    yield _sum((row, part, code, "total"), [(row, part, code, kind) for kind in _TYPES])
            yield _sum(("total", part), [("region", part, region, "total") for region in self._second("region", part)])
            yield _sum(("affected", part, "total"), [("affected", part, sex) for sex in _SEXES])
        for grave, kinds in GRAVE_VIOLATIONS.items():
            if grave not in _ONE_TYPE:
                for part in ("verified", "late"):
                    yield _sum(("grave", part, grave), [("amount", part, kind.value) for kind in kinds])
                for line in self._second("line", "verified"):
                    yield _sum(("grave line", grave, line), [("line", "verified", line, kind.value) for kind in kinds])
        yield _sum(("liberty", "total"), [("liberty", sex) for sex in _SEXES])
        yield from self._trend()

    def _trend(self) -> Iterator[Terms]:
        indexes = {name[1] for name in self.values if isinstance(name, tuple) and name[0] == "part"}
        for index in sorted(indexes):
            yield _sum(("part", index, "violations"), [("part", index, grave) for grave in GRAVE_VIOLATIONS])
        if indexes:
            sets = ("verified",) if self._late_inside else ("verified", "late")
            for grave in GRAVE_VIOLATIONS:
                terms: dict[Name, int] = {("part", index, grave): 1 for index in indexes}
                yield terms | {_grave(part, grave): -1 for part in sets}
            whole: dict[Name, int] = {("part", index, "violations"): 1 for index in indexes}
            yield whole | {("total", part): -1 for part in sets}

    def _bounds(self) -> Iterator[Terms]:
        for part in _PARTS:
            lines = self._second("line", part)
            for kind in (*_TYPES, "total"):
                whole = ("total", part) if kind == "total" else ("amount", part, kind)
                for line in lines:
                    yield _within(("line", part, line, kind), whole)
                yield _covered(whole, [("line", part, line, kind) for line in lines if line not in MEMO_LINES])
            yield _covered(("affected", part, "total"), [("amount", part, kind) for kind in _CHILDREN])
        yield from self._details()
        ages: dict[Name, int] = {name: 1 for name in self.values if isinstance(name, tuple) and name[0] == "age"}
        yield ages | {("affected", "verified", "total"): -1}
        uses = [name for name in self.values if isinstance(name, tuple) and name[0] == "use" and name[1] != "total"]
        for use in uses:
            yield _within(use, ("use", "total"))
        yield _covered(("use", "total"), uses)
        if self._late_inside:
            yield from self._late_within()

    def _details(self) -> Iterator[Terms]:
        """A violation stands under every code of a detail that it has, at least under one."""
        rows: dict[tuple[str, str], list[Name]] = {}
        for name in self.values:
            if isinstance(name, tuple) and name[0] == "detail":
                rows.setdefault((name[1], name[2]), []).append(name)
        for (_, kind), codes in rows.items():
            whole = ("amount", "verified", kind)
            for code in codes:
                yield _within(code, whole)
            yield _covered(whole, codes)

    def _late_within(self) -> Iterator[Terms]:
        """What is late is part of the main set, number by number."""
        for name in list(self.values):
            if isinstance(name, tuple) and "late" in name[1:2]:
                yield _within(name, (name[0], "verified", *name[2:]))

    def _second(self, row: str, part: str) -> list[str]:
        return sorted({name[2] for name in self.values if isinstance(name, tuple) and name[:2] == (row, part)})


def numbers_in(answer: Any, path: Path = ()) -> Iterator[tuple[Path, int]]:  # noqa: ANN401 - whatever an answer holds
    """Yield every number of an answer with its path."""
    if isinstance(answer, int):
        yield path, answer
    else:
        entries = answer.items() if isinstance(answer, dict) else enumerate(answer) if isinstance(answer, list) else ()
        for key, value in entries:
            yield from numbers_in(value, (*path, str(key)))


def _sum(whole: Name, parts: list[Name]) -> Terms:
    return {whole: -1} | dict.fromkeys(parts, 1)


def _within(part: Name, whole: Name) -> Terms:
    """A number that is at most another."""
    return {part: 1, whole: -1}


def _covered(name: Name, others: Iterable[Name]) -> Terms:
    """A number that is at most the others together."""
    return {name: 1} | dict.fromkeys(others, -1)


def _grave(part: str, grave: str) -> Name:
    return ("amount", part, _ONE_TYPE[grave]) if grave in _ONE_TYPE else ("grave", part, grave)


def _name_of(table: str, path: Path) -> Name:
    if table.startswith("by_detail."):
        return ("detail", table.partition(".")[2], *path)
    part, _, what = table.partition("_")
    if part in _PARTS:
        return _name_in_set(part, what, path)
    naming = _NAMING.get(table)
    return naming(path) if naming is not None else ("part", int(path[0]), path[-1])


def _name_in_set(part: str, what: str, path: Path) -> Name:
    match what:
        case "children":
            return ("amount", part, path[0]) if path[1] == "total" else ("sex", part, *path)
        case "incidents":
            return ("amount", part, path[0])
        case "by_party":
            if path[0] == "_all":
                return ("total", part) if path[1] == "total" else ("amount", part, path[1])
            return ("line", part, *path)
        case _:
            return ("region", part, *path)


def _name_in_summary(path: Path) -> Name:
    part, inner = ("late", path[1:]) if path[0] == "late" else ("verified", path)
    match inner[0]:
        case "violations":
            return ("total", part)
        case "by_grave_violation":
            return _grave(part, inner[1])
        case _:
            return ("affected", part, inner[1])


def _name_of_grave_line(grave: str, line: str) -> Name:
    if line == "_all":
        return _grave("verified", grave)
    return ("line", "verified", line, _ONE_TYPE[grave]) if grave in _ONE_TYPE else ("grave line", grave, line)


def _name_in_context(path: Path) -> Name:
    return ("use" if path[0] == "military_use" else "liberty", path[1])


_NAMING: Final[dict[str, Callable[[Path], Name]]] = {
    "summary": _name_in_summary,
    "by_grave_violation_and_party": lambda path: _name_of_grave_line(*path),
    "ages": lambda path: ("age", *path),
    "context": _name_in_context,
}
