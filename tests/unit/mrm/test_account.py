"""The conservation account: every accepted event is applied, parked or on the way, and a lost one shows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.topics import SERVICES, Topic
from mrm.account import balance

TOPICS = (
    Topic(name="intake.incidents", events=("incident.reported.v1",), writer="intake", readers=("verification",)),
    Topic(name="verification.situations", events=("situation.registered.v1",), writer="verification", readers=("intake", "export")),
    Topic(name="export.submissions", events=("submission.signed.v1",), writer="export", readers=(), confirmed=False),
)


def accounts(*, published: int, in_flight: int, applied: int, parked: int = 0, waiting: int = 0) -> dict[str, Any]:
    topic = "intake.incidents"
    return {
        "intake": {"published": {topic: published}, "in_flight": {topic: in_flight}},
        "verification": {"applied": {topic: applied}, "parked": {topic: parked}, "waiting": {topic: waiting}},
        "aggregation": {},
        "export": {},
    }


def test_at_rest_everything_is_applied() -> None:
    result = balance(accounts(published=7, in_flight=0, applied=7), TOPICS)
    assert result.balanced
    assert result.document()["accepted"] == 7
    assert result.document()["in_flight"] == 0


def test_parked_and_waiting_count_as_settled() -> None:
    result = balance(accounts(published=7, in_flight=0, applied=4, parked=2, waiting=1), TOPICS)
    assert result.balanced
    assert result.document()["parked"] == 3


def test_a_lost_event_does_not_balance() -> None:
    assert not balance(accounts(published=7, in_flight=0, applied=6), TOPICS).balanced


def test_a_doubled_event_does_not_balance() -> None:
    assert not balance(accounts(published=7, in_flight=1, applied=8), TOPICS).balanced


def test_an_event_on_the_way_is_one_that_the_writer_still_holds() -> None:
    assert balance(accounts(published=7, in_flight=2, applied=6), TOPICS).balanced
    assert not balance(accounts(published=7, in_flight=2, applied=4), TOPICS).balanced


def test_each_reader_of_a_topic_is_held_to_it() -> None:
    topic = "verification.situations"
    told = {
        "verification": {"published": {topic: 2}, "in_flight": {topic: 0}},
        "intake": {"applied": {topic: 2}},
        "export": {"applied": {topic: 1}},
    }
    result = balance(told, TOPICS)
    assert [(line.reader, line.balanced) for line in result.lines if line.topic == topic] == [("intake", True), ("export", False)]
    assert not result.balanced


@pytest.mark.parametrize("silent", SERVICES)
def test_without_every_service_nothing_is_proven(silent: str) -> None:
    told = accounts(published=0, in_flight=0, applied=0) | {silent: None}
    result = balance(told, TOPICS)
    assert not result.balanced
    assert result.document()["missing"] == [silent]


@given(published=st.integers(0, 50), applied=st.integers(0, 50), parked=st.integers(0, 50), in_flight=st.integers(0, 50))
def test_sums_always_add_up(published: int, applied: int, parked: int, in_flight: int) -> None:
    document = balance(accounts(published=published, in_flight=in_flight, applied=applied, parked=parked), TOPICS).document()
    assert document["accepted"] == document["applied"] + document["parked"] + document["in_flight"]
    assert document["balanced"] == (0 <= published - applied - parked <= in_flight)
