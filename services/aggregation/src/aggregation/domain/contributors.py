"""Which violations stand behind a number: its path through the answer, and each violation's share in it (C13)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aggregation.domain import counting
from aggregation.domain.children import Affected, AffectedGroups
from aggregation.domain.counting import GRAVE_OF, Answer, Cell, Material
from aggregation.domain.questions import Refusal
from aggregation.domain.tables import Table
from contracts.vocabulary import CHILD_TYPES

Path = tuple[str, ...]
CHILD_LISTS: Final = frozenset({"children_multiple", "groups_multiple"})
PARTIES: Final = "by_grave_violation_and_parties"


@dataclass(frozen=True, slots=True)
class Contribution:
    """A violation behind a number. `amount` is its share where shares add up, None for numbers of children."""

    violation: str
    amount: int | None


def read_path(cell: str | None) -> Path:
    """Read the path of a cell; raises Refusal."""
    if not cell:
        raise Refusal("missing_parameter", "cell")
    return tuple(cell.split("/"))


def value_at(answer: Answer, path: Path, *, lists: bool = False) -> Any:  # noqa: ANN401 - whatever the answer holds there
    """Return the number a path leads to; raises Refusal. In a list of children or flaws (`lists`) an entry is one, too."""
    value = _dig(answer, path)
    if lists and len(path) == 1 and isinstance(value, dict):
        return value
    if not isinstance(value, int):
        raise Refusal("unknown_cell", "cell")
    return value


def counts_children(table: Table, path: Path) -> bool:
    """Tell whether a number is one of distinct children (C9); the others are amounts, whose shares add up."""
    return table.name == "ages" or (table.name == "summary" and "children" in path)


def shares(table: Table, path: Path, answer: Answer, cells: Iterable[tuple[str, Cell]], base: Material) -> list[Contribution]:
    """Return each violation's share in an amount: the same table rendered for its cell alone."""
    known: dict[Cell, int] = {}
    found = []
    for violation, cell in cells:
        if cell not in known:
            known[cell] = _share(table, path, answer, replace(base, cells=[cell]))
        if known[cell]:
            found.append(Contribution(violation, known[cell]))
    return found


def through(
    table: Table,
    path: Path,
    *,
    children: Sequence[Affected],
    groups: Sequence[AffectedGroups],
    cells: Iterable[tuple[str, Cell]],
    base: Material,
) -> list[Contribution]:
    """Return every violation through which a child of the number is counted (C9): as a record, in a group, or beyond both."""
    late_part = path[0] == "late"
    violations: set[str] = set()

    def part(links: Iterable[tuple[str, bool]]) -> set[str]:
        return {violation for violation, late in links if (late if late_part else base.late_inside or not late)}

    for child in children:
        if _dig_number(table.render(replace(base, affected=[child])), path):
            violations |= part(child.violations)
    for group in groups:
        if _dig_number(table.render(replace(base, groups=[group])), path):
            violations |= part(group.violations)
    for violation, cell in cells:
        if cell.type in CHILD_TYPES and cell.beyond.total and _dig_number(table.render(replace(base, cells=[cell])), path):
            violations.add(violation)
    return [Contribution(violation, None) for violation in sorted(violations)]


def of_list(table: Table, path: Path, material: Material) -> list[Contribution]:
    """Return the violations of one entry of a list of children, groups or flaws."""
    index = int(path[0])
    if table.name == "children_multiple":
        violations: Sequence[str] = counting.ordered_children(material)[index].violations
    elif table.name == "groups_multiple":
        violations = counting.ordered_groups(material)[index].violations
    else:
        violations = [material.flaws[index].violation]
    return [Contribution(violation, 1) for violation in violations]


def _share(table: Table, path: Path, answer: Answer, material: Material) -> int:
    if table.name == PARTIES:
        lines = answer[path[0]][int(path[1])]["lines"]
        return sum(cell.amount for cell in material.main() if GRAVE_OF[cell.type] == path[0] and list(cell.lines) == lines)
    return _dig_number(table.render(material), path)


def _dig_number(answer: Answer, path: Path) -> int:
    try:
        value = _dig(answer, path)
    except Refusal:
        return 0
    return value if isinstance(value, int) else 0


def _dig(answer: Answer, path: Path) -> Any:  # noqa: ANN401
    for step in path:
        if isinstance(answer, dict) and step in answer:
            answer = answer[step]
        elif isinstance(answer, list) and step.isascii() and step.isdigit() and str(int(step)) == step and int(step) < len(answer):
            answer = answer[int(step)]
        else:
            raise Refusal("unknown_cell", "cell")
    return answer
