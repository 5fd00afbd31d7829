"""The same grouping, amounts by situation, type and party, exactly once on one broker: by our handlers, by Quix Streams, by Faust.

All read the same bytes of one topic: coded incidents as JSON, unsealed, keyed by the group, so that nobody has to shuffle. The others keep
one number per group in their state; ours writes the ledger and all postings, from which the same numbers come by a sum.
"""

import asyncio
import gc
import json
import random
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final
from uuid import uuid5

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.counting_service import CountingService
from benchmarks.situations import NAMESPACE, PARTIES, new_code
from chassis.delivery.bus import BATCH_MESSAGES
from contracts.events import IncidentCoded
from local_stack.artifacts import cache_folder
from local_stack.kafka import KafkaServer
from local_stack.ports import free_ports
from support.turns import Turns

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PARTITIONS: Final = 4
TRIALS: Final = 3
LONGEST: Final = 240
OTHERS: Final = {"quix": ("Quix Streams", 1.3), "faust": ("Faust-streaming", 8.0)}
TYPES: Final = ("killing", "maiming", "recruitment", "abduction")


async def compare(counting: CountingService, folder: Path, events: int) -> None:
    """Part 3: run ours and the others on the same broker and print the ratios."""
    print(f"3 {events:,} coded incidents grouped by situation, type and party, exactly once, median of {TRIALS}", flush=True)
    environments = {name: await environment(name, folder) for name in OTHERS}
    port, controller_port = free_ports(2)
    server = KafkaServer(
        folder / "kafka",
        secrets=folder / "secrets",
        log=folder / "kafka.log",
        cache=cache_folder(folder / "cache"),
        port=port,
        controller_port=controller_port,
    )
    await asyncio.to_thread(server.start)
    try:
        rates: dict[str, list[float]] = {name: [] for name in ("ours", *OTHERS)}
        for trial in range(TRIALS):
            situation = await counting.register(new_code("GROUP"))
            topic, expected = f"bench.grouping.{trial}", await publish(server, f"bench.grouping.{trial}", situation, events)
            rates["ours"].append(events / await ours(counting, server, topic, situation, expected))
            for name, python in environments.items():
                if python is not None and len(rates[name]) == trial:
                    seconds = await theirs(name, python, folder, server, topic, events, expected)
                    rates[name] += [events / seconds] if seconds else []
    finally:
        await asyncio.to_thread(server.stop)
    mine = statistics.median(rates["ours"])
    print(f"  {'ours':16} {mine:9,.0f} events/s, ledger and postings included")
    for name, (title, aim) in OTHERS.items():
        if rates[name]:
            other = statistics.median(rates[name])
            print(
                f"  {title:16} {other:9,.0f} events/s   ours/theirs {mine / other:6.2f} x   (aim >= {aim}, trials {len(rates[name])})",
                flush=True,
            )


async def environment(name: str, folder: Path) -> Path | None:
    """Make a throw-away environment with the pinned, hashed requirements; None, with the reason printed, if that fails."""
    uv, home = str(Path(sys.executable).with_name("uv")), folder / f"venv-{name}"
    python = home / "bin" / "python"
    install = ["pip", "install", "-q", "--require-hashes", "--python", str(python), "-r", str(ROOT / "requirements" / f"bench-{name}.txt")]
    for arguments in (["venv", "-q", "--python", sys.executable, str(home)], install):
        code, _, why = await run([uv, *arguments], timeout=300)
        if code:
            print(f"  {OTHERS[name][0]} cannot be installed here: {why[-600:]}", flush=True)
            return None
    return python


async def publish(server: KafkaServer, topic: str, situation: str, events: int) -> Counter[str]:
    """Put the events on a new topic; returns the sums they must come to."""
    login = server.user("admin").client_settings()
    admin = AIOKafkaAdminClient(**login)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    chance, expected = random.Random(topic), Counter[str]()
    async with AIOKafkaProducer(**login, linger_ms=20) as producer:
        for number in range(events):
            kind, party, boys, girls = chance.choice(TYPES), chance.choice(PARTIES), chance.randrange(4), chance.randrange(4)
            group = f"{situation}/{kind}/{party}"
            expected[group] += boys + girls
            event = {
                "situation": situation,
                "incident": str(uuid5(NAMESPACE, f"{situation}/{number}")),
                "revision": 1,
                "recorded_at": "2026-01-01T00:00:00Z",
                "occurred_from": "2024-05-01",
                "place": "R1D1",
                "violations": [{"key": "v", "type": kind, "boys": boys, "girls": girls}],
                "perpetrators": [{"party": party, "attribution": "sole", "violations": ["v"]}],
            }
            await producer.send(topic, json.dumps(event).encode(), key=group.encode())
    return expected


async def ours(counting: CountingService, server: KafkaServer, topic: str, situation: str, expected: Counter[str]) -> float:
    """Read in batches, apply each as one transaction with the inbox, then commit the offsets, as the service's consumer does."""
    turns, taken, started = Turns(), 0, 0.0
    events = await counted(server, topic)
    settings = {
        "group_id": f"{topic}-ours",
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
    }
    gc.collect()
    gc.freeze()  # as every service does after its start
    async with AIOKafkaConsumer(topic, **server.user("admin").client_settings(), **settings) as consumer:
        while taken < events:
            found = await consumer.getmany(timeout_ms=1000, max_records=BATCH_MESSAGES)
            started = started or time.perf_counter()
            read = [IncidentCoded.model_validate_json(record.value) for records in found.values() for record in records]
            await counting.receive([turns.read(event, event.incident, str(event.incident)) for event in read])
            await consumer.commit()
            taken += len(read)
        seconds = time.perf_counter() - started
    rows = await counting.owner.fetch(
        "select situation || '/' || type || '/' || lines[1] as key, sum(sign * amount) as total from counts_a.postings"
        " where situation = $1 group by 1",
        situation,
    )
    check("ours", {row["key"]: int(row["total"]) for row in rows}, expected)
    return seconds


async def counted(server: KafkaServer, topic: str) -> int:
    """Return how many events lie on a topic."""
    async with AIOKafkaConsumer(topic, **server.user("admin").client_settings()) as consumer:
        return sum((await consumer.end_offsets(consumer.assignment())).values())


async def theirs(
    name: str, python: Path, folder: Path, server: KafkaServer, topic: str, events: int, expected: Counter[str]
) -> float | None:
    """Run another's worker; returns its seconds, or None with the reason printed."""
    secret, state = folder / "secrets" / "kafka-admin", folder / f"state-{name}-{topic}"
    state.mkdir()
    worker = [str(python), str(HERE / f"{name}_worker.py"), server.bootstrap, str(secret), topic, str(events), str(state)]
    code, said, why = await run(worker, timeout=LONGEST)
    lines = [line for line in said.splitlines() if line.startswith('{"seconds"')]
    if not lines:
        print(f"  {OTHERS[name][0]} did not finish within {LONGEST} s (exit {code}): {(why or said)[-900:]}", flush=True)
        return None
    told: dict[str, Any] = json.loads(lines[-1])
    check(OTHERS[name][0], told["sums"], expected)
    done = await committed(server, f"{topic}-{name}", topic)
    if done != events:
        raise SystemExit(f"{OTHERS[name][0]} stopped its clock with {events - done} events uncommitted")
    return float(told["seconds"])


async def committed(server: KafkaServer, group: str, topic: str) -> int:
    """Return up to where a consumer group has committed, over all partitions of a topic."""
    admin = AIOKafkaAdminClient(**server.user("admin").client_settings())
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return sum(kept.offset for partition, kept in offsets.items() if partition.topic == topic)


def check(name: str, sums: dict[str, int], expected: Counter[str]) -> None:
    """Stop unless every group has its sum."""
    wrong = {key for key in sums.keys() | expected.keys() if sums.get(key, 0) != expected[key]}
    if wrong:
        raise SystemExit(f"{name}: {len(wrong)} of {len(expected)} groups have another sum")


async def run(command: list[str], *, timeout: float) -> tuple[int, str, str]:
    """Run a program to its end, or kill it after a while; returns its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    ending = asyncio.get_running_loop().call_later(timeout, process.kill)
    said, why = await process.communicate()
    ending.cancel()
    return process.returncode or 0, said.decode(errors="replace"), why.decode(errors="replace")
