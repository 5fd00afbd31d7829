"""The same grouping, exactly once on one broker, by our handlers, by Quix Streams and by Faust: one number a group, and a whole note.

All read the same bytes of one topic, JSON, unsealed, keyed so that nobody has to shuffle. For one number (amounts by situation, type and
party) the others keep one sum per group; for the note (coded incidents, revisions and decisions into its fourteen tables) they keep every
incident's case and cells, for one window that they are told beforehand. Ours writes the ledger and all postings both times.
"""

import asyncio
import gc
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.counting_service import CountingService
from benchmarks.situations import DRAFT, NAMESPACE, PARTIES, facts, new_code
from chassis.delivery.bus import BATCH_MESSAGES
from chassis.delivery.messages import Read
from contracts.events import EVENTS, IncidentCoded, ViolationDecided
from contracts.situation import SituationDraft, region_of
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
WINDOW: Final = {"from": "2015-01-01", "to": "2025-01-01"}
"""Of the note: all incidents lie in it, and all decisions but those of its last months that took longer."""
_PLACES: Final = SituationDraft.model_validate(DRAFT, strict=False)
PLAN: Final = {**WINDOW, "regions": {place.code: region_of(_PLACES, place.code) for place in _PLACES.places}}
"""What the others are told beforehand."""


class Sent(NamedTuple):
    """An event on its way: its key on the topic, its type, its id, its subject and its fields."""

    key: str
    kind: str
    event_id: UUID
    subject: str
    event: dict[str, Any]


async def compare(counting: CountingService, folder: Path, events: int) -> None:
    """Part 3: run ours and the others on the same broker and print the ratios."""
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
        print(f"3 {events:,} coded incidents grouped by situation, type and party, exactly once, median of {TRIALS}", flush=True)
        await compare_one(counting, folder, server, environments, events, whole_note=False)
        print(f"  {events:,} coded incidents, revisions and decisions grouped into the note's 14 tables, exactly once", flush=True)
        await compare_one(counting, folder, server, environments, events, whole_note=True)
    finally:
        await asyncio.to_thread(server.stop)


async def compare_one(
    counting: CountingService, folder: Path, server: KafkaServer, environments: dict[str, Path | None], events: int, *, whole_note: bool
) -> None:
    """Run one grouping by all, several times; stop unless all find the same."""
    rates: dict[str, list[float]] = {name: [] for name in ("ours", *OTHERS)}
    plan = json.dumps(PLAN) if whole_note else None
    for trial in range(TRIALS):
        situation, topic = await counting.register(new_code("GROUP")), f"bench.{'note' if whole_note else 'grouping'}.{trial}"
        sent = list(note_events(situation, events) if whole_note else coded_incidents(topic, situation, events))
        await publish(server, topic, sent)
        rates["ours"].append(events / await ours(counting, server, topic, events))
        answered = await counting.ask(situation, "ghn", **WINDOW) if whole_note else await sums(counting, situation)
        if not whole_note:
            check("ours", answered, expected_sums(sent))
        elif not all(answered.values()):
            raise SystemExit(f"nothing stands in some tables of the note: {[name for name, table in answered.items() if not table]}")
        for name, python in environments.items():
            if python is not None and len(rates[name]) == trial:
                seconds = await theirs(name, python, folder, server, topic, events, answered, plan)
                rates[name] += [events / seconds] if seconds else []
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


def coded_incidents(topic: str, situation: str, events: int) -> Iterator[Sent]:
    """Yield coded incidents of one violation and one party, keyed by what they are grouped by."""
    chance = random.Random(topic)
    for number in range(events):
        kind, party, boys, girls = chance.choice(TYPES), chance.choice(PARTIES), chance.randrange(4), chance.randrange(4)
        incident = uuid5(NAMESPACE, f"{situation}/{number}")
        event = {
            "situation": situation,
            "incident": str(incident),
            "revision": 1,
            "recorded_at": "2026-01-01T00:00:00Z",
            "occurred_from": "2024-05-01",
            "place": "R1D1",
            "violations": [{"key": "v", "type": kind, "boys": boys, "girls": girls}],
            "perpetrators": [{"party": party, "attribution": "sole", "violations": ["v"]}],
        }
        yield Sent(f"{situation}/{kind}/{party}", IncidentCoded.type, incident, str(incident), event)


def expected_sums(sent: Iterable[Sent]) -> dict[str, int]:
    """Return the sums that coded incidents must come to."""
    found = Counter[str]()
    for key, _, _, _, event in sent:
        found[key] += sum(violation["boys"] + violation["girls"] for violation in event["violations"])
    return {key: number for key, number in found.items() if number}


async def sums(counting: CountingService, situation: str) -> dict[str, int]:
    """Return the sums of our postings."""
    rows = await counting.owner.fetch(
        "select situation || '/' || type || '/' || lines[1] as key, sum(sign * amount) as total from counts_a.postings"
        " where situation = $1 group by 1",
        situation,
    )
    return {row["key"]: int(row["total"]) for row in rows}


def note_events(situation: str, events: int) -> Iterator[Sent]:
    """Yield coded incidents with their revisions and decisions, keyed by incident; links are left out."""
    own = (fact for fact in facts(events * 7 // 10) if fact.kind in (IncidentCoded.type, ViolationDecided.type))
    for fact in islice(own, events):
        yield Sent(fact.subject, fact.kind, fact.event_id(situation), fact.subject, {**fact.fact, "situation": situation})


async def publish(server: KafkaServer, topic: str, sent: Iterable[Sent]) -> None:
    """Put events on a new topic."""
    login = server.user("admin").client_settings()
    admin = AIOKafkaAdminClient(**login)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()
    async with AIOKafkaProducer(**login, linger_ms=20) as producer:
        for key, kind, event_id, subject, event in sent:
            headers = [("type", kind.encode()), ("id", event_id.bytes), ("subject", subject.encode())]
            await producer.send(topic, json.dumps(event).encode(), key=key.encode(), headers=headers)


async def ours(counting: CountingService, server: KafkaServer, topic: str, events: int) -> float:
    """Read in batches, apply each as one transaction with the inbox, then commit the offsets, as the service's consumer does."""
    turns, taken, started = Turns(), 0, 0.0
    if await counted(server, topic) != events:
        raise SystemExit(f"{topic} does not hold {events} events")
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
            read = [opened(turns, record) for records in found.values() for record in records]
            await counting.receive(read)
            await consumer.commit()
            taken += len(read)
        return time.perf_counter() - started


def opened(turns: Turns, record: ConsumerRecord) -> Read:
    """Return an event of a topic as the receiver would have opened it."""
    headers = dict(record.headers)
    event = EVENTS[headers["type"].decode()].model_validate_json(record.value)
    return turns.read(event, UUID(bytes=headers["id"]), headers["subject"].decode())


async def counted(server: KafkaServer, topic: str) -> int:
    """Return how many events lie on a topic."""
    async with AIOKafkaConsumer(topic, **server.user("admin").client_settings()) as consumer:
        return sum((await consumer.end_offsets(consumer.assignment())).values())


async def theirs(
    name: str, python: Path, folder: Path, server: KafkaServer, topic: str, events: int, expected: dict[str, Any], plan: str | None
) -> float | None:
    """Run another's worker; returns its seconds, or None with the reason printed."""
    secret, state = folder / "secrets" / "kafka-admin", folder / f"state-{name}-{topic}"
    state.mkdir()
    worker = [str(python), str(HERE / f"{name}_worker.py"), server.bootstrap, str(secret), topic, str(events), str(state)]
    code, said, why = await run([*worker, *([plan] if plan else [])], timeout=LONGEST)
    lines = [line for line in said.splitlines() if line.startswith('{"seconds"')]
    if not lines:
        print(f"  {OTHERS[name][0]} did not finish within {LONGEST} s (exit {code}): {(why or said)[-900:]}", flush=True)
        return None
    told: dict[str, Any] = json.loads(lines[-1])
    check(OTHERS[name][0], told["found"], expected)
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


def check(name: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Stop unless every group has its sum, or every cell of the note its number."""
    mine, other = dict(cells(found)), dict(cells(expected))
    wrong = sorted(path for path in mine.keys() | other.keys() if mine.get(path, 0) != other.get(path, 0))
    if wrong:
        raise SystemExit(f"{name}: {len(wrong)} of {len(other)} numbers differ, the first is {wrong[0]}")


def cells(answer: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number of an answer, and every word of a list, by its path."""
    if isinstance(answer, dict | list):
        for name, value in answer.items() if isinstance(answer, dict) else enumerate(answer):
            yield from cells(value, f"{path}/{name}")
    else:
        yield path, answer


async def run(command: list[str], *, timeout: float) -> tuple[int, str, str]:
    """Run a program to its end, or kill it after a while; returns its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    ending = asyncio.get_running_loop().call_later(timeout, process.kill)
    said, why = await process.communicate()
    ending.cancel()
    return process.returncode or 0, said.decode(errors="replace"), why.decode(errors="replace")
