"""The grouping by Faust, in its own environment: kept in a table, changelog and offsets in one Kafka transaction per partition.

python faust_worker.py BOOTSTRAP PASSWORD_FILE TOPIC EVENTS STATE_FOLDER [PLAN]; prints seconds and what it found as JSON. Without a plan it
sums the amounts per key; with one (window and regions, as JSON) it keeps a case per key and makes the note of them.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import faust
from faust.types.enums import ProcessingGuarantee
from note_cells import keep, note_of


def main(bootstrap: str, password: str, topic: str, events: int, folder: str, plan: dict[str, Any] | None) -> None:
    """Group until so many events are in and committed."""
    app = faust.App(
        f"{topic}-faust",
        broker=f"kafka://{bootstrap}",
        broker_credentials=faust.SASLCredentials(username="admin", password=password, mechanism="SCRAM-SHA-512"),
        store="memory://",
        datadir=folder,
        processing_guarantee=ProcessingGuarantee.EXACTLY_ONCE,
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
    )
    source = app.topic(topic, key_type=str, key_serializer="raw", value_serializer="json")
    table = app.Table("kept", default=int if plan is None else dict, partitions=PARTITIONS)
    seen = 0
    started = 0.0

    @app.agent(source)
    async def add(stream: Any) -> None:
        nonlocal seen, started
        async for key, event in stream.items():
            started = started or time.perf_counter()
            name = key.decode() if isinstance(key, bytes) else key
            table[name] = table[name] + amount_of(event) if plan is None else keep(table[name], event, plan)
            seen += 1

    def committed() -> int:
        return sum(offset or 0 for partition, offset in app.consumer._committed_offset.items() if partition.topic == topic)

    @app.task
    async def finish() -> None:
        while seen < events:
            await app.sleep(0.02)
        while committed() < events:  # the last event is done only when the next is asked for
            await app.sleep(0)
            await app.consumer.commit()
        seconds = time.perf_counter() - started
        found = {str(key): value for key, value in table.items()} if plan is None else note_of(table.values())
        print(json.dumps({"seconds": seconds, "found": found}), file=sys.__stdout__, flush=True)  # the worker turns stdout into log lines
        os._exit(0)  # all is committed; stopping in order hangs

    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


PARTITIONS = 4


def amount_of(event: dict[str, Any]) -> int:
    """Return the children of an event's one violation."""
    (violation,) = event["violations"]
    return int(violation["boys"]) + int(violation["girls"])


if __name__ == "__main__":
    arguments = sys.argv[1:]
    chosen = json.loads(arguments[5]) if len(arguments) > 5 else None
    main(arguments[0], Path(arguments[1]).read_text("utf-8").strip(), arguments[2], int(arguments[3]), arguments[4], chosen)
