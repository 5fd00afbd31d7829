"""How fast aggregation counts, as ratios of one run on one machine: the note, its growth with history, postings, grouping, rebuild.

make bench-counting       # or, with tests/ on PYTHONPATH: python -m benchmarks.bench_counting [--violations N] [--parts 1,2,3,4] [--full]
"""

import argparse
import asyncio
import gc
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psutil

from aggregation import answers
from aggregation.domain.periods import LateRule
from aggregation.domain.questions import read_question
from aggregation.store import ledger, rebuilds
from benchmarks import grouping
from benchmarks.counting_service import CountingService, counting_service
from benchmarks.situations import FIGURES, WINDOW, FastPath, add_history, facts, load, multiply, new_code, state
from chassis.delivery.bus import BATCH_MESSAGES
from chassis.storage import SYSTEM
from local_stack.postgres import PostgresServer
from support.environment import environment_of
from support.turns import Turns

COPIES: Final = 10
"""The larger situation that is rebuilt is so many copies of the smaller."""
DECADES: Final = 9
"""History is ten times as long with so many decades before the one asked about."""
ASKED: Final = 7
TRIALS: Final = 3


def machine() -> str:
    """Say on what this runs, and how busy it is."""
    one, five, fifteen = os.getloadavg()
    return f"{os.cpu_count()} cores, load average {one:.1f} / {five:.1f} / {fifteen:.1f}"


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long preparing something took."""
    started = time.perf_counter()
    yield
    print(f"  ({what}: {time.perf_counter() - started:.1f} s)", flush=True)


async def seconds(run: Callable[[], Awaitable[Any]]) -> float:
    """Run something once."""
    started = time.perf_counter()
    await run()
    return time.perf_counter() - started


async def prove(counting: CountingService) -> None:
    """The fast path and the copied history leave exactly the rows of the handlers."""
    slow, fast, long = [await counting.register(new_code(name)) for name in ("SLOW", "FAST", "LONG")]
    small, turns = list(facts(600)), Turns()
    await counting.receive([turns.read(fact.event(slow), fact.event_id(slow), fact.subject) for fact in small])
    await load(counting.owner, fast, small)
    tables = (*FIGURES, "incidents", "positions")
    same(await state(counting.owner, slow, tables=tables), await state(counting.owner, fast, tables=tables))
    repeated = await counting.register(new_code("HAND"))
    both = [*facts(600, history=1), *small]
    for start in range(0, len(both), BATCH_MESSAGES):
        await counting.receive(
            [turns.read(fact.event(repeated), fact.event_id(repeated), fact.subject) for fact in both[start : start + BATCH_MESSAGES]]
        )
    await add_history(counting.owner, fast, long, 1)
    same(await state(counting.owner, repeated, tables=FIGURES), await state(counting.owner, long, tables=FIGURES))
    print(f"fast path proved: same rows as the handlers from {len(small)} facts, and from {len(both)} with history", flush=True)


def same(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> None:
    """Stop with the first row that differs."""
    for table, rows in one.items():
        if rows != other[table]:
            differing = sorted(set(rows) ^ set(other[table]))
            raise SystemExit(f"{table}: the fast path differs from the handlers in {len(differing)} rows: {differing[:2]}")


async def ask_note(counting: CountingService, violations: int) -> None:
    """Part 1: the note, and the same note with ten times the history."""
    short, long = [await counting.register(new_code(name)) for name in ("SHORT", "LONG")]
    with timed(f"{violations:,} violations loaded"):
        position = await load(counting.owner, short, facts(violations))
    with timed(f"{violations * (DECADES + 1):,} violations copied"):
        await add_history(counting.owner, short, long, DECADES)
    with timed("vacuum analyze, as autovacuum does after a bulk load"):
        for table in FIGURES:
            await counting.owner.execute(f"vacuum (analyze) counts_a.{table}")
    if await counting.ask(short, "ghn", **WINDOW) != await counting.ask(long, "ghn", **WINDOW):
        raise SystemExit("the note of the same window differs: history is wrong")

    async def store_and_render(situation: str) -> None:
        question = read_question(dict(WINDOW), late_rule=LateRule.QUARTER)
        async with counting.service.database.reading("bench", by=SYSTEM) as tx:
            await answers.answer_ghn(tx, question, await ledger.get_now(tx, situation))

    print(f"1 note of one year, 14 tables, {violations:,} violations ({position:,} facts) against {DECADES + 1} x history")
    for name, run in (("over HTTP", lambda code: counting.ask(code, "ghn", **WINDOW)), ("store and render", store_and_render)):
        taken: dict[str, list[float]] = {short: [], long: []}
        for _ in range(ASKED):
            for code in (short, long):
                taken[code].append(await seconds(lambda code=code, run=run: run(code)))
        one, ten = (statistics.median(taken[code]) for code in (short, long))
        print(f"  {name:18} {one * 1e3:8.1f} ms  {ten * 1e3:8.1f} ms   ratio {ten / one:5.2f} x   (aim <= 1.3)", flush=True)
    await where_time_goes(counting, short, long)


async def where_time_goes(counting: CountingService, short: str, long: str) -> None:
    """Print the seconds of every statement behind the note."""
    question = read_question(dict(WINDOW), late_rule=LateRule.QUARTER)
    found: dict[str, dict[str, float]] = {}
    for situation in (short, long):
        async with counting.service.database.reading("bench", by=SYSTEM) as tx:
            fetch = tx.fetch

            async def watched(sql: str, *args: Any, fetch: Any = fetch, situation: str = situation) -> Any:
                started = time.perf_counter()
                rows = await fetch(sql, *args)
                name = "unverified" if "= 'unverified'" in sql else sql.split("counts_a.")[1].split(maxsplit=1)[0]
                found.setdefault(f"{len(found) if name == 'memberships' else 0}", {})
                key = f"{name} {'multiple ' + ('children' if 'victim' in sql else 'groups') if 'memberships' in name else ''}".strip()
                found.setdefault(key, {})[situation] = (time.perf_counter() - started) * 1e3
                return rows

            tx.fetch = watched  # type: ignore[method-assign]
            await answers.answer_ghn(tx, question, await ledger.get_now(tx, situation))
    lines = [f"{name} {times.get(short, 0):.1f}/{times.get(long, 0):.1f}" for name, times in found.items() if times]
    print(f"  ms by statement (short/long history): {', '.join(lines)}", flush=True)


def cpu(process: psutil.Process) -> float:
    """CPU seconds of a process alone."""
    return sum(process.cpu_times()[:2])


async def post(counting: CountingService, count: int) -> None:
    """Part 2: facts through the real handlers, exactly once, against bare copies of the same rows."""
    ours, bare, rows, python = [], [], 0, 0.0
    me = psutil.Process()
    for _ in range(TRIALS):
        code, floor, turns = await counting.register(new_code("POST")), new_code("BARE"), Turns()
        reads = [turns.read(fact.event(code), fact.event_id(code), fact.subject) for fact in islice(facts(count), count)]
        batches = [reads[start : start + BATCH_MESSAGES] for start in range(0, len(reads), BATCH_MESSAGES)]

        async def receive_all(batches: list[Any] = batches) -> None:
            for batch in batches:
                await counting.receive(batch)

        gc.collect()
        gc.freeze()  # as every service does after its start
        before = cpu(me)
        ours.append(await seconds(receive_all))
        python += cpu(me) - before
        rows = await counting.owner.fetchval("select count(*) from counts_a.postings where situation = $1", code)
        bare.append(await copy_bare(counting, floor, count))
    one, other = statistics.median(ours), statistics.median(bare)
    print(f"2 {count:,} facts, {rows:,} postings, in batches of {BATCH_MESSAGES}, median of {TRIALS}")
    print(f"  handlers and inbox {rows / one:9,.0f} postings/s {count / one:8,.0f} facts/s; {python / sum(ours):.0%} CPU of this process")
    print(
        f"  bare COPY          {rows / other:9,.0f} postings/s {count / other:8,.0f} facts/s; ours takes {one / other:.1f} x the floor",
        flush=True,
    )


async def copy_bare(counting: CountingService, situation: str, count: int) -> float:
    """Copy the same rows into the same tables, one transaction per batch; only the copying is timed."""
    path, spent = FastPath(situation), 0.0
    for number, fact in enumerate(islice(facts(count), count), 1):
        path.add(fact)
        if number % BATCH_MESSAGES == 0 and number < count:
            spent += await seconds(lambda: in_transaction(counting, path.copy))
    return spent + await seconds(lambda: in_transaction(counting, path.close))


async def in_transaction(counting: CountingService, run: Callable[[Any], Awaitable[Any]]) -> None:
    """Run something on the owner's connection as one transaction."""
    async with counting.owner.transaction():
        await run(counting.owner)


async def rebuild(counting: CountingService, violations: int) -> None:
    """Part 4: rebuild two situations, each in a process of its own: the memory of the larger tells whether it is bounded."""
    print("4 rebuild beside the live figures, compared row by row and swapped")
    one, ten = [await counting.register(new_code("AGAIN")) for _ in range(2)]
    for size, code in ((violations // COPIES, one), (violations, ten)):
        with timed(f"{size:,} violations loaded"):
            position = await (load(counting.owner, one, facts(size)) if code == one else multiply(counting.owner, one, ten, COPIES))
        async with counting.service.database.transaction("begin_rebuild", by=SYSTEM) as tx:
            await rebuilds.add_rebuild(tx, code, side="counts_b", target=position)
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "support.rebuild_worker", env=environment_of(counting.settings), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await worker.communicate()
        async with counting.service.database.reading("look", by=SYSTEM) as tx:
            found = await rebuilds.find_rebuild(tx, code)
        if worker.returncode or found is None or found.state.value != "swapped":
            raise SystemExit(f"the rebuild did not swap: {found}")
        told = json.loads(said)
        print(
            f"  {size:9,} violations, {position:9,} facts: {told['seconds']:7.1f} s, {position / told['seconds']:7,.0f} facts/s,"
            f" peak memory {told['peak']:.0f} MiB ({told['before']:.0f} at start)",
            flush=True,
        )


async def measure(folder: Path, arguments: argparse.Namespace) -> None:
    """Run the parts that are asked for, the big ones last."""
    parts = set(arguments.parts.split(","))
    server = PostgresServer(folder / "pg", secrets=folder / "secrets", log=folder / "pg.log", durable=True)
    await asyncio.to_thread(server.start)
    try:
        async with counting_service(server, folder) as counting:
            await prove(counting)
            if "2" in parts:
                await post(counting, arguments.facts)
            if "3" in parts:
                await grouping.compare(counting, folder, arguments.events)
            if "1" in parts:
                await ask_note(counting, arguments.violations)
            if "4" in parts:
                await rebuild(counting, 1_000_000 if arguments.full else arguments.rebuild)
    finally:
        await asyncio.to_thread(server.stop)


def main() -> None:
    """Measure on servers of its own, in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--violations", type=int, default=100_000, help="of the short history in part 1")
    parser.add_argument("--facts", type=int, default=10_000, help="posted in part 2")
    parser.add_argument("--events", type=int, default=20_000, help="grouped in part 3")
    parser.add_argument("--rebuild", type=int, default=20_000, help="violations rebuilt in part 4")
    parser.add_argument("--full", action="store_true", help="rebuild a million violations in part 4 (takes half an hour)")
    parser.add_argument("--parts", default="1,2,3,4")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mrm-bench-", dir="/tmp"))
    print(f"counting, on {machine()}", flush=True)
    try:
        asyncio.run(measure(folder, arguments))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"at the end: {machine()}")


if __name__ == "__main__":
    main()
