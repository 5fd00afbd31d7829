"""Posts one entry of the ledger on a side: the reverse of what it supersedes and what follows from it. Live and rebuild alike."""

from collections.abc import Set
from dataclasses import replace

from aggregation import messages
from aggregation.domain.incident import keys_of, rows_of
from aggregation.messages import Fact, incident_and_key
from aggregation.store import books
from aggregation.store.books import Stored
from aggregation.store.ledger import Entry
from aggregation.store.sides import Side
from chassis.errors import Rejected
from chassis.storage import Tx


async def post(tx: Tx, side: Side, entry: Entry) -> None:
    """Post one entry; raises Rejected for a link that stands already or an undoing of one that does not."""
    match entry.kind:
        case "incident.coded.v1":
            await _post_coded(tx, side, entry)
        case "violation.decided.v1":
            await _post_decided(tx, side, entry)
        case "violation.linked.v1" | "violation.unlinked.v1":
            await _post_duplicate(tx, side, entry, stands=entry.kind == "violation.linked.v1")
        case "children.linked.v1" | "children.unlinked.v1":
            await _post_child_link(tx, side, entry, sign=1 if entry.kind == "children.linked.v1" else -1)
        case _:
            raise Rejected("fact.unknown_kind")


async def _post_coded(tx: Tx, side: Side, entry: Entry) -> None:
    """A revision may lose violations or bring them back: the duplicates of those count again, or no longer."""
    stored = await books.get_incident(tx, side, entry.situation, entry.subject)
    coded = messages.coded_from(entry.fact, region=entry.region)
    gained, lost = keys_of(coded) - keys_of(stored.incident.coded), keys_of(stored.incident.coded) - keys_of(coded)
    others = await _wake_and_rest(tx, side, entry, gained=gained, lost=lost) if stored.named and (gained or lost) else {}
    own = others.pop(entry.subject, None)
    suppressed = stored.incident.suppressed if own is None else await _suppressed(tx, side, entry, entry.subject)
    await books.save_incident(
        tx,
        side,
        entry,
        entry.subject,
        coded=entry.fact,
        region=entry.region,
        decisions=stored.decisions,
        before=rows_of(stored.incident),
        after=rows_of(replace(stored.incident, coded=coded, suppressed=suppressed)),
    )
    for incident, old in sorted(others.items()):
        await _repost(tx, side, entry, incident, old)


async def _wake_and_rest(tx: Tx, side: Side, entry: Entry, *, gained: frozenset[str], lost: frozenset[str]) -> dict[str, Stored]:
    """Wake the links to violations that came and put those to violations that went to rest; returns their incidents as before."""
    names = await books.list_duplicates_of(tx, side, entry.situation, entry.subject, sorted(gained | lost))
    before = {name: await books.get_incident(tx, side, entry.situation, name) for name in names}
    await books.save_presence(tx, side, entry.situation, entry.subject, held=sorted(gained), gone=sorted(lost))
    return before


async def _suppressed(tx: Tx, side: Side, entry: Entry, incident: str) -> Set[str]:
    return (await books.get_incident(tx, side, entry.situation, incident)).incident.suppressed


async def _post_decided(tx: Tx, side: Side, entry: Entry) -> None:
    stored = await books.get_incident(tx, side, entry.situation, entry.subject)
    key = entry.fact["violation"]
    kept: Fact = {name: entry.fact[name] for name in ("outcome", "decided_on", "attribution") if name in entry.fact}
    decisions = {**stored.incident.decisions, key: messages.decision_from(kept)}
    await books.save_incident(
        tx,
        side,
        entry,
        entry.subject,
        coded=stored.coded,
        region=stored.region,
        decisions={**stored.decisions, key: kept},
        before=rows_of(stored.incident),
        after=rows_of(replace(stored.incident, decisions=decisions)),
    )


async def _post_duplicate(tx: Tx, side: Side, entry: Entry, *, stands: bool) -> None:
    violation, of = incident_and_key(entry.fact["violation"]), incident_and_key(entry.fact["of"])
    stored = await books.get_incident(tx, side, entry.situation, violation[0])
    if stands:
        if not await books.add_duplicate(tx, side, entry.situation, violation=violation, of=of, present=books.pattern(of[1])):
            raise Rejected("link.already_stands")
    elif not await books.delete_duplicate(tx, side, entry.situation, violation=violation, of=of):
        raise Rejected("link.does_not_stand")
    await _repost(tx, side, entry, violation[0], stored)


async def _post_child_link(tx: Tx, side: Side, entry: Entry, *, sign: int) -> None:
    one, other = sorted((entry.fact["child"], entry.fact["of"]))
    if one == other:
        raise Rejected("link.to_itself")
    if not await books.add_child_link(tx, side, entry.situation, entry.position, pair=(one, other), sign=sign):
        raise Rejected("link.already_stands" if sign == 1 else "link.does_not_stand")


async def _repost(tx: Tx, side: Side, entry: Entry, incident: str, old: Stored) -> None:
    """Post what a change of links makes of an incident."""
    new = await books.get_incident(tx, side, entry.situation, incident)
    await books.add_rows(tx, side, entry, incident, before=rows_of(old.incident), after=rows_of(new.incident))
