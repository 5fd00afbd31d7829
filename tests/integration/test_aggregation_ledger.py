"""The ledger: positions in commit order, instants that never change their answer, facts that come before what they need."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from aggregation import asking
from aggregation.store import ledger
from chassis.errors import Rejected, Unavailable
from chassis.storage import SYSTEM
from contracts.events import IncidentCoded
from local_stack.postgres import PostgresServer
from support.counting import House, counting_house
from support.exchange_events import Coder
from support.histories import SITUATION, Author


@pytest.fixture(scope="module")
async def house(postgres_server: PostgresServer) -> AsyncIterator[House]:
    async with counting_house(postgres_server) as opened:
        yield opened


def reports(coder: Coder, number: int, seed: int) -> list[IncidentCoded]:
    author = Author(random.Random(seed))
    made = []
    for _ in range(number):
        _, incident = author.report()
        made.append(coder.incident({**incident, "key": f"{seed}-{incident['key']}"}))
    return made


async def positions(house: House, situation: str) -> list[tuple[int, datetime]]:
    async with house.database.reading("positions", by=SYSTEM) as tx:
        rows = await tx.fetch("select position, applied_at from positions where situation = $1 order by position", situation)
    return [(row["position"], row["applied_at"]) for row in rows]


async def test_writers_at_once_take_positions_one_after_the_other_without_a_gap(house: House) -> None:
    coder = await house.new_situation(SITUATION)
    await asyncio.gather(*(house.apply(reports(coder, 15, seed)) for seed in range(5)))
    found = await positions(house, coder.names.situation)
    assert [position for position, _ in found] == list(range(1, 76))
    instants = [instant for _, instant in found]
    assert instants == sorted(set(instants))


async def test_an_instant_waits_for_the_writer_at_work_so_its_answer_never_changes(house: House) -> None:
    coder = await house.new_situation(SITUATION)
    situation = coder.names.situation
    await house.apply(reports(coder, 3, 1))
    late = reports(coder, 3, 2)
    by_event = house.handlers.by_event()
    async with house.database.transaction("writer", by=SYSTEM) as tx:
        for event in late:
            async with tx.caused_by(uuid4()):
                await by_event[IncidentCoded](event, tx)
        before = datetime.now(UTC)
        await tx.flush(None)
        instant = datetime.now(UTC)
        asked = asyncio.create_task(asking.resolve(house.database, SYSTEM, situation, instant))
        await asyncio.sleep(0.2)
        assert not asked.done()
    assert await asked == 6
    assert await asking.resolve(house.database, SYSTEM, situation, instant) == 6
    assert await asking.resolve(house.database, SYSTEM, situation, before) == 3


async def test_an_instant_between_two_positions_is_the_earlier_one(house: House) -> None:
    coder = await house.new_situation(SITUATION)
    await house.apply(reports(coder, 4, 1))
    found = await positions(house, coder.names.situation)
    for position, instant in found:
        assert await asking.resolve(house.database, SYSTEM, coder.names.situation, instant) == position
        assert await asking.resolve(house.database, SYSTEM, coder.names.situation, instant - timedelta(microseconds=1)) == position - 1


async def test_the_same_fact_twice_is_refused_by_the_ledger_itself(house: House) -> None:
    coder = await house.new_situation(SITUATION)
    (event,) = reports(coder, 1, 1)
    cause = uuid4()
    handler = house.handlers.by_event()[IncidentCoded]

    async def twice() -> None:
        async with house.database.transaction("twice", by=SYSTEM) as tx:
            for _ in range(2):
                async with tx.caused_by(cause):
                    await handler(event, tx)

    with pytest.raises(asyncpg.UniqueViolationError):
        await twice()
    assert (await house.now(coder.names.situation)).position == 0


async def test_a_link_that_stands_already_or_does_not_stand_is_rejected_and_takes_no_position(house: House) -> None:
    coder = await house.new_situation(SITUATION)
    duplicate = {"violation": "i1/k1", "of": "i2/k1"}
    same = {"victim": "i1/c1", "of": "i2/c1"}
    for kind, undone, ends in (("duplicate", "not_duplicate", duplicate), ("same_child", "not_same_child", same)):
        with pytest.raises(Rejected, match=r"link\.does_not_stand"):
            await house.apply([coder.link({"kind": undone, **ends})])
        await house.apply([coder.link({"kind": kind, **ends})])
        with pytest.raises(Rejected, match=r"link\.already_stands"):
            await house.apply([coder.link({"kind": kind, **ends})])
    assert (await house.now(coder.names.situation)).position == 2


async def test_a_report_from_a_place_that_is_not_registered_yet_waits_a_while_then_parks(house: House) -> None:
    coder = await house.new_situation(SITUATION)
    (event,) = reports(coder, 1, 1)
    fresh = event.model_copy(update={"place": "X777", "recorded_at": datetime.now(UTC)})
    with pytest.raises(Unavailable):
        await house.apply([fresh])
    with pytest.raises(Rejected, match=r"place\.unknown"):
        await house.apply([fresh.model_copy(update={"recorded_at": datetime.now(UTC) - timedelta(minutes=5)})])
    moved = {**SITUATION, "code": coder.names.situation, "places": [*SITUATION["places"], {"code": "X777", "name": "New", "level": 1}]}
    await house.add_situation(moved, version=2)
    await house.apply([fresh])
    answer = await house.ask(coder.names.situation, "unverified_by_region", "2020-01-01", "2025-01-01")
    assert set(answer) <= {"X777"}


async def test_nothing_is_known_at_position_zero(house: House) -> None:
    coder = await house.new_situation(SITUATION)
    await house.apply(reports(coder, 5, 1))
    for table in ("summary", "exceptions", "children_multiple"):
        answer = await house.ask(coder.names.situation, table, "2020-01-01", "2025-01-01", position=0)
        assert answer == [] if table != "summary" else answer["violations"] == 0
    async with house.database.reading("nobody", by=SYSTEM) as tx:
        assert (await ledger.get_now(tx, "XNOBODY")).position == 0
