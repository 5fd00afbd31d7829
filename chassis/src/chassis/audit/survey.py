"""What a database shows of its record, for whoever checks it; one repeatable-read transaction sees one picture."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from chassis.audit import store
from chassis.audit.checkpoint import origin_of
from chassis.audit.merkle import Range, nodes_of, range_hash
from chassis.audit.sequencer import RecordBroken
from chassis.audit.verify import Remainder, SeenCheckpoint, SeenEntry, SeenLeaf, Verification, nodes_by_leaf
from chassis.sealing.trust import Trust
from chassis.storage import Tx

LEAVES_AT_ONCE: Final = 1000


async def verify_database(tx: Tx, service: str, *, trust: Trust, saved: Iterable[str] = ()) -> Verification:
    """Check a whole record in the transaction's picture of it."""
    origin = await get_origin(tx, service)
    checkpoints = [checkpoint async for checkpoint in checkpoints_of(tx)]
    verification = Verification(service, origin=origin, trust=trust, checkpoints=checkpoints, saved=saved)
    async for leaf, _ in leaves_of(tx, service):
        verification.take(leaf)
    verification.finish(await remainder_of(tx, service))
    return verification


async def get_origin(tx: Tx, service: str) -> str:
    """Return the record's name as the database has it."""
    return origin_of(service, await store.get_log_id(tx))


async def checkpoints_of(tx: Tx) -> AsyncIterator[SeenCheckpoint]:
    """Yield the kept checkpoints in order."""
    after = -(2**63)
    while page := await store.list_checkpoints(tx, after=after, limit=LEAVES_AT_ONCE):
        for kept in page:
            yield SeenCheckpoint(*kept)
        after = page[-1].number


async def leaves_of(tx: Tx, service: str) -> AsyncIterator[tuple[SeenLeaf, store.SignedEntry | None]]:
    """Yield the leaves in order, each with its row."""
    first = -(2**63)
    while page := await list_leaves(tx, service, first=first, limit=LEAVES_AT_ONCE):
        for leaf in page:
            yield leaf
        first = page[-1][0].position + 1


async def list_leaves(tx: Tx, service: str, *, first: int, limit: int) -> Sequence[tuple[SeenLeaf, store.SignedEntry | None]]:
    """Return leaves from a position on, with the stored nodes that became full with each, and their rows."""
    leaves = await store.list_leaves(tx, service, first=first, limit=limit)
    if not leaves:
        return []
    begin, end = max(leaves[0].position, 0), max(leaves[-1].position + 1, 0)
    nodes = nodes_by_leaf(await store.list_nodes(tx, first=begin, end=end))
    return [
        (
            SeenLeaf(
                position=leaf.position,
                hash=leaf.hash,
                entry_id=leaf.entry_id,
                entry=None if leaf.signed is None else seen(leaf.signed),
                nodes=nodes.get(leaf.position, {}),
            ),
            leaf.signed,
        )
        for leaf in leaves
    ]


async def prove(tx: Tx, ranges: Sequence[Range]) -> list[bytes]:
    """Return the hashes of these parts of the tree; raises RecordBroken if a stored node is missing."""
    stored = await store.get_nodes(tx, nodes_of(ranges))
    try:
        return [range_hash(wanted, stored) for wanted in ranges]
    except KeyError:
        raise RecordBroken("part_missing", f"size {max((part.end for part in ranges), default=0)}") from None


async def remainder_of(tx: Tx, service: str) -> Remainder:
    """Return what lies beside the tree."""
    outside = await store.list_outside(tx, service)
    return Remainder(
        size=await store.get_size(tx),
        nodes=await store.count_nodes(tx),
        astray=await store.count_astray(tx),
        outside=[seen(row) for row, _ in outside],
        waiting={row.entry.id for row, waiting in outside if waiting},
    )


def seen(row: store.SignedEntry) -> SeenEntry:
    """Recompute the leaf of a row as it is now."""
    return SeenEntry(id=row.entry.id, leaf=row.entry.find_leaf_hash(), signed_by=row.signed_by, signature=row.signature)
