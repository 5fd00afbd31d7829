"""The grouping by Faust, in its own environment: sums in a table, changelog and offsets in one Kafka transaction per partition.

python faust_worker.py BOOTSTRAP PASSWORD_FILE TOPIC EVENTS STATE_FOLDER; prints seconds and sums as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import faust
from faust.types.enums import ProcessingGuarantee


def main(bootstrap: str, password: str, topic: str, events: int, folder: str) -> None:
    """Sum the amounts per key, until so many events are in and committed."""
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
    table = app.Table("sums", default=int, partitions=PARTITIONS)
    seen = 0
    started = 0.0

    @app.agent(source)
    async def add(stream: Any) -> None:
        nonlocal seen, started
        async for key, event in stream.items():
            started = started or time.perf_counter()
            name = key.decode() if isinstance(key, bytes) else key
            table[name] += amount_of(event)
            seen += 1

    @app.task
    async def finish() -> None:
        while seen < events:
            await app.sleep(0.02)
        await app.sleep(0)
        await app.consumer.commit()
        told = {"seconds": time.perf_counter() - started, "sums": {str(key): value for key, value in table.items()}}
        print(json.dumps(told), file=sys.__stdout__, flush=True)  # the worker turns stdout into log lines
        os._exit(0)  # a commit was asked for; stopping in order hangs

    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


PARTITIONS = 4


def amount_of(event: dict[str, Any]) -> int:
    """Return the children of an event's one violation."""
    (violation,) = event["violations"]
    return int(violation["boys"]) + int(violation["girls"])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_text("utf-8").strip(), sys.argv[3], int(sys.argv[4]), sys.argv[5])
