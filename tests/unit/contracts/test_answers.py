"""The schemas of aggregation's answers: every expected answer of the exchange files fits its table's schema, others do not."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from contracts.answers import DATA, GHN, schemas

EXCHANGE = Path(__file__).parents[2] / "data" / "exchange"


def test_every_expected_answer_of_the_exchange_files_fits_its_schema() -> None:
    validators = {name: Draft202012Validator(schema) for name, schema in DATA.items()}
    seen = set()
    for path in EXCHANGE.glob("*.json"):
        for query in json.loads(path.read_text("utf-8"))["queries"]:
            validators[query["table"]].validate(query["expected"])
            seen.add(query["table"])
    assert seen | {"by_grave_violation_and_parties"} == set(DATA)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schemas()[name])


@pytest.mark.parametrize(
    ("table", "answer"),
    [
        ("verified_children", {"killing": {"boys": 1, "girls": 0, "unknown": 0}}),
        ("verified_children", {"attack_on_schools": {"boys": 1, "girls": 0, "unknown": 0, "total": 1}}),
        ("verified_incidents", {"denial_humanitarian_access": 0}),
        ("verified_by_party", {"_all": {"military_use": 1}}),
        ("summary", {"violations": 0}),
        ("exceptions", [{"violation": "i/k", "missing": ["weapon_type"]}]),
        ("context", {"military_use": {}, "deprivation_liberty": {"boys": 0, "girls": 0, "unknown": 0, "total": 0}}),
    ],
)
def test_an_answer_of_another_form_does_not_fit(table: str, answer: object) -> None:
    assert not Draft202012Validator(DATA[table]).is_valid(answer)


def test_the_note_has_fourteen_tables() -> None:
    assert len(GHN) == 14
