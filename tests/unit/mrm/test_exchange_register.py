"""A register entry against a file's situation: each difference by its field; more in the register is fine."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from contracts.exchange import ExchangeFile
from mrm.exchange_register import register_differences

SITUATION: dict[str, Any] = {
    "code": "S",
    "name": "S",
    "time_zone": "Asia/Kabul",
    "parties": [{"code": "force", "type": "armed_force", "name": "Force"}],
    "places": [{"code": "R1", "name": "Region", "level": 1}, {"code": "R1b", "name": "Town", "level": 2, "parent": "R1"}],
}
FILE = ExchangeFile.model_validate_json(json.dumps({"format": "mrm-exchange/1", "situation": SITUATION})).situation


def differences(change: Callable[[Any], object]) -> list[str]:
    register = deepcopy(SITUATION) | {"version": 3, "recipients": {}}
    change(register)
    return list(register_differences(register, FILE))


def test_more_in_the_register_and_other_names_are_no_difference() -> None:
    def more(register: Any) -> None:
        register["name"] = register["places"][0]["name"] = register["parties"][0]["name"] = "Other"
        register["places"][0]["parent"] = None
        register["places"].append({"code": "R2", "name": "Other", "level": 1})
        register["parties"].append({"code": "group", "name": "Group", "type": "armed_group"})

    assert differences(more) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r.update(time_zone="UTC"), "situation.time_zone"),
        (lambda r: r["parties"].clear(), "situation.parties[force]"),
        (lambda r: r["parties"][0].update(type="armed_group"), "situation.parties[force].type"),
        (lambda r: r["places"].pop(), "situation.places[R1b]"),
        (lambda r: r["places"][1].update(level=3), "situation.places[R1b].level"),
        (lambda r: r["places"][1].pop("parent"), "situation.places[R1b].parent"),
        (lambda r: r["places"][1].update(parent=None), "situation.places[R1b].parent"),
    ],
)
def test_a_difference_is_named_by_its_field(change: Callable[[Any], object], named: str) -> None:
    [difference] = differences(change)
    assert difference.startswith(f"{named}: ")
