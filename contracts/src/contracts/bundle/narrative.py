"""Placeholders of the narrative, `{{summary.violations}}`: filled from the snapshot's tables and from nothing else."""

import re
from dataclasses import dataclass
from typing import Any, Final

from contracts.bundle.manifest import Figures, NarrativeSource
from contracts.vocabulary import CHILD_TYPES, INCIDENT_TYPES

_PLACEHOLDER: Final = re.compile(r"\{\{([^{}\n]{1,400})\}\}")
_SEXES: Final = frozenset({"boys", "girls", "unknown", "total"})


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a text something is: line and character, both from 1."""

    line: int
    character: int


class UnknownPlaceholderError(ValueError):
    """Placeholders of a text that name no figure of the snapshot, or braces that are no placeholder."""

    def __init__(self, positions: list[Position]) -> None:
        super().__init__("a placeholder names no figure")
        self.positions = positions


def fill(text: str, tables: dict[str, Any]) -> str:
    """Return the text with every placeholder replaced by its figure, thousands set apart; raises UnknownPlaceholderError.

    A placeholder is a table and the path of a cell, joined by dots (or by `/` where a code holds a dot); ` + ` adds cells.
    """
    filled: list[str] = []
    unknown: list[Position] = []
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        unknown.extend(_stray_braces(text, end, match.start()))
        amount = evaluate(match.group(1), tables)
        if amount is None:
            unknown.append(_position(text, match.start()))
        filled += [text[end : match.start()], f"{amount or 0:,}"]
        end = match.end()
    unknown.extend(_stray_braces(text, end, len(text)))
    if unknown:
        raise UnknownPlaceholderError(unknown)
    return "".join([*filled, text[end:]])


def evaluate(expression: str, tables: dict[str, Any]) -> int | None:
    """Return the sum of the cells that an expression names, None if one of them is no figure of the tables."""
    amounts = [_cell(term.strip(), tables) for term in expression.split(" + ")]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)


def placeholder(*paths: tuple[str, ...]) -> str:
    """Write the placeholder of a cell, or of the sum of several; `ValueError` for a code that no placeholder can hold."""
    terms = []
    for path in paths:
        joined = ("/" if any("." in step for step in path) else ".").join(path)
        if re.search(r"[{}\n]| \+ |^\s|\s$", joined) or ("/" not in joined and len(path) == 1):
            raise ValueError("this code cannot be written in a placeholder")
        terms.append(joined)
    return "{{" + " + ".join(terms) + "}}"


def markdown(figures: Figures, narrative: NarrativeSource) -> bytes:
    """Return `narrative.md`: the narrative with its figures; raises UnknownPlaceholderError."""
    parts = [f"# {figures.situation.name}: {figures.window.from_.isoformat()} to {figures.window.to.isoformat()} (exclusive)\n"]
    parts += [f"## {section.section}\n\n{fill(section.text, figures.tables)}\n" for section in narrative.sections]
    return "\n".join(parts).encode()


def _cell(term: str, tables: dict[str, Any]) -> int | None:
    path = term.split("/" if "/" in term else ".")
    table, steps = path[0], path[1:]
    if table not in tables and steps:  # the name of a table may hold a dot itself
        table, steps = f"{table}.{steps[0]}", steps[1:]
    if table not in tables or not steps:
        return None
    node = tables[table]
    for step in steps:
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list) and step.isascii() and step.isdigit() and len(step) < len("10000") and int(step) < len(node):
            node = node[int(step)]
        else:
            return 0 if _unwritten_zero(table, steps) else None
    return node if isinstance(node, int) and not isinstance(node, bool) else None


def _unwritten_zero(table: str, steps: list[str]) -> bool:
    """Tell whether this is a cell that exists and is left out because it is zero."""
    match steps:
        case [kind, column]:
            return table.endswith("_children") and kind in CHILD_TYPES and column in _SEXES
        case [kind]:
            return table.endswith("_incidents") and kind in INCIDENT_TYPES
    return False


def _stray_braces(text: str, start: int, end: int) -> list[Position]:
    return [_position(text, start + found.start()) for found in re.finditer(r"\{\{|\}\}", text[start:end])]


def _position(text: str, offset: int) -> Position:
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)
