"""The reading side: every message of a batch is applied once, in its subject's order, or parked; in one transaction."""

from collections.abc import Mapping

from chassis.register import Register
from chassis.sealing.signed import Opener, SignedOpener
from chassis.sealing.trust import Trust
from chassis.storage import Database, Handler
from contracts.events import EVENTS, Event, EventsConfirmed, SituationRegistered
from contracts.topics import topics_read_by


class Receiver:
    """Applies messages of one service's topics; used by the consumer and by replay alike."""

    def __init__(self, service: str, *, database: Database, register: Register, trust: Trust) -> None:
        self.service = service
        self.database = database
        self.register = register
        self.topics = {topic.name: topic for topic in topics_read_by(service)}
        self._signed: Opener = SignedOpener(trust)
        self._sealed: Opener | None = None
        self._handlers: dict[str, Handler] = {}

    def configure(self, handlers: Mapping[type[Event], Handler], opener: Opener | None = None) -> None:
        """Say what handles the events; raises ValueError unless every event the service can meet has exactly one handler."""
        by_type = {event.type: handler for event, handler in handlers.items()}
        if any(SituationRegistered.type in topic.events for topic in self.topics.values()):
            by_type.setdefault(SituationRegistered.type, self.register.situation_registered)
        expected = {kind for topic in self.topics.values() for kind in topic.events} - {EventsConfirmed.type}
        if by_type.keys() != expected:
            raise ValueError(f"handlers do not fit the topics: missing or superfluous {sorted(by_type.keys() ^ expected)}")
        if opener is None and not all(topic.signed_only for topic in self.topics.values()):
            raise ValueError("a service that reads sealed topics needs an opener")
        self._handlers, self._sealed = by_type, opener

    def event_of(self, event_type: str) -> type[Event] | None:
        """Return the model of an event type that this service handles."""
        return EVENTS.get(event_type)
