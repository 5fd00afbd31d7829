"""What is conserved whatever happened: contributors add up to every cell, windows to their whole, parts to all, rows to what stands.

`MRM_TEST_SEED=… pytest …` brings a run back; `MRM_HISTORIES=500` looks longer.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from aggregation.domain.contributors import counts_children
from aggregation.domain.tables import TABLES
from chassis.errors import Unavailable
from contracts.events import ChildrenLinked, ChildrenUnlinked, Event
from support.exchange_events import Coder
from support.histories import SITUATION, Act, Author
from support.oracle import COUNTED, Oracle
from support.random_files import seed_of_this_run
from support.running_aggregation import RunningAggregation, aggregation

__all__ = ["aggregation"]
SEED = seed_of_this_run()
NUMBERS = range(max(int(os.environ.get("MRM_HISTORIES", "25")) // 25, 2))
STANDING = ("verified", "report_pending_verification", "reported_not_verified")
ADD_UP = [
    ("verified_children", {}),
    ("verified_incidents", {}),
    ("verified_by_party", {}),
    ("verified_by_region", {}),
    ("late_children", {"late_rule": "quarter"}),
    ("late_incidents", {"late_rule": "quarter"}),
    ("late_by_party", {"late_rule": "quarter"}),
    ("late_by_region", {"late_rule": "quarter"}),
    ("by_grave_violation_and_party", {}),
    ("by_detail", {"field": "weapon_type"}),
    ("context", {}),
]
"""Tables whose every number is an amount that belongs to one day; children affected and what is late by the window do not add up."""


@dataclass(frozen=True)
class History:
    """A random history of one situation that was put through, with what the oracle knows of it."""

    coder: Coder
    author: Author

    @property
    def situation(self) -> str:
        return self.coder.names.situation

    def oracle(self, acts: int | None = None) -> Oracle:
        return Oracle(SITUATION, self.author.acts[:acts])

    def events(self) -> list[Event]:
        return [event for act in self.author.acts for event in events_of(self.coder, act)]

    def refs(self) -> dict[str, str]:
        """The history's names of violations by the service's."""
        incidents = [act for kind, act in self.author.acts if kind == "incident"]
        refs = [f"{incident['key']}/{violation['key']}" for incident in incidents for violation in incident["violations"]]
        return {self.coder.names.violation(ref): ref for ref in refs}


def events_of(coder: Coder, act: Act) -> list[Event]:
    kind, content = act
    return list(coder.step({{"incident": "incidents", "decision": "decisions", "link": "links"}[kind]: [content]}))


def seeded(number: int) -> random.Random:
    """Return the randomness of one run of a test, and say what brings it back."""
    print(f"the first run with MRM_TEST_SEED={SEED + number} is this one")  # noqa: T201 - shown when the test fails
    return random.Random(SEED + number)


async def written(aggregation: RunningAggregation, rng: random.Random, acts: int) -> History:
    """Write a history of a situation of its own; nothing is put through yet."""
    coder, author = await aggregation.house.new_situation(SITUATION), Author(rng)
    for _ in range(acts):
        author.act()
    for violation in sorted(author._refs("violations")):  # much is verified, so that children are counted through several violations
        if rng.random() < 0.6:
            day = author.day().isoformat()
            author.acts.append(("decision", {"violation": violation, "stage": "ctfmr", "outcome": "verified", "decided_on": day}))
    return History(coder, author)


async def grown(aggregation: RunningAggregation, number: int, acts: int) -> History:
    """Write a history and put it through in transactions of any length."""
    history = await written(aggregation, seeded(number), acts)
    for batch in cut(history.events(), history.author.rng):
        await aggregation.house.apply(batch)
    return history


def cut(events: list[Event], rng: random.Random) -> Iterator[list[Event]]:
    while events:
        length = rng.choice([1, 2, 5, 20])
        yield events[:length]
        events = events[length:]


def numbers_in(answer: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Return every number of an answer by its path."""
    if isinstance(answer, dict | list):
        entries = answer.items() if isinstance(answer, dict) else ((str(index), value) for index, value in enumerate(answer))
        return {name: value for key, inner in entries for name, value in numbers_in(inner, (*path, key)).items()}
    return {path: answer} if isinstance(answer, int) else {}


def added(answers: list[Any]) -> dict[tuple[str, ...], int]:
    """Add answers up, number by number; what is zero is left out."""
    sums: dict[tuple[str, ...], int] = {}
    for answer in answers:
        for path, number in numbers_in(answer).items():
            sums[path] = sums.get(path, 0) + number
    return {path: number for path, number in sums.items() if number}


def window_of(author: Author) -> dict[str, str]:
    start, end = sorted((author.day().isoformat(), author.day().isoformat()))
    return {"from": start, "to": end} if author.rng.random() < 0.5 else {"from": "2021-01-01", "to": "2024-01-01"}


@pytest.mark.parametrize("number", NUMBERS)
async def test_the_contributors_of_every_cell_of_every_table_add_up_to_it(aggregation: RunningAggregation, number: int) -> None:
    """C13."""
    history = await grown(aggregation, number, 40)
    window, rng = window_of(history.author), history.author.rng
    choice = {"late": rng.choice(["inside", "beside"]), "late_rule": rng.choice(["quarter", "window"])}
    checked = 0
    for table in TABLES:
        params = {**window, **choice, **({"field": "weapon_type"} if table == "by_detail" else {})}
        answer = (await aggregation.table(history.situation, table, **params))["data"]
        cells = list(map(str, range(len(answer)))) if table in ("children_multiple", "groups_multiple", "exceptions") else []
        for path in [*((cell,) for cell in cells), *(numbers_in(answer) if not cells else ())]:
            await check_cell(aggregation, history, table=table, params=params, path=path, answer=answer)
            checked += 1
    assert checked > 30


async def check_cell(
    aggregation: RunningAggregation, history: History, *, table: str, params: dict[str, str], path: tuple[str, ...], answer: Any
) -> None:
    """Ask one cell for its contributors over HTTP, page by page, and compare them with the oracle's."""
    oracle, refs = history.oracle(), history.refs()
    value, behind = await contributors(
        aggregation, f"/v1/situations/{history.situation}/tables/{table}/contributors", "/".join(path), params
    )
    assert value == dig(answer, path)
    found = {refs[entry["violation"]]: entry.get("amount") for entry in behind}
    assert len(found) == len(behind)
    start, end = params["from"], params["to"]
    types = {violation["ref"]: violation["type"] for violation in oracle.violations}
    if table in ("children_multiple", "groups_multiple"):
        assert sorted(types[ref] for ref in found) == value["violations"], (table, params, path)
        assert set(found.values()) == {None}
    elif table == "exceptions":
        assert list(found) == [refs[value["violation"]]]
    elif counts_children(TABLES[table], path):
        assert set(found) == oracle.behind(table, start, end, params, path), (table, params, path)
    else:
        shares = {one["ref"]: share(oracle.only(one).answer(table, start, end, params), path, answer) for one in oracle.counting}
        assert found == {ref: amount for ref, amount in shares.items() if amount}, (table, params, path)
        assert sum(found.values()) == value


async def contributors(aggregation: RunningAggregation, path: str, cell: str, params: dict[str, str]) -> tuple[Any, list[Any]]:
    """Return the value of a cell and all pages of what is behind it."""
    entries: list[Any] = []
    more = {"limit": "3"}
    while True:
        answer = await aggregation.get(path, cell=cell, **params, **more)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        entries += page["data"]
        if page["next"] is None:
            return page["value"], entries
        more = {"limit": "3", "cursor": page["next"]}


def dig(answer: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        answer = answer[int(step)] if isinstance(answer, list) else answer[step]
    return answer


def share(alone: Any, path: tuple[str, ...], whole: Any) -> int:
    """One violation's part in a number: what stands at its place in the answer for that violation alone."""
    if isinstance(whole, dict) and isinstance(whole.get(path[0]), list):  # by exact sets of parties: places of a list differ
        lines = whole[path[0]][int(path[1])]["lines"]
        return sum(entry["n"] for entry in alone.get(path[0], []) if entry["lines"] == lines)
    try:
        number: int = dig(alone, path)
    except (KeyError, IndexError):
        return 0
    return number


@pytest.mark.parametrize("number", NUMBERS)
async def test_windows_add_up_to_the_window_they_cut(aggregation: RunningAggregation, number: int) -> None:
    """C3: no day is in two of them, none in none."""
    history = await grown(aggregation, number, 40)
    author = history.author
    cuts = [act["decided_on"] for kind, act in author.acts if kind == "decision" and "decided_on" in act]  # where a day could be lost
    for table, params in ADD_UP:
        days = ["2021-01-01", *sorted(set(author.rng.choices(cuts or ["2022-01-01"], k=5))), "2024-01-01"]
        asked = {"late": "inside", **params}
        whole = await aggregation.house.ask(history.situation, table, days[0], days[-1], params=asked)
        parts = [await aggregation.house.ask(history.situation, table, start, end, params=asked) for start, end in pairwise(days)]
        assert added(parts) == added([whole]), (table, days)
    trend = await aggregation.house.ask(history.situation, "trend", "2021-01-01", "2024-01-01", params={"by": "month"})
    for part in trend:
        summary = await aggregation.house.ask(history.situation, "summary", part["from"], part["to"], params={"late": "inside"})
        assert {name: summary[name] for name in ("violations", "by_grave_violation")} == {
            name: part[name] for name in ("violations", "by_grave_violation")
        }


@pytest.mark.parametrize("number", NUMBERS)
async def test_tables_of_one_window_agree_with_each_other(aggregation: RunningAggregation, number: int) -> None:
    """On time and late make all (C5, C6); regions, types and grave violations are cuts of the same amount (C4), `_all` the total (C8)."""
    history = await grown(aggregation, number, 40)

    async def table(name: str, window: dict[str, str], **params: str) -> Any:
        return await aggregation.house.ask(history.situation, name, window["from"], window["to"], params=params)

    for _ in range(4):
        window = window_of(history.author)
        for rule in ("quarter", "window"):
            for what in ("children", "incidents", "by_party", "by_region"):
                on_time, late = [await table(f"{part}_{what}", window, late_rule=rule) for part in ("verified", "late")]
                inside = await table(f"verified_{what}", window, late_rule=rule, late="inside")
                assert added([on_time, late]) == added([inside]), (what, rule)
            for part in ("verified", "late", "unverified"):
                by_region, by_party = (
                    await table(f"{part}_by_region", window, late_rule=rule),
                    await table(f"{part}_by_party", window, late_rule=rule),
                )
                children, incidents = (
                    await table(f"{part}_children", window, late_rule=rule),
                    await table(f"{part}_incidents", window, late_rule=rule),
                )
                by_type = {**{kind: row["total"] for kind, row in children.items()}, **incidents}
                every = added([{kind: by_type[kind] for kind in by_type}, {"total": sum(by_type.values())}])
                assert added(list(by_region.values())) == added([by_party.get("_all", {})]) == every, (part, rule)
            summary = await table("summary", window, late_rule=rule)
            head = (await table("verified_by_party", window, late_rule=rule)).get("_all", {}).get("total", 0)
            assert summary["violations"] == sum(summary["by_grave_violation"].values()) == head
            by_grave = await table("by_grave_violation_and_party", window, late_rule=rule)
            assert {grave: lines["_all"] for grave, lines in by_grave.items()} == {
                grave: amount for grave, amount in summary["by_grave_violation"].items() if amount
            }


@pytest.mark.parametrize("number", NUMBERS)
async def test_the_postings_of_a_violation_sum_to_its_contribution_or_zero(aggregation: RunningAggregation, number: int) -> None:
    history = await grown(aggregation, number, 50)
    refs, position = history.refs(), 0
    for acts, act in enumerate(history.author.acts, 1):
        position += len(events_of(history.coder, act))
        if acts % 7 and acts != len(history.author.acts):
            continue
        rows = await aggregation.owner.fetch(
            "select violation, sum(sign * amount) as amount, sum(sign * (boys + girls + unknown)) as children"
            " from counts_a.postings where situation = $1 and position <= $2 group by violation",
            history.situation,
            position,
        )
        stands = {refs[row["violation"]]: (row["amount"], row["children"]) for row in rows if row["amount"]}
        assert all(row["children"] == 0 for row in rows if not row["amount"])
        expected = {
            one["ref"]: (one["amount"], sum(one["tally"].values()))
            for one in history.oracle(acts).counting
            if one["status"] in STANDING and one["type"] in COUNTED
        }
        assert {ref: found for ref, found in stands.items() if ref in expected} == expected
        counted = {one["ref"] for one in history.oracle(acts).counting if one["status"] in STANDING}
        assert stands.keys() <= counted


@pytest.mark.parametrize("number", NUMBERS)
async def test_any_interleaving_of_subjects_writers_and_situations_gives_the_same_figures(
    aggregation: RunningAggregation, number: int
) -> None:
    """Events of one subject keep their order; subjects come in any order, in batches of any length, from several writers at once."""
    rng = seeded(number)
    histories = [await written(aggregation, rng, 40) for _ in range(3)]
    queues: dict[tuple[str, str], list[Event]] = {}
    for history in histories:
        for event in history.events():
            queues.setdefault((history.situation, subject_of(event)), []).append(event)
    writers: list[list[Event]] = [[], [], []]
    homes = {subject: rng.randrange(len(writers)) for subject in sorted(queues)}
    while queues:
        subject = rng.choice(sorted(queues))
        writers[homes[subject]].append(queues[subject].pop(0))
        if not queues[subject]:
            del queues[subject]

    async def write(events: list[Event]) -> None:
        for batch in cut(events, random.Random(len(events))):
            await apply_in_the_end(aggregation, batch)

    await asyncio.gather(*map(write, writers))
    for history in histories:
        oracle = history.oracle()
        for table in TABLES:
            _, start, end, params = history.author.question([table])
            answer = await aggregation.house.ask(history.situation, table, start, end, params=params)
            expected = oracle.answer(table, start, end, params)
            if table == "exceptions":
                refs = history.refs()
                answer = sorted(({**flaw, "violation": refs[flaw["violation"]]} for flaw in answer), key=lambda flaw: flaw["violation"])
            assert answer == expected, (table, start, end, params)


async def apply_in_the_end(aggregation: RunningAggregation, batch: list[Event]) -> None:
    """Apply a batch as the consumer does: writers that stand in each other's way begin anew, and nothing of the failed try stays."""
    while True:
        try:
            return await aggregation.house.apply(batch)
        except Unavailable:
            await asyncio.sleep(0.05)


def subject_of(event: Event) -> str:
    """What keeps its order on the topic: an incident, or a pair of children."""
    if isinstance(event, ChildrenLinked | ChildrenUnlinked):
        return "/".join(sorted((event.child, event.of)))
    return str(getattr(event, "incident", None) or getattr(event, "violation", "").split("/")[0])
