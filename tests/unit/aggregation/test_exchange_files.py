"""The exchange files against the two ways of counting that need no server: the oracle, and the product's pure domain."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.oracle import Oracle, acts_of
from support.pure_counting import PureHouse

FILES = sorted((Path(__file__).parents[2] / "data" / "exchange").glob("*.json"))
DOCUMENTS = pytest.mark.parametrize("document", [json.loads(path.read_text("utf-8")) for path in FILES], ids=[path.stem for path in FILES])


def as_set(table: str, answer: Any) -> Any:
    return sorted(answer, key=lambda entry: entry["violation"]) if table == "exceptions" else answer


@DOCUMENTS
def test_the_oracle_answers_every_question_of_the_file(document: dict[str, Any]) -> None:
    moments = {step: Oracle(document["situation"], acts_of(document, step)) for step in range(1, len(document["steps"]) + 1)}
    for query in document["queries"]:
        oracle = moments[query.get("after_step", len(document["steps"]))]
        answer = oracle.answer(query["table"], query["from"], query["to"], query.get("params"))
        assert answer == as_set(query["table"], query["expected"]), query


@DOCUMENTS
def test_the_domain_answers_every_question_of_the_file(document: dict[str, Any]) -> None:
    moments = {step: PureHouse(document, step) for step in range(1, len(document["steps"]) + 1)}
    for query in document["queries"]:
        house = moments[query.get("after_step", len(document["steps"]))]
        answer = house.answer(query["table"], query["from"], query["to"], query.get("params"))
        assert as_set(query["table"], answer) == as_set(query["table"], query["expected"]), query
