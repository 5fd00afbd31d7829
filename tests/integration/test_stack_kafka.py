"""The embedded Kafka: closed to strangers, rights exactly as in the topic table, whole again after a wipe."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from kafka import KafkaAdminClient

from contracts.topics import SERVICES, TOPICS, Topic, topics_read_by
from local_stack.artifacts import cache_folder
from local_stack.kafka import KafkaServer
from local_stack.ports import free_ports


async def write(server: KafkaServer, user: str, topic: str, value: bytes = b"sealed") -> None:
    producer = AIOKafkaProducer(**server.user(user).client_settings(), acks="all", enable_idempotence=True, request_timeout_ms=5000)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=b"k", partition=0)
    finally:
        await producer.stop()


async def commit_start(consumer: AIOKafkaConsumer, topic: str) -> None:
    """Commit for the group, once the broker has given up members that were killed in another test."""
    async with asyncio.timeout(60):
        while True:
            try:
                await consumer.commit({TopicPartition(topic, 0): 0})
            except CommitFailedError:
                await asyncio.sleep(0.5)
            else:
                return


async def read(server: KafkaServer, user: str, topic: str, group: str | None, *, wanted: bytes = b"sealed") -> bytes | None:
    consumer = AIOKafkaConsumer(
        **server.user(user).client_settings(), group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        if group:
            await commit_start(consumer, topic)
        await consumer.seek_to_beginning()
        async with asyncio.timeout(60):
            while (record := await consumer.getone()).value != wanted:
                pass  # other tests write on the same broker
        value: bytes | None = record.value
        return value
    finally:
        await consumer.stop()


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
async def test_only_the_writer_of_the_table_may_write(kafka_server: KafkaServer, topic: Topic) -> None:
    for service in SERVICES:
        if service == topic.writer:
            await write(kafka_server, service, topic.name)
        else:
            with pytest.raises(TopicAuthorizationFailedError):
                await write(kafka_server, service, topic.name)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_reads_exactly_what_the_table_says(kafka_server: KafkaServer, service: str) -> None:
    readable = {topic.name for topic in topics_read_by(service)}
    written = {topic.name for topic in TOPICS if topic.writer == service}
    with KafkaAdminClient(**kafka_server.user(service).client_settings()) as admin:
        visible = {name for name in admin.list_topics() if not name.startswith("__")}
    assert visible == readable | written  # of the others it cannot even ask
    for topic in TOPICS:
        await write(kafka_server, topic.writer, topic.name)
        if topic.name in readable:
            assert await read(kafka_server, service, topic.name, service) == b"sealed"
        elif topic.name in written:
            with pytest.raises(TopicAuthorizationFailedError):
                await read(kafka_server, service, topic.name, None)


async def test_a_service_cannot_move_another_services_group(kafka_server: KafkaServer) -> None:
    await write(kafka_server, "verification", "verification.situations")
    with pytest.raises(GroupAuthorizationFailedError):
        await read(kafka_server, "intake", "verification.situations", "export")


async def test_topics_are_those_of_the_table_and_no_other_can_be_made(kafka_server: KafkaServer) -> None:
    with pytest.raises((TopicAuthorizationFailedError, UnknownTopicOrPartitionError, KafkaError)):
        await write(kafka_server, "intake", "intake.surprise")
    with KafkaAdminClient(**kafka_server.user("admin").client_settings()) as admin:
        described = {t["name"]: t for t in admin.describe_topics() if not t["name"].startswith("__")}
    assert {name: len(t["partitions"]) for name, t in described.items()} == {t.name: t.partitions for t in TOPICS}


async def test_the_register_is_compacted_and_kept(kafka_server: KafkaServer) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    resource = ConfigResource(ConfigResourceType.TOPIC, "verification.situations")
    with KafkaAdminClient(**kafka_server.user("admin").client_settings()) as admin:
        described = str(admin.describe_configs([resource], config_filter="all"))
    assert "compact" in described
    assert "'-1'" in described


@pytest.mark.parametrize(
    "change",
    [
        {"sasl_plain_password": "guess"},
        {"sasl_plain_username": "stranger"},
        {"sasl_mechanism": "PLAIN"},
        {"security_protocol": "PLAINTEXT"},
    ],
    ids=["wrong password", "unknown user", "plain on the client port", "anonymous"],
)
async def test_strangers_are_refused(kafka_server: KafkaServer, change: dict[str, str]) -> None:
    producer = AIOKafkaProducer(**(kafka_server.user("intake").client_settings() | change), request_timeout_ms=3000)
    try:
        with pytest.raises(KafkaError):
            await asyncio.wait_for(producer.start(), timeout=20)
    finally:
        await producer.stop()


def test_no_secret_shows_in_the_process_list(kafka_server: KafkaServer) -> None:
    assert kafka_server._process is not None
    process = psutil.Process(kafka_server._process.pid)
    secrets = {kafka_server.user(name).password for name in ("admin", *SERVICES)}
    text = " ".join([*process.cmdline(), *process.environ().values()])
    assert not any(secret in text for secret in secrets)


def test_secrets_are_private_files(kafka_server: KafkaServer) -> None:
    assert kafka_server.settings_file.stat().st_mode & 0o077 == 0
    assert not (kafka_server.settings_file.parent / "format.arguments").exists()
    assert kafka_server.data.stat().st_mode & 0o077 == 0


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[KafkaServer]:
    port, controller_port = free_ports(2)
    server = KafkaServer(
        tmp_path / "kafka",
        secrets=tmp_path / "secrets",
        log=tmp_path / "kafka.log",
        cache=cache_folder(tmp_path / "cache"),
        port=port,
        controller_port=controller_port,
    )
    yield server
    server.stop()


async def test_a_wiped_broker_is_formatted_and_provisioned_again(own_kafka: KafkaServer) -> None:
    own_kafka.start()
    await write(own_kafka, "intake", "intake.incidents")
    own_kafka.stop()
    first = (own_kafka.data / "meta.properties").read_text()
    shutil.rmtree(own_kafka.data)
    assert not own_kafka.intact()
    own_kafka.start()
    assert (own_kafka.data / "meta.properties").read_text() != first  # a cluster of its own, not the old one again
    await write(own_kafka, "intake", "intake.incidents", b"after")
    assert await read(own_kafka, "verification", "intake.incidents", "verification", wanted=b"after") == b"after"


async def test_a_killed_broker_keeps_what_it_acknowledged(own_kafka: KafkaServer) -> None:
    own_kafka.start()
    await write(own_kafka, "intake", "intake.incidents", b"kept")
    assert own_kafka._process is not None
    own_kafka._process.kill()
    own_kafka._process.wait()
    own_kafka.start()
    assert await read(own_kafka, "verification", "intake.incidents", "verification", wanted=b"kept") == b"kept"
