"""The sums that must hold inside and between the tables of a snapshot; with a contradiction nothing is signed.

Lines by party are no sum (C8): a violation of several parties stands under each. They are only bounded: no line above `_all`, all lines
together not below it. Children affected (C9) are bounded by the child violations.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from contracts.bundle.shapes import DETAIL, base_of, misshapen
from contracts.vocabulary import CHILD_TYPES, GRAVE_VIOLATIONS, INCIDENT_TYPES

MEMO_LINES: Final = frozenset({"_joint", "_crossfire"})
_CHILD: Final = tuple(sorted(kind.value for kind in CHILD_TYPES))
_INCIDENT: Final = tuple(sorted(kind.value for kind in INCIDENT_TYPES))
_PARTS: Final = (("verified", ""), ("late", "late/"))

Tables = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A figure that does not add up: the table, the cell by its path, and the rule it breaks."""

    table: str
    cell: str
    message: str

    def __str__(self) -> str:
        return f"{self.table}: {self.cell}: {self.message}"


def contradictions(tables: Tables, *, params: Mapping[str, str]) -> list[Contradiction]:
    """Return every figure that does not add up, empty if all do. `params` are those with which the tables were computed."""
    wrong = misshapen(dict(tables))
    found = [Contradiction(name, "", "The table does not have its form, or holds a number that is not a whole count.") for name in wrong]
    sound = {name: data for name, data in tables.items() if name not in wrong}
    for check in _CHECKS:
        found.extend(check(sound, params))
    return found


def _children(tables: Tables, _: Mapping[str, str]) -> Iterator[Contradiction]:
    for part in ("verified", "late", "unverified"):
        name = f"{part}_children"
        for kind, row in tables.get(name, {}).items():
            yield from _sexes(name, kind, row)


def _sexes(table: str, cell: str, row: Mapping[str, int]) -> Iterator[Contradiction]:
    if row["boys"] + row["girls"] + row["unknown"] != row["total"]:
        yield Contradiction(table, f"{cell}/total", "Boys, girls and sex unknown do not add up to the total.")


def _lines(tables: Tables, _: Mapping[str, str]) -> Iterator[Contradiction]:
    for part in ("verified", "late", "unverified"):
        for by in ("party", "region"):
            name = f"{part}_by_{by}"
            for line, row in tables.get(name, {}).items():
                if sum(amount for kind, amount in row.items() if kind != "total") != row.get("total", 0):
                    yield Contradiction(name, f"{line}/total", "The types of the line do not add up to its total.")


def _amounts(tables: Tables, part: str) -> dict[str, int] | None:
    """The amount of each type in one set, None if a table that says so is missing."""
    children, incidents = tables.get(f"{part}_children"), tables.get(f"{part}_incidents")
    if children is None or incidents is None:
        return None
    return {kind: children.get(kind, {}).get("total", 0) for kind in _CHILD} | {kind: incidents.get(kind, 0) for kind in _INCIDENT}


def _regions_and_parties(tables: Tables, _: Mapping[str, str]) -> Iterator[Contradiction]:
    for part in ("verified", "late", "unverified"):
        amounts = _amounts(tables, part)
        regions = tables.get(f"{part}_by_region")
        parties = tables.get(f"{part}_by_party")
        every = parties.get("_all", {}) if parties is not None else {}
        for kind in (*_CHILD, *_INCIDENT):
            if amounts is not None and regions is not None and sum(row.get(kind, 0) for row in regions.values()) != amounts[kind]:
                yield Contradiction(f"{part}_by_region", kind, "The regions do not add up to the figure of the type.")
            if amounts is not None and parties is not None and every.get(kind, 0) != amounts[kind]:
                yield Contradiction(f"{part}_by_party", f"_all/{kind}", "The line of all violations is not the figure of the type.")
        for kind in (*_CHILD, *_INCIDENT, "total") if parties is not None else ():
            yield from _bounded(f"{part}_by_party", kind, {line: row.get(kind, 0) for line, row in (parties or {}).items()})


def _bounded(table: str, column: str, lines: Mapping[str, int]) -> Iterator[Contradiction]:
    every = lines.get("_all", 0)
    named = {line: amount for line, amount in lines.items() if line != "_all"}
    for line, amount in named.items():
        if amount > every:
            yield Contradiction(table, f"{line}/{column}", "The line is larger than that of all violations.")
    if sum(amount for line, amount in named.items() if line not in MEMO_LINES) < every:
        yield Contradiction(table, f"_all/{column}", "The lines together are smaller than that of all violations.")


def _summary(tables: Tables, _: Mapping[str, str]) -> Iterator[Contradiction]:
    for name in ("summary", "summary_previous"):
        summary = tables.get(name)
        for prefix, part in (("", summary), ("late/", summary["late"])) if summary is not None else ():
            yield from _summary_part(name, prefix, part)


def _summary_part(name: str, prefix: str, part: Mapping[str, Any]) -> Iterator[Contradiction]:
    six = part["by_grave_violation"]
    if sum(six.values()) != part["violations"]:
        yield Contradiction(name, f"{prefix}violations", "The six grave violations do not add up to the violations.")
    yield from _sexes(name, f"{prefix}children", part["children"])
    of_children = sum(amount for code, amount in six.items() if set(GRAVE_VIOLATIONS[code]) <= CHILD_TYPES)
    if part["children"]["total"] > of_children:
        yield Contradiction(name, f"{prefix}children/total", "More children are affected than violations count children.")


def _details(tables: Tables, params: Mapping[str, str]) -> Iterator[Contradiction]:
    """Compare each `by_detail` with the tables by type: a violation stands under each of its codes, or under `_none`."""
    amounts = _amounts(tables, "verified") if _is_one_set(params) else None
    for name, data in tables.items():
        if base_of(name) != DETAIL or amounts is None:
            continue
        for kind, amount in amounts.items():
            codes = data.get(kind, {})
            if sum(codes.values()) < amount or any(value > amount for value in codes.values()):
                yield Contradiction(name, kind, "The codes cannot make up the figure of the type.")


def _is_one_set(params: Mapping[str, str]) -> bool:
    return "late_rule" in params or params.get("late") == "inside"


def _summary_and_types(tables: Tables, params: Mapping[str, str]) -> Iterator[Contradiction]:
    """Compare `summary` with the tables by type: one set only if one late rule was set for all (GHN tables have their own default)."""
    summary = tables.get("summary")
    if summary is None or not _is_one_set(params):
        return
    for part, prefix in _PARTS if "late_rule" in params else _PARTS[:1]:
        amounts = _amounts(tables, part)
        if amounts is None:
            continue
        six = (summary["late"] if prefix else summary)["by_grave_violation"]
        for code, kinds in GRAVE_VIOLATIONS.items():
            if six[code] != sum(amounts[kind] for kind in kinds):
                yield Contradiction(
                    "summary", f"{prefix}by_grave_violation/{code}", "It is not the sum of its types in the tables by type."
                )


def _grave_by_party(tables: Tables, _: Mapping[str, str]) -> Iterator[Contradiction]:
    name = "by_grave_violation_and_party"
    table, summary = tables.get(name), tables.get("summary")
    if table is None:
        return
    for code in GRAVE_VIOLATIONS:
        lines = table.get(code, {})
        if summary is not None and lines.get("_all", 0) != summary["by_grave_violation"][code]:
            yield Contradiction(name, f"{code}/_all", "The line of all violations is not the figure of the summary.")
        yield from _bounded(name, code, lines)


def _grave_by_parties(tables: Tables, _: Mapping[str, str]) -> Iterator[Contradiction]:
    name = "by_grave_violation_and_parties"
    table, summary = tables.get(name), tables.get("summary")
    if table is None or summary is None:
        return
    for code in GRAVE_VIOLATIONS:
        if sum(entry["n"] for entry in table.get(code, [])) != summary["by_grave_violation"][code]:
            yield Contradiction(name, code, "The sets of parties do not add up to the figure of the summary.")


def _context(tables: Tables, _: Mapping[str, str]) -> Iterator[Contradiction]:
    context = tables.get("context")
    if context is None:
        return
    use = context["military_use"]
    codes = [amount for code, amount in use.items() if code != "total"]
    total = use.get("total", 0)
    if sum(codes) < total or any(amount > total for amount in codes):
        yield Contradiction("context", "military_use/total", "The codes cannot make up the total.")
    yield from _sexes("context", "deprivation_liberty", context["deprivation_liberty"])


def _trend(tables: Tables, params: Mapping[str, str]) -> Iterator[Contradiction]:
    parts, summary = tables.get("trend"), tables.get("summary")
    if parts is None:
        return
    for index, part in enumerate(parts):
        if sum(part["by_grave_violation"].values()) != part["violations"]:
            yield Contradiction("trend", f"{index}/violations", "The six grave violations do not add up to the violations.")
    if any(before["to"] != after["from"] for before, after in pairwise(parts)):
        yield Contradiction("trend", "", "The parts do not follow one another.")
    if summary is None:
        return
    for code in GRAVE_VIOLATIONS:
        late = 0 if params.get("late") == "inside" else summary["late"]["by_grave_violation"][code]
        if sum(part["by_grave_violation"][code] for part in parts) != summary["by_grave_violation"][code] + late:
            yield Contradiction("trend", code, "The parts do not add up to the summary with the late part.")


def _ages(tables: Tables, _: Mapping[str, str]) -> Iterator[Contradiction]:
    ages, summary = tables.get("ages"), tables.get("summary")
    if ages is not None and summary is not None and sum(ages.values()) > summary["children"]["total"]:
        yield Contradiction("ages", "", "The age bands hold more children than are affected.")


_CHECKS: Final = (
    _children,
    _lines,
    _regions_and_parties,
    _summary,
    _summary_and_types,
    _details,
    _grave_by_party,
    _grave_by_parties,
    _context,
    _trend,
    _ages,
)
