"""A message as found on the broker, and as far as it can be believed. Nothing here touches the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from chassis.sealing.errors import SealCode, SealError
from chassis.sealing.signed import Expectation, Opener, SignedOpener
from chassis.sealing.trust import Trust
from contracts.envelope import EnvelopeError, Header, parse_header, unpack
from contracts.events import EVENTS, Event, EventsConfirmed
from contracts.topics import Topic

Subject = tuple[str, str, str]
"""Topic, situation and subject: the scope of one order."""
WAITING: Final = "waiting"
"""Why an authentic event is parked that came before its predecessor or before its situation."""
SEQUENCE_TAKEN: Final = "rejected:sequence_taken"
"""Another event had this number already: the writer's ledger has lost its memory. It holds up nothing."""
HANDLER_FAILED: Final = "handler_failed"
_UNAUTHENTIC: Final = {
    SealCode.FORGED: "forged",
    SealCode.UNKNOWN_KEY: "forged",
    SealCode.WRONG_WRITER: "forged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What lies on a topic: who wrote it is not known yet."""

    topic: str
    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A message that was read. Exactly what can be believed of it is filled in.

    Without `header` it is not authentic in its place and may hold up nothing. With `header` and `refused` it is authentic but can
    not be applied as it is. Otherwise `event` is there.
    """

    message: Message
    topic: Topic
    header: Header | None = None
    event: Event | None = None
    refused: str | None = None

    @property
    def subject(self) -> Subject | None:
        """The scope of this event's order, None for what is not authentic."""
        return None if self.header is None else (self.topic.name, self.header.situation, self.header.subject)

    @property
    def confirmation(self) -> EventsConfirmed | None:
        """The confirmation that this is, if it is one."""
        return self.event if isinstance(self.event, EventsConfirmed) else None


class MessageReader:
    """Opens the messages of the topics that one service reads."""

    def __init__(self, topics: Mapping[str, Topic], *, trust: Trust, sealed: Opener | None) -> None:
        self._topics = topics
        self._signed: Opener = SignedOpener(trust)
        self._sealed = sealed

    def read(self, message: Message) -> Read:
        """Authenticate, open and validate one message; raises UnusableKeyError if this service's own keys are at fault."""
        topic = self._topics[message.topic]
        opener = self._signed if topic.signed_only else self._sealed
        if opener is None:
            raise RuntimeError("a sealed topic is read without an opener")
        expect = Expectation(types=frozenset(topic.events), writer=topic.writer, subject=_subject_of(message.key))
        try:
            header, payload = opener(message.value, expect)
        except SealError as error:
            return _refused(message, topic, error, expect)
        return _validated(Read(message=message, topic=topic, header=header), header, payload)


def _validated(read: Read, header: Header, payload: bytes) -> Read:
    try:
        event = EVENTS[header.type].model_validate_json(payload)
    except ValidationError:
        event = None
    if isinstance(event, EventsConfirmed) and event.reader != read.topic.writer:
        event = None  # nobody confirms for another
    if event is None or event.situation != header.situation:
        confirms = header.type == EventsConfirmed.type
        return Read(message=read.message, topic=read.topic, header=None if confirms else header, refused="invalid_content")
    return Read(message=read.message, topic=read.topic, header=header, event=event)


def _refused(message: Message, topic: Topic, error: SealError, expect: Expectation) -> Read:
    reason = _UNAUTHENTIC.get(error.code, error.code.value)
    if not error.authentic:
        return Read(message=message, topic=topic, refused=reason)
    header = _header_in_place(message, topic, expect)
    if header is None:  # its writer's own words, but not here: anybody who can write could have put them here
        return Read(message=message, topic=topic, refused=reason)
    if header.type not in expect.types:
        return Read(message=message, topic=topic, header=header, refused=SealCode.UNKNOWN_VERSION.value)
    if error.code is SealCode.WRONG_TOPIC:  # sealed where it should only be signed, or the other way round
        return Read(message=message, topic=topic, refused=reason)
    return Read(message=message, topic=topic, header=header, refused=reason)


def _header_in_place(message: Message, topic: Topic, expect: Expectation) -> Header | None:
    """Return the header if these authenticated bytes belong on this topic and key, be it in another version of the event."""
    try:
        header = parse_header(unpack(message.value).header)
    except EnvelopeError:
        return None
    names = {_name_of(event) for event in topic.events}
    if header.writer != expect.writer or header.subject != expect.subject or _name_of(header.type) not in names:
        return None
    return None if header.type == EventsConfirmed.type else header


def _name_of(event_type: str) -> str:
    return event_type.rpartition(".v")[0]


def _subject_of(key: bytes | None) -> str:
    try:
        return (key or b"").decode()
    except UnicodeDecodeError:
        return ""
