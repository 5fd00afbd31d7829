"""One transaction's worth of messages: each applied once and in its subject's order, or parked. Reads first, writes last, in bulk."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import UUID

from chassis.delivery import inbox_store as store
from chassis.delivery import outbox_store
from chassis.delivery.failures import HandlerFailedError, is_passing
from chassis.delivery.messages import HANDLER_FAILED, SEQUENCE_TAKEN, WAITING, Message, MessageReader, Read, Subject
from chassis.errors import Problem, Rejected
from chassis.storage import Handler, Outbox, Tx
from chassis.telemetry import get_logger
from contracts.envelope import Header
from contracts.events import Event, SituationRegistered

EVIDENCE_KEPT: Final = 100
"""So many refused messages are kept of a topic; the others are only counted, for anybody who can write could fill the disk."""
log = get_logger()


class Result(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    AGAIN = "again"
    """It had been taken before, or its situation is removed; it is confirmed once more."""
    PARKED = "parked"
    WAITING = "waiting"
    REFUSED = "refused"
    CONFIRMATION = "confirmation"


@dataclass(slots=True)
class _Parked:
    """A parked message: in the table under `id`, or of this batch."""

    reason: str
    id: int | None = None
    read: Read | None = None


@dataclass(slots=True)
class _Changes:
    """What is to be written when all messages have been taken."""

    applied: list[tuple[UUID, str, str]] = field(default_factory=list)
    lasts: dict[Subject, int] = field(default_factory=dict)
    unparked: set[int] = field(default_factory=set)
    reasons: dict[int, str] = field(default_factory=dict)
    refused: list[Read] = field(default_factory=list)
    due: set[tuple[str, UUID]] = field(default_factory=set)
    confirmed: dict[str, set[UUID]] = field(default_factory=dict)


class Isolation(StrEnum):
    """How far the messages of a batch are kept apart: each way of failing costs the others what it must, and no more."""

    TOGETHER = "together"
    """All or none: a message that a handler rejects, or fails at, raises HandlerFailedError."""
    APART = "apart"
    """Each in a savepoint, its consequences written there: a rejected one is parked; any other failure raises HandlerFailedError."""
    ALONE = "alone"
    """As apart, in a transaction that holds nothing else: a failure that no rule foresees parks the message too."""


class Batch:
    """Takes messages one after the other inside a transaction."""

    def __init__(
        self, tx: Tx, *, service: str, handlers: Mapping[str, Handler], reader: MessageReader, outbox: Outbox | None, isolation: Isolation
    ) -> None:
        self._tx = tx
        self._service = service
        self._handlers = handlers
        self._reader = reader
        self._outbox = outbox
        self._isolation = isolation
        self._lasts: dict[Subject, int] = {}
        self._applied: set[UUID] = set()
        self._parked: dict[Subject, dict[UUID, _Parked]] = {}
        self._turns: dict[Subject, dict[int, UUID]] = {}
        self._removed: dict[str, bool] = {}
        self._changes = _Changes()
        self.results: list[Result] = []
        """What became of every message, followers released by it included, in order."""
        self.registered: set[str] = set()
        """Situations whose register entry came with this batch."""

    async def load(self, reads: Sequence[Read]) -> None:
        """Lock the order of every subject met here and read all that is known of it and of these events."""
        ordered = [read for read in reads if read.confirmation is None]
        headers = [read.header for read in ordered if read.header is not None]
        if not headers:
            return
        self._removed = await store.lock_situations(self._tx, {header.situation for header in headers})
        subjects = {read.subject for read in ordered if read.subject is not None and not self._is_removed(read)}
        self._lasts = await store.lock_subjects(self._tx, subjects)
        self._applied = await store.list_applied(self._tx, self._service, [header.event for header in headers])
        for row in await store.list_parked_of(self._tx, subjects):
            if row.situation is not None and row.subject is not None and row.event_id is not None:
                entry = _Parked(reason=row.reason, id=row.id)
                self._remember_parked((row.topic, row.situation, row.subject), row.event_id, row.sequence, entry)

    async def take(self, read: Read) -> Result:
        """Apply, park or refuse one message, and release those that waited for it."""
        result = await self._taken(read)
        self.results.append(result)
        return result

    async def take_parked(self, read: Read, row: store.ParkedRow) -> Result:
        """Take a parked message again, still under its row; the row is deleted if it is applied."""
        result = await self._taken_parked(read, row)
        self.results.append(result)
        return result

    async def write(self) -> None:
        """Write everything that was noted."""
        changes, tx = self._changes, self._tx
        if changes.applied:
            await store.add_applied(tx, self._service, changes.applied)
            await store.save_lasts(tx, changes.lasts)
        if changes.unparked:
            await store.delete_parked(tx, changes.unparked)
        if changes.reasons:
            await store.save_reasons(tx, {row: reason for row, reason in changes.reasons.items() if row not in changes.unparked})
        parked = [_new_parked(subject, event_id, self._turns, entry) for subject, event_id, entry in self._new_entries()]
        if parked:
            await store.add_parked(tx, parked)
        if changes.refused:
            await self._write_refused(changes.refused)
        if changes.due:
            await store.add_confirmations(tx, changes.due)
        for reader, events in sorted(changes.confirmed.items()):
            await outbox_store.confirm(tx, reader, events)

    async def _taken(self, read: Read) -> Result:
        if read.confirmation is not None:
            return self._confirmed(read)
        header, subject = read.header, read.subject
        if header is None or subject is None:
            self._changes.refused.append(read)
            return Result.REFUSED
        if read.topic.confirmed:
            self._changes.due.add((read.topic.writer, header.event))
        if header.event in self._applied or header.event in self._parked.get(subject, {}) or self._is_removed(read):
            return Result.AGAIN
        return await self._taken_new(read, header, subject)

    async def _taken_new(self, read: Read, header: Header, subject: Subject) -> Result:
        last = self._lasts[subject]
        if header.sequence <= last and read.topic.compacted:  # an older version of what is known already
            self._note_applied(header, subject, last)
            return Result.AGAIN
        if header.sequence <= last:
            return self._park(read, header, SEQUENCE_TAKEN, turn=False)
        reason = await self._refusal(read, header) if self._is_due(read, header, last) else read.refused or WAITING
        if reason is not None:
            return self._park(read, header, reason)
        self._note_applied(header, subject, header.sequence)
        await self._release_after(subject)
        return Result.APPLIED

    async def _taken_parked(self, read: Read, row: store.ParkedRow) -> Result:
        header, subject = read.header, read.subject
        if header is None or subject is None:
            self._changes.reasons[row.id] = read.refused or row.reason
            return Result.REFUSED
        if row.event_id is None:  # what could not be authenticated now can: as if it came only now
            self._changes.unparked.add(row.id)
            return await self._taken(read)
        if header.event in self._applied or self._is_removed(read):
            self._changes.unparked.add(row.id)
            return Result.AGAIN
        last = self._lasts[subject]
        if header.sequence <= last:
            return Result.PARKED
        reason = await self._refusal(read, header) if self._is_due(read, header, last) else read.refused or WAITING
        if reason is not None:
            self._changes.reasons[row.id] = reason
            return Result.WAITING if reason == WAITING else Result.PARKED
        self._unpark(subject, header.event)
        self._note_applied(header, subject, header.sequence)
        await self._release_after(subject)
        return Result.APPLIED

    def _is_due(self, read: Read, header: Header, last: int) -> bool:
        """Whether nothing is missing before this event: of a compacted topic only the newest counts, all others need their situation."""
        if read.topic.compacted:
            return True
        return header.sequence == last + 1 and header.situation in self._removed

    def _is_removed(self, read: Read) -> bool:
        """Whether the event's situation is removed here; of its register entries even late ones count."""
        removed = read.header is not None and self._removed.get(read.header.situation, False)
        return removed and SituationRegistered.type not in read.topic.events

    async def _refusal(self, read: Read, header: Header) -> str | None:
        """Apply the event and return None, or undo what it did and return why it must be parked."""
        if read.event is None:
            return read.refused
        try:
            async with self._tx.caused_by(header.event, received=read.message.value):
                await self._handle(read.event, self._handlers[header.type])
        except Exception as error:
            if is_passing(error):
                raise
            if self._isolation is Isolation.TOGETHER:
                raise HandlerFailedError from error
            if isinstance(error, Rejected | Problem):
                return f"rejected:{error.code}"
            if self._isolation is Isolation.APART:
                raise HandlerFailedError from error
            log.failure("handler_failed", error, event_type=header.type, event_id=header.event)
            return HANDLER_FAILED
        self._note_register(read.event)
        return None

    async def _handle(self, event: Event, handler: Handler) -> None:
        if self._isolation is Isolation.TOGETHER:
            await handler(event, self._tx)
            return
        async with self._tx.savepoint():
            await handler(event, self._tx)
            await self._tx.flush(self._outbox)

    def _note_register(self, event: Event) -> None:
        if isinstance(event, SituationRegistered):
            self.registered.add(event.document.code)
            self._removed[event.document.code] = event.document.removed

    async def _release_after(self, subject: Subject) -> None:
        """Apply what waited for the last number of a subject, and what waited for that, until something is missing or parked."""
        while (event_id := self._turns.get(subject, {}).get(self._lasts[subject] + 1)) is not None:
            entry = self._parked[subject][event_id]
            if entry.reason != WAITING:
                return
            read = entry.read or self._reader.read(await store.get_message(self._tx, _id_of(entry)))
            if read.header is None or read.header.event != event_id:
                reason: str | None = read.refused or "forged"
            else:
                reason = await self._refusal(read, read.header)
            if reason is not None or read.header is None:
                self._set_reason(entry, reason or HANDLER_FAILED)
                self.results.append(Result.PARKED)
                return
            self._unpark(subject, event_id)
            self._note_applied(read.header, subject, read.header.sequence)
            self.results.append(Result.APPLIED)

    def _confirmed(self, read: Read) -> Result:
        event = read.confirmation
        if event is not None and read.header is not None and read.header.subject == self._service:
            self._changes.confirmed.setdefault(event.reader, set()).update(event.events)
        return Result.CONFIRMATION

    def _note_applied(self, header: Header, subject: Subject, last: int) -> None:
        self._applied.add(header.event)
        self._lasts[subject] = self._changes.lasts[subject] = last
        self._changes.applied.append((header.event, subject[0], header.situation))

    def _park(self, read: Read, header: Header, reason: str, *, turn: bool = True) -> Result:
        subject = (read.topic.name, header.situation, header.subject)
        self._remember_parked(subject, header.event, header.sequence if turn else None, _Parked(reason=reason, read=read))
        if reason != WAITING:
            kind = reason.partition(":")[0]  # which rule rejected it stands with the parked message
            log.warning("message_parked", topic=read.topic.name, event_id=header.event, event_type=header.type, reason=kind)
        return Result.WAITING if reason == WAITING else Result.PARKED

    def _remember_parked(self, subject: Subject, event_id: UUID, sequence: int | None, entry: _Parked) -> None:
        self._parked.setdefault(subject, {})[event_id] = entry
        if sequence is not None:
            self._turns.setdefault(subject, {})[sequence] = event_id

    def _unpark(self, subject: Subject, event_id: UUID) -> None:
        entry = self._parked[subject].pop(event_id)
        if entry.id is not None:
            self._changes.unparked.add(entry.id)

    def _set_reason(self, entry: _Parked, reason: str) -> None:
        entry.reason = reason
        if entry.id is not None:
            self._changes.reasons[entry.id] = reason

    def _new_entries(self) -> list[tuple[Subject, UUID, _Parked]]:
        return [
            (subject, event_id, entry)
            for subject, entries in self._parked.items()
            for event_id, entry in entries.items()
            if entry.id is None
        ]

    async def _write_refused(self, refused: Sequence[Read]) -> None:
        counts = Counter(read.topic.name for read in refused)
        await store.count_refused(self._tx, counts)
        room = {topic: EVIDENCE_KEPT - kept for topic, kept in (await store.count_evidence(self._tx, counts)).items()}
        kept: list[store.NewParked] = []
        for read in refused:
            left = room.get(read.topic.name, EVIDENCE_KEPT)
            if left > 0:
                room[read.topic.name] = left - 1
                kept.append(store.NewParked(message=read.message, reason=read.refused or "forged"))
        if kept:
            await store.add_parked(self._tx, kept)
        for (topic, reason), count in Counter((read.topic.name, read.refused) for read in refused).items():
            log.warning("messages_refused", topic=topic, reason=reason, count=count)


def _id_of(entry: _Parked) -> int:
    if entry.id is None:
        raise RuntimeError("a parked message of this batch has its bytes at hand")
    return entry.id


def _new_parked(subject: Subject, event_id: UUID, turns: Mapping[Subject, Mapping[int, UUID]], entry: _Parked) -> store.NewParked:
    read = entry.read
    if read is None or read.header is None:
        raise RuntimeError("only an authentic message of this batch is parked anew")
    in_turn = turns.get(subject, {}).get(read.header.sequence) == event_id
    return store.NewParked(
        message=Message(topic=read.message.topic, key=read.message.key, value=read.message.value),
        reason=entry.reason,
        situation=read.header.situation,
        subject=read.header.subject,
        sequence=read.header.sequence if in_turn else None,
        event_id=event_id,
        event_type=read.header.type,
    )
