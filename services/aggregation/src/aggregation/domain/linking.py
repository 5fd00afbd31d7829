"""Which tables are shared together, and which of their numbers are the same number (C14)."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from contracts.vocabulary import CHILD_TYPES, COUNTED_TYPES, GRAVE_VIOLATIONS, ViolationType

Path = tuple[str, ...]
Number = tuple[str | int, ...]
"""The name of a number within the tables of one window."""
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
PREVIOUS: Final = "summary_previous"
"""The summary of the window before, shared with the tables of a window so that the two can be compared."""
BEFORE: Final = "before"
"""The names of the numbers in it begin with this."""
SEXES: Final = ("boys", "girls", "unknown")
KINDS: Final = [kind.value for kind in ViolationType if kind in COUNTED_TYPES]
CHILD_KINDS: Final = [kind.value for kind in ViolationType if kind in CHILD_TYPES]
_GRAVE_OF: Final = {kind.value: grave for grave, kinds in GRAVE_VIOLATIONS.items() for kind in kinds}
ONE_TYPE: Final = {grave: kinds[0].value for grave, kinds in GRAVE_VIOLATIONS.items() if len(kinds) == 1}
PARTS: Final = ("verified", "late", "unverified")


class LinkedTables:
    """The numbers of the tables that are shared together, as of one moment, each once, with every place where it stands."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self.places: dict[tuple[str, Path], Number] = {}
        """Which number stands at a path of a table."""
        self.values: dict[Number, int] = {}
        for table in tables:
            for path, value in numbers_in(tables[table]):
                name = _name_of(table, path)
                self.places[table, path] = name
                self.values[name] = value

    def shared(self, table: str, answer: Any, left_out: Collection[Number]) -> Any:  # noqa: ANN401 - whatever an answer holds
        """Return a table's answer with null for every number left out."""
        return self._without(table, answer, (), left_out)

    def _without(self, table: str, answer: Any, path: Path, left_out: Collection[Number]) -> Any:  # noqa: ANN401
        if isinstance(answer, dict):
            return {key: self._without(table, value, (*path, key), left_out) for key, value in answer.items()}
        if isinstance(answer, list):
            return [self._without(table, value, (*path, str(index)), left_out) for index, value in enumerate(answer)]
        return None if self.places.get((table, path)) in left_out else answer


def numbers_in(answer: Any, path: Path = ()) -> Iterator[tuple[Path, int]]:  # noqa: ANN401 - whatever an answer holds
    """Yield every number of an answer with its path."""
    if isinstance(answer, int):
        yield path, answer
    else:
        entries = answer.items() if isinstance(answer, dict) else enumerate(answer) if isinstance(answer, list) else ()
        for key, value in entries:
            yield from numbers_in(value, (*path, str(key)))


def grave_name(part: str, grave: str) -> Number:
    """Return the name of the number of a grave violation, which is that of its type if it has only one."""
    return ("amount", part, ONE_TYPE[grave]) if grave in ONE_TYPE else ("grave", part, grave)


def _name_of(table: str, path: Path) -> Number:
    if table == PREVIOUS:
        return (BEFORE, *_name_in_summary(path))
    if table.startswith("by_detail."):
        return ("detail", table.partition(".")[2], *path)
    part, _, what = table.partition("_")
    if part in PARTS:
        return _name_in_set(part, what, path)
    naming = _NAMING.get(table)
    return naming(path) if naming is not None else ("part", int(path[0]), path[-1])


def _name_in_set(part: str, what: str, path: Path) -> Number:
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


def _name_in_summary(path: Path) -> Number:
    part, inner = ("late", path[1:]) if path[0] == "late" else ("verified", path)
    match inner[0]:
        case "violations":
            return ("total", part)
        case "by_grave_violation":
            return grave_name(part, inner[1])
        case _:
            return ("affected", part, inner[1])


def _name_of_grave_line(grave: str, line: str) -> Number:
    if line == "_all":
        return grave_name("verified", grave)
    return ("line", "verified", line, ONE_TYPE[grave]) if grave in ONE_TYPE else ("grave line", grave, line)


def _name_in_context(path: Path) -> Number:
    return ("use" if path[0] == "military_use" else "liberty", path[1])


_NAMING: Final[dict[str, Callable[[Path], Number]]] = {
    "summary": _name_in_summary,
    "by_grave_violation_and_party": lambda path: _name_of_grave_line(*path),
    "ages": lambda path: ("age", *path),
    "context": _name_in_context,
}
