"""Every question of every exchange file is answered exactly, from coded events through the store on a real PostgreSQL."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local_stack.postgres import PostgresServer
from support.counting import House, counting_house

FILES = sorted((Path(__file__).parents[1] / "data" / "exchange").glob("*.json"))


@pytest.fixture(scope="module")
async def house(postgres_server: PostgresServer) -> AsyncIterator[House]:
    async with counting_house(postgres_server) as opened:
        yield opened


def comparable(table: str, answer: Any, names: dict[str, str]) -> Any:
    """The file's keys for the service's ids; exceptions compare as a set."""
    if table != "exceptions":
        return answer
    return sorted(
        ({**entry, "violation": names.get(entry["violation"], entry["violation"])} for entry in answer), key=lambda e: e["violation"]
    )


@pytest.mark.parametrize("document", [json.loads(path.read_text("utf-8")) for path in FILES], ids=[path.stem for path in FILES])
async def test_every_question_of_the_file_is_answered_exactly(house: House, document: dict[str, Any]) -> None:
    coder, reached = await house.load(document)
    situation = coder.names.situation
    names = {
        coder.names.violation(f"{incident['key']}/{violation['key']}"): f"{incident['key']}/{violation['key']}"
        for step in document["steps"]
        for incident in step.get("incidents", [])
        for violation in incident["violations"]
    }
    differences = []
    for number, query in enumerate(document["queries"]):
        position = reached[query["after_step"] - 1] if "after_step" in query else None
        answer = await house.ask(situation, query["table"], query["from"], query["to"], params=query.get("params"), position=position)
        if comparable(query["table"], answer, names) != comparable(query["table"], query["expected"], {}):
            differences.append((number, query["table"], query["expected"], answer))
    assert differences == []
