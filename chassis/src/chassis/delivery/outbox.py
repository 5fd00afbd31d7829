"""The outbox: a transaction's events are numbered, sealed and inserted together, just before its commit."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from chassis.delivery import outbox_store as store
from chassis.errors import Conflict
from chassis.recipients import keys_of
from chassis.register import Register
from chassis.sealing.keys import KeyFolder, PublicKey, Signer
from chassis.sealing.seal import seal, sign_only
from chassis.sealing.trust import Trust
from chassis.storage import PendingEvent, Tx
from contracts.envelope import Header
from contracts.events import EventsConfirmed
from contracts.situation import Situation
from contracts.topics import Topic, topic_of

SIGNER_SECONDS: Final = 30.0
"""How long a signing key is used before the key folder is asked again for the newest."""
OUTSIDE: Final = {"export.submissions": ("recipient",)}
"""Who can open what leaves for outside, where no service reads."""
EVENTS_PER_BREATH: Final = 16
"""Sealing holds the interpreter; after so many events others get their turn."""


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """A pending event with its topic and its place in its subject's order."""

    pending: PendingEvent
    topic: Topic
    sequence: int

    @property
    def situation(self) -> str:
        """The situation that the event speaks of."""
        return self.pending.event.situation


class EventSealer:
    """The outbox of one service: implements `chassis.storage.Outbox`."""

    def __init__(self, service: str, *, keys: KeyFolder, register: Register, trust: Trust) -> None:
        self.service = service
        self._keys = keys
        self._trust = trust
        self._register = register
        self._signer: tuple[float, Signer] | None = None
        self.on_wake: Callable[[], None] | None = None

    async def enqueue(self, tx: Tx, pending: Sequence[PendingEvent]) -> None:
        """Number, seal and insert events; one whose id is in the outbox already is the same event and is left out.

        The number of a subject is locked until the commit, so ids in the outbox rise in the order of each subject's numbers.
        Raises NotFound for an event of a situation that is unknown or removed.
        """
        doubtful = [event.event_id for event in pending if not event.new]
        present = await store.list_present(tx, doubtful) if doubtful else set()
        new = {event.event_id: event for event in pending if event.event_id not in present}
        numbered = await self._numbered(tx, list(new.values()))
        values = []
        for index, event in enumerate(numbered):
            values.append(await self._protected(tx, event))
            if index % EVENTS_PER_BREATH == EVENTS_PER_BREATH - 1:
                await asyncio.sleep(0)
        await store.add_rows(tx, [_row(event, value) for event, value in zip(numbered, values, strict=True)])

    def confirmation(self, writer: str, event_ids: Sequence[UUID], *, now: datetime) -> bytes:
        """Return the signed confirmation that this service has committed these events of a writer."""
        event = EventsConfirmed(situation="all", reader=self.service, events=list(event_ids))
        signer = self.signer
        header = Header.of(
            event_type=event.type,
            situation=event.situation,
            subject=writer,
            event=uuid4(),
            sequence=0,
            writer=self.service,
            at=now,
            signing=signer.id,
        )
        return sign_only(header=header, payload=event.model_dump_json().encode(), signer=signer)

    def wake(self) -> None:
        """Tell the relay that there is something to send."""
        if self.on_wake is not None:
            self.on_wake()

    @property
    def signer(self) -> Signer:
        """The key that this service signs with; raises UnusableKeyError."""
        now = time.monotonic()
        if self._signer is None or now - self._signer[0] > SIGNER_SECONDS:
            self._signer = now, self._keys.signing_key(self.service)
        return self._signer[1]

    async def _numbered(self, tx: Tx, pending: Sequence[PendingEvent]) -> list[NumberedEvent]:
        topics = [topic_of(self.service, event.event.type) for event in pending]
        subjects = [(topic.name, event.event.situation, event.subject) for topic, event in zip(topics, pending, strict=True)]
        counts: dict[store.Subject, int] = {}
        for subject in subjects:
            counts[subject] = counts.get(subject, 0) + 1
        lasts = await store.take_numbers(tx, counts)
        following = {subject: last - counts[subject] + 1 for subject, last in lasts.items()}
        numbered = []
        for event, topic, subject in zip(pending, topics, subjects, strict=True):
            numbered.append(NumberedEvent(event, topic, following[subject]))
            following[subject] += 1
        return numbered

    async def _protected(self, tx: Tx, event: NumberedEvent) -> bytes:
        payload = event.pending.event.model_dump_json().encode()
        signer = self.signer
        if event.topic.signed_only:
            return sign_only(header=self._header(tx, event, signer, ()), payload=payload, signer=signer)
        document = await self._register.find(event.situation) or await self._register.find_in(tx, event.situation)
        recipients = recipients_of(event.topic, document, self._trust) if document is not None else ()
        if not recipients:
            raise NoRecipient
        return seal(header=self._header(tx, event, signer, recipients), payload=payload, recipients=recipients, signer=signer)

    def _header(self, tx: Tx, event: NumberedEvent, signer: Signer, recipients: Sequence[PublicKey]) -> Header:
        return Header.of(
            event_type=event.pending.event.type,
            situation=event.situation,
            subject=event.pending.subject,
            event=event.pending.event_id,
            sequence=event.sequence,
            writer=self.service,
            at=tx.now,
            signing=signer.id,
            recipients=[key.id for key in recipients],
        )


class NoRecipient(Conflict):
    """Nobody could open an event (409): its situation is unknown here, removed, or lists no key of a reader of its topic."""

    def __init__(self) -> None:
        super().__init__("situation.no_recipient", "Nothing was stored: let the operator add the keys of all services to the situation.")


def recipients_of(topic: Topic, document: Situation, trust: Trust) -> Sequence[PublicKey]:
    """Return the keys that open a topic's events in a situation: all keys of all readers, none if a reader has none.

    Raises UnvouchedKey if one of them is not vouched for.
    """
    return keys_of(document, OUTSIDE.get(topic.name, topic.readers), trust)


def _row(event: NumberedEvent, value: bytes) -> store.OutboxRow:
    return store.OutboxRow(
        event_id=event.pending.event_id,
        event_type=event.pending.event.type,
        topic=event.topic.name,
        situation=event.situation,
        subject=event.pending.subject,
        sequence=event.sequence,
        value=value,
        awaiting=event.topic.readers if event.topic.confirmed else (),
    )
