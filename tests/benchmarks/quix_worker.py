"""The grouping by Quix Streams, in its own environment: sums in its state store, changelog and offsets in one Kafka transaction.

python quix_worker.py BOOTSTRAP PASSWORD_FILE TOPIC EVENTS STATE_FOLDER; prints seconds and sums as JSON.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from quixstreams import Application, State
from quixstreams.kafka.configuration import ConnectionConfig


def main(bootstrap: str, password: str, topic: str, events: int, folder: str) -> None:
    """Sum the amounts per key, until so many events are in and committed."""
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
    sums: dict[str, int] = {}
    started = 0.0

    def add(event: dict[str, Any], key: str, _timestamp: int, _headers: object, state: State) -> int:
        nonlocal started
        started = started or time.perf_counter()
        total: int = state.get("sum", 0) + amount_of(event)
        state.set("sum", total)
        sums[key] = total
        return total

    frame = app.dataframe(app.topic(topic, key_deserializer="str", value_deserializer="json"))
    frame.apply(add, stateful=True, metadata=True)
    app.run(count=events, timeout=60)
    print(json.dumps({"seconds": time.perf_counter() - started, "sums": sums}))


def amount_of(event: dict[str, Any]) -> int:
    """Return the children of an event's one violation."""
    (violation,) = event["violations"]
    return int(violation["boys"]) + int(violation["girls"])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_text("utf-8").strip(), sys.argv[3], int(sys.argv[4]), sys.argv[5])
