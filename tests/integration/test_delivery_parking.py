"""What cannot be applied is parked with its reason and holds up nothing else: the receiver on a real database, without a broker."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from chassis.delivery import parking
from chassis.delivery.messages import Message
from chassis.errors import NotFound, Rejected
from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.key_files import key_path
from chassis.sealing.keys import generate_signing_key
from chassis.sealing.seal import seal
from chassis.storage import SYSTEM, System
from contracts.envelope import Header
from contracts.events import Event, IncidentProgressed, ViolationLinked
from support.delivery import SITUATION, House, in_batches, linked
from support.receiving import TOPIC, Pair, crafted, pair, published, series

__all__ = ["pair"]


async def test_a_rejected_event_is_parked_with_its_code_its_followers_wait_and_replay_applies_all(pair: Pair) -> None:
    events, marks = series("a", 3)
    other, other_marks = series("b", 1)
    messages = await published(pair, *events, *other)

    async def reject_second(event: Event) -> None:
        if isinstance(event, ViolationLinked) and str(event.link) == marks[1]:
            raise Rejected("not_now")

    pair.reader.bug = reject_second
    await pair.reader.receiver.receive(messages)
    assert await pair.reader.marks() == [marks[0], other_marks[0]]
    assert await pair.reader.reasons() == ["rejected:not_now", "waiting"]
    assert await pair.reader.value("select count(*) from confirmations_due") == 4

    still = await parking.replay(pair.reader.receiver, by=System("operator"))
    assert (still.tried, still.applied, still.parked) == (1, 0, 1)
    assert await pair.reader.reasons() == ["rejected:not_now", "waiting"]
    pair.reader.bug = None
    done = await parking.replay(pair.reader.receiver, by=System("operator"))
    assert (done.tried, done.applied, done.parked) == (1, 1, 0)
    assert await pair.reader.marks("a") == marks
    assert await pair.reader.reasons() == []
    assert await pair.reader.value("select count(*) from audit_entries where action = 'delivery.replay' and actor = 'operator'") == 2


async def test_a_problem_that_a_handler_raises_rejects_the_event_with_the_problems_code(pair: Pair) -> None:
    async def not_found(_: Event) -> None:
        raise NotFound

    pair.reader.bug = not_found
    await pair.reader.receiver.receive(await published(pair, linked(incident="a")))
    assert await pair.reader.reasons() == ["rejected:not_found"]
    assert await pair.reader.marks() == []


async def test_a_bug_that_meets_one_message_parks_it_alone_and_the_batch_goes_on(pair: Pair) -> None:
    events, marks = series("a", 5)
    others, other_marks = series("b", 5)
    messages = await published(pair, *events, *others)

    async def bug(event: Event) -> None:
        if isinstance(event, ViolationLinked) and str(event.link) == marks[2]:
            raise KeyError("secret")

    pair.reader.bug = bug
    await pair.reader.receiver.receive(messages)
    assert await pair.reader.marks("a") == marks[:2]
    assert await pair.reader.marks("b") == other_marks
    assert await pair.reader.reasons() == ["handler_failed", "waiting", "waiting"]
    pair.reader.bug = None
    await parking.replay(pair.reader.receiver, by=System("operator"))
    assert await pair.reader.marks("a") == marks


async def test_an_event_that_cannot_leave_is_the_fault_of_the_message_that_caused_it(pair: Pair) -> None:
    first, second = await published(pair, linked(incident="a"), linked(incident="b"))
    reader = pair.reader

    async def publish_nowhere(event: ViolationLinked, tx: object) -> None:
        await reader.record(event, tx)  # type: ignore[arg-type]
        if event.violation == "a/v1":
            tx.publish(IncidentProgressed(situation=SITUATION, incident=uuid4(), status="closed", at=datetime.now(UTC)), subject="a")  # type: ignore[attr-defined]

    reader.receiver._handlers[ViolationLinked.type] = publish_nowhere
    await reader.receiver.receive([first, second])
    assert await reader.marks("a") == []
    assert len(await reader.marks("b")) == 1
    assert await reader.reasons() == ["handler_failed"]


@pytest.mark.parametrize("error", [asyncpg.ConnectionDoesNotExistError("gone"), ConnectionRefusedError(), UnusableKeyError("mend it")])
async def test_a_passing_failure_takes_nothing_and_parks_nothing(pair: Pair, error: Exception) -> None:
    events, marks = series("a", 2)
    messages = await published(pair, *events)
    failing = True

    async def away(event: Event) -> None:
        if failing and isinstance(event, ViolationLinked) and str(event.link) == marks[1]:
            raise error

    pair.reader.bug = away
    with pytest.raises(Exception, match=r".*") as raised:
        await pair.reader.receiver.receive(messages)
    assert type(raised.value).__name__ in ("Unavailable", type(error).__name__)
    assert await pair.reader.marks() == []
    assert await pair.reader.reasons() == []
    assert await pair.reader.value("select count(*) from confirmations_due") == 0
    failing = False
    await pair.reader.receiver.receive(messages)
    assert await pair.reader.marks() == marks


async def test_what_fails_authentication_is_counted_kept_in_part_and_holds_up_nothing(pair: Pair) -> None:
    events, marks = series("a", 2)
    first, second = await published(pair, *events)
    stranger = generate_signing_key("verification")
    header = Header.of(
        event_type="violation.linked.v1",
        situation=SITUATION,
        subject="a",
        event=uuid4(),
        sequence=2,
        writer="verification",
        at=datetime.now(UTC),
        signing=stranger.id,
        recipients=[pair.house.opening["aggregation", SITUATION].id],
    )
    payload = linked(incident="a").model_dump_json().encode()
    forged = seal(header=header, payload=payload, recipients=[pair.house.opening["aggregation", SITUATION].public], signer=stranger)
    changed = bytearray(second.value)
    changed[-1] ^= 1
    elsewhere = await pair.writer.outgoing(TOPIC)
    bad = [
        Message(topic=TOPIC, key=b"a", value=forged),
        Message(topic=TOPIC, key=b"a", value=bytes(changed)),
        Message(topic=TOPIC, key=b"a", value=second.value[:-100]),
        Message(topic=TOPIC, key=b"a", value=b""),
        Message(topic=TOPIC, key=b"\xff", value=second.value),
        Message(topic=TOPIC, key=None, value=second.value),
        Message(topic=TOPIC, key=b"b", value=second.value),
        Message(topic="verification.situations", key=b"a", value=elsewhere[1].value),
        Message(topic=TOPIC, key=b"a", value=b"MRM2" + second.value[4:]),
    ]
    await pair.reader.receiver.receive([first, *bad, *bad, second])
    assert await pair.reader.marks() == marks
    reasons = await pair.reader.reasons()
    assert reasons == ["forged", "forged", "malformed", "malformed", "wrong_topic", "wrong_topic", "unknown_version"]
    assert not pair.reader.receiver.stopped
    account = await parking.account(pair.reader.database, "aggregation", by=SYSTEM)
    assert account.forged == {TOPIC: 16, "verification.situations": 2, "export.confirmations": 0}
    assert account.parked == {TOPIC: 0, "verification.situations": 0}
    assert account.applied == {TOPIC: 2, "verification.situations": 0}
    assert await pair.reader.value("select count(*) from confirmations_due") == 2


async def test_a_flood_of_forgeries_is_counted_but_not_hoarded(pair: Pair) -> None:
    flood = [Message(topic=TOPIC, key=b"a", value=b"%d" % number) for number in range(150)]
    await pair.reader.receiver.receive(flood)
    assert await pair.reader.value("select count(*) from parked") == 100
    assert await pair.reader.value("select seen from refused_messages where topic = $1", TOPIC) == 150


async def test_authentic_messages_that_cannot_be_applied_are_parked_with_the_reason_and_the_rest_goes_on(pair: Pair) -> None:
    good = linked(incident="a").model_dump_json().encode()
    key = pair.house.opening["aggregation", SITUATION]
    path = key_path(pair.house.keys_dir("aggregation"), key.id)
    bad = [
        crafted(pair, payload=good, subject="recipient", holder="export"),
        crafted(pair, payload=b"{}", subject="empty"),
        crafted(pair, payload=b"\xff", subject="bytes"),
        crafted(pair, payload=linked(incident="a", situation="SDN-2024").model_dump_json().encode(), subject="situation"),
        crafted(pair, payload=good, subject="version", event_type="violation.linked.v2"),
    ]
    (fine,) = await published(pair, linked(incident="fine"))
    await pair.reader.receiver.receive([*bad, fine, *bad])
    assert await pair.reader.reasons() == ["wrong_recipient", "invalid_content", "invalid_content", "invalid_content", "unknown_version"]
    assert len(await pair.reader.marks()) == 1
    account = await parking.account(pair.reader.database, "aggregation", by=SYSTEM)
    assert (account.parked[TOPIC], account.applied[TOPIC], account.forged[TOPIC]) == (5, 1, 0)
    assert await pair.reader.value("select count(*) from confirmations_due") == 6
    assert path.exists()


async def test_what_another_key_opens_later_is_applied_by_replay(pair: Pair) -> None:
    """The key file arrives after the events: they are parked, and replay finds the key without a restart."""
    key = pair.house.opening["aggregation", SITUATION]
    path = key_path(pair.house.keys_dir("aggregation"), key.id)
    path.unlink()
    events, marks = series("a", 3)
    await pair.reader.receiver.receive(await published(pair, *events))
    assert await pair.reader.reasons() == ["wrong_recipient"] * 3
    key.save(pair.house.keys_dir("aggregation"))
    outcome = await parking.replay(pair.reader.receiver, by=System("operator"))
    assert (outcome.tried, outcome.applied, outcome.parked) == (3, 3, 0)
    assert await pair.reader.marks() == marks


async def test_a_number_that_was_taken_by_another_event_is_parked_and_holds_up_nothing(pair: Pair) -> None:
    """The writer's ledger was set back: its next event has a number that is used already, and must not vanish."""
    first, second, third = await published(pair, *series("a", 3)[0])
    await pair.reader.receiver.receive([first, second])
    again = crafted(pair, payload=linked(incident="a").model_dump_json().encode(), sequence=2)
    await pair.reader.receiver.receive([again, third, again])
    assert len(await pair.reader.marks()) == 3
    assert await pair.reader.reasons() == ["rejected:sequence_taken"]


async def test_replay_of_one_message_touches_no_other_and_an_unknown_one_is_not_found(pair: Pair) -> None:
    async def reject(_: Event) -> None:
        raise Rejected("never")

    pair.reader.bug = reject
    await pair.reader.receiver.receive(await published(pair, linked(incident="a"), linked(incident="b")))
    pair.reader.bug = None
    page = await parking.list_parked(pair.reader.database, by=SYSTEM, limit=1)
    assert [(row.topic, row.subject, row.sequence, row.reason) for row in page] == [(TOPIC, "a", 1, "rejected:never")]
    rest = await parking.list_parked(pair.reader.database, by=SYSTEM, limit=10, after=page[-1].id)
    assert [row.subject for row in rest] == ["b"]
    outcome = await parking.replay(pair.reader.receiver, by=System("operator"), parked_id=rest[0].id)
    assert (outcome.tried, outcome.applied) == (1, 1)
    assert len(await pair.reader.marks("b")) == 1
    assert await pair.reader.marks("a") == []
    with pytest.raises(NotFound):
        await parking.replay(pair.reader.receiver, by=System("operator"), parked_id=rest[0].id)


async def test_evidence_that_can_be_authenticated_later_is_applied_by_replay(pair: Pair, tmp_path: Path) -> None:
    """A writer's new signing key that this service did not know yet: nothing is lost even if the writer's copy were."""
    (message,) = await published(pair, linked(incident="a"))
    receiver = pair.reader.receiver
    known = receiver._reader
    trust = House(tmp_path / "other").trust
    receiver._reader = type(known)(receiver.topics, trust=trust, sealed=lambda raw, expect: _refuse_unknown(pair, raw, expect, trust))  # type: ignore[arg-type]
    await receiver.receive([message])
    assert await pair.reader.reasons() == ["forged"]
    receiver._reader = known
    assert (await parking.replay(receiver, by=System("operator"))).applied == 1
    assert await pair.reader.reasons() == []
    assert len(await pair.reader.marks()) == 1


def _refuse_unknown(pair: Pair, raw: bytes, expect: object, trust: object) -> object:
    from chassis.sealing.opening import open_sealed
    from chassis.sealing.opening_keys import FileKeyProvider

    return open_sealed(raw, keys=FileKeyProvider(pair.house.keys_dir("aggregation")), trust=trust, expect=expect)  # type: ignore[arg-type]


async def test_too_many_authentic_messages_parked_in_a_row_stop_the_service_without_skipping(pair: Pair) -> None:
    events = [linked(incident=f"i{number}") for number in range(30)]
    messages = await published(pair, *events)

    async def reject(_: Event) -> None:
        raise Rejected("wrong_code")

    pair.reader.bug = reject
    received = await pair.reader.receiver.receive(messages)
    assert (received.taken, received.stopped) == (20, True)
    assert len(await pair.reader.reasons()) == 20
    pair.reader.bug = None
    await parking.replay(pair.reader.receiver, by=System("operator"))
    assert not pair.reader.receiver.stopped
    received = await pair.reader.receiver.receive(messages)
    assert (received.taken, received.stopped) == (30, False)
    assert sorted(await pair.reader.marks()) == sorted(str(event.link) for event in events)


async def test_one_success_in_between_lets_the_service_go_on(pair: Pair) -> None:
    events = [linked(incident=f"i{number}") for number in range(40)]
    messages = await published(pair, *events)
    spared = str(events[15].link), str(events[30].link)

    async def reject_most(event: Event) -> None:
        if isinstance(event, ViolationLinked) and str(event.link) not in spared:
            raise Rejected("often")

    pair.reader.bug = reject_most
    for batch in in_batches(messages, 7):
        assert not (await pair.reader.receiver.receive(batch)).stopped
    assert len(await pair.reader.reasons()) == 38
