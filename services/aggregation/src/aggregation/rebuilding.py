"""Rebuilds a situation's figures from its ledger while the live ones go on answering: small steps, each a transaction, resumable."""

from typing import Final, cast

from aggregation import bookkeeping
from aggregation.bookkeeping import EntryRejectedError
from aggregation.domain.rebuild import Rebuild, State
from aggregation.store import books, ledger, rebuilds
from aggregation.store.sides import Side, other_side, read_stretches
from chassis.storage import SYSTEM, Database, Tx

DELETED_AT_ONCE: Final = 50_000
REPLAYED_AT_ONCE: Final = 1_000
COMPARED_AT_ONCE: Final = 20_000
"""Steps stay small: each is a transaction that a crash undoes, and the memory of one is the memory of all."""


async def advance(database: Database) -> bool:
    """Do the next step of a rebuild that is under way; returns False if there is nothing to do here."""
    async with database.transaction("rebuild_step", by=SYSTEM) as tx:
        rebuild = await rebuilds.lock_running(tx)
        if rebuild is None:
            return False
        try:
            async with tx.savepoint():
                await _step(tx, rebuild)
        except EntryRejectedError as rejection:
            await _refuse(tx, rebuild, {"table": "positions", "position": rejection.position, "reason": rejection.code})
    return True


async def work(database: Database) -> None:
    """Carry every rebuild that is under way to its end."""
    while await advance(database):
        pass


async def _step(tx: Tx, rebuild: Rebuild) -> None:
    match rebuild.state:
        case State.CLEARING:
            if not await books.delete_some(tx, _shadow(rebuild), rebuild.situation, limit=DELETED_AT_ONCE):
                await _save(tx, rebuild, State.REPLAYING)
        case State.REPLAYING:
            await _replay_some(tx, rebuild)
        case State.COMPARING:
            await _compare_some(tx, rebuild)
        case State.SWAPPED | State.REFUSED:
            return


async def _replay_some(tx: Tx, rebuild: Rebuild) -> None:
    replayed = await _replay(tx, rebuild, after=rebuild.replayed, up_to=rebuild.target)
    await _save(tx, rebuild, State.COMPARING if replayed >= rebuild.target else State.REPLAYING, replayed=replayed)


async def _compare_some(tx: Tx, rebuild: Rebuild) -> None:
    """Compare what has been replayed; once all is alike and little is left, finish with writers kept away."""
    if rebuild.compared < rebuild.replayed:
        up_to = min(rebuild.compared + COMPARED_AT_ONCE, rebuild.replayed)
        if await _alike(tx, rebuild, after=rebuild.compared, up_to=up_to, replayed=rebuild.replayed):
            await _save(tx, rebuild, State.COMPARING, compared=up_to)
        return
    now = (await ledger.get_now(tx, rebuild.situation)).position
    if now - rebuild.replayed > REPLAYED_AT_ONCE:
        await _save(tx, rebuild, State.REPLAYING, target=now)
        return
    await _finish(tx, rebuild)


async def _finish(tx: Tx, rebuild: Rebuild) -> None:
    newest, live = await rebuilds.lock_ledger(tx, rebuild.situation)
    replayed = rebuild.replayed
    while replayed < newest:
        replayed = await _replay(tx, rebuild, after=replayed, up_to=newest)
    if not await _alike(tx, rebuild, after=rebuild.replayed, up_to=replayed, replayed=replayed):
        return
    extra = await rebuilds.find_extra(tx, rebuild.situation, live=live)
    if extra is not None:
        await _refuse(tx, rebuild, extra)
        return
    await _save(tx, rebuild, State.COMPARING, replayed=replayed, compared=replayed, target=newest)
    await rebuilds.save_side(tx, rebuild.situation, other_side(live))
    await rebuilds.save_end(tx, rebuild.situation, state=State.SWAPPED, difference=None)
    tx.audit("counts.swap", situation=rebuild.situation, detail={"position": newest})


async def _replay(tx: Tx, rebuild: Rebuild, *, after: int, up_to: int) -> int:
    """Post the next entries; at most so many that their memory is bounded."""
    entries = await ledger.list_entries(tx, rebuild.situation, after=after, up_to=up_to, limit=REPLAYED_AT_ONCE)
    await bookkeeping.post(tx, _shadow(rebuild), rebuild.situation, entries)
    return entries[-1].position if entries else after


async def _alike(tx: Tx, rebuild: Rebuild, *, after: int, up_to: int, replayed: int) -> bool:
    """Compare a stretch; the first difference ends the rebuild without a swap."""
    await read_stretches(tx)
    live = other_side(_shadow(rebuild))
    difference = await rebuilds.find_difference(tx, rebuild.situation, live=live, after=after, up_to=up_to, replayed=replayed)
    if difference is not None:
        await _refuse(tx, rebuild, difference)
    return difference is None


async def _refuse(tx: Tx, rebuild: Rebuild, difference: dict[str, object]) -> None:
    await rebuilds.save_end(tx, rebuild.situation, state=State.REFUSED, difference=difference)
    tx.audit("counts.refuse_swap", situation=rebuild.situation, detail={"position": difference["position"], "table": difference["table"]})


async def _save(
    tx: Tx, rebuild: Rebuild, state: State, *, replayed: int | None = None, compared: int | None = None, target: int | None = None
) -> None:
    await rebuilds.save_progress(
        tx,
        rebuild.situation,
        state=state,
        replayed=rebuild.replayed if replayed is None else replayed,
        compared=rebuild.compared if compared is None else compared,
        target=rebuild.target if target is None else target,
    )


def _shadow(rebuild: Rebuild) -> Side:
    return cast("Side", rebuild.side)
