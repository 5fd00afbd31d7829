"""How long `mrm check` takes for a file of 200 incidents and 100 queries on a stack of its own. Seconds of one machine; never a test.

make bench-check      # or: PYTHONPATH=tests python -m benchmarks.bench_check [ROUNDS]
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from support.random_files import random_file, seed_of_this_run
from support.running import run_mrm, started

INCIDENTS, DECISIONS, LINKS, QUERIES, STEPS = 200, 400, 80, 100, 4
AIM_SECONDS = 60


def main() -> None:
    """Write one file a round, check it, and print what the rounds took."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seed = seed_of_this_run()
    folder = Path(tempfile.mkdtemp(prefix="mrm-bench-check-", dir="/tmp"))
    stack = started(folder / "var")
    try:
        for number in range(rounds):
            document = random_file(seed + number, incidents=INCIDENTS, decisions=DECISIONS, links=LINKS, queries=QUERIES, steps=STEPS)
            held = {part: sum(len(step.get(part, [])) for step in document["steps"]) for part in ("incidents", "decisions", "links")}
            file = folder / f"{number}.json"
            file.write_text(json.dumps(document), "utf-8")
            begun = time.monotonic()
            told = stack.json("check", str(file))
            took = time.monotonic() - begun
            parts = ", ".join(f"{count} {part}" for part, count in held.items())
            load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
            print(f"{parts} in {STEPS} steps, {told['queries']} queries, {len(told['differences'])} differences: {took:.1f} s", end=" ")
            print(f"({took / AIM_SECONDS:.2f} of the minute; load average {load}; seed {seed + number})", flush=True)
    finally:
        run_mrm("down", "--data", str(stack.data))
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
