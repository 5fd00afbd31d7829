"""The one table of topics: who writes what for whom. Kafka topics, ACLs and the AsyncAPI document derive from it."""

from dataclasses import dataclass
from typing import Final

SERVICES: Final = ("intake", "verification", "aggregation", "export")
DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `retention_ms` None keeps for ever; `signed_only` payloads are public to the installation's services."""

    name: str
    events: tuple[str, ...]
    writer: str
    readers: tuple[str, ...]
    partitions: int = 24
    retention_ms: int | None = 14 * DAY_MS
    compacted: bool = False
    signed_only: bool = False
    confirmed: bool = True
    """Whether readers confirm; what leaves for outside and confirmations themselves end with the broker's ack."""
    key: str = "incident"


TOPICS: Final = (
    Topic(
        name="intake.incidents",
        events=("incident.reported.v1", "incident.revised.v1"),
        writer="intake",
        readers=("verification",),
    ),
    Topic(
        name="verification.decisions",
        events=(
            "incident.coded.v1",
            "violation.decided.v1",
            "violation.linked.v1",
            "violation.unlinked.v1",
            "children.linked.v1",
            "children.unlinked.v1",
        ),
        writer="verification",
        readers=("aggregation",),
    ),
    Topic(
        name="verification.progress",
        events=("incident.progressed.v1",),
        writer="verification",
        readers=("intake",),
        signed_only=True,
    ),
    Topic(
        name="verification.situations",
        events=("situation.registered.v1",),
        writer="verification",
        readers=("intake", "aggregation", "export"),
        retention_ms=None,
        compacted=True,
        signed_only=True,
        key="situation",
    ),
    Topic(
        name="aggregation.counts",
        events=("snapshot.frozen.v1",),
        writer="aggregation",
        readers=("export",),
        key="situation",
    ),
    Topic(
        name="export.submissions",
        events=("submission.signed.v1",),
        writer="export",
        readers=(),
        retention_ms=None,
        confirmed=False,
        key="situation",
    ),
    Topic(
        name="intake.confirmations",
        events=("events.confirmed.v1",),
        writer="intake",
        readers=("verification",),
        signed_only=True,
        confirmed=False,
        key="writer",
    ),
    Topic(
        name="verification.confirmations",
        events=("events.confirmed.v1",),
        writer="verification",
        readers=("intake",),
        signed_only=True,
        confirmed=False,
        key="writer",
    ),
    Topic(
        name="aggregation.confirmations",
        events=("events.confirmed.v1",),
        writer="aggregation",
        readers=("verification",),
        signed_only=True,
        confirmed=False,
        key="writer",
    ),
    Topic(
        name="export.confirmations",
        events=("events.confirmed.v1",),
        writer="export",
        readers=("verification", "aggregation"),
        signed_only=True,
        confirmed=False,
        key="writer",
    ),
)


def topic_named(name: str) -> Topic:
    """Return the topic of that name; `KeyError` if there is none."""
    for topic in TOPICS:
        if topic.name == name:
            return topic
    raise KeyError(name)


def topic_of(service: str, event_type: str) -> Topic:
    """Return the topic on which a service writes an event type; `KeyError` if it may not write it."""
    for topic in TOPICS:
        if topic.writer == service and event_type in topic.events:
            return topic
    raise KeyError(event_type)


def topics_read_by(service: str) -> tuple[Topic, ...]:
    """Return the topics that a service reads."""
    return tuple(topic for topic in TOPICS if service in topic.readers)
