"""Compares two moments of a window (C12): reads what the postings between them changed and who made the change."""

from collections.abc import Iterable

from aggregation.domain import changes
from aggregation.domain.changes import Change
from aggregation.domain.children import components
from aggregation.store import figures, history
from aggregation.store.figures import Scope
from chassis.storage import Tx


async def compare(tx: Tx, scope: Scope, *, since: int) -> list[Change]:
    """Return every violation of the window's figures whose place, or whose children, differ between two positions."""
    places = await history.list_places(tx, scope, since=since)
    posted = await history.list_posted(tx, scope, since=since)
    touched = await history.list_member_changes(tx, scope, since=since)
    for violation, positions in (await _through_children(tx, scope, since=since)).items():
        posted.setdefault(violation, set()).update(positions)
        touched.add(violation)
    standing = await history.list_places_of(tx, scope, touched)
    wanted = {position for violation in (*places, *standing) for position in posted.get(violation, ())}
    entries = await history.list_causes(tx, scope.moment.situation, wanted)
    return changes.changes(places=places, children=standing, causes=posted, entries=entries)


async def _through_children(tx: Tx, scope: Scope, *, since: int) -> dict[str, set[int]]:
    """Return violations of the window whose children were joined, parted or mended elsewhere, with the positions that did it."""
    changed = await history.list_record_changes(tx, scope, since=since)
    if not changed:
        return {}
    edges = {edge for position in (since, scope.moment.position) for edge in await figures.list_child_links(tx, scope.moment.at(position))}
    names = components(edges, {end for edge in edges for end in edge} | changed.keys())
    positions: dict[str, set[int]] = {}
    for record, at in changed.items():
        positions.setdefault(names.get(record, record), set()).update(at)
    linked = [record for record in {*names, *changed} if names.get(record, record) in positions]
    return await _violations_of(tx, scope, linked, names, positions)


async def _violations_of(
    tx: Tx, scope: Scope, records: Iterable[str], names: dict[str, str], positions: dict[str, set[int]]
) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for part in await figures.list_suffered(tx, scope, children=records):
        if part.record in names:  # a record without any link changes with its own violations only
            found.setdefault(part.violation, set()).update(positions[names[part.record]])
    return found
