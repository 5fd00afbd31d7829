"""A small installation for tests of delivery: services with real databases and keys, a handler that writes down what it was given."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from pydantic import SecretStr

from chassis import row_security
from chassis.audit.recorder import Recorder
from chassis.delivery.bus import ClusterWatch
from chassis.delivery.consumer import Consumer
from chassis.delivery.messages import Message
from chassis.delivery.outbox import EventSealer
from chassis.delivery.receiver import Receiver
from chassis.delivery.relay import Relay
from chassis.errors import Unavailable
from chassis.migrations import delivery_tables
from chassis.register import Register
from chassis.sealing.keys import KeyFolder, SigningKey, generate_signing_key
from chassis.sealing.opening import SealedOpener
from chassis.sealing.opening_keys import FileKeyProvider, OpeningKey, generate_opening_key
from chassis.sealing.trust import Trust
from chassis.sealing.vouchers import VOUCHING, vouch
from chassis.settings import ServiceSettings
from chassis.storage import SYSTEM, Database, Tx, is_transient
from contracts.events import EVENTS, Event, EventsConfirmed, SituationRegistered, ViolationLinked
from contracts.situation import RecipientKey, Situation
from contracts.topics import SERVICES, topics_read_by
from local_stack.kafka import KafkaServer
from local_stack.postgres import ServiceDatabase
from support.stack import NewDatabase

SITUATION = "AFG-2024"
HOLDERS = ("verification", "aggregation", "export", "recipient")
EFFECTS = """
create table effects (
    place bigint generated always as identity, event_id uuid not null, situation text not null, subject text not null, mark text not null
);
grant select, insert, delete on effects to :app;
"""
Bug = Callable[[Event], Awaitable[None]]


def linked(*, incident: str, mark: UUID | None = None, situation: str = SITUATION) -> ViolationLinked:
    """An event of verification for aggregation; every one has a mark of its own, so a double shows as a 2."""
    return ViolationLinked(
        situation=situation, link=mark or uuid4(), violation=f"{incident}/v1", of="other/v1", recorded_at=datetime.now(UTC)
    )


class House:
    """Keys of all services and of one situation, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signing: dict[str, SigningKey] = {service: generate_signing_key(service) for service in SERVICES}
        self.trust = Trust().with_signing(*(key.public for key in self.signing.values()))
        for service, key in self.signing.items():
            key.save(self.keys_dir(service))
        self.opening: dict[tuple[str, str], OpeningKey] = {}
        self.trust_file = folder / "trust.json"
        self.trust.save(self.trust_file)

    def keys_dir(self, service: str) -> Path:
        return self.folder / "keys" / service

    def vouched(self, key: OpeningKey) -> RecipientKey:
        """A key's entry in a register document, vouched for by the service that must do it."""
        return vouch(key.public, self.signing[VOUCHING[key.public.holder]])

    def situation(self, code: str = SITUATION, *, version: int = 1, **changes: Any) -> Situation:
        for holder in HOLDERS:
            if (holder, code) not in self.opening:
                key = self.opening[holder, code] = generate_opening_key(holder, code)
                key.save(self.keys_dir(holder))
        recipients = {holder: [self.vouched(self.opening[holder, code])] for holder in HOLDERS}
        return Situation(code=code, name="Ü محافظة", time_zone="Asia/Kabul", recipients=recipients, version=version, **changes)


@dataclass
class Party:
    """One service of the house, as far as delivery goes."""

    name: str
    house: House
    source: ServiceDatabase
    database: Database
    register: Register
    events: EventSealer
    receiver: Receiver
    bug: Bug | None = None
    health: dict[str, str] = field(default_factory=dict)

    async def record(self, event: Event, tx: Tx) -> None:
        """The handler of every event: write it down; then fail in the way that the test wants."""
        subject = getattr(event, "incident", None) or getattr(event, "violation", "").partition("/")[0] or event.situation
        mark = getattr(event, "link", None) or getattr(event, "incident", None) or event.type
        await tx.execute(
            "insert into effects (event_id, situation, subject, mark) values ($1, $2, $3, $4)",
            tx.cause,
            event.situation,
            str(subject),
            str(mark),
        )
        if self.bug is not None:
            await self.bug(event)

    async def publish(self, *events: ViolationLinked) -> None:
        """Publish events in one transaction, again if it is not known whether it was committed; the subject is the violation's incident."""
        cause = uuid4()
        while True:
            try:
                async with self.database.transaction("test_publish", by=SYSTEM, cause=cause) as tx:
                    for event in events:
                        tx.publish(event, subject=event.violation.partition("/")[0])
            except Unavailable:
                await asyncio.sleep(0.1)
            else:
                return

    async def save_situation(self, document: Situation) -> None:
        async with self.database.transaction("test_situation", by=SYSTEM) as tx:
            await self.register.save(tx, document)

    async def register_situation(self, document: Situation) -> None:
        """What verification does: keep and publish the document."""
        async with self.database.transaction("test_register", by=SYSTEM) as tx:
            await self.register.save(tx, document)
            tx.publish(SituationRegistered(situation=document.code, document=document), subject=document.code)

    async def outgoing(self, topic: str | None = None) -> list[Message]:
        """What lies in the outbox, in order, as the broker would hand it over."""
        rows = await self.rows("select topic, subject, value from outbox where $1::text is null or topic = $1 order by id", topic)
        return [Message(topic=row["topic"], key=row["subject"].encode(), value=row["value"]) for row in rows]

    async def marks(self, subject: str | None = None) -> list[str]:
        rows = await self.rows("select mark from effects where $1::text is null or subject = $1 order by place", subject)
        return [row["mark"] for row in rows]

    async def reasons(self) -> list[str]:
        return [row["reason"] for row in await self.rows("select reason from parked order by id")]

    async def rows(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """Run a statement as the test; it does not mind when the server ends connections."""
        while True:
            try:
                async with self.database.pool.acquire() as connection:
                    await connection.execute("set mrm.action = 'system'")  # until the pool has it back
                    rows: list[asyncpg.Record] = await connection.fetch(sql, *args)
                    return rows
            except Exception as error:
                if not is_transient(error):
                    raise
                await asyncio.sleep(0.1)

    async def value(self, sql: str, *args: Any) -> Any:
        return (await self.rows(sql, *args))[0][0]

    def settings(self, kafka: KafkaServer, **changes: Any) -> ServiceSettings:
        user = kafka.user(self.name)
        fields: dict[str, Any] = {
            "database_url": SecretStr(self.source.app_url),
            "kafka_bootstrap": user.bootstrap,
            "kafka_username": user.username,
            "kafka_password": SecretStr(user.password),
            "keys_dir": self.house.keys_dir(self.name),
            "trust_file": self.house.trust_file,
            "issuer": "http://127.0.0.1:1/realms/mrm",
            "resend_after_seconds": 1.0,
        }
        return ServiceSettings(**{**fields, **changes})

    @asynccontextmanager
    async def running(self, kafka: KafkaServer, *, consume: bool = True, relay: bool = True, **changes: Any) -> AsyncIterator["Running"]:
        """Run relay and consumer on a real broker."""
        settings = self.settings(kafka, **changes)
        cluster = ClusterWatch(settings, self.health)
        parts = Running(
            relay=Relay(database=self.database, events=self.events, settings=settings, cluster=cluster, health=self.health),
            consumer=Consumer(self.receiver, settings=settings, cluster=cluster, health=self.health),
        )
        parts.tasks = [asyncio.create_task(cluster.run())]
        if relay:
            parts.tasks.append(asyncio.create_task(parts.relay.run()))
        if consume:
            parts.tasks.append(asyncio.create_task(parts.consumer.run()))
        try:
            yield parts
        finally:
            parts.consumer.stop()
            parts.relay.stop(within=0.5)
            await asyncio.wait(parts.tasks[1:] or parts.tasks, timeout=10) if len(parts.tasks) > 1 else None
            for task in parts.tasks:
                task.cancel()
            for task in parts.tasks:
                with suppress(asyncio.CancelledError):
                    await task


@dataclass
class Running:
    relay: Relay
    consumer: Consumer
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


async def make_party(name: str, house: House, new_database: NewDatabase, *, stop_after_parked: int = 50) -> Party:
    """Make one service with a fresh database; every event it can meet goes to `Party.record`."""
    source = await new_database(name)
    owner = await asyncpg.connect(source.owner_url)
    try:
        for sql in (delivery_tables(), EFFECTS):
            await owner.execute(sql.replace(":app", f"{name}_app"))
        await row_security.set_up(owner, name, f"{name}_app")
    finally:
        await owner.close()
    return await another_process(Party(name, house, source, *_parts(name, house, source, stop_after_parked)))


async def another_process(party: Party) -> Party:
    """The same service in another process: parts of its own, the same database."""
    fresh = replace(party, health={}, bug=None)
    fresh.database, fresh.register, fresh.events, fresh.receiver = _parts(
        party.name, party.house, party.source, party.receiver._stop_after_parked
    )
    await fresh.database.open()
    expected = {kind for topic in topics_read_by(party.name) for kind in topic.events}
    expected -= {EventsConfirmed.type, SituationRegistered.type}
    opener = SealedOpener(FileKeyProvider(party.house.keys_dir(party.name)), party.house.trust)
    fresh.receiver.configure({EVENTS[kind]: fresh.record for kind in expected}, opener)
    return fresh


def _parts(name: str, house: House, source: ServiceDatabase, stop_after_parked: int) -> tuple[Database, Register, EventSealer, Receiver]:
    database = Database(source.app_url)
    register = Register(database)
    events = EventSealer(name, keys=KeyFolder(house.keys_dir(name)), register=register, trust=house.trust)
    database.outbox = events
    database.recorder = Recorder(name, lambda: events.signer)
    receiver = Receiver(name, database=database, register=register, trust=house.trust, stop_after_parked=stop_after_parked)
    return database, register, events, receiver


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 120.0) -> None:
    """Wait for what must come; fail if it does not."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 - it lies in a database
            await asyncio.sleep(0.05)


def in_batches(messages: Sequence[Message], size: int) -> list[Sequence[Message]]:
    return [messages[start : start + size] for start in range(0, len(messages), size)]
