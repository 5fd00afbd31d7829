"""Who can open what is cryptographic: the real key files of a running stack against real events from its broker, in every combination."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from chassis.sealing.errors import SealError
from chassis.sealing.opening import open_sealed
from chassis.sealing.opening_keys import FileKeyProvider
from chassis.sealing.signed import Expectation
from chassis.sealing.trust import Trust
from contracts.topics import SERVICES, TOPICS, topic_named
from support.running import Stack

SITUATIONS = Path(__file__).parents[1] / "data" / "situations.json"
HOLDERS = ("intake", "verification", "aggregation", "export", "recipient")
DUTIES = {
    "intake.incidents": {"verification"},
    "verification.decisions": {"aggregation"},
    "aggregation.counts": {"export"},
    "export.submissions": {"recipient"},
}
"""Sealed topic → who alone can open it: the key-duty table of the security map."""


@dataclass(frozen=True)
class Seen:
    """One message as the broker's administrator sees it."""

    topic: str
    subject: str
    value: bytes


@pytest.fixture(scope="module")
async def messages(stack: Stack) -> list[Seen]:
    """Some messages of every topic of a stack that has done the main job once."""
    done = await asyncio.to_thread(stack.json, "demo", "--situation", str(SITUATIONS), "--id", "COD-2020-08")
    assert done["differences"] == 0
    consumer = AIOKafkaConsumer(
        *[topic.name for topic in TOPICS],
        bootstrap_servers=stack.urls["kafka"],
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="admin",
        sasl_plain_password=(stack.data / "secrets" / "kafka-admin").read_text().strip(),
        auto_offset_reset="earliest",
        group_id=None,
    )
    seen: list[Seen] = []
    await consumer.start()
    try:
        while batches := await consumer.getmany(timeout_ms=3000):
            for records in batches.values():
                seen += [Seen(record.topic, record.key.decode(), record.value) for record in records]
    finally:
        await consumer.stop()
    return seen


def expected(message: Seen) -> Expectation:
    topic = topic_named(message.topic)
    return Expectation(types=frozenset(topic.events), writer=topic.writer, subject=message.subject)


def test_each_sealed_event_opens_for_exactly_its_reader(stack: Stack, messages: list[Seen]) -> None:
    trust = Trust.load(stack.data / "keys" / "trust.json")
    tried = 0
    for topic, holders in DUTIES.items():
        found = [message for message in messages if message.topic == topic][:20]
        assert found, f"nothing was sent on {topic}"
        for message in found:
            for holder in HOLDERS:
                tried += 1
                assert opens(stack.data / "keys" / holder, message, trust) == (holder in holders), (topic, holder)
    print(f"{tried} combinations of event and holder")


def opens(folder: Path, message: Seen, trust: Trust) -> bool:
    try:
        _, payload = open_sealed(message.value, keys=FileKeyProvider(folder), trust=trust, expect=expected(message))
    except SealError:
        return False
    return payload.startswith(b"{")


def test_only_topics_that_hold_nothing_of_a_case_are_readable_on_the_broker(messages: list[Seen]) -> None:
    for message in messages:
        if not topic_named(message.topic).signed_only:
            assert b"occurred_from" not in message.value
            assert b'"violations"' not in message.value


def test_each_service_signs_with_its_own_key_alone_and_only_export_signs_submissions(stack: Stack) -> None:
    held: dict[str, set[str]] = {}
    for holder in HOLDERS:
        names = {path.name.split("__")[0] + "/" + path.name.split("__")[1] for path in (stack.data / "keys" / holder).glob("*.key")}
        held[holder] = {name for name in names if "/signing" in name or "/submission" in name}
    assert held == {
        "intake": {"intake/signing"},
        "verification": {"verification/signing"},
        "aggregation": {"aggregation/signing"},
        "export": {"export/signing", "export/submission-ed25519", "export/submission-mldsa65"},
        "recipient": set(),
    }


def test_intake_holds_no_opening_key(stack: Stack) -> None:
    names: list[Any] = [path.name for path in (stack.data / "keys" / "intake").glob("*.key")]
    assert len(names) == 1
    assert names[0].startswith("intake__signing__")


def test_key_files_are_readable_by_their_owner_alone(stack: Stack) -> None:
    files = [path for service in SERVICES for path in (stack.data / "keys" / service).iterdir()]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
