"""A whole service process: killed at any moment it loses and doubles nothing; told to stop it drains; what it needs it waits for."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local_stack.kafka import KafkaServer
from local_stack.ports import free_ports
from support import tiny_service
from support.delivery import House, Party, linked, make_party, until
from support.stack import NewDatabase


@dataclass
class Scene:
    house: House
    writer: Party
    reader: Party
    environment: dict[str, str]
    port: int
    log: Path

    @contextmanager
    def process(self, *arguments: str, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, tiny_service.__file__, *arguments], env=self.environment | changes, stdout=log, stderr=log
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    async def readiness(self) -> tuple[int, dict[str, str]]:
        async with httpx.AsyncClient() as client:
            try:
                answer = await client.get(f"http://127.0.0.1:{self.port}/readyz")
            except httpx.TransportError:
                return 0, {}
            return answer.status_code, answer.json()["checks"]

    async def is_ready(self) -> bool:
        return (await self.readiness())[0] == 200

    async def settled(self) -> bool:
        return await self.writer.value("select count(*) from outbox where done_at is null and topic = 'verification.decisions'") == 0

    async def publish(self, count: int) -> list[str]:
        events = [linked(incident="x") for _ in range(count)]
        await self.writer.publish(*events)
        return [str(event.link) for event in events]


@pytest.fixture
async def scene(tmp_path: Path, new_database: NewDatabase, kafka_server: KafkaServer) -> AsyncIterator[Scene]:
    house = House(tmp_path)
    writer = await make_party("verification", house, new_database)
    reader = await make_party("aggregation", house, new_database)
    await writer.register_situation(house.situation())
    (port,) = free_ports(1)
    settings = reader.settings(kafka_server)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(tiny_service.__file__).parents[1]),
        "MRM_PORT": str(port),
        "MRM_DATABASE_URL": reader.source.app_url,
        "MRM_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "MRM_KAFKA_USERNAME": settings.kafka_username,
        "MRM_KAFKA_PASSWORD": settings.kafka_password.get_secret_value(),
        "MRM_KEYS_DIR": str(settings.keys_dir),
        "MRM_TRUST_FILE": str(settings.trust_file),
        "MRM_ISSUER": settings.issuer,
        "MRM_RESEND_AFTER_SECONDS": "1",
    }
    yield Scene(house, writer, reader, environment, port, tmp_path / "process.log")
    await writer.database.close()
    await reader.database.close()


async def test_killed_at_any_moment_it_loses_and_doubles_nothing(scene: Scene, kafka_server: KafkaServer) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - to repeat what failed
    chance = random.Random(seed)
    expected: list[str] = []
    async with scene.writer.running(kafka_server):
        for _ in range(4):
            with scene.process() as process:
                await until(scene.is_ready)
                for _ in range(10):
                    expected += await scene.publish(20)
                await asyncio.sleep(chance.uniform(0, 0.7))
                process.send_signal(signal.SIGKILL)
                process.wait()
        with scene.process():
            await until(scene.settled)
    assert await scene.reader.marks("x") == expected
    assert await scene.reader.rows("select reason from parked where event_id is not null") == []  # others' messages are forged here


async def test_a_broker_killed_again_and_again_ends_no_process_and_loses_nothing(scene: Scene, kafka_server: KafkaServer) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - to repeat what failed
    chance = random.Random(seed)
    expected: list[str] = []
    async with scene.writer.running(kafka_server) as writer:
        with scene.process() as process:
            await until(scene.is_ready)
            for _ in range(3):
                for _ in range(5):
                    expected += await scene.publish(20)
                await asyncio.sleep(chance.uniform(0, 0.5))
                await asyncio.to_thread(_kill_and_start, kafka_server)
            await until(scene.settled, within=90)
            assert process.poll() is None
        assert not any(task.done() for task in writer.tasks)
    assert await scene.reader.marks("x") == expected


def _kill_and_start(kafka: KafkaServer) -> None:
    server = kafka._process
    assert server is not None
    server.kill()
    server.wait()
    kafka.start()


async def test_told_to_stop_it_finishes_confirms_and_exits_with_zero(scene: Scene, kafka_server: KafkaServer) -> None:
    expected = await scene.publish(300)
    async with scene.writer.running(kafka_server):
        with scene.process() as process:
            await until(scene.is_ready)

            async def begun() -> bool:
                return len(await scene.reader.marks()) > 0

            await until(begun)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0
        applied = await scene.reader.marks("x")
        assert applied == expected[: len(applied)]
        assert await scene.reader.value("select count(*) from confirmations_due") == 0


async def test_a_part_that_ends_by_itself_ends_the_process_with_an_error(scene: Scene) -> None:
    with scene.process("dies") as process:
        assert await asyncio.to_thread(process.wait, 60) != 0


async def test_without_broker_and_tables_it_lives_says_why_it_is_not_ready_and_starts_when_they_come(
    scene: Scene, kafka_server: KafkaServer
) -> None:
    await scene.reader.rows("select 1")
    kafka_server.stop()
    try:
        with scene.process():

            async def waits() -> bool:
                status, checks = await scene.readiness()
                return status == 503 and checks["kafka"] == "the broker does not answer" and checks["database"] == "ok"

            await until(waits)
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://127.0.0.1:{scene.port}/healthz")).status_code == 200
            kafka_server.start()
            await until(scene.is_ready)
    finally:
        if not kafka_server.listening():
            kafka_server.start()


async def test_without_a_database_it_lives_and_says_so(scene: Scene) -> None:
    url = scene.environment["MRM_DATABASE_URL"].replace("host=", "host=/nowhere")
    with scene.process(MRM_DATABASE_URL=url) as process:

        async def says_so() -> bool:
            status, checks = await scene.readiness()
            return status == 503 and checks["database"] == "does not answer"

        await until(says_so)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
