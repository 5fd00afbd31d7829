"""Applied once and in order, whatever arrives: the receiver on a real database, without a broker."""

import random
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from chassis.delivery import parking
from chassis.delivery.messages import Message
from chassis.delivery.outbox import NoRecipient
from chassis.errors import Rejected
from chassis.sealing.seal import sign_only
from chassis.storage import SYSTEM
from contracts.envelope import Header
from contracts.events import Event, EventsConfirmed, ViolationLinked
from support.delivery import SITUATION, Party, another_process, in_batches, linked
from support.receiving import TOPIC, Pair, pair, published, series

__all__ = ["pair"]


async def test_a_redelivered_event_changes_nothing_and_is_confirmed_again(pair: Pair) -> None:
    events, marks = series("a", 3)
    messages = await published(pair, *events)
    await pair.reader.receiver.receive(messages)
    await pair.reader.rows("delete from confirmations_due")
    await pair.reader.receiver.receive(messages + messages)
    assert await pair.reader.marks() == marks
    assert await pair.reader.value("select count(*) from confirmations_due where writer = 'verification'") == 3


async def test_any_order_redelivery_and_cutting_gives_each_subject_its_order_once(pair: Pair) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - to repeat what failed
    chance = random.Random(seed)
    expected = {}
    messages: list[Message] = []
    for incident in ("a", "b", "c"):
        events, expected[incident] = series(incident, 8)
        messages += await published(pair, *events)
    arriving = messages + chance.choices(messages, k=20)
    chance.shuffle(arriving)
    while arriving:
        cut = chance.randint(1, 9)
        await pair.reader.receiver.receive(arriving[:cut])
        arriving = arriving[cut:]
    for incident, marks in expected.items():
        assert await pair.reader.marks(incident) == marks
    assert await pair.reader.reasons() == []
    assert await pair.reader.value("select count(*) from inbox") == 24
    assert await pair.reader.value("select count(*) from confirmations_due") == 24


async def test_an_early_event_waits_is_confirmed_and_follows_its_predecessor_within_one_batch(pair: Pair) -> None:
    events, marks = series("a", 3)
    first, second, third = await published(pair, *events)
    await pair.reader.receiver.receive([third, second])
    assert await pair.reader.marks() == []
    assert await pair.reader.reasons() == ["waiting", "waiting"]
    assert await pair.reader.value("select count(*) from confirmations_due") == 2
    await pair.reader.receiver.receive([first])
    assert await pair.reader.marks() == marks
    assert await pair.reader.reasons() == []


async def test_an_event_of_a_situation_not_yet_known_waits_for_its_register_entry(pair: Pair) -> None:
    document = pair.house.situation("SDN-2024")
    await pair.writer.register_situation(document)
    events = [linked(incident="x", situation="SDN-2024") for _ in range(2)]
    await pair.writer.publish(*events)
    await pair.reader.receiver.receive(await pair.writer.outgoing(TOPIC))
    assert await pair.reader.reasons() == ["waiting", "waiting"]
    await pair.reader.receiver.receive(await pair.writer.outgoing("verification.situations"))
    assert await pair.reader.marks() == [str(event.link) for event in events]
    assert await pair.reader.reasons() == []


async def test_what_waits_although_nothing_is_missing_is_applied_at_start(pair: Pair) -> None:
    document = pair.house.situation("SDN-2024")
    await pair.writer.save_situation(document)
    await pair.writer.publish(linked(incident="x", situation="SDN-2024"))
    await pair.reader.receiver.receive(await pair.writer.outgoing(TOPIC))
    await pair.reader.save_situation(document)  # as if the process had died before it released what waited
    await pair.reader.receiver.release_waiting()
    assert len(await pair.reader.marks()) == 1


async def test_two_processes_with_the_same_messages_apply_each_once(pair: Pair) -> None:
    """After a rebalance two consumers may hold the same batch for a while."""
    import asyncio

    other = await another_process(pair.reader)
    expected = {}
    messages: list[Message] = []
    for incident in ("a", "b", "c", "d"):
        events, expected[incident] = series(incident, 10)
        messages += await published(pair, *events)

    async def insistently(party: Party, arriving: list[Message]) -> None:
        for batch in in_batches(arriving, 7):
            while True:
                try:
                    await party.receiver.receive(batch)
                    break
                except Exception as error:
                    if type(error).__name__ != "Unavailable":  # the loser of a deadlock tries again, as the consumer does
                        raise

    await asyncio.gather(insistently(pair.reader, messages), insistently(other, list(reversed(messages))))
    for incident, marks in expected.items():
        assert await pair.reader.marks(incident) == marks
    assert await pair.reader.reasons() == []
    await other.database.close()


async def test_only_the_reader_itself_confirms_and_only_what_it_is_awaited_for(pair: Pair) -> None:
    await pair.writer.publish(linked(incident="a"))
    await pair.writer.register_situation(pair.house.situation(version=2))
    decision, entry = [row["event_id"] for row in await pair.writer.rows("select event_id from outbox order by id")]

    def confirmation(reader: str, *events: UUID, topic: str | None = None, claimed: str | None = None) -> Message:
        signer = pair.house.signing[reader]
        event = EventsConfirmed(situation="all", reader=claimed or reader, events=list(events))
        header = Header.of(
            event_type=event.type,
            situation="all",
            subject="verification",
            event=uuid4(),
            sequence=0,
            writer=reader,
            at=datetime.now(UTC),
            signing=signer.id,
        )
        raw = sign_only(header=header, payload=event.model_dump_json().encode(), signer=signer)
        return Message(topic=topic or f"{reader}.confirmations", key=b"verification", value=raw)

    async def awaited(event: UUID) -> tuple[list[str], bool]:
        (row,) = await pair.writer.rows("select awaiting, done_at from outbox where event_id = $1", event)
        return row["awaiting"], row["done_at"] is not None

    receive = pair.writer.receiver.receive
    await receive([confirmation("export", decision), confirmation("intake", decision, claimed="aggregation")])
    await receive([confirmation("intake", decision, topic="aggregation.confirmations")])
    assert await awaited(decision) == (["aggregation"], False)
    await receive([confirmation("aggregation", decision, entry, uuid4())])
    assert await awaited(decision) == ([], True)
    assert await awaited(entry) == (["intake", "export"], False)
    await receive([confirmation("export", entry), confirmation("intake", entry), confirmation("intake", entry)])
    assert await awaited(entry) == ([], True)


async def test_the_account_balances_over_applied_parked_and_waiting(pair: Pair) -> None:
    async def reject_a(event: Event) -> None:
        if isinstance(event, ViolationLinked) and event.violation == "a/v1":
            raise Rejected("never")

    pair.reader.bug = reject_a
    await pair.writer.publish(*(linked(incident=incident) for incident in ("a", "a", "a", "b", "c")))
    await pair.reader.receiver.receive(await pair.writer.outgoing(TOPIC))
    written = await parking.account(pair.writer.database, "verification", by=SYSTEM)
    read = await parking.account(pair.reader.database, "aggregation", by=SYSTEM)
    assert (written.published[TOPIC], written.in_flight[TOPIC], written.confirmed[TOPIC]) == (5, 5, 0)
    assert (read.applied[TOPIC], read.parked[TOPIC], read.waiting[TOPIC]) == (2, 1, 2)
    assert set(written.published) == {"verification.decisions", "verification.progress", "verification.situations"}


async def test_events_of_a_removed_situation_are_confirmed_and_leave_nothing(pair: Pair) -> None:
    scratch = pair.house.situation("CHECK-1", scratch=True)
    await pair.writer.register_situation(scratch)
    await pair.writer.publish(*(linked(incident="x", situation="CHECK-1") for _ in range(3)))
    first, second, third = await pair.writer.outgoing(TOPIC)
    await pair.reader.receiver.receive(await pair.writer.outgoing("verification.situations"))
    await pair.reader.receiver.receive([first, third])
    removed_of: list[str] = []

    async def on_removed(code: str, tx: object) -> None:
        removed_of.append(code)
        await tx.execute("delete from effects where situation = $1", code)  # type: ignore[attr-defined]

    pair.reader.register.on_removed = on_removed
    removal = replace_document(scratch, version=2, removed=True)
    await pair.writer.register_situation(removal)
    (_, mark) = await pair.writer.outgoing("verification.situations")
    await pair.reader.receiver.receive([mark, second, third])
    assert removed_of == ["CHECK-1"]
    assert await pair.reader.marks() == []
    for table in ("inbox", "inbox_sequences", "parked"):
        assert await pair.reader.value(f"select count(*) from {table} where situation = 'CHECK-1' and topic = $1", TOPIC) == 0  # noqa: S608
    assert await pair.writer.outgoing(TOPIC) == []
    assert await pair.reader.register.find("CHECK-1") is None
    account = await parking.account(pair.reader.database, "aggregation", by=SYSTEM)
    assert (account.applied[TOPIC], account.parked[TOPIC], account.waiting[TOPIC]) == (0, 0, 0)
    assert await pair.reader.value("select count(*) from confirmations_due") == 5


def replace_document(document: object, **changes: object) -> object:
    return document.model_copy(update=changes)  # type: ignore[attr-defined]


async def test_of_a_compacted_topic_the_newest_is_applied_though_older_ones_are_gone(pair: Pair) -> None:
    for version in (2, 3, 4):
        await pair.writer.register_situation(pair.house.situation(version=version))
    second, third, fourth = await pair.writer.outgoing("verification.situations")
    await pair.reader.receiver.receive([third])
    assert (await pair.reader.register.get(SITUATION)).version == 3
    await pair.reader.receiver.receive([second, fourth, third])
    assert (await pair.reader.register.get(SITUATION)).version == 4
    assert await pair.reader.reasons() == []
    assert (await parking.account(pair.reader.database, "aggregation", by=SYSTEM)).applied["verification.situations"] == 3


async def test_the_same_cause_publishes_the_same_events_and_leaves_no_gap(pair: Pair) -> None:
    """It was not known whether the first attempt was committed, so it is made again."""
    cause, events = uuid4(), [linked(incident="a"), linked(incident="a")]
    for attempt in (events[:1], events):
        async with pair.writer.database.transaction("test", by=SYSTEM, cause=cause) as tx:
            for event in attempt:
                tx.publish(event, subject="a")
    rows = await pair.writer.rows("select sequence from outbox where topic = $1 order by id", TOPIC)
    assert [row["sequence"] for row in rows] == [1, 2]
    await pair.reader.receiver.receive(await pair.writer.outgoing(TOPIC))
    assert await pair.reader.marks() == [str(event.link) for event in events]


async def test_an_event_that_nobody_could_open_is_not_published(pair: Pair) -> None:
    with pytest.raises(NoRecipient):
        await pair.writer.publish(linked(incident="a", situation="SDN-2024"))
    document = pair.house.situation(version=2)
    await pair.writer.save_situation(document.model_copy(update={"recipients": {"verification": document.recipients["verification"]}}))
    with pytest.raises(NoRecipient):
        await pair.writer.publish(linked(incident="a"))
    assert await pair.writer.outgoing() == []


async def test_every_event_of_the_topics_must_have_its_handler(pair: Pair) -> None:
    with pytest.raises(ValueError, match=r"violation\.unlinked\.v1"):
        pair.reader.receiver.configure({ViolationLinked: pair.reader.record}, None)
