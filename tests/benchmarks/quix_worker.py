"""The grouping by Quix Streams, in its own environment: kept in its state store, changelog and offsets in one Kafka transaction.

python quix_worker.py BOOTSTRAP PASSWORD_FILE TOPIC EVENTS STATE_FOLDER [PLAN]; prints seconds and what it found as JSON. Without a plan it
sums the amounts per key; with one (window and regions, as JSON) it keeps a case per key and makes the note of them.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from note_cells import keep, note_of
from quixstreams import Application, State
from quixstreams.kafka.configuration import ConnectionConfig


def main(bootstrap: str, password: str, topic: str, events: int, folder: str, plan: dict[str, Any] | None) -> None:
    """Group until so many events are in and committed."""
    connection = ConnectionConfig(
        bootstrap_servers=bootstrap,
        security_protocol="sasl_plaintext",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="admin",
        sasl_password=password,
    )
    app = Application(
        broker_address=connection,
        consumer_group=f"{topic}-quix",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=folder,
        loglevel="ERROR",
    )
    kept: dict[str, Any] = {}
    started = 0.0

    def add(event: dict[str, Any], key: str, _timestamp: int, _headers: object, state: State) -> Any:
        nonlocal started
        started = started or time.perf_counter()
        found = state.get("sum", 0) + amount_of(event) if plan is None else keep(state.get("case", {}), event, plan)
        state.set("sum" if plan is None else "case", found)
        kept[key] = found
        return found

    frame = app.dataframe(app.topic(topic, key_deserializer="str", value_deserializer="json"))
    frame.apply(add, stateful=True, metadata=True)
    app.run(count=events, timeout=60)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "found": kept if plan is None else note_of(kept.values())}))


def amount_of(event: dict[str, Any]) -> int:
    """Return the children of an event's one violation."""
    (violation,) = event["violations"]
    return int(violation["boys"]) + int(violation["girls"])


if __name__ == "__main__":
    arguments = sys.argv[1:]
    chosen = json.loads(arguments[5]) if len(arguments) > 5 else None
    main(arguments[0], Path(arguments[1]).read_text("utf-8").strip(), arguments[2], int(arguments[3]), arguments[4], chosen)
