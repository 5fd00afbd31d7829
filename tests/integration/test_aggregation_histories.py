"""Random histories on a real PostgreSQL against the oracle, act by act and as of every moment; conservation; interleavings.

`MRM_HISTORIES=2000 pytest …` looks longer.
"""

import asyncio
import os
import random
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from aggregation.store.ledger import Reading
from aggregation.store.standing import COLUMNS
from chassis.storage import SYSTEM
from contracts.events import ChildrenLinked, ChildrenUnlinked, Event
from local_stack.postgres import PostgresServer
from support.counting import House, counting_house
from support.exchange_events import Coder
from support.histories import SITUATION, Author
from support.oracle import Oracle

HISTORIES = int(os.environ.get("MRM_HISTORIES", "25"))
PHASES = [Phase.generate] if os.environ.get("MRM_SHRINK") == "no" else [Phase.reuse, Phase.generate, Phase.shrink]
T = TypeVar("T")


class Bench:
    """A counting house in an event loop of its own, for tests that are not asynchronous themselves."""

    def __init__(self, server: PostgresServer) -> None:
        self.runner = asyncio.Runner()
        self._open = counting_house(server)
        self.house: House = self.run(self._open.__aenter__())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.run(self._open.__aexit__(None, None, None))
        self.runner.close()


@pytest.fixture(scope="module")
def bench(postgres_server: PostgresServer) -> Iterator[Bench]:
    opened = Bench(postgres_server)
    yield opened
    opened.close()


def events_of(coder: Coder, act: tuple[str, dict[str, Any]]) -> list[Event]:
    kind, content = act
    step = {"incident": "incidents", "decision": "decisions", "link": "links"}[kind]
    return list(coder.step({step: [content]}))


def named(table: str, answer: Any, coder: Coder) -> Any:
    """The oracle's answer with the service's names."""
    if table != "exceptions":
        return answer
    return sorted(({**flaw, "violation": coder.names.violation(flaw["violation"])} for flaw in answer), key=lambda flaw: flaw["violation"])


async def check(house: House, coder: Coder, oracle: Oracle, question: tuple[str, str, str, dict[str, str]], position: int | None) -> None:
    table, start, end, params = question
    answer = await house.ask(coder.names.situation, table, start, end, params=params, position=position)
    assert answer == named(table, oracle.answer(table, start, end, params), coder), question


class Counting(RuleBasedStateMachine):
    """One situation grows act by act; after each act a question is asked, and at the end questions about the past."""

    bench: Bench

    def __init__(self) -> None:
        super().__init__()
        self.author = Author(random.Random(0))
        self.coder = self.bench.run(self.bench.house.new_situation(SITUATION))
        self.positions = [0]

    @rule(source=st.randoms(use_true_random=False))
    def act(self, source: random.Random) -> None:
        self.author.rng = source
        events = events_of(self.coder, self.author.act())
        self.bench.run(self.bench.house.apply(events))
        self.positions.append(self.positions[-1] + len(events))

    @rule(source=st.randoms(use_true_random=False), moment=st.floats(0, 1))
    def look_back(self, source: random.Random, moment: float) -> None:
        number = int(moment * len(self.author.acts))
        self.ask(source, number)

    @invariant()
    def ask_now(self) -> None:
        for number in range(2):
            self.ask(random.Random(len(self.author.acts) * 2 + number), len(self.author.acts))

    def ask(self, source: random.Random, number: int) -> None:
        self.author.rng = source
        oracle = Oracle(SITUATION, self.author.acts[:number])
        self.bench.run(check(self.bench.house, self.coder, oracle, self.author.question(), self.positions[number]))


def test_every_single_act_leaves_the_figures_right(bench: Bench) -> None:
    """C1 to C11: whatever table and window is asked for, against the oracle."""
    machine = type("BoundCounting", (Counting,), {"bench": bench})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=25,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


@settings(max_examples=HISTORIES, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_a_whole_history_is_right_as_of_every_moment(bench: Bench, seed: int) -> None:
    """C12, and C1 to C11 as of each moment."""
    bench.run(whole_history(bench.house, seed))


async def whole_history(house: House, seed: int) -> None:
    author = Author(random.Random(seed))
    coder = await house.new_situation(SITUATION)
    positions, events = [0], []
    for _ in range(60):
        made = events_of(coder, author.act())
        events += made
        positions.append(positions[-1] + len(made))
    await house.apply_together(events)
    for number in [len(author.acts), *author.rng.sample(range(len(author.acts)), 3)]:
        oracle = Oracle(SITUATION, author.acts[:number])
        children = author.rng.choice(["summary", "ages", "children_multiple"]), "2021-01-01", "2024-01-01", {"late": "inside"}
        for question in [*(author.question() for _ in range(6)), children]:
            await check(house, coder, oracle, question, positions[number])
            await check_readings(house, coder.names.situation, question, positions[number])
    await check_conservation(house, coder.names.situation)


async def check_readings(house: House, situation: str, question: tuple[str, str, str, dict[str, str]], position: int) -> None:
    """What stood is found alike from what stands and from what was posted."""
    table, start, end, params = question
    backward, forward = [
        await house.ask(situation, table, start, end, params=params, position=position, reading=reading)
        for reading in (Reading.BACKWARD, Reading.FORWARD)
    ]
    assert backward == forward


async def check_conservation(house: House, situation: str) -> None:
    """A violation stands once or not at all, under one set of dimensions; so do memberships, records and links, at every moment."""
    queries = {
        "postings": "select violation as name, sum(sign) over (partition by violation order by position) as net",
        "memberships": "select member as name, sum(sign) over (partition by violation, kind, member order by position) as net",
        "records": "select child as name, sum(sign) over (partition by incident, child order by position) as net",
        "child_links": "select one as name, sum(sign) over (partition by one, other order by position) as net",
    }
    async with house.database.reading("conservation", by=SYSTEM) as tx:
        for table, query in queries.items():
            wrong = await tx.fetch(
                f"select * from ({query} from counts_a.{table} where situation = $1) as sums where net not in (0, 1)",  # noqa: S608
                situation,
            )
            assert wrong == [], table
        wrong = await tx.fetch(
            """
            select violation from counts_a.postings where situation = $1
            group by violation, type, standing, decided_on, occurred_from, ended_on, amount, boys, girls, unknown, lines, region, details,
                late_by_quarter, beyond_boys, beyond_girls, beyond_unknown
            having sum(sign) not in (0, 1)
            """,
            situation,
        )
        assert wrong == []
        unlike = await tx.fetch(
            f"""
            select {COLUMNS}, sum(sign) from (
                select sign, {COLUMNS} from counts_a.postings where situation = $1
                union all select -1, {COLUMNS} from counts_a.net_postings where situation = $1
            ) as rows group by {COLUMNS} having sum(sign) <> 0
            """,  # noqa: S608
            situation,
        )
        assert unlike == [], "the net postings are not the sum of the postings"


@settings(max_examples=max(HISTORIES // 2, 5), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_any_order_of_arrival_between_incidents_gives_the_same_figures(bench: Bench, seed: int) -> None:
    bench.run(interleaved(bench.house, seed))


async def interleaved(house: House, seed: int) -> None:
    author = Author(random.Random(seed))
    coder = await house.new_situation(SITUATION)
    events = [event for _ in range(50) for event in events_of(coder, author.act())]
    arriving = shuffled(events, author)
    while arriving:  # in batches cut anywhere
        cut = author.rng.randint(1, len(arriving))
        await house.apply_together(arriving[:cut])
        arriving = arriving[cut:]
    oracle = Oracle(SITUATION, author.acts)
    for _ in range(12):
        await check(house, coder, oracle, author.question(), None)
    await check_conservation(house, coder.names.situation)


def shuffled(events: list[Event], author: Author) -> list[Event]:
    """Another order of arrival: events of one incident, and of one pair of children, stay in their own order."""
    queues: dict[str, list[Event]] = {}
    for event in events:
        if isinstance(event, ChildrenLinked | ChildrenUnlinked):
            subject = "/".join(sorted((event.child, event.of)))
        else:
            subject = str(getattr(event, "incident", None) or getattr(event, "violation", "").split("/")[0])
        queues.setdefault(subject, []).append(event)
    arrived: list[Event] = []
    while queues:
        subject = author.rng.choice(sorted(queues))
        arrived.append(queues[subject].pop(0))
        if not queues[subject]:
            del queues[subject]
    return arrived


@settings(max_examples=max(HISTORIES // 2, 5), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_windows_add_up(bench: Bench, seed: int) -> None:
    bench.run(windows(bench.house, seed))


async def windows(house: House, seed: int) -> None:
    author = Author(random.Random(seed))
    coder = await house.new_situation(SITUATION)
    await house.apply([event for _ in range(40) for event in events_of(coder, author.act())])
    start, cut, end = sorted(author.day().isoformat() for _ in range(3))

    async def total(first: str, last: str) -> dict[str, int]:
        answer = await house.ask(coder.names.situation, "verified_by_party", first, last, params={"late": "inside"})
        return {f"{line}/{kind}": number for line, row in answer.items() for kind, number in row.items()}

    one, other, whole = await total(start, cut), await total(cut, end), await total(start, end)
    assert {key: one.get(key, 0) + other.get(key, 0) for key in one.keys() | other.keys()} == whole
