"""The reading side of a service: a batch of messages is one transaction; replay puts parked ones through the same code."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chassis.delivery import inbox_store as store
from chassis.delivery.batch import Batch, Isolation, Result
from chassis.delivery.failures import is_passing
from chassis.delivery.messages import Message, MessageReader, Read
from chassis.register import Register
from chassis.sealing.signed import Opener
from chassis.sealing.trust import Trust
from chassis.storage import SYSTEM, Database, Handler, Tx
from chassis.telemetry import get_logger
from contracts.events import Event, EventsConfirmed, SituationRegistered
from contracts.topics import topics_read_by

MESSAGES_PER_BREATH: Final = 16
"""Opening holds the interpreter; after so many messages others get their turn."""
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of the first `taken` messages; the others were not touched because too many in a row had to be parked."""

    taken: int
    stopped: bool


class Receiver:
    """Applies the messages of the topics that one service reads."""

    def __init__(self, service: str, *, database: Database, register: Register, trust: Trust, stop_after_parked: int = 50) -> None:
        """Make a receiver that stops once `stop_after_parked` authentic messages in a row had to be parked."""
        self.service = service
        self.database = database
        self.register = register
        self.topics = {topic.name: topic for topic in topics_read_by(service)}
        self._trust = trust
        self._reader = MessageReader(self.topics, trust=trust, sealed=None)
        self._handlers: dict[str, Handler] = {}
        self._stop_after_parked = stop_after_parked
        self._parked_in_a_row = 0

    def configure(self, handlers: Mapping[type[Event], Handler], opener: Opener | None = None) -> None:
        """Say what handles the events and what opens the sealed ones; raises ValueError unless every event has its handler."""
        by_type = {event.type: handler for event, handler in handlers.items()}
        expected = {kind for topic in self.topics.values() for kind in topic.events} - {EventsConfirmed.type}
        if SituationRegistered.type in expected:
            by_type.setdefault(SituationRegistered.type, self.register.situation_registered)
        if by_type.keys() != expected:
            raise ValueError(f"handlers do not fit the topics: missing or superfluous {sorted(by_type.keys() ^ expected)}")
        if opener is None and not all(topic.signed_only for topic in self.topics.values()):
            raise ValueError("a service that reads sealed topics needs an opener")
        self._handlers = by_type
        self._reader = MessageReader(self.topics, trust=self._trust, sealed=opener)

    async def receive(self, messages: Sequence[Message]) -> Received:
        """Take messages in order. When this returns, what was taken is committed; when it raises, it must all be received again.

        Raises what is_passing says is passing, and anything that is nobody's message's fault.
        """
        reads = await self._read_all(messages)
        taken = 0
        registered: set[str] = set()
        for part in _parts(reads):
            done, codes = await self._take_part(part)
            taken += done
            registered |= codes
            if self.stopped:
                break
        for code in sorted(registered):
            await self.release_waiting(code)
        return Received(taken=taken, stopped=self.stopped)

    @property
    def stopped(self) -> bool:
        """Whether so many messages in a row had to be parked that the code must be wrong."""
        return self._parked_in_a_row >= self._stop_after_parked

    def resume(self) -> None:
        """Begin to count anew."""
        self._parked_in_a_row = 0

    async def replay(self, parked_id: int) -> Result | None:
        """Put one parked message through again, in a transaction of its own; None if it is parked no longer."""
        async with self.database.reading("read_parked", by=SYSTEM) as tx:
            message = await store.find_message(tx, parked_id)
        if message is None:
            return None
        read = self._reader.read(message)
        async with self.database.transaction("replay_message", by=SYSTEM) as tx:
            batch = self._batch(tx, Isolation.ALONE)
            await batch.load([read])
            row = await store.lock_parked(tx, parked_id)
            if row is None:
                return None
            result = await batch.take_parked(read, row)
            await batch.write()
            self._wake_after(tx)
        if result is Result.APPLIED:
            self.resume()
        for code in sorted(batch.registered):
            await self.release_waiting(code)
        return result

    async def release_waiting(self, situation: str | None = None) -> None:
        """Apply what waits although nothing is missing any more: after a situation became known, and at start."""
        async with self.database.reading("list_releasable", by=SYSTEM) as tx:
            releasable = await store.list_releasable(tx, situation)
        for parked_id in releasable:
            await self.replay(parked_id)

    async def _read_all(self, messages: Sequence[Message]) -> list[Read]:
        reads = []
        for index, message in enumerate(messages):
            reads.append(self._reader.read(message))
            if index % MESSAGES_PER_BREATH == MESSAGES_PER_BREATH - 1:
                await asyncio.sleep(0)
        return reads

    async def _take_part(self, reads: Sequence[Read]) -> tuple[int, set[str]]:
        """Take messages as cheaply as they allow: together; if one is rejected, apart; if one fails, alone, so that the fault is found."""
        for isolation in (Isolation.TOGETHER, Isolation.APART):
            try:
                return await self._take_together(reads, isolation)
            except Exception as error:
                if is_passing(error):
                    raise
                if isolation is Isolation.APART:
                    log.failure("batch_failed", error, count=len(reads))
        registered: set[str] = set()
        for index, read in enumerate(reads):
            registered |= (await self._take_together([read], Isolation.ALONE))[1]
            if self.stopped:
                return index + 1, registered
        return len(reads), registered

    async def _take_together(self, reads: Sequence[Read], isolation: Isolation) -> tuple[int, set[str]]:
        """Take messages in one transaction until too many in a row are parked; returns how many were taken."""
        in_a_row, counted, taken = self._parked_in_a_row, 0, 0
        async with self.database.transaction("receive_messages", by=SYSTEM) as tx:
            batch = self._batch(tx, isolation)
            await batch.load(reads)
            for read in reads:
                await batch.take(read)
                taken += 1
                for result in batch.results[counted:]:
                    in_a_row = _counted(in_a_row, result)
                counted = len(batch.results)
                if in_a_row >= self._stop_after_parked:
                    break
            await batch.write()
            self._wake_after(tx)
        self._parked_in_a_row = in_a_row
        return taken, batch.registered

    def _batch(self, tx: Tx, isolation: Isolation) -> Batch:
        outbox = self.database.outbox
        return Batch(tx, service=self.service, handlers=self._handlers, reader=self._reader, outbox=outbox, isolation=isolation)

    def _wake_after(self, tx: Tx) -> None:
        if self.database.outbox is not None:
            tx.after_commit(self.database.outbox.wake)


def _counted(in_a_row: int, result: Result) -> int:
    match result:
        case Result.APPLIED:
            return 0
        case Result.PARKED:
            return in_a_row + 1
        case _:
            return in_a_row


def _parts(reads: Sequence[Read]) -> Iterator[Sequence[Read]]:
    """Cut a batch so that the removal of a situation, which deletes what delivery knows of it, is a transaction of its own."""
    start = 0
    for index, read in enumerate(reads):
        if isinstance(read.event, SituationRegistered) and read.event.document.removed:
            if index > start:
                yield reads[start:index]
            yield reads[index : index + 1]
            start = index + 1
    if start < len(reads):
        yield reads[start:]
