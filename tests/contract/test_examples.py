"""The examples are part of the contract: every valid one is read and written back without loss, every invalid one is refused."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.events import EVENTS

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"
VALID = sorted(EXAMPLES.glob("*/valid/*.json"))
INVALID = sorted(EXAMPLES.glob("*/invalid/*.json"))


def _name(path: Path) -> str:
    return f"{path.parents[1].name}/{path.stem}"


def test_every_event_has_good_and_bad_examples() -> None:
    assert {path.parents[1].name for path in VALID} == set(EVENTS)
    assert {path.parents[1].name for path in INVALID} == set(EVENTS)


@pytest.mark.parametrize("path", VALID, ids=_name)
def test_valid_example_survives_a_round_trip(path: Path) -> None:
    model = EVENTS[path.parents[1].name]
    event = model.model_validate_json(path.read_bytes())
    assert model.model_validate_json(event.model_dump_json()) == event
    assert json.loads(path.read_bytes()) == event.model_dump(mode="json", exclude_unset=True)


@pytest.mark.parametrize("path", INVALID, ids=_name)
def test_invalid_example_is_refused(path: Path) -> None:
    with pytest.raises(ValidationError) as refused:
        EVENTS[path.parents[1].name].model_validate_json(path.read_bytes())
    assert "input_value" not in str(refused.value)
