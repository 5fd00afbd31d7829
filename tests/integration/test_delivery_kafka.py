"""From one service's commit to another's, over a real broker: nothing lost, nothing doubled, nothing early, whatever fails on the way."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiokafka
import asyncpg
import pytest
from aiokafka import client
from aiokafka.consumer import fetcher, group_coordinator
from aiokafka.errors import CommitFailedError

from chassis.delivery import parking
from chassis.errors import Rejected
from chassis.storage import SYSTEM, System
from contracts.events import Event, IncidentProgressed
from local_stack.kafka import KafkaServer
from local_stack.postgres import PostgresServer
from support.delivery import SITUATION, House, Party, another_process, linked, make_party, until
from support.stack import NewDatabase

TOPIC = "verification.decisions"
REGISTER = "verification.situations"


@dataclass
class Pair:
    house: House
    writer: Party
    reader: Party

    async def settled(self) -> bool:
        """Nothing that leaves for the reader is in flight."""
        return await self.writer.value("select count(*) from outbox where done_at is null and topic = $1", TOPIC) == 0

    async def publish(self, incidents: int, each: int) -> dict[str, list[str]]:
        """Publish `each` events of every incident, interleaved, and return the marks of each in order."""
        names = [uuid4().hex for _ in range(incidents)]
        expected: dict[str, list[str]] = {name: [] for name in names}
        for _ in range(each):
            events = [linked(incident=name) for name in names]
            await self.writer.publish(*events)
            for name, event in zip(names, events, strict=True):
                expected[name].append(str(event.link))
        return expected

    async def holds_exactly(self, expected: dict[str, list[str]]) -> None:
        found: dict[str, list[str]] = {}
        for row in await self.reader.rows("select subject, mark from effects order by place"):
            found.setdefault(row["subject"], []).append(row["mark"])
        assert found == expected


@pytest.fixture
async def pair(tmp_path: Path, new_database: NewDatabase) -> AsyncIterator[Pair]:
    house = House(tmp_path)
    writer = await make_party("verification", house, new_database)
    reader = await make_party("aggregation", house, new_database, stop_after_parked=5)
    await writer.register_situation(house.situation())
    await reader.save_situation(house.situation())
    yield Pair(house, writer, reader)
    await writer.database.close()
    await reader.database.close()


async def test_two_thousand_events_arrive_once_in_order_and_are_confirmed(pair: Pair, kafka_server: KafkaServer) -> None:
    expected = await pair.publish(incidents=200, each=10)
    async with pair.writer.running(kafka_server), pair.reader.running(kafka_server):
        await until(pair.settled)
    await pair.holds_exactly(expected)
    written = await parking.account(pair.writer.database, "verification", by=SYSTEM)
    read = await parking.account(pair.reader.database, "aggregation", by=SYSTEM)
    assert (written.published[TOPIC], written.confirmed[TOPIC], written.in_flight[TOPIC]) == (2000, 2000, 0)
    assert (read.applied[TOPIC], read.parked[TOPIC], read.waiting[TOPIC]) == (2000, 0, 0)
    assert pair.reader.health == {"kafka": "ok", "consumer": "ok", "relay": "ok"}


async def test_offsets_that_were_never_committed_bring_everything_again_and_change_nothing(
    pair: Pair, kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies between the commit of the database and the commit of the offsets."""
    expected = await pair.publish(incidents=20, each=5)

    async def refused(*_: Any) -> None:
        raise CommitFailedError

    async with pair.writer.running(kafka_server):
        with monkeypatch.context() as patched:
            patched.setattr(aiokafka.AIOKafkaConsumer, "commit", refused)
            async with pair.reader.running(kafka_server):
                await until(pair.settled)
        received: list[int] = []
        take = pair.reader.receiver.receive

        async def counting(messages: Any) -> Any:
            received.append(sum(message.topic == TOPIC for message in messages))
            return await take(messages)

        monkeypatch.setattr(pair.reader.receiver, "receive", counting)
        async with pair.reader.running(kafka_server):

            async def all_again() -> bool:
                return sum(received) >= 100

            await until(all_again)
    await pair.holds_exactly(expected)


@pytest.mark.parametrize("failing", ["GroupCoordinator.ensure_coordinator_known", "Fetcher._get_actions_per_node", "AIOKafkaClient.send"])
async def test_a_client_that_gives_up_is_replaced(
    pair: Pair, kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """aiokafka loses its place in the group, or its fetching, for ever by one KeyError; FastStream would ask it for ever."""
    owner, name = failing.split(".")
    module = {"GroupCoordinator": group_coordinator, "Fetcher": fetcher, "AIOKafkaClient": client}[owner]
    genuine, failed = getattr(getattr(module, owner), name), []

    def once(self: Any, *arguments: Any, **named: Any) -> Any:
        if len(failed) < 3:
            failed.append(name)
            raise KeyError((0, "DEFAULT"))
        return genuine(self, *arguments, **named)

    expected = await pair.publish(incidents=20, each=5)
    async with pair.writer.running(kafka_server):
        monkeypatch.setattr(getattr(module, owner), name, once)
        async with pair.reader.running(kafka_server) as running:
            await until(pair.settled)
            assert not any(task.done() for task in running.tasks)
    assert len(failed) == 3
    await pair.holds_exactly(expected)


async def test_a_wiped_broker_loses_nothing(pair: Pair, kafka_server: KafkaServer, tmp_path: Path, new_database: NewDatabase) -> None:
    """All rows were acknowledged by the broker, none confirmed; then its disk is gone. The register is published anew as well."""
    expected = await pair.publish(incidents=30, each=3)
    late = await make_party("export", pair.house, new_database)
    async with pair.writer.running(kafka_server, resend_after_seconds=3600):

        async def all_sent() -> bool:
            return await pair.writer.value("select count(*) from outbox where sent_at is null") == 0

        await until(all_sent)
        kafka_server.stop()
        shutil.rmtree(kafka_server.data)
        kafka_server.start()
        async with pair.reader.running(kafka_server), late.running(kafka_server):
            await until(pair.settled)

            async def register_arrived() -> bool:
                return await late.register.find(SITUATION) is not None

            await until(register_arrived)
    await pair.holds_exactly(expected)
    await late.database.close()


async def test_a_wiped_broker_gets_register_documents_that_everybody_had_confirmed(
    pair: Pair, kafka_server: KafkaServer, new_database: NewDatabase
) -> None:
    await pair.writer.rows("update outbox set awaiting = '{}', done_at = now(), sent_at = now() where topic = $1", REGISTER)
    kafka_server.stop()
    shutil.rmtree(kafka_server.data)
    kafka_server.start()
    late = await make_party("export", pair.house, new_database)
    async with pair.writer.running(kafka_server), late.running(kafka_server):

        async def arrived() -> bool:
            return await late.register.find(SITUATION) is not None

        await until(arrived)
    await late.database.close()


async def test_of_two_relays_one_sends_and_the_other_takes_over(pair: Pair, kafka_server: KafkaServer) -> None:
    other = await another_process(pair.writer)
    async with pair.reader.running(kafka_server), other.running(kafka_server) as second:

        async def second_leads() -> bool:
            return second.relay.active

        await until(second_leads)
        async with pair.writer.running(kafka_server) as first:
            expected = await pair.publish(incidents=10, each=5)
            await until(pair.settled)
            assert second.relay.active
            assert not first.relay.active
            assert pair.writer.health["relay"] == "ok"
            second.relay.stop(within=0)

            async def first_leads() -> bool:
                return first.relay.active

            await until(first_leads)
            expected |= await pair.publish(incidents=10, each=5)
            await until(pair.settled)
    await pair.holds_exactly(expected)
    await other.database.close()


async def test_a_lower_id_that_commits_later_is_sent_too(pair: Pair, kafka_server: KafkaServer) -> None:
    first, second = uuid4().hex, uuid4().hex
    slow, quick = linked(incident=first), linked(incident=second)
    async with pair.writer.running(kafka_server), pair.reader.running(kafka_server):
        async with pair.writer.database.transaction("slow", by=SYSTEM) as tx:
            tx.publish(slow, subject=first)
            await tx.flush(pair.writer.events)
            await pair.writer.publish(quick)
            await until(lambda: _has_marks(pair.reader, second, 1))
        await until(lambda: _has_marks(pair.reader, first, 1))
        await until(pair.settled)
    ids = {row["subject"]: row["id"] for row in await pair.writer.rows("select subject, id from outbox where topic = $1", TOPIC)}
    assert ids[first] < ids[second]
    await pair.holds_exactly({first: [str(slow.link)], second: [str(quick.link)]})


async def _has_marks(party: Party, subject: str, count: int) -> bool:
    return len(await party.marks(subject)) == count


async def test_lost_database_connections_delay_and_lose_nothing(
    pair: Pair, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> None:
    expected: dict[str, list[str]] = {}
    superuser = await asyncpg.connect(postgres_server.superuser_url())
    async with pair.writer.running(kafka_server, resend_after_seconds=3600), pair.reader.running(kafka_server):
        for _ in range(4):
            expected |= await pair.publish(incidents=20, each=5)
            await superuser.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = any($1::text[]) and pid <> pg_backend_pid()",
                [pair.writer.source.name, pair.reader.source.name],
            )
        await until(pair.settled)
    await superuser.close()
    await pair.holds_exactly(expected)
    assert await pair.reader.rows("select 1 from parked where event_id is not null") == []


async def test_a_batch_that_failed_is_read_again_without_being_sent_again(pair: Pair, kafka_server: KafkaServer) -> None:
    expected = await pair.publish(incidents=10, each=3)
    failures = iter(range(3))

    async def fail_at_first(_: Event) -> None:
        if next(failures, None) is not None:
            raise ConnectionResetError

    pair.reader.bug = fail_at_first
    async with pair.writer.running(kafka_server, resend_after_seconds=3600), pair.reader.running(kafka_server):
        await until(pair.settled)
    await pair.holds_exactly(expected)
    assert next(failures, None) is None
    assert await pair.writer.value("select max(attempts) from outbox where topic = $1", TOPIC) == 1


async def test_a_broker_that_is_away_is_waited_for_and_readiness_says_so(pair: Pair, kafka_server: KafkaServer) -> None:
    kafka_server.stop()
    try:
        async with pair.writer.running(kafka_server), pair.reader.running(kafka_server):
            expected = await pair.publish(incidents=5, each=2)
            await until(lambda: _says(pair.reader, "kafka", "the broker does not answer"))
            assert pair.writer.health["relay"] == "waits for the broker"
            kafka_server.start()
            await until(pair.settled)
            await until(lambda: _says(pair.reader, "kafka", "ok"))
            kafka_server.stop()
            expected |= await pair.publish(incidents=5, each=2)
            await until(lambda: _says(pair.reader, "kafka", "the broker does not answer"))
            kafka_server.start()
            await until(pair.settled)
    finally:
        if not kafka_server.listening():
            kafka_server.start()
    await pair.holds_exactly(expected)


async def _says(party: Party, check: str, state: str) -> bool:
    return party.health.get(check) == state


async def test_what_is_not_confirmed_is_sent_again_after_a_growing_while(pair: Pair, kafka_server: KafkaServer) -> None:
    await pair.publish(incidents=1, each=1)
    async with pair.writer.running(kafka_server, resend_after_seconds=0.2):

        async def sent_thrice() -> bool:
            return await pair.writer.value("select attempts from outbox where topic = $1", TOPIC) >= 3

        await until(sent_thrice)
    (row,) = await pair.writer.rows("select attempts, resend_at - sent_at as pause, done_at from outbox where topic = $1", TOPIC)
    assert row["pause"].total_seconds() == pytest.approx(0.2 * 2 ** (row["attempts"] - 1))
    assert row["done_at"] is None


async def test_the_consumer_stops_after_too_many_rejections_and_a_replay_lets_it_go_on(pair: Pair, kafka_server: KafkaServer) -> None:
    expected = await pair.publish(incidents=30, each=1)

    async def reject(_: Event) -> None:
        raise Rejected("wrong_code")

    pair.reader.bug = reject
    async with pair.writer.running(kafka_server), pair.reader.running(kafka_server):
        await until(
            lambda: _says(pair.reader, "consumer", "stopped: too many messages in a row had to be parked; mend the code, then replay")
        )
        assert await pair.reader.value("select count(*) from parked where event_id is not null") == 5
        pair.reader.bug = None
        await parking.replay(pair.reader.receiver, by=System("operator"))
        await until(pair.settled)
        await until(lambda: _says(pair.reader, "consumer", "ok"))
    await pair.holds_exactly(expected)


async def test_hostile_kafka_headers_change_nothing(pair: Pair, kafka_server: KafkaServer) -> None:
    """Whoever can write to a topic chooses headers, too: nothing may be decoded, answered or skipped because of them."""
    expected = await pair.publish(incidents=3, each=1)
    user = kafka_server.user("verification")
    producer = aiokafka.AIOKafkaProducer(**user.client_settings())
    await producer.start()
    hostile = [
        ("content-type", b"application/json"),
        ("reply_to", b"aggregation.counts"),
        ("correlation_id", b"\xff\xfe"),
    ]
    for partition in range(24):
        await producer.send_and_wait(TOPIC, b"{not json", key=b"\xff", headers=hostile, partition=partition)
    await producer.stop()
    async with pair.writer.running(kafka_server, resend_after_seconds=3600):

        async def all_sent() -> bool:
            return await pair.writer.value("select count(*) from outbox where sent_at is null") == 0

        await until(all_sent)  # so that they lie behind the hostile ones in their partitions
        async with pair.reader.running(kafka_server):
            await until(pair.settled)
    await pair.holds_exactly(expected)


async def test_a_signed_topic_needs_no_opener_and_no_opening_key(pair: Pair, kafka_server: KafkaServer, new_database: NewDatabase) -> None:
    intake = await make_party("intake", pair.house, new_database)
    assert not list(pair.house.keys_dir("intake").glob("*__AFG-2024__*"))
    handlers = {IncidentProgressed: intake.record}
    intake.receiver.configure(handlers)
    incident = uuid4()
    async with pair.writer.database.transaction("progress", by=SYSTEM) as tx:
        tx.publish(IncidentProgressed(situation=SITUATION, incident=incident, status="closed", at=tx.now), subject=str(incident))
    async with pair.writer.running(kafka_server), intake.running(kafka_server):
        await until(lambda: _has_marks(intake, str(incident), 1))
    await intake.database.close()


async def test_a_consume_loop_that_ends_by_itself_ends_the_consumer(pair: Pair, kafka_server: KafkaServer) -> None:
    async with pair.reader.running(kafka_server, relay=False) as running:
        await until(lambda: _says(pair.reader, "consumer", "ok"))
        consumer_task = running.tasks[1]
        subscribers = [task for task in asyncio.all_tasks() if "_run_consume_loop" in str(task.get_coro())]
        assert len(subscribers) == 1
        subscribers[0].cancel()
        done, _ = await asyncio.wait([consumer_task], timeout=20)
        assert done
        assert type(consumer_task.exception()).__name__ == "ConsumerDiedError"
        running.tasks.remove(consumer_task)
