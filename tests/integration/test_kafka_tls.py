"""TLS to a real broker: everything a service sends and reads goes through it; a broker that cannot prove itself gets and gives nothing."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from chassis.delivery.bus import client_settings, make_producer, make_subscriber
from chassis.settings import ServiceSettings
from local_stack.artifacts import cache_folder
from local_stack.kafka import KafkaServer, TlsListener
from local_stack.ports import free_ports
from support import tiny_service
from support.authority import DAY, Authority
from support.delivery import House, Party, linked, make_party, until
from support.stack import NewDatabase

NOT_BELIEVED = "the broker is not believed: its certificate "
REFUSED = {
    "another authority": NOT_BELIEVED + "comes from no authority in the file of MRM_KAFKA_TLS_CA",
    "another host": NOT_BELIEVED + "is not for the host that MRM_KAFKA_BOOTSTRAP names",
    "expired": NOT_BELIEVED + "has expired or is not valid yet",
    "no TLS": "the broker does not answer",
}


@dataclass(frozen=True)
class Broker:
    """A broker with one port for every certificate that it may show."""

    server: KafkaServer
    ports: dict[str, int]
    authority: Authority
    stranger: Authority

    def reached(self, how: str) -> dict[str, Any]:
        """Return the settings of a service that reaches it soundly, or in a way that must fail."""
        port = self.ports.get(how, self.ports["sound"])
        authority = {"no TLS": None, "another authority": self.stranger.file}.get(how, self.authority.file)
        return {"kafka_bootstrap": f"127.0.0.1:{port}", "kafka_tls_ca": authority}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = Authority(folder / "authority.pem"), Authority(folder / "stranger.pem")
    shown = {
        "sound": authority.sign("127.0.0.1"),
        "another host": authority.sign("kafka.example.org"),
        "expired": authority.sign("127.0.0.1", ends=-DAY),
    }
    port, controller_port, *tls_ports = free_ports(2 + len(shown))
    names = ("sound", "elsewhere", "expired")
    server = KafkaServer(
        folder / "kafka",
        secrets=folder / "secrets",
        log=folder / "kafka.log",
        cache=cache_folder(folder / "cache"),
        port=port,
        controller_port=controller_port,
        tls=[TlsListener(name, at, *pair) for name, at, pair in zip(names, tls_ports, shown.values(), strict=True)],
    )
    server.start()
    yield Broker(server, dict(zip(shown, tls_ports, strict=True)), authority, stranger)
    server.stop()


@dataclass
class Pair:
    writer: Party
    reader: Party
    house: House

    async def publish(self) -> list[str]:
        events = [linked(incident=uuid4().hex) for _ in range(40)]
        await self.writer.publish(*events)
        return sorted(str(event.link) for event in events)

    async def settled(self) -> bool:
        return await self.writer.value("select count(*) from outbox where done_at is null and topic = 'verification.decisions'") == 0

    async def hold(self, expected: list[str]) -> None:
        assert sorted(await self.reader.marks()) == expected
        assert await self.reader.rows("select reason from parked where event_id is not null") == []  # other tests' messages are forged here


@pytest.fixture
async def pair(tmp_path: Path, new_database: NewDatabase) -> AsyncIterator[Pair]:
    house = House(tmp_path)
    writer = await make_party("verification", house, new_database)
    reader = await make_party("aggregation", house, new_database)
    await writer.register_situation(house.situation())
    await reader.save_situation(house.situation())
    yield Pair(writer, reader, house)
    await writer.database.close()
    await reader.database.close()


async def test_events_go_through_tls_from_commit_to_commit(pair: Pair, broker: Broker) -> None:
    expected = await pair.publish()
    sound = broker.reached("sound")
    async with pair.writer.running(broker.server, **sound), pair.reader.running(broker.server, **sound):
        await until(pair.settled)

        async def healthy() -> bool:
            return pair.writer.health == pair.reader.health == {"kafka": "ok", "consumer": "ok", "relay": "ok"}

        await until(healthy)
    await pair.hold(expected)


@pytest.mark.parametrize("how", REFUSED)
async def test_a_broker_that_is_not_believed_gets_and_gives_nothing_and_nothing_is_lost(how: str, pair: Pair, broker: Broker) -> None:
    expected = await pair.publish()
    refused, sound = broker.reached(how), broker.reached("sound")
    async with pair.writer.running(broker.server, **refused):

        async def says_why() -> bool:
            return pair.writer.health.get("kafka") == REFUSED[how]

        await until(says_why)
        expected = sorted(expected + await pair.publish())
    assert await pair.writer.value("select count(*) from outbox where sent_at is not null or done_at is not null") == 0
    async with pair.writer.running(broker.server, **sound):

        async def all_sent() -> bool:
            return await pair.writer.value("select count(*) from outbox where sent_at is null") == 0

        await until(all_sent)
        async with pair.reader.running(broker.server, **refused):

            async def reader_says_why() -> bool:
                return pair.reader.health.get("kafka") == REFUSED[how]

            await until(reader_says_why)
        assert await pair.reader.marks() == []
        async with pair.reader.running(broker.server, **sound):
            await until(pair.settled)
    await pair.hold(expected)


async def no_batch(_: object) -> None:
    raise AssertionError("a message came")


@pytest.mark.parametrize("how", REFUSED)
async def test_every_client_of_the_broker_refuses_by_itself(how: str, pair: Pair, broker: Broker) -> None:
    """Producer, consumer and the watch of the cluster, each without the others."""
    sound, refused = (pair.reader.settings(broker.server, **broker.reached(at)) for at in ("sound", how))

    async def all_start() -> bool:
        return [await starts(client) for client in clients(sound)] == [True] * 3

    await until(all_start)
    assert [await starts(client) for client in clients(refused)] == [False] * 3


def clients(settings: ServiceSettings) -> list[Any]:
    return [
        make_producer(settings),
        make_subscriber("aggregation", settings, no_batch)[0],
        AIOKafkaAdminClient(**client_settings(settings)),
    ]


async def starts(client: Any) -> bool:
    try:
        await client.start()
    except KafkaError:
        return False
    else:
        return True
    finally:
        await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())


@contextmanager
def process_of(party: Party, settings: ServiceSettings, log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a whole service process with these settings of the broker."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(tiny_service.__file__).parents[1]),
        "MRM_PORT": str(port),
        "MRM_DATABASE_URL": party.source.app_url,
        "MRM_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "MRM_KAFKA_USERNAME": settings.kafka_username,
        "MRM_KAFKA_PASSWORD": settings.kafka_password.get_secret_value(),
        "MRM_KAFKA_TLS_CA": str(settings.kafka_tls_ca),
        "MRM_KEYS_DIR": str(settings.keys_dir),
        "MRM_TRUST_FILE": str(settings.trust_file),
        "MRM_ISSUER": settings.issuer,
        "MRM_RESEND_AFTER_SECONDS": "1",
    }
    with log.open("ab") as stream:
        process = subprocess.Popen([sys.executable, tiny_service.__file__], env=environment, stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def readiness(port: int) -> tuple[int, dict[str, str]]:
    async with httpx.AsyncClient() as client:
        try:
            answer = await client.get(f"http://127.0.0.1:{port}/readyz")
        except httpx.TransportError:
            return 0, {}
        return answer.status_code, answer.json()["checks"]


async def test_a_process_is_not_ready_and_says_why_until_it_may_believe_the_broker(pair: Pair, broker: Broker, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    expected = await pair.publish()
    async with pair.writer.running(broker.server, **broker.reached("sound")):
        settings = pair.reader.settings(broker.server, **broker.reached("another authority"))
        with process_of(pair.reader, settings, tmp_path / "log", port):

            async def says_why() -> bool:
                status, checks = await readiness(port)
                return status == 503 and checks["kafka"] == REFUSED["another authority"] and checks["database"] == "ok"

            await until(says_why)
        settings = pair.reader.settings(broker.server, **broker.reached("sound"))
        with process_of(pair.reader, settings, tmp_path / "log", port):

            async def is_ready() -> bool:
                return (await readiness(port))[0] == 200

            await until(is_ready)
            await until(pair.settled)
    await pair.hold(expected)
