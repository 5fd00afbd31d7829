"""Where each published figure stands in aggregation's answers (the page from published figures to tables), and the comparison. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from mrm.demo.figures import GRAVE, NO_ACTOR, SEXES, UNIDENTIFIED, Figures, Path_, line_of, name_of
from mrm.demo.incidents import Load
from mrm.demo.solver import TYPES

TABLES: Final = (
    "summary",
    "verified_children",
    "verified_incidents",
    "by_grave_violation_and_party",
    "verified_by_party",
    "verified_by_region",
    "context",
)
_PART_TYPES: Final = {
    "killed": "killing",
    "maimed": "maiming",
    "schools": "attack_on_schools",
    "hospitals": "attack_on_hospitals",
}
Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure as published and as the running system counted it."""

    name: str
    published: int
    counted: int

    @property
    def difference(self) -> int:
        """How much was counted beyond what was published."""
        return self.counted - self.published


def parameters(figures: Figures) -> dict[str, str]:
    """Return the parameters of every query: the window half-open, late by the window rule and beside (C3, C6)."""
    return {
        "from": figures.start.isoformat(),
        "to": (figures.end + timedelta(days=1)).isoformat(),
        "late_rule": "window",
        "late": "beside",
    }


def tables_needed(figures: Figures) -> list[str]:
    """Return the tables that hold the given figures."""
    needed = {_place_of(path, None)[0] for path in figures.values}
    return [table for table in TABLES if table in needed]


def compare(figures: Figures, load: Load, answers: Answers) -> list[Compared]:
    """Set every given figure against the answers; a number that is not written counts as 0."""
    return [Compared(name=name_of(path), published=value, counted=_counted(path, load, answers)) for path, value in figures.values.items()]


def _counted(path: Path_, load: Load, answers: Answers) -> int:
    table, cells = _place_of(path, load)
    return sum(_at(answers[table], cell) for cell in cells)


def _at(answer: object, steps: Iterable[str]) -> int:
    for step in steps:
        answer = answer.get(step, 0) if isinstance(answer, Mapping) else 0
    return answer if isinstance(answer, int) else 0


def _place_of(path: Path_, load: Load | None) -> tuple[str, list[Path_]]:  # noqa: C901, PLR0911 - the table of correspondences
    """Return the table of a figure and the cells that add up to it; without a load party and place names stand for themselves."""
    match path:
        case ("total",):
            return "summary", [("violations",)]
        case ("late_extra",):
            return "summary", [("late", "violations")]
        case ("children",):
            return "summary", [("children", "total")]
        case (sex,):
            return "summary", [("children", sex)]
        case ("by_party", name):
            return "verified_by_party", [(_line(name, load), "total")]
        case ("by_province", name):
            return "verified_by_region", [(load.place_codes[name] if load else name, "total")]
        case ("military_use", _):
            return "context", [("military_use", "military_use_of_school")]
        case (grave, "by", name):
            return "by_grave_violation_and_party", [(GRAVE[grave], _line(name, load))]
        case (grave, "n"):
            return "summary", [("by_grave_violation", GRAVE[grave])]
        case (grave, sex) if sex in SEXES:
            return "verified_children", [(kind.value, sex) for kind in TYPES[grave]]
        case ("KM", part):
            return "verified_children", [(_PART_TYPES[part], "total")]
        case (_, part):
            return "verified_incidents", [(_PART_TYPES[part],)]
    raise KeyError(name_of(path))


def _line(name: str, load: Load | None) -> str:
    line = line_of(name)
    return line if load is None or line in (UNIDENTIFIED, NO_ACTOR) else load.party_codes[line]
