"""A writer and a reader of events for tests of the receiver: real databases, no broker."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.delivery.messages import Message
from chassis.sealing.seal import seal
from contracts.envelope import Header
from contracts.events import ViolationLinked
from support.delivery import SITUATION, House, Party, linked, make_party
from support.stack import NewDatabase

TOPIC = "verification.decisions"


@dataclass
class Pair:
    """Verification writes, aggregation reads."""

    house: House
    writer: Party
    reader: Party


@pytest.fixture
async def pair(tmp_path: Path, new_database: NewDatabase) -> AsyncIterator[Pair]:
    house = House(tmp_path)
    writer = await make_party("verification", house, new_database)
    reader = await make_party("aggregation", house, new_database, stop_after_parked=20)
    document = house.situation()
    await writer.save_situation(document)
    await reader.save_situation(document)
    yield Pair(house, writer, reader)
    await writer.database.close()
    await reader.database.close()


async def published(pair: Pair, *events: ViolationLinked) -> list[Message]:
    before = len(await pair.writer.outgoing(TOPIC))
    for event in events:
        await pair.writer.publish(event)
    return (await pair.writer.outgoing(TOPIC))[before:]


def series(incident: str, count: int) -> tuple[list[ViolationLinked], list[str]]:
    events = [linked(incident=incident) for _ in range(count)]
    return events, [str(event.link) for event in events]


def crafted(
    pair: Pair, *, payload: bytes, sequence: int = 1, subject: str = "a", event_type: str = "violation.linked.v1", **changes: str
) -> Message:
    """An authentic message of verification, sealed to a holder's key of a situation."""
    holder, code = changes.get("holder", "aggregation"), changes.get("situation", SITUATION)
    key = pair.house.opening[holder, code]
    signer = pair.house.signing["verification"]
    header = Header.of(
        event_type=event_type,
        situation=code,
        subject=subject,
        event=uuid4(),
        sequence=sequence,
        writer="verification",
        at=datetime.now(UTC),
        signing=signer.id,
        recipients=[key.id],
    )
    return Message(topic=TOPIC, key=subject.encode(), value=seal(header=header, payload=payload, recipients=[key.public], signer=signer))
