"""The topic table is whole: one writer and one topic per event and writer, readers that exist, keys and modes that fit."""

import pytest

from contracts.events import EVENTS
from contracts.topics import SERVICES, TOPICS, topic_named, topic_of, topics_read_by


def test_every_event_travels_and_every_travelling_event_is_known() -> None:
    assert {event for topic in TOPICS for event in topic.events} == set(EVENTS)


def test_a_topic_is_named_after_its_writer_and_read_by_others_only() -> None:
    for topic in TOPICS:
        assert topic.name.split(".")[0] == topic.writer
        assert topic.writer in SERVICES
        assert set(topic.readers) <= set(SERVICES) - {topic.writer}
        assert topic.partitions == 24


def test_only_what_holds_nothing_of_a_case_goes_unsealed() -> None:
    unsealed = {topic.name for topic in TOPICS if topic.signed_only and not topic.name.endswith(".confirmations")}
    assert unsealed == {"verification.progress", "verification.situations"}


def test_each_reader_confirms_to_the_writers_it_reads_from() -> None:
    for service in SERVICES:
        confirmations = topic_named(f"{service}.confirmations")
        writers = {topic.writer for topic in topics_read_by(service) if topic.confirmed}
        assert set(confirmations.readers) == writers
        assert not confirmations.confirmed


def test_a_service_may_write_only_its_own_events() -> None:
    assert topic_of("intake", "incident.reported.v1").name == "intake.incidents"
    with pytest.raises(KeyError):
        topic_of("intake", "violation.decided.v1")
