"""The form of each table that a snapshot may hold (`{type: {boys, girls, …}}` and so on); what is not named here is carried as it is."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from contracts.envelope import canonical_json
from contracts.model import Day, Wire

Number = Annotated[int, Field(ge=0, le=2**53 - 1)]
ChildType = Literal["killing", "maiming", "recruitment", "sexual_violence", "abduction"]
IncidentType = Literal["attack_on_schools", "attack_on_hospitals", "denial_humanitarian_access"]
Column = Literal[ChildType, IncidentType, "total"]
GraveViolation = Literal[
    "recruitment_and_use",
    "killing_and_maiming",
    "sexual_violence",
    "attacks_on_schools_and_hospitals",
    "abduction",
    "denial_of_humanitarian_access",
]
Sexes = Literal["boys", "girls", "unknown", "total"]


class Children(Wire):
    """Children by recorded sex."""

    boys: Number
    girls: Number
    unknown: Number
    total: Number


class SixViolations(Wire):
    """An amount for each of the six grave violations, zeros too."""

    recruitment_and_use: Number
    killing_and_maiming: Number
    sexual_violence: Number
    attacks_on_schools_and_hospitals: Number
    abduction: Number
    denial_of_humanitarian_access: Number


class SummaryPart(Wire):
    """Violations and distinct children of one set."""

    violations: Number
    by_grave_violation: SixViolations
    children: Children


class Summary(SummaryPart):
    """The main set, with the late part under `late`."""

    late: SummaryPart


class TrendPart(Wire):
    """One calendar part of the window."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Day = Field(alias="from")
    to: Day
    violations: Number
    by_grave_violation: SixViolations


class PartySet(Wire):
    """The violations of exactly this set of lines; the sets of one grave violation add up (C8)."""

    lines: list[str]
    n: Number


class Context(Wire):
    """What is recorded beside the six and never enters a total (C7)."""

    military_use: dict[str, Number]
    deprivation_liberty: Children


class MultipleChild(Wire):
    """A child with two or more violations (C10)."""

    sex: Literal["male", "female", "unknown"]
    age: Number | None
    violations: list[Column]


class MultipleGroup(Wire):
    """A group of children with two or more violations (C10)."""

    boys: Number
    girls: Number
    unknown: Number
    violations: list[Column]


class ExceptionLine(Wire):
    """A verified violation that lacks a required field (C11)."""

    violation: str
    missing: list[str]


_CHILDREN: Final = TypeAdapter[Any](dict[ChildType, Children])
_INCIDENTS: Final = TypeAdapter[Any](dict[IncidentType, Number])
_LINES: Final = TypeAdapter[Any](dict[str, dict[Column, Number]])

DETAIL: Final = "by_detail"
SHAPES: Final[dict[str, TypeAdapter[Any]]] = {
    **{f"{part}_children": _CHILDREN for part in ("verified", "late", "unverified")},
    **{f"{part}_incidents": _INCIDENTS for part in ("verified", "late", "unverified")},
    **{f"{part}_by_{by}": _LINES for part in ("verified", "late", "unverified") for by in ("party", "region")},
    "summary": TypeAdapter(Summary),
    "summary_previous": TypeAdapter(Summary),
    "by_grave_violation_and_party": TypeAdapter(dict[GraveViolation, dict[str, Number]]),
    "by_grave_violation_and_parties": TypeAdapter(dict[GraveViolation, list[PartySet]]),
    "context": TypeAdapter(Context),
    "trend": TypeAdapter(list[TrendPart]),
    "ages": TypeAdapter(dict[str, Number]),
    "by_detail": TypeAdapter(dict[str, dict[str, Number]]),
    "children_multiple": TypeAdapter(list[MultipleChild]),
    "groups_multiple": TypeAdapter(list[MultipleGroup]),
    "exceptions": TypeAdapter(list[ExceptionLine]),
}
"""The tables whose form is fixed, by name."""


def base_of(name: str) -> str:
    """Return the table that a name asks: `by_detail.weapon_type` is `by_detail` of one field."""
    return DETAIL if name.startswith(f"{DETAIL}.") else name


def misshapen(tables: dict[str, Any]) -> list[str]:
    """Return the names of the tables that do not have their form, or that hold a number that is no whole count."""
    found = []
    for name, data in tables.items():
        adapter = SHAPES.get(base_of(name))
        if not _whole_numbers(data, depth=0):
            found.append(name)
            continue
        try:
            if adapter is not None:
                adapter.validate_json(canonical_json(data), strict=True)
        except ValidationError:
            found.append(name)
    return found


_MAX_DEPTH: Final = 12


def _whole_numbers(data: object, *, depth: int) -> bool:
    if depth > _MAX_DEPTH:
        return False
    if isinstance(data, dict):
        return all(isinstance(key, str) and _whole_numbers(value, depth=depth + 1) for key, value in data.items())
    if isinstance(data, list):
        return all(_whole_numbers(value, depth=depth + 1) for value in data)
    if isinstance(data, bool) or data is None or isinstance(data, str):
        return True
    return isinstance(data, int) and 0 <= data < 2**53
