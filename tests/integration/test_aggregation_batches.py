"""However facts are cut into batches, the same rows follow; one that is rejected or fails in a batch leaves no trace in it."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import pytest

from aggregation.bookkeeping import Journal
from aggregation.messages import subject_of
from chassis.delivery.messages import Read
from chassis.delivery.receiver import Receiver
from chassis.sealing.trust import Trust
from chassis.storage import SYSTEM
from contracts.events import Event, ViolationDecided
from contracts.vocabulary import Status
from local_stack.postgres import PostgresServer
from support.counting import House, counting_house
from support.exchange_events import Coder
from support.histories import SITUATION, Author
from support.turns import Turns

TABLES = {
    "ledgers": "position, side",
    "positions": "position, event_id, kind, subject, fact, region, recorded_at",
    **{
        f"counts_a.{name}": "*" for name in ("incidents", "duplicates", "net_postings", "postings", "memberships", "records", "child_links")
    },
}
STEPS = {"incident": "incidents", "decision": "decisions", "link": "links"}


@pytest.fixture(scope="module")
async def house(postgres_server: PostgresServer) -> AsyncIterator[House]:
    async with counting_house(postgres_server) as opened:
        yield opened


async def rows(house: House, situation: str) -> dict[str, list[str]]:
    """Everything that is kept of a situation, but for its name and the instants."""
    found = {}
    async with house.database.transaction("look", by=SYSTEM) as tx:
        for table, columns in TABLES.items():
            kept = await tx.fetch(
                f"select (to_jsonb(kept) - 'situation')::text as text from (select {columns} from {table} where situation = $1) as kept"  # noqa: S608
                " order by 1",
                situation,
            )
            found[table] = [row["text"] for row in kept]
    return found


def events(coder: Coder, author: Author, acts: int) -> list[Event]:
    made: list[Event] = []
    for _ in range(acts):
        kind, content = author.act()
        made += coder.step({STEPS[kind]: [content]})
    return made


def ids(every: Sequence[Event]) -> dict[int, UUID]:
    """An id for every event, the same for the same place in the history."""
    return {id(event): uuid5(UUID(int=0), str(number)) for number, event in enumerate(every)}


@pytest.mark.parametrize("seed", range(8))
async def test_one_by_one_all_at_once_and_any_cut_leave_the_same_rows(house: House, seed: int) -> None:
    author = Author(random.Random(seed))
    coder = await house.new_situation(SITUATION)
    made = events(coder, author, 120)
    kept = []
    for way in ("one by one", "apart", "all at once", "cut"):
        situation = await house.add_situation({**SITUATION, "code": f"{coder.names.situation}{len(kept)}"})
        moved = [event.model_copy(update={"situation": situation}) for event in made]
        names = ids(moved)

        async def apply(part: list[Event], *, together: bool = True, names: dict[int, UUID] = names) -> None:
            await (house.apply_together if together else house.apply)(part, ids=lambda one: names[id(one)])

        if way == "one by one":
            for event in moved:
                await apply([event])
        elif way == "apart":
            await apply(moved, together=False)
        elif way == "all at once":
            await apply(moved)
        while way == "cut" and moved:
            cut = author.rng.randint(1, 40)
            await apply(moved[:cut])
            moved = moved[cut:]
        kept.append(await rows(house, situation))
    assert kept[0]["counts_a.postings"]
    for other in kept[1:]:
        assert other == kept[0]


class Inbox:
    """Aggregation's receiver and its handlers, given messages that were opened already."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._receiver = Receiver("aggregation", database=house.database, register=house.register, trust=Trust())
        self._receiver.configure(house.handlers.by_event(), opener=lambda *_: pytest.fail("nothing is opened here"))
        self._turns = Turns()

    def read(self, event: Event) -> Read:
        return self._turns.read(event, uuid4(), subject_of(event))

    async def receive(self, reads: list[Read]) -> None:
        assert (await self._receiver._take_part(reads))[0] == len(reads)

    async def parked(self) -> list[tuple[str, str]]:
        async with self._house.database.transaction("look", by=SYSTEM) as tx:
            return [tuple(row) for row in await tx.fetch("select subject, reason from parked order by id")]

    async def forget(self) -> None:
        async with self._house.database.transaction("look", by=SYSTEM) as tx:
            await tx.execute("delete from parked")


async def test_a_fact_rejected_amid_a_batch_is_parked_and_leaves_no_trace(house: House) -> None:
    inbox, coder = Inbox(house), await house.new_situation(SITUATION)
    author = Author(random.Random(3))
    made = events(coder, author, 60)
    link, again = (coder.link({"kind": "same_child", "victim": "i1/c1", "of": "i2/c1"}) for _ in range(2))
    batch = [*made[:20], link, *made[20:40], again, *made[40:]]
    reads = [inbox.read(event) for event in batch]
    await inbox.receive(reads)
    assert await inbox.parked() == [(subject_of(again), "rejected:link.already_stands")]
    await inbox.forget()

    other = await house.add_situation({**SITUATION, "code": f"{coder.names.situation}0"})
    kept = [read for read in reads if read.event is not again]
    copies = [read.event.model_copy(update={"situation": other}) for read in kept]
    names = {id(copy): read.header.event for read, copy in zip(kept, copies, strict=True)}
    await house.apply(copies, ids=lambda event: names[id(event)])
    assert await rows(house, coder.names.situation) == await rows(house, other)
    assert (await house.now(coder.names.situation)).position == len(kept)


async def test_a_fact_that_fails_amid_a_batch_is_parked_alone(house: House) -> None:
    """What stands of one violation is lost: only what would reverse it fails, and says so."""
    inbox, coder = Inbox(house), await house.new_situation(SITUATION)
    situation, author = coder.names.situation, Author(random.Random(4))
    reported = events(coder, author, 40)
    await inbox.receive([inbox.read(event) for event in reported])
    async with house.database.transaction("look", by=SYSTEM) as tx:
        lost = await tx.fetchval(
            "delete from counts_a.net_postings where ctid = (select ctid from counts_a.net_postings where situation = $1"
            " and standing = 'unverified' order by violation limit 1) returning violation",
            situation,
        )
    position = (await house.now(situation)).position
    incident, _, key = lost.partition("/")
    decided = ViolationDecided(
        situation=situation, incident=UUID(incident), violation=key, decision=uuid4(), recorded_at=datetime.now(UTC), outcome=Status.NOT_MRM
    )
    one, other = (coder.link({"kind": "same_child", "victim": f"{name}1/c1", "of": f"{name}2/c1"}) for name in "jk")
    await inbox.receive([inbox.read(event) for event in (one, decided, other)])
    assert await inbox.parked() == [(incident, "handler_failed")]
    await inbox.forget()
    assert (await house.now(situation)).position == position + 2


async def test_statements_do_not_grow_with_the_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0
    execute = asyncpg.Connection._execute

    async def counting(self: Any, *args: Any, **named: Any) -> Any:
        nonlocal counted
        counted += 1
        return await execute(self, *args, **named)

    monkeypatch.setattr(asyncpg.Connection, "_execute", counting)
    costs = []
    for size in (100, 1_000):
        coder = await house.new_situation(SITUATION)
        made = events(coder, Author(random.Random(6)), size)
        await house.register.get(coder.names.situation)
        counted = 0
        await house.apply_together(made)
        costs.append(counted)
    few, many = costs
    assert many <= few + 2, costs  # perhaps one more look at the register, which is a second old
    assert many < 25


async def test_a_savepoint_that_is_undone_takes_its_facts_along_and_no_others(house: House) -> None:
    coder = await house.new_situation(SITUATION)
    one, two, three = events(coder, Author(random.Random(7)), 12)[:3]
    by_event = house.handlers.by_event()
    async with house.database.transaction("test", by=SYSTEM) as tx:
        for event in (one, two, three):
            try:
                async with tx.caused_by(uuid4()):
                    if event is not two:
                        await by_event[type(event)](event, tx)
                        continue
                    async with tx.savepoint():
                        await by_event[type(event)](event, tx)
                        raise LookupError
            except LookupError:
                assert not tx.unit(Journal)._facts
    async with house.database.transaction("look", by=SYSTEM) as tx:
        found = await tx.fetch("select position, kind from positions where situation = $1 order by 1", coder.names.situation)
    assert [tuple(row) for row in found] == [(1, one.type), (2, three.type)]
