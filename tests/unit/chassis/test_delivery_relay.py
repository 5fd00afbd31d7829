"""The relay's patience: what fails is tried again after a pause, however much there is to send."""

import asyncio
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from chassis.delivery.bus import ClusterWatch
from chassis.delivery.outbox import EventSealer
from chassis.delivery.relay import Relay
from chassis.register import Register
from chassis.sealing.keys import KeyFolder
from chassis.sealing.trust import Trust
from chassis.settings import ServiceSettings
from chassis.storage import Database


class AbsentDatabase(Database):
    """A server that is away, while every commit wakes the relay."""

    def __init__(self) -> None:
        super().__init__("postgresql://nobody@/nothing")
        self.attempts = 0
        self.events: EventSealer | None = None

    async def connect(self) -> Any:
        self.attempts += 1
        if self.events is not None:
            self.events.wake()
        raise ConnectionRefusedError


async def test_work_that_arrives_does_not_shorten_the_pause_after_a_failure(tmp_path: Path) -> None:
    database = AbsentDatabase()
    database.events = EventSealer("intake", keys=KeyFolder(tmp_path), register=Register(database), trust=Trust())
    settings = ServiceSettings(
        database_url=SecretStr("x"),
        kafka_bootstrap="127.0.0.1:1",
        kafka_username="intake",
        kafka_password=SecretStr("x"),
        keys_dir=tmp_path,
        trust_file=tmp_path / "trust.json",
        issuer="http://127.0.0.1:1",
    )
    health: dict[str, str] = {}
    relay = Relay(database=database, events=database.events, settings=settings, cluster=ClusterWatch(settings, health), health=health)
    task = asyncio.create_task(relay.run())
    await asyncio.sleep(1.2)
    relay.stop(within=0)
    await task
    assert 1 <= database.attempts <= 3  # pauses of a half, one and two seconds
    assert health["relay"] == "sending fails and is tried again"
