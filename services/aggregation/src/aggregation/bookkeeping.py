"""Posts one entry of the ledger on a side: the reverse of what it supersedes and what follows from it. Live and rebuild alike."""

from aggregation import messages
from aggregation.domain.incident import Rows, keys_of, rows_of
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
    held = keys_of(messages.coded_from(entry.fact, region=entry.region))
    lost = keys_of(stored.incident.coded) - held
    gained = held - keys_of(stored.incident.coded)
    others: list[str] = []
    if stored.named and (lost or gained):
        others = await books.list_duplicates_of(tx, side, entry.situation, entry.subject, sorted(lost | gained))
    before = {entry.subject: stored, **{other: await books.get_incident(tx, side, entry.situation, other) for other in others}}
    await _save(tx, side, entry, stored, coded=entry.fact, region=entry.region, decisions=stored.decisions)
    if others:
        await books.save_presence(tx, side, entry.situation, entry.subject, held=sorted(gained), gone=sorted(lost))
    for incident, old in sorted(before.items()):
        await _repost(tx, side, entry, incident, old)


async def _post_decided(tx: Tx, side: Side, entry: Entry) -> None:
    stored = await books.get_incident(tx, side, entry.situation, entry.subject)
    kept: Fact = {name: entry.fact[name] for name in ("outcome", "decided_on", "attribution") if name in entry.fact}
    await _save(
        tx, side, entry, stored, coded=stored.coded, region=stored.region, decisions={**stored.decisions, entry.fact["violation"]: kept}
    )
    await _repost(tx, side, entry, entry.subject, stored)


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


async def _save(
    tx: Tx, side: Side, entry: Entry, stored: Stored, *, coded: Fact | None, region: str | None, decisions: dict[str, Fact]
) -> None:
    await books.save_incident(tx, side, entry.situation, stored.incident.id, coded=coded, region=region, decisions=decisions)


async def _repost(tx: Tx, side: Side, entry: Entry, incident: str, old: Stored) -> None:
    """Post the difference between what an incident contributed and what it contributes now."""
    new = await books.get_incident(tx, side, entry.situation, incident)
    before: Rows = rows_of(old.incident)
    after: Rows = rows_of(new.incident)
    await books.add_rows(
        tx,
        side,
        entry.situation,
        entry.position,
        incident,
        reversed_rows=before.without(after),
        new_rows=after.without(before),
    )
