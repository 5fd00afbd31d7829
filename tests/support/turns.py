"""Events of verification as messages that were opened and found authentic, numbered as their writer does."""

from datetime import UTC, datetime
from uuid import UUID

from chassis.delivery.messages import Message, Read
from contracts.envelope import Header
from contracts.events import Event
from contracts.topics import TOPICS

TOPIC = next(topic for topic in TOPICS if topic.name == "verification.decisions")


class Turns:
    """Numbers the events of every subject, as their writer does."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}

    def read(self, event: Event, event_id: UUID, subject: str) -> Read:
        """Return an event as a message that was opened and found authentic."""
        scope = event.situation, subject
        self._last[scope] = sequence = self._last.get(scope, 0) + 1
        header = Header.of(
            event_type=event.type,
            situation=event.situation,
            subject=subject,
            event=event_id,
            sequence=sequence,
            writer=TOPIC.writer,
            at=datetime.now(UTC),
            signing="verification/signing/00000000",
            recipients=["aggregation/bench/00000000"],
        )
        return Read(message=Message(topic=TOPIC.name, key=None, value=b""), topic=TOPIC, header=header, event=event)
