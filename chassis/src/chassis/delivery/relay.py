"""The relay: sends what is in the outbox and what is to be confirmed, again and again until it is confirmed. One per service is active."""

import asyncio
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chassis.delivery import outbox_store as store
from chassis.delivery.bus import BROKER_FAILURES, ClusterWatch, make_producer
from chassis.delivery.failures import is_passing
from chassis.delivery.outbox import EventSealer
from chassis.settings import ServiceSettings
from chassis.storage import Database
from chassis.telemetry import get_logger
from contracts.topics import TOPICS, Topic

CHUNK_ROWS: Final = 500
CHUNK_BYTES: Final = 16 * 1024 * 1024
CONFIRMATIONS: Final = 2_000
"""As many as one EventsConfirmed may hold."""
POLL_SECONDS: Final = 0.5
"""Commits of this process wake the relay at once; those of others it finds by looking."""
STANDBY_SECONDS: Final = 1.0
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 5.0
RESEND_MOST: Final = timedelta(hours=1)
PURGE_EVERY_SECONDS: Final = 60.0
PURGE_AFTER: Final = timedelta(hours=1)
STOP_SECONDS: Final = 5.0
CONTENT_TYPE: Final = b"application/vnd.mrm.envelope"
log = get_logger()


class ClusterChangedError(Exception):
    """The broker is another one than before."""


class Relay:
    """Sends for one service. All its SQL runs on the connection that holds the lock: with the lock, the right to send is lost."""

    def __init__(
        self, *, database: Database, events: EventSealer, settings: ServiceSettings, cluster: ClusterWatch, health: dict[str, str]
    ) -> None:
        self._database = database
        self._events = events
        self._settings = settings
        self._cluster = cluster
        self._health = health
        self._topics = [topic for topic in TOPICS if topic.writer == events.service]
        self._lock_key = zlib.crc32(f"relay/{events.service}".encode())
        self._resend_after = timedelta(seconds=settings.resend_after_seconds)
        self._work = asyncio.Event()
        self._stop_at: float | None = None
        self._stopped = asyncio.Event()
        self.active = False
        """Whether this process holds the lock."""
        events.on_wake = self._work.set

    async def run(self) -> None:
        """Send until `stop`; whatever fails is tried again after a growing pause."""
        pause = FIRST_PAUSE
        while not self._stopping:
            began = time.monotonic()
            try:
                await self._lead()
            except ClusterChangedError:
                log.warning("kafka_cluster_changed")
                continue
            except Exception as error:
                if not isinstance(error, BROKER_FAILURES) and not is_passing(error):
                    raise
                self._health["relay"] = "sending fails and is tried again"
                log.failure("relay_failed", error)
            pause = FIRST_PAUSE if time.monotonic() - began > LONGEST_PAUSE * 2 else min(pause * 2, LONGEST_PAUSE)
            await self._pause(pause)

    def stop(self, *, within: float) -> None:
        """Send what is there, for so many seconds at most, and let `run` return."""
        self._stop_at = time.monotonic() + within
        self._stopped.set()
        self._work.set()

    @property
    def _stopping(self) -> bool:
        return self._stop_at is not None

    @property
    def _out_of_time(self) -> bool:
        return self._stop_at is not None and time.monotonic() > self._stop_at

    async def _lead(self) -> None:
        connection = await self._database.connect()
        try:
            while not await store.try_relay_lock(connection, self._lock_key):
                self._health["relay"] = "ok"  # another process of this service sends
                await self._pause(STANDBY_SECONDS)
                if self._stopping:
                    return
            self.active = True
            while not self._cluster.reachable.is_set():
                self._health["relay"] = "waits for the broker"
                if self._stopping:
                    return
                await self._pause(POLL_SECONDS)
                await connection.execute("select 1")  # is the lock still ours?
            await self._produce(connection)
        finally:
            self.active = False
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=STOP_SECONDS)

    async def _produce(self, connection: store.Connection) -> None:
        producer = make_producer(self._settings)
        try:
            await producer.start()
            cluster = await self._greet_cluster(connection)
            await self._republish(connection, producer)
            self._health["relay"] = "ok"
            purged_at = -PURGE_EVERY_SECONDS
            while True:
                if self._cluster.cluster_id != cluster:
                    raise ClusterChangedError
                self._work.clear()
                busy = await self._send_round(connection, producer)
                if self._out_of_time or (self._stopping and not busy):
                    return
                if time.monotonic() - purged_at > PURGE_EVERY_SECONDS:
                    await self._purge(connection)
                    purged_at = time.monotonic()
                if not busy:
                    await self._wait(POLL_SECONDS)
        finally:
            with suppress(*BROKER_FAILURES):
                await asyncio.wait_for(producer.stop(), STOP_SECONDS)

    async def _greet_cluster(self, connection: store.Connection) -> str | None:
        """Let everything unconfirmed leave anew if the broker is another than the one it was sent to."""
        cluster = self._cluster.cluster_id
        known = await store.find_cluster(connection)
        if cluster is not None and cluster != known:
            async with connection.transaction():
                await store.save_cluster(connection, cluster)
                await store.forget_sending(connection)
        return cluster

    async def _republish(self, connection: store.Connection, producer: AIOKafkaProducer) -> None:
        """Send the newest register documents: who begins to read, or reads from a new broker, finds them there."""
        compacted = [topic.name for topic in self._topics if topic.compacted]
        if compacted:
            rows = await store.list_newest(connection, compacted)
            for start in range(0, len(rows), CHUNK_ROWS):
                await self._send(producer, rows[start : start + CHUNK_ROWS])

    async def _send_round(self, connection: store.Connection, producer: AIOKafkaProducer) -> bool:
        """Send one chunk of every kind; returns whether there may be more. A topic that fails does not keep the others from leaving."""
        busy = False
        failures: list[BaseException] = []
        for topic in self._topics:
            if topic.name.endswith(".confirmations"):
                sent, error = await self._confirm(connection, producer, topic)
                busy = busy or sent == CONFIRMATIONS
            else:
                sent, error = await self._send_topic(connection, producer, topic)
                busy = busy or sent > 0
            if error is not None:
                failures.append(error)
        if failures:
            raise failures[0]
        return busy

    async def _send_topic(self, connection: store.Connection, producer: AIOKafkaProducer, topic: Topic) -> tuple[int, BaseException | None]:
        limits = {"limit": CHUNK_ROWS, "limit_bytes": CHUNK_BYTES}
        rows = await store.list_unsent(connection, topic.name, **limits)
        if not rows:
            rows = await store.list_unconfirmed(connection, topic.name, now=datetime.now(UTC), **limits)
        if not rows:
            return 0, None
        acknowledged, error = await self._send(producer, rows)
        if acknowledged:
            await store.mark_sent(
                connection, acknowledged, now=datetime.now(UTC), resend_after=self._resend_after, most=max(RESEND_MOST, self._resend_after)
            )
        return len(acknowledged), error

    async def _send(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> tuple[list[int], BaseException | None]:
        """Hand all rows over in order, then wait for every acknowledgement; returns the acknowledged ids and the first failure."""
        futures: list[Any] = []
        failure: BaseException | None = None
        for row in rows:
            try:
                futures.append(await producer.send(row["topic"], row["value"], key=row["subject"].encode(), headers=self._attributes(row)))
            except KafkaError as error:
                failure = error
                break  # what follows must not overtake it
        results = await asyncio.gather(*futures, return_exceptions=True)
        acknowledged = [row["id"] for row, result in zip(rows, results, strict=False) if not isinstance(result, BaseException)]
        return acknowledged, next((result for result in results if isinstance(result, BaseException)), failure)

    async def _confirm(self, connection: store.Connection, producer: AIOKafkaProducer, topic: Topic) -> tuple[int, BaseException | None]:
        due = await store.list_confirmations_due(connection, limit=CONFIRMATIONS)
        for writer, group in groupby(sorted(due, key=lambda row: (row["writer"], row["event_id"])), key=lambda row: row["writer"]):
            events = [row["event_id"] for row in group]
            value = self._events.confirmation(writer, events, now=datetime.now(UTC))
            try:
                await producer.send_and_wait(topic.name, value, key=writer.encode())
            except KafkaError as error:
                return 0, error
            await store.delete_confirmations_due(connection, writer, events)
        return len(due), None

    async def _purge(self, connection: store.Connection) -> None:
        compacted = [topic.name for topic in self._topics if topic.compacted]
        before = datetime.now(UTC) - PURGE_AFTER
        while await store.delete_done(connection, before=before, keep_newest_of=compacted, limit=CHUNK_ROWS) == CHUNK_ROWS:
            if self._stopping:
                return

    def _attributes(self, row: asyncpg.Record) -> list[tuple[str, bytes]]:
        """Return the CloudEvents attributes of an event in binary mode; readers believe none of them."""
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(row["event_id"]).encode()),
            ("ce_type", row["event_type"].encode()),
            ("ce_source", f"/{self._events.service}".encode()),
            ("ce_subject", row["subject"].encode()),
            ("content-type", CONTENT_TYPE),
        ]

    async def _pause(self, seconds: float) -> None:
        """Wait so long, whatever work there is."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    async def _wait(self, seconds: float) -> None:
        """Wait until there is work, or so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._work.wait(), seconds)
