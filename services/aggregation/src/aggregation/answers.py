"""Answers questions: reads what a table needs as of a moment and lets the domain render it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aggregation.domain import children
from aggregation.domain.children import Affected, MultipleChild
from aggregation.domain.contributors import CHILD_LISTS, Contribution, Path, counts_children, of_list, shares, through, value_at
from aggregation.domain.counting import Answer, Cell, Material
from aggregation.domain.incident import Standing
from aggregation.domain.questions import Question
from aggregation.domain.tables import GHN, TABLES, Need, Table
from aggregation.store import figures
from aggregation.store.figures import Scope
from aggregation.store.ledger import Moment
from chassis.storage import Tx


async def answer(tx: Tx, table: Table, question: Question, moment: Moment) -> Answer:
    """Return the answer of one table."""
    return table.render(await material_for(tx, table, question, moment))


async def answer_ghn(tx: Tx, question: Question, moment: Moment) -> dict[str, Answer]:
    """Return the fourteen tables of the Global Horizontal Note from one reading of each set."""
    scope = scope_of(question, moment)
    cells = {standing: await figures.list_cells(tx, scope, standing) for standing in Standing}
    linked = await _linked_children(tx, scope, frozenset({Need.MULTIPLE_CHILDREN}))
    shared = Material(
        late_inside=question.late_inside,
        multiple_children=[*await figures.list_multiple_children(tx, scope, linked=linked.names), *linked.multiple],
        multiple_groups=await figures.list_multiple_groups(tx, scope),
    )
    return {name: TABLES[name].render(replace(shared, cells=cells[TABLES[name].standing])) for name in GHN}


def scope_of(question: Question, moment: Moment) -> Scope:
    """Return which violations a question is about."""
    return Scope(moment=moment, window=question.window, late_rule=question.late_rule)


async def material_for(tx: Tx, table: Table, question: Question, moment: Moment) -> Material:
    """Read what one table is rendered from."""
    scope = scope_of(question, moment)
    parts = question.window.parts(question.by) if Need.PARTS in table.needs else []
    cells: Sequence[Cell] = ()
    if table.cells:
        field = question.field if table.asks_field else table.field
        cells = await figures.list_cells(tx, scope, table.standing, field=field, parts=parts)
    material = Material(cells=cells, parts=parts, late_inside=question.late_inside)
    if table.needs & {Need.AFFECTED, Need.MULTIPLE_CHILDREN}:
        linked = await _linked_children(tx, scope, table.needs)
        if Need.AFFECTED in table.needs:
            material = replace(
                material,
                affected=[*await figures.list_affected(tx, scope, linked=linked.names), *linked.affected],
                groups=await figures.list_affected_groups(tx, scope),
            )
        else:
            single = await figures.list_multiple_children(tx, scope, linked=linked.names)
            material = replace(material, multiple_children=[*single, *linked.multiple])
    if Need.MULTIPLE_GROUPS in table.needs:
        material = replace(material, multiple_groups=await figures.list_multiple_groups(tx, scope))
    if Need.FLAWS in table.needs:
        material = replace(material, flaws=await figures.list_flaws(tx, moment))
    return material


class _Linked:
    """The children with links: the names of all their records, and what the set makes of them."""

    def __init__(self, names: Sequence[str], found: Sequence[children.Child]) -> None:
        self.names = names
        self.affected: list[Affected] = [child for child in map(children.affected, found) if child is not None]
        self.multiple: list[MultipleChild] = [child for child in map(children.multiple, found) if child is not None]


async def _linked_children(tx: Tx, scope: Scope, needs: frozenset[Need]) -> _Linked:
    """Join linked records to children; they are few, the others never leave the database one by one."""
    edges = await figures.list_child_links(tx, scope.moment)
    names = sorted({name for edge in edges for name in edge})
    if not names or not needs:
        return _Linked(names, [])
    records = await figures.list_records(tx, scope.moment, names)
    suffered = await figures.list_suffered(tx, scope, children=names)
    return _Linked(names, children.children_of(suffered, edges=edges, records=records))


@dataclass(frozen=True, slots=True)
class Contributors:
    """A number and the violations behind it, by their names."""

    value: Any
    violations: list[Contribution]


async def answer_contributors(tx: Tx, table: Table, question: Question, moment: Moment, *, path: Path) -> Contributors:
    """Return the violations behind one number of a table (C13); raises Refusal for a path that leads to none."""
    material = await material_for(tx, table, question, moment)
    rendered = table.render(material)
    is_list = table.name in CHILD_LISTS or Need.FLAWS in table.needs
    value = value_at(rendered, path, lists=is_list)
    if is_list:
        return Contributors(value, of_list(table, path, material))
    scope = scope_of(question, moment)
    base = Material(parts=material.parts, late_inside=question.late_inside)
    field = question.field if table.asks_field else table.field
    cells = await figures.list_cells_by_violation(tx, scope, table.standing, field=field, parts=material.parts)
    if not counts_children(table, path):
        return Contributors(value, shares(table, path, rendered, cells, base))
    return Contributors(
        value,
        through(
            table,
            path,
            children=await _children_one_by_one(tx, scope),
            groups=await figures.list_groups_one_by_one(tx, scope),
            cells=cells if table.cells else [],
            base=base,
        ),
    )


async def _children_one_by_one(tx: Tx, scope: Scope) -> list[Affected]:
    edges = await figures.list_child_links(tx, scope.moment)
    records = await figures.list_records(tx, scope.moment, {name for edge in edges for name in edge})
    suffered = await figures.list_suffered(tx, scope, children=None)
    found = children.children_of(suffered, edges=edges, records=records)
    return [child for child in map(children.affected, found) if child is not None]
