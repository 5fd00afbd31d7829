"""The consume loop: batches from the broker into the receiver, offsets committed after the database, and never a silent end."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faststream.kafka.message import KafkaAckableMessage

from chassis.delivery.bus import BROKER_FAILURES, ClusterWatch, is_given_up, make_subscriber, stop_subscriber
from chassis.delivery.failures import is_passing
from chassis.delivery.messages import Message
from chassis.delivery.receiver import Receiver
from chassis.settings import ServiceSettings
from chassis.telemetry import get_logger

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 15.0
"""Well below the time after which the broker would think the consumer dead for not polling."""
LOOK_SECONDS: Final = 0.25
NEVER_COMMITTED: Final = (KafkaError, IllegalStateError)
log = get_logger()


class ConsumerDiedError(Exception):
    """FastStream's loop has ended by itself; only a new process is to be trusted now."""


class GroupLeftError(Exception):
    """The broker's client has given up its part in the group; another one is begun."""


class Consumer:
    """Consumes the topics of one service until it is stopped."""

    def __init__(self, receiver: Receiver, *, settings: ServiceSettings, cluster: ClusterWatch, health: dict[str, str]) -> None:
        self._receiver = receiver
        self._settings = settings
        self._cluster = cluster
        self._health = health
        self._stopping = asyncio.Event()
        self._pause = FIRST_PAUSE
        self._broken: BaseException | None = None

    def stop(self) -> None:
        """Finish the batch under way, take no other, and let `run` return."""
        self._stopping.set()

    async def run(self) -> None:
        """Consume; raises ConsumerDiedError, and whatever is neither a message's fault nor passing."""
        await self._release_waiting()
        while not self._stopping.is_set():
            try:
                await self._consume()
            except (GroupLeftError, *BROKER_FAILURES) as error:
                self._health["consumer"] = "cannot subscribe and tries again"
                log.failure("consumer_failed", error)
                await self._wait(self._next_pause())
            if self._receiver.stopped:
                await self._stand_still()

    async def _release_waiting(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._receiver.release_waiting()
            except Exception as error:
                if not is_passing(error):
                    raise
                log.failure("release_failed", error)
                await self._wait(self._next_pause())
            else:
                return

    async def _consume(self) -> None:
        """Subscribe and watch until told to stop, until too much was parked, or until the broker is another one."""
        while not self._cluster.reachable.is_set():
            self._health["consumer"] = "waits for the broker"
            await self._wait(LOOK_SECONDS)
            if self._stopping.is_set():
                return
        cluster = self._cluster.cluster_id
        broker, subscriber = make_subscriber(self._receiver.service, self._settings, self._take)
        try:
            await broker.start()
            self._health["consumer"] = "ok"
            while not self._stopping.is_set() and not self._receiver.stopped and self._cluster.cluster_id == cluster:
                if self._broken is not None:
                    raise self._broken
                if all(task.done() for task in subscriber.tasks):
                    raise ConsumerDiedError
                if is_given_up(subscriber):
                    raise GroupLeftError
                await self._wait(LOOK_SECONDS)
        finally:
            await stop_subscriber(broker, subscriber)

    async def _take(self, message: KafkaAckableMessage) -> None:
        """Handle one batch. FastStream swallows what a handler raises and goes on, so nothing may be raised here."""
        if self._stopping.is_set() or self._receiver.stopped or self._broken is not None:
            return  # taken from the broker but neither handled nor committed: it comes again
        records: tuple[Any, ...] = message.raw_message
        consumer: Any = message.consumer
        try:
            received = await self._receiver.receive([_message(record) for record in records])
        except Exception as error:
            await self._step_back(consumer, records, error)
            return
        except BaseException as error:
            self._broken = error
            raise
        self._health["consumer"] = "ok"
        self._pause = FIRST_PAUSE
        try:
            offsets = _offsets_after(consumer, records[: received.taken])
            if offsets:
                await consumer.commit(offsets)
        except NEVER_COMMITTED as error:  # the batch comes again and changes nothing
            log.warning("offsets_not_committed", error=type(error).__name__)

    async def _step_back(self, consumer: Any, records: tuple[Any, ...], error: Exception) -> None:  # noqa: ANN401 - aiokafka has no types
        """Wait, heartbeats going on, then read the same batch again. Nothing is parked and nothing skipped."""
        known = is_passing(error)
        self._health["consumer"] = "the last batch failed and is tried again" if known else "the last batch fails: a fault of the code"
        log.failure("batch_not_taken", error, count=len(records))
        await self._wait(self._next_pause())
        for partition, offset in _first_offsets(records).items():
            try:
                consumer.seek(partition, offset)
            except NEVER_COMMITTED:  # given to another process meanwhile, which begins at the committed offset
                log.warning("partition_lost", topic=partition.topic, partition=partition.partition)

    async def _stand_still(self) -> None:
        """Take nothing until a replay succeeds or the process is started anew: so many rejections mean that the code is wrong."""
        log.error("consumer_stopped", reason="too_many_parked")
        self._health["consumer"] = "stopped: too many messages in a row had to be parked; mend the code, then replay"
        while self._receiver.stopped and not self._stopping.is_set():
            await self._wait(LOOK_SECONDS)

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
        return pause

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _message(record: Any) -> Message:  # noqa: ANN401
    return Message(topic=record.topic, key=record.key, value=record.value or b"")


def _first_offsets(records: tuple[Any, ...]) -> Mapping[TopicPartition, int]:
    first: dict[TopicPartition, int] = {}
    for record in records:
        first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
    return first


def _offsets_after(consumer: Any, records: tuple[Any, ...]) -> Mapping[TopicPartition, int]:  # noqa: ANN401
    """Return where to go on, of the partitions that are still this consumer's."""
    after = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
    assigned = consumer.assignment()
    return {partition: offset for partition, offset in after.items() if partition in assigned}
