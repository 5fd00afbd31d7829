"""What is believed of a message: only what its writer signed, in the place where it was found."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from chassis.delivery.messages import Message, MessageReader, Read
from chassis.delivery.outbox import recipients_of
from chassis.sealing.keys import SigningKey, generate_signing_key
from chassis.sealing.opening import SealedOpener
from chassis.sealing.opening_keys import OpeningKey, generate_opening_key
from chassis.sealing.seal import seal, sign_only
from chassis.sealing.trust import Trust
from contracts.envelope import Header
from contracts.events import EventsConfirmed, ViolationLinked
from contracts.situation import Situation
from contracts.topics import topic_named, topics_read_by
from support.sealing import KeysInMemory
from support.vouched import PINNED, vouched

SITUATION = "AFG-2024"
TOPIC = "verification.decisions"
VERIFICATION = generate_signing_key("verification")
EXPORT = generate_signing_key("export")
KEY = generate_opening_key("aggregation", SITUATION)
OTHER_KEY = generate_opening_key("export", SITUATION)
TRUST = Trust().with_signing(VERIFICATION.public, EXPORT.public)
READER = MessageReader(
    {topic.name: topic for topic in topics_read_by("aggregation")}, trust=TRUST, sealed=SealedOpener(KeysInMemory(KEY), TRUST)
)
EVENT = ViolationLinked(situation=SITUATION, link=uuid4(), violation="a/1", of="b/1", recorded_at=datetime.now(UTC))


def header(signer: SigningKey, *recipients: OpeningKey, **changes: object) -> Header:
    fields: dict[str, object] = {
        "event_type": EVENT.type,
        "situation": SITUATION,
        "subject": "a",
        "event": uuid4(),
        "sequence": 1,
        "writer": signer.service,
        "at": datetime.now(UTC),
        "signing": signer.id,
        "recipients": [key.id for key in recipients],
    }
    return Header.of(**{**fields, **changes})  # type: ignore[arg-type]


def sealed(
    *, payload: bytes | None = None, signer: SigningKey = VERIFICATION, key: OpeningKey = KEY, topic: str = TOPIC, **changes: object
) -> Message:
    payload = EVENT.model_dump_json().encode() if payload is None else payload
    raw = seal(header=header(signer, key, **changes), payload=payload, recipients=[key.public], signer=signer)
    return Message(topic=topic, key=b"a", value=raw)


def outcome(read: Read) -> tuple[bool, str | None]:
    """Whether it is authentic in its place, and why it is refused."""
    return read.header is not None, read.refused


def test_a_sound_message_is_its_event() -> None:
    read = READER.read(sealed())
    assert read.event == EVENT
    assert read.refused is None
    assert read.subject == (TOPIC, SITUATION, "a")


CASES: dict[str, tuple[Callable[[], Message], tuple[bool, str]]] = {
    "a stranger's signature": (lambda: sealed(signer=generate_signing_key("verification")), (False, "forged")),
    "another service's signature": (lambda: sealed(signer=EXPORT), (False, "forged")),
    "cut short": (lambda: Message(topic=TOPIC, key=b"a", value=sealed().value[:-1]), (False, "malformed")),
    "another key than its subject": (lambda: Message(topic=TOPIC, key=b"b", value=sealed().value), (False, "wrong_topic")),
    "another topic of the same writer": (
        lambda: Message(topic="verification.situations", key=b"a", value=sealed().value),
        (False, "wrong_topic"),
    ),
    "signed only where it must be sealed": (
        lambda: Message(topic=TOPIC, key=b"a", value=sign_only(header=header(VERIFICATION), payload=b"{}", signer=VERIFICATION)),
        (False, "wrong_topic"),
    ),
    "sealed to another holder": (lambda: sealed(key=OTHER_KEY), (True, "wrong_recipient")),
    "a later version of its event": (lambda: sealed(event_type="violation.linked.v2"), (True, "unknown_version")),
    "another event of the writer": (lambda: sealed(event_type="incident.progressed.v1"), (False, "wrong_topic")),
    "no JSON": (lambda: sealed(payload=b"\xff"), (True, "invalid_content")),
    "another situation inside than outside": (
        lambda: sealed(payload=EVENT.model_copy(update={"situation": "SDN-2024"}).model_dump_json().encode()),
        (True, "invalid_content"),
    ),
    "an unknown field": (lambda: sealed(payload=EVENT.model_dump_json().encode()[:-1] + b',"more":1}'), (True, "invalid_content")),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_as_it_should_be_is_refused_with_the_reason(case: str) -> None:
    make, expected = CASES[case]
    read = READER.read(make())
    assert outcome(read) == expected
    assert read.event is None


def confirmation(*, reader: str, signer: SigningKey = EXPORT) -> Message:
    event = EventsConfirmed(situation="all", reader=reader, events=[uuid4()])
    head = header(signer, event_type=event.type, situation="all", subject="aggregation", sequence=0)
    raw = sign_only(header=head, payload=event.model_dump_json().encode(), signer=signer)
    return Message(topic="export.confirmations", key=b"aggregation", value=raw)


def test_nobody_confirms_for_another() -> None:
    assert READER.read(confirmation(reader="export")).confirmation is not None
    for lie in (confirmation(reader="verification"), confirmation(reader="export", signer=VERIFICATION)):
        read = READER.read(lie)
        assert read.confirmation is None
        assert read.header is None


def test_an_event_is_sealed_to_all_keys_of_all_readers_or_not_at_all() -> None:
    second = generate_opening_key("aggregation", SITUATION)
    document = Situation(code=SITUATION, name="x", time_zone="UTC", recipients={"aggregation": [vouched(KEY), vouched(second)]}, version=1)
    trust = Trust().with_signing(*PINNED)
    assert [key.id for key in recipients_of(topic_named(TOPIC), document, trust)] == [KEY.id, second.id]
    assert recipients_of(topic_named("aggregation.counts"), document, trust) == ()
    assert recipients_of(topic_named("export.submissions"), document, trust) == ()
