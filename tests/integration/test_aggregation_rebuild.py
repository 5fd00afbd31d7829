"""Live figures equal the ledger: a rebuild beside the running service swaps when alike and refuses at the first difference."""

import asyncio
import random
import signal
import sys
from typing import Any

import pytest

from aggregation import rebuilding
from aggregation.store import ledger
from chassis.storage import SYSTEM
from support.environment import environment_of
from support.exchange_events import Coder
from support.histories import SITUATION, Author
from support.oracle import Oracle
from support.running_aggregation import RunningAggregation, aggregation

__all__ = ["aggregation"]
STEPS = {"incident": "incidents", "decision": "decisions", "link": "links"}


async def grow(aggregation: RunningAggregation, coder: Coder, author: Author, acts: int) -> None:
    for _ in range(acts):
        kind, content = author.act()
        await aggregation.house.apply(coder.step({STEPS[kind]: [content]}))


async def begin(aggregation: RunningAggregation, situation: str) -> Any:
    answer = await aggregation.post(f"/v1/situations/{situation}/rebuild", {}, role="operator", situation="_all")
    assert answer.status_code == 202, answer.text
    return answer.json()


async def progress(aggregation: RunningAggregation, situation: str) -> Any:
    return (await aggregation.get(f"/v1/situations/{situation}/rebuild", role="operator", situation="_all")).json()


async def side(aggregation: RunningAggregation, situation: str) -> str:
    async with aggregation.service.database.reading("side", by=SYSTEM) as tx:
        return (await ledger.get_now(tx, situation)).side


async def test_a_rebuild_beside_new_facts_swaps_and_answers_the_same(aggregation: RunningAggregation) -> None:
    author = Author(random.Random(7))
    coder = await aggregation.house.new_situation(SITUATION)
    situation = coder.names.situation
    await grow(aggregation, coder, author, 60)
    assert (await begin(aggregation, situation))["state"] == "clearing"
    for _ in range(3):
        await rebuilding.advance(aggregation.service.database)
        await grow(aggregation, coder, author, 5)
        assert (await progress(aggregation, situation))["state"] in ("replaying", "comparing")
    await rebuilding.work(aggregation.service.database)
    assert await side(aggregation, situation) == "counts_b"
    await grow(aggregation, coder, author, 20)
    for acts in (30, len(author.acts)):
        oracle = Oracle(SITUATION, author.acts[:acts])
        position = sum(len(list(_made(coder, act))) for act in author.acts[:acts])
        for _ in range(10):
            table, start, end, params = author.question()
            if table != "exceptions":
                assert await aggregation.house.ask(situation, table, start, end, params=params, position=position) == oracle.answer(
                    table, start, end, params
                )
    await begin(aggregation, situation)
    await rebuilding.work(aggregation.service.database)
    assert await side(aggregation, situation) == "counts_a"
    done = await progress(aggregation, situation)
    assert (done["state"], done["difference"], done["replayed"]) == ("swapped", None, done["target"])


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("postings", "update counts_a.postings set amount = amount + 1 {fourth} returning position, violation"),
        ("net_postings", "update counts_a.net_postings set amount = amount + 1 {fourth} returning position, violation"),
        ("net_postings", "update counts_a.net_postings set violation = 'never' {fourth} returning position, violation"),
        ("net_postings", "delete from counts_a.net_postings {fourth} returning position, violation"),
        (
            "net_postings",
            "insert into counts_a.net_postings select situation, 3, 'never', type, standing, decided_on, occurred_from, ended_on,"
            " late_by_quarter, amount, boys, girls, unknown, beyond_boys, beyond_girls, beyond_unknown, lines, region, details"
            " from counts_a.net_postings {fourth} returning position, violation",
        ),
        ("memberships", "delete from counts_a.memberships {fourth} returning position, violation"),
    ],
    ids=["a posting", "what stands", "what stands renamed", "what stands is missing", "what was never posted", "a child"],
)
async def test_a_rebuild_that_finds_a_difference_refuses_to_swap_and_names_it(
    aggregation: RunningAggregation, table: str, fault: str
) -> None:
    author = Author(random.Random(8))
    coder = await aggregation.house.new_situation(SITUATION)
    situation = coder.names.situation
    await grow(aggregation, coder, author, 40)
    fourth = f"where ctid = (select ctid from counts_a.{table} where situation = $1 order by position, violation, ctid offset 3 limit 1)"  # noqa: S608
    planted = await aggregation.owner.fetchrow(fault.format(fourth=fourth), situation)
    await begin(aggregation, situation)
    await rebuilding.work(aggregation.service.database)
    ended = await progress(aggregation, situation)
    assert ended["state"] == "refused"
    assert ended["difference"]["table"] == table
    if "renamed" not in fault and "never" not in planted["violation"]:
        assert ended["difference"]["position"] == planted["position"]
    if "'never' {" not in fault:
        assert ended["difference"]["row"]["violation"] == planted["violation"]
    assert await side(aggregation, situation) == "counts_a"


async def test_a_rebuild_that_was_killed_goes_on_where_it_was(aggregation: RunningAggregation) -> None:
    """The process dies in the middle of replaying, twice; the live figures answer the same all the time."""
    author = Author(random.Random(10))
    coder = await aggregation.house.new_situation(SITUATION)
    situation = coder.names.situation
    events = []
    while len(events) < 5_000:  # acts of every kind, then reports, which are quickly written
        kind, content = author.act() if len(events) < 300 else author.report()
        events += coder.step({STEPS[kind]: [content]})
    await aggregation.house.apply_together(events)
    questions = [author.question() for _ in range(5)]

    async def answers() -> list[Any]:
        return [await aggregation.house.ask(situation, table, start, end, params=params) for table, start, end, params in questions]

    before = await answers()
    await begin(aggregation, situation)
    reached = [0]
    for _ in range(2):
        worker = await start_worker(aggregation)
        while (found := await progress(aggregation, situation))["replayed"] <= reached[-1]:
            assert worker.returncode is None
            await asyncio.sleep(0.005)
        worker.send_signal(signal.SIGKILL)
        assert await worker.wait() == -signal.SIGKILL
        found = await progress(aggregation, situation)
        assert (found["state"], reached[-1] < found["replayed"] < len(events)) == ("replaying", True)
        reached.append(found["replayed"])
        assert await answers() == before
    worker = await start_worker(aggregation)
    assert await worker.wait() == 0
    ended = await progress(aggregation, situation)
    assert (ended["state"], ended["difference"], ended["replayed"], ended["compared"]) == ("swapped", None, len(events), len(events))
    assert await side(aggregation, situation) == "counts_b"
    assert await answers() == before
    assert await aggregation.owner.fetchval("select count(*) from counts_b.postings where situation = $1", situation) == (
        await aggregation.owner.fetchval("select count(*) from counts_a.postings where situation = $1", situation)
    )


async def start_worker(aggregation: RunningAggregation) -> asyncio.subprocess.Process:
    """Carry on rebuilds in a process of its own, as the service's job does."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "support.rebuild_worker", env=environment_of(aggregation.service.settings)
    )


async def test_only_an_operator_rebuilds(aggregation: RunningAggregation) -> None:
    coder = await aggregation.house.new_situation(SITUATION)
    answer = await aggregation.post(f"/v1/situations/{coder.names.situation}/rebuild", {})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_removed_scratch_situation_leaves_no_row(aggregation: RunningAggregation) -> None:
    author = Author(random.Random(9))
    coder = await aggregation.house.new_situation(SITUATION)
    situation = coder.names.situation
    await grow(aggregation, coder, author, 30)
    await begin(aggregation, situation)
    known = await aggregation.service.register.get(situation)
    async with aggregation.service.database.transaction("remove", by=SYSTEM) as tx:
        await aggregation.service.register.save(tx, known.model_copy(update={"version": 2, "removed": True}))
    tables = await aggregation.owner.fetch(
        "select table_schema || '.' || table_name as name from information_schema.columns where column_name = 'situation'"
        " and table_name not in ('audit_entries', 'situations') and table_schema not in ('pg_catalog', 'information_schema')"
    )
    for table in tables:
        assert await aggregation.owner.fetchval(f"select count(*) from {table['name']} where situation = $1", situation) == 0, table  # noqa: S608


def _made(coder: Coder, act: tuple[str, dict[str, Any]]) -> list[Any]:
    kind, content = act
    return [] if kind == "decision" and content["stage"] != "ctfmr" else [content]
