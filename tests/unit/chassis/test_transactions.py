"""What a transaction knows of the events that it lets leave."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4

from chassis.storage import PendingEvent, Tx
from contracts.events import EventsConfirmed

EVENT = EventsConfirmed(situation="all", reader="intake", events=[uuid4()])


class Outbox:
    """Notes what is enqueued."""

    def __init__(self) -> None:
        self.pending: list[PendingEvent] = []

    async def enqueue(self, tx: Tx, pending: Sequence[PendingEvent]) -> None:
        """Keep the events."""
        del tx
        self.pending += pending

    def wake(self) -> None:
        """Nobody sleeps."""


def transaction(cause: UUID | None = None) -> Tx:
    return Tx(cast("Any", None), name="test", actor="system", cause=cause)


async def test_only_what_a_transaction_s_own_cause_made_is_surely_new() -> None:
    """What a given cause made may have been made before, with the same id, and is looked for in the outbox."""
    tx, outbox = transaction(), Outbox()
    tx.publish(EVENT, subject="own")
    async with tx.caused_by(uuid4()):
        tx.publish(EVENT, subject="of another event")
    tx.publish(EVENT, subject="own again")
    await tx.flush(outbox)

    assert [event.new for event in outbox.pending] == [True, False, True]
    assert len({event.event_id for event in outbox.pending}) == 3


async def test_nothing_of_a_given_cause_is_surely_new() -> None:
    """An act done again under its cause leaves its events once."""
    tx, outbox = transaction(cause=uuid4()), Outbox()
    tx.publish(EVENT, subject="given")
    await tx.flush(outbox)

    assert [event.new for event in outbox.pending] == [False]
