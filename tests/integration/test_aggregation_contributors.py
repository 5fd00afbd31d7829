"""Every number can be asked for what is behind it: amounts add up, numbers of children name every violation that counts them (C13)."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregation.domain.contributors import Drill, counts_children
from aggregation.domain.tables import TABLES
from local_stack.postgres import PostgresServer
from support.counting import House, counting_house
from support.exchange_events import Coder
from support.oracle import Oracle, acts_of

FILES = sorted((Path(__file__).parents[1] / "data" / "exchange").glob("*.json"))


@pytest.fixture(scope="module")
async def house(postgres_server: PostgresServer) -> AsyncIterator[House]:
    async with counting_house(postgres_server) as opened:
        yield opened


def numbers_in(answer: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield every number of an answer with its path."""
    if isinstance(answer, int):
        yield path, answer
    elif isinstance(answer, dict):
        for key, value in answer.items():
            yield from numbers_in(value, (*path, key))
    elif isinstance(answer, list):
        for index, value in enumerate(answer):
            yield from numbers_in(value, (*path, str(index)))


def check_numbers(drill: Drill, oracle: Oracle, query: dict[str, Any], refs: dict[str, str]) -> int:
    """Check every number of one answer against the violations behind it; returns how many there were."""
    checked = 0
    table = query["table"]
    for path, number in numbers_in(drill.table.render(drill.material)):
        value, behind = drill.contributors(path)
        assert value == number
        names = [entry.violation for entry in behind]
        assert names == sorted(set(names))
        if counts_children(TABLES[table], path):
            expected = oracle.behind(table, query["from"], query["to"], query.get("params"), path)
            assert {refs[name] for name in names} == expected, (query, path)
        elif table in ("children_multiple", "groups_multiple"):
            assert {entry.amount for entry in behind} == {None}, (query, path)
        elif table != "exceptions":
            assert sum(entry.amount or 0 for entry in behind) == number, (query, path)
        checked += 1
    return checked


def refs_of(coder: Coder, document: dict[str, Any]) -> dict[str, str]:
    """The file's names of violations by the service's."""
    return {
        coder.names.violation(f"{incident['key']}/{violation['key']}"): f"{incident['key']}/{violation['key']}"
        for step in document["steps"]
        for incident in step.get("incidents", [])
        for violation in incident["violations"]
    }


@pytest.mark.parametrize("document", [json.loads(path.read_text("utf-8")) for path in FILES], ids=[path.stem for path in FILES])
async def test_every_number_of_every_question_has_its_contributors(house: House, document: dict[str, Any]) -> None:
    coder, reached = await house.load(document)
    refs = refs_of(coder, document)
    checked = 0
    oracles = {step: Oracle(document["situation"], acts_of(document, step)) for step in range(1, len(reached) + 1)}
    for query in document["queries"]:
        step = query.get("after_step", len(document["steps"]))
        params = {"from": query["from"], "to": query["to"], **query.get("params", {})}
        drill = await house.drill(coder.names.situation, query["table"], params=params, position=reached[step - 1])
        checked += check_numbers(drill, oracles[step], query, refs)
    assert checked > 0


async def test_an_entry_of_a_list_names_its_own_violations(house: House) -> None:
    document = json.loads((FILES[0].parent / "example.json").read_text("utf-8"))
    coder, _ = await house.load(document)
    refs = refs_of(coder, document)
    year = {"from": "2022-01-01", "to": "2023-01-01"}
    drill = await house.drill(coder.names.situation, "children_multiple", params=year)
    value, behind = drill.contributors(("0",))
    assert value == {"sex": "male", "age": 15, "violations": ["abduction", "recruitment", "recruitment"]}
    assert {refs[entry.violation] for entry in behind} == {"boy/recruitment", "boy/abduction", "boy-again/recruitment"}
    assert drill.contributors(("0", "age")) == (15, behind)
    assert {entry.amount for entry in behind} == {None}, "a child is no amount of its violations"
    drill = await house.drill(coder.names.situation, "exceptions", params=year)
    assert [refs[entry.violation] for entry in drill.contributors(("0",))[1]] == ["road/maiming"]
