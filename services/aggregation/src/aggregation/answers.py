"""Answers questions: reads what a table needs as of a moment and lets the domain render it."""

from collections.abc import Sequence
from dataclasses import replace

from aggregation.domain import children
from aggregation.domain.children import Affected, MultipleChild
from aggregation.domain.contributors import Drill
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
    """Join the linked records of the set to children; they are few, the others never leave the database one by one."""
    if not needs:
        return _Linked([], [])
    edges = await figures.list_child_links_of_set(tx, scope)
    names = sorted({name for edge in edges for name in edge})
    if not names:
        return _Linked(names, [])
    records = await figures.list_records(tx, scope.moment, names)
    suffered = await figures.list_suffered(tx, scope, children=names)
    return _Linked(names, children.children_of(suffered, edges=edges, records=records))


async def drill(tx: Tx, table: Table, question: Question, moment: Moment) -> Drill:
    """Read a table with everything behind its numbers (C13)."""
    material = await material_for(tx, table, question, moment)
    scope = scope_of(question, moment)
    field = question.field if table.asks_field else table.field
    counts_children = Need.AFFECTED in table.needs
    return Drill(
        table=table,
        material=material,
        cells=await figures.list_cells_by_violation(tx, scope, table.standing, field=field, parts=material.parts) if table.cells else [],
        children=await _children_one_by_one(tx, scope) if counts_children else [],
        groups=await figures.list_groups_one_by_one(tx, scope) if counts_children else [],
    )


async def _children_one_by_one(tx: Tx, scope: Scope) -> list[Affected]:
    edges = await figures.list_child_links(tx, scope.moment)
    records = await figures.list_records(tx, scope.moment, {name for edge in edges for name in edge})
    suffered = await figures.list_suffered(tx, scope, children=None)
    found = children.children_of(suffered, edges=edges, records=records)
    return [child for child in map(children.affected, found) if child is not None]
