"""Which violations stand behind a number: its path through the answer, and each violation's share in it (C13)."""

import re
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
_PLACE: Final = re.compile("0|[1-9][0-9]{0,8}")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """A table's answer with everything behind it: `cells` per violation, `children` and `groups` one by one where it counts children."""

    table: Table
    material: Material
    cells: Sequence[tuple[str, Cell]] = ()
    children: Sequence[Affected] = ()
    groups: Sequence[AffectedGroups] = ()

    def contributors(self, path: Path) -> tuple[Any, list[Contribution]]:
        """Return the number at a path and the violations behind it, by their names; raises Refusal for a path that leads to none."""
        answer = self.table.render(self.material)
        listed = self.table.name in CHILD_LISTS or self.table.name == "exceptions"
        value = value_at(answer, path, lists=listed)
        if listed:
            return value, self._of_list(path)
        if counts_children(self.table, path):
            return value, self._through(path)
        return value, self._shares(path, answer)

    def _base(self) -> Material:
        return Material(parts=self.material.parts, late_inside=self.material.late_inside)

    def _shares(self, path: Path, answer: Answer) -> list[Contribution]:
        """Each violation's share in an amount: the same table rendered for its cell alone."""
        known: dict[Cell, int] = {}
        found = []
        for violation, cell in self.cells:
            if cell not in known:
                known[cell] = _share(self.table, path, answer, replace(self._base(), cells=[cell]))
            if known[cell]:
                found.append(Contribution(violation, known[cell]))
        return found

    def _through(self, path: Path) -> list[Contribution]:
        """Every violation through which a child of the number is counted (C9): as a record, in a group, or beyond both."""
        base, late_part = self._base(), path[0] == "late"
        violations: set[str] = set()

        def part(links: Iterable[tuple[str, bool]]) -> set[str]:
            return {violation for violation, late in links if (late if late_part else base.late_inside or not late)}

        for child in self.children:
            if _dig_number(self.table.render(replace(base, affected=[child])), path):
                violations |= part(child.violations)
        for group in self.groups:
            if _dig_number(self.table.render(replace(base, groups=[group])), path):
                violations |= part(group.violations)
        for violation, cell in self.cells:
            if cell.type in CHILD_TYPES and cell.beyond.total and _dig_number(self.table.render(replace(base, cells=[cell])), path):
                violations.add(violation)
        return [Contribution(violation, None) for violation in sorted(violations)]

    def _of_list(self, path: Path) -> list[Contribution]:
        """The violations of one entry of a list of children, groups or flaws; of children and groups they are no amounts."""
        index = int(path[0])
        if self.table.name == "children_multiple":
            violations: Sequence[str] = counting.ordered_children(self.material)[index].violations
        elif self.table.name == "groups_multiple":
            violations = counting.ordered_groups(self.material)[index].violations
        else:
            violations = [self.material.flaws[index].violation]
        return [Contribution(violation, None if self.table.name in CHILD_LISTS else 1) for violation in violations]


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
        elif isinstance(answer, list) and _PLACE.fullmatch(step) and int(step) < len(answer):
            answer = answer[int(step)]
        else:
            raise Refusal("unknown_cell", "cell")
    return answer
