"""How a service reaches the broker: its log-in, its producer, its subscriber, and whether the broker is there at all.

FastStream's own readers of headers and bodies are not used: they trust what anybody who can write to a topic has put there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.middlewares import AckPolicy
from faststream.security import SASLScram512

from chassis.delivery.broker_tls import broker_tls, find_refusal
from chassis.settings import ServiceSettings
from chassis.telemetry import get_logger
from contracts.topics import TOPICS, topics_read_by

MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
BATCH_MESSAGES: Final = 500
METADATA_MS: Final = 3_000
REQUEST_TIMEOUT_MS: Final = 10_000
SESSION_MS: Final = 6_000
"""A killed process's partitions are given to others after this long; the least that brokers allow by default."""
FETCH_BYTES: Final = 16 * 1024 * 1024
POLL_MS: Final = 25
WATCH_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 5.0
BROKER_FAILURES: Final = (KafkaError, OSError, TimeoutError, KeyError)
"""What a client of a broker that is away or busy raises; KeyError is aiokafka's when the connection of a late answer is gone already."""
log = get_logger()

BatchHandler = Callable[[KafkaAckableMessage], Awaitable[None]]


def client_settings(settings: ServiceSettings) -> dict[str, Any]:
    """Return what every client of the broker needs to log in; raises UnusableAuthoritiesError."""
    tls = broker_tls(settings)
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": "SASL_PLAINTEXT" if tls is None else "SASL_SSL",
        "ssl_context": tls,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": settings.kafka_username,
        "sasl_plain_password": settings.kafka_password.get_secret_value(),
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "metadata_max_age_ms": METADATA_MS,
    }


def make_producer(settings: ServiceSettings) -> AIOKafkaProducer:
    """Return a producer that is acknowledged by all replicas and never doubles or reorders a partition's messages itself."""
    return AIOKafkaProducer(
        **client_settings(settings), acks="all", enable_idempotence=True, max_request_size=MAX_MESSAGE_BYTES, linger_ms=0
    )


def make_subscriber(service: str, settings: ServiceSettings, handler: BatchHandler) -> tuple[KafkaBroker, Any]:
    """Return a broker and its one subscriber: all topics the service reads, in batches, offsets committed by the handler alone."""
    broker = KafkaBroker(
        settings.kafka_bootstrap,
        security=SASLScram512(
            username=settings.kafka_username,
            password=settings.kafka_password.get_secret_value(),
            ssl_context=broker_tls(settings),  # without one, plain
        ),
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MS,
        allow_auto_create_topics=False,
        consumer_only=True,
        apply_types=False,
        logger=None,
        graceful_timeout=15.0,
    )
    subscriber = broker.subscriber(
        *(topic.name for topic in topics_read_by(service)),
        batch=True,
        group_id=service,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.MANUAL,
        max_records=BATCH_MESSAGES,
        batch_timeout_ms=POLL_MS,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=SESSION_MS // 3,
        fetch_max_bytes=FETCH_BYTES,
        no_reply=True,
        parser=_untouched_message(lambda: subscriber.consumer),
        decoder=_whole_message,
        title=f"{service} receives",
    )
    subscriber(handler)
    for topic in TOPICS:  # what leaves through the outbox, so that the AsyncAPI document knows of it
        if topic.writer == service:
            broker.publisher(topic.name, title=f"{service} publishes {topic.name}")
    return broker, subscriber


def _untouched_message(consumer: Callable[[], Any]) -> Callable[[Any], Awaitable[KafkaAckableMessage]]:
    async def parse(records: Any) -> KafkaAckableMessage:  # noqa: ANN401 - aiokafka has no types
        return KafkaAckableMessage(raw_message=records, body=b"", consumer=consumer())

    return parse


async def _whole_message(message: KafkaAckableMessage) -> KafkaAckableMessage:
    return message


def is_given_up(subscriber: Any) -> bool:  # noqa: ANN401 - FastStream's class is private
    """Say whether a subscriber's client has ended its part in the group or its fetching.

    aiokafka begins neither again by itself, and FastStream would ask it for ever.
    """
    consumer: Any = subscriber.consumer
    tasks = (consumer._coordinator._coordination_task, consumer._fetcher.error_future)  # noqa: SLF001 - nothing public tells
    return any(task.done() for task in tasks)


async def stop_subscriber(broker: KafkaBroker, subscriber: Any) -> None:  # noqa: ANN401
    """Leave the group and close the connections, also of a subscriber that has given up; what fails is no concern of the next one."""
    try:
        await broker.stop()
    except Exception as error:  # FastStream's group of whatever the client raised
        log.failure("subscriber_not_stopped", error)
        if subscriber.consumer is not None:
            with suppress(*BROKER_FAILURES):
                await subscriber.consumer._client.close()  # noqa: SLF001 - its own end came before this


class ClusterWatch:
    """Knows whether the broker answers and which cluster it is; a wiped broker comes back as another."""

    def __init__(self, settings: ServiceSettings, health: dict[str, str]) -> None:
        self._settings = settings
        self._health = health
        self.cluster_id: str | None = None
        """The cluster that answered last; None until the first answer."""
        self.reachable = asyncio.Event()

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            try:
                await self._ask_until_failure()
            except BROKER_FAILURES as error:
                if self.reachable.is_set() or self.cluster_id is None:
                    log.warning("kafka_unreachable", error=type(error).__name__)
                self.reachable.clear()
                refusal = await find_refusal(self._settings)
                self._health["kafka"] = "the broker does not answer" if refusal is None else f"the broker is not believed: {refusal.value}"
            await asyncio.sleep(WATCH_SECONDS / 2)

    async def _ask_until_failure(self) -> None:
        admin = AIOKafkaAdminClient(**client_settings(self._settings))
        try:
            await asyncio.wait_for(admin.start(), PATIENCE_SECONDS)
            while True:
                answer = await asyncio.wait_for(admin.describe_cluster(), PATIENCE_SECONDS)
                self._note(answer["cluster_id"])
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            await admin.close()

    def _note(self, cluster_id: str) -> None:
        if not self.reachable.is_set():
            log.info("kafka_reached", kind="same_cluster" if self.cluster_id in (None, cluster_id) else "another_cluster")
        self.cluster_id = cluster_id
        self.reachable.set()
        self._health["kafka"] = "ok"
