"""The situation register: what makes an entry unusable, regions and days."""

import json
from datetime import UTC, datetime
from typing import Any

from contracts.situation import Situation, SituationDraft, check_situation, region_of


def draft(**changes: Any) -> SituationDraft:
    body = {"code": "XAA", "name": "Example", "time_zone": "Asia/Kabul"} | changes
    return SituationDraft.model_validate_json(json.dumps(body))


def problems(**changes: Any) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in check_situation(draft(**changes))]


PLACES = [
    {"code": "XA01", "name": "North", "level": 1},
    {"code": "XA0102", "name": "Town", "level": 2, "parent": "XA01"},
    {"code": "XA0102A", "name": "Ward", "level": 3, "parent": "XA0102"},
    {"code": "SEA", "name": "Sea", "level": 2},
]


def test_a_good_entry_has_no_problem() -> None:
    assert problems(places=PLACES) == []


def test_an_unknown_time_zone_is_refused() -> None:
    assert problems(time_zone="Asia/Atlantis") == [("time_zone", "unknown_code")]


def test_a_parent_must_stand_before_and_be_higher() -> None:
    assert problems(places=[PLACES[1], PLACES[0]]) == [("places[0].parent", "unknown_reference")]
    assert problems(places=[PLACES[0], PLACES[1] | {"level": 1}]) == [("places[1].parent", "unknown_reference")]


def test_a_code_stands_once() -> None:
    party = {"code": "p", "type": "unknown", "name": "P"}
    assert problems(parties=[party, party]) == [("parties[1].code", "twice")]
    assert problems(places=[PLACES[0], PLACES[0]]) == [("places[1].code", "twice")]


def test_the_region_is_the_place_of_level_one_at_or_above() -> None:
    situation = draft(places=PLACES)
    assert [region_of(situation, place) for place in ("XA01", "XA0102", "XA0102A", "SEA", None)] == ["XA01", "XA01", "XA01", None, None]


def test_days_are_in_the_situations_time_zone() -> None:
    situation = Situation.model_validate_json(
        json.dumps({"code": "XAA", "name": "Far east", "time_zone": "Pacific/Kiritimati", "recipients": {}, "version": 1})
    )
    assert situation.today(datetime(2024, 12, 31, 10, 0, tzinfo=UTC)).isoformat() == "2025-01-01"
