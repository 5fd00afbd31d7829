"""The tables as data: what each is rendered from, which rules it rests on, its default late rule. A new table is a new entry."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aggregation.domain import counting
from aggregation.domain.counting import Material, Render
from aggregation.domain.incident import Standing
from aggregation.domain.periods import LateRule

RULES_VERSION: Final = "counts/1"
"""Names the reading of the rules; a change of any figure's meaning changes it."""


class Need(StrEnum):
    """What has to be read for a table besides its cells."""

    AFFECTED = "affected"
    MULTIPLE_CHILDREN = "multiple_children"
    MULTIPLE_GROUPS = "multiple_groups"
    FLAWS = "flaws"
    PARTS = "parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. `field` is the detail field its cells carry; `asked` means that the question names it."""

    name: str
    title: str
    standing: Standing
    render: Render
    late_rule: LateRule
    rules: tuple[str, ...]
    needs: frozenset[Need] = frozenset()
    cells: bool = True
    """Whether its numbers come from cells (amounts); the others are of children, groups or flaws alone."""
    field: str | None = None
    asks_field: bool = False
    paged: bool = False


_ALWAYS: Final = ("C1", "C12", "C13")
_WINDOWED: Final = (*_ALWAYS, "C2", "C3")
_LATE: Final = (*_WINDOWED, "C5", "C6")
_PARTS: Final = {
    "verified": (Standing.VERIFIED, Material.main, _LATE),
    "late": (Standing.VERIFIED, Material.late, _LATE),
    "unverified": (Standing.UNVERIFIED, Material.counted, _WINDOWED),
}
_WORDS: Final = {
    "verified": "Verified violations",
    "late": "Verified violations that are late",
    "unverified": "Reports pending verification or not verified",
}
_SHAPES: Final = (
    ("children", "children by type and sex", counting.children_by_type, ("C4", "C7")),
    ("incidents", "incidents by type", counting.incidents_by_type, ("C4", "C7")),
    ("by_party", "amounts by party and type", counting.by_party, ("C4", "C7", "C8")),
    ("by_region", "amounts by region and type", counting.by_region, ("C4", "C7")),
)


def _rules(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({rule for group in groups for rule in group}, key=lambda rule: int(rule[1:])))


def _main(name: str, title: str, render: Render, *rules: str, base: tuple[str, ...] = _LATE, **more: object) -> Table:
    return Table(
        name=name,
        title=title,
        standing=Standing.VERIFIED,
        render=render,
        late_rule=LateRule.WINDOW,
        rules=_rules(base, rules),
        **more,  # type: ignore[arg-type]
    )


_GHN_TWELVE = tuple(
    Table(
        name=f"{part}_{shape}",
        title=f"{_WORDS[part]}: {title}",
        standing=standing,
        render=make(choose),
        late_rule=LateRule.QUARTER,
        rules=_rules(base, rules),
    )
    for shape, title, make, rules in _SHAPES
    for part, (standing, choose, base) in _PARTS.items()
)
_MULTIPLE = (
    Table(
        name="children_multiple",
        title="Children with two or more verified violations",
        standing=Standing.VERIFIED,
        render=counting.children_multiple,
        late_rule=LateRule.QUARTER,
        rules=_rules(_WINDOWED, ("C7", "C9", "C10")),
        needs=frozenset({Need.MULTIPLE_CHILDREN}),
        cells=False,
    ),
    Table(
        name="groups_multiple",
        title="Groups with two or more verified violations",
        standing=Standing.VERIFIED,
        render=counting.groups_multiple,
        late_rule=LateRule.QUARTER,
        rules=_rules(_WINDOWED, ("C7", "C9", "C10")),
        needs=frozenset({Need.MULTIPLE_GROUPS}),
        cells=False,
    ),
)
GHN: Final = tuple(table.name for table in (*_GHN_TWELVE, *_MULTIPLE))
"""The fourteen tables of the Global Horizontal Note."""
TABLES: Final[dict[str, Table]] = {
    table.name: table
    for table in (
        *_GHN_TWELVE,
        *_MULTIPLE,
        _main("summary", "Head figures", counting.summary, "C4", "C7", "C9", needs=frozenset({Need.AFFECTED})),
        _main(
            "by_grave_violation_and_party", "Amounts by grave violation and party", counting.by_grave_violation_and_party, "C4", "C7", "C8"
        ),
        _main(
            "by_grave_violation_and_parties",
            "Amounts by grave violation and exact set of parties",
            counting.by_grave_violation_and_parties,
            "C4",
            "C7",
            "C8",
        ),
        _main("by_detail", "Amounts by type and code of a detail", counting.by_detail, "C4", "C7", asks_field=True),
        _main("ages", "Distinct children by age band", counting.ages, "C7", "C9", needs=frozenset({Need.AFFECTED}), cells=False),
        _main(
            "context",
            "Military use and deprivation of liberty",
            counting.context,
            "C4",
            "C7",
            base=_WINDOWED,
            field="military_use_type",
        ),
        _main("trend", "Head figures by calendar part", counting.trend, "C4", "C7", base=_WINDOWED, needs=frozenset({Need.PARTS})),
        _main(
            "exceptions",
            "Verified violations that lack something",
            counting.exceptions,
            "C11",
            base=_ALWAYS,
            needs=frozenset({Need.FLAWS}),
            cells=False,
            paged=True,
        ),
    )
}
"""Every table by its name."""


def rules_of(names: Iterable[str], *, shared: bool) -> list[str]:
    """Return the rules that these tables rest on together; in shared form small numbers are left out as well (C14)."""
    return list(_rules(*(TABLES[name].rules for name in names), ("C14",) if shared else ()))
