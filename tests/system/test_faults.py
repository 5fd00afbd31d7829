"""Nothing lost, nothing doubled, nothing early: parts are killed at random moments while the demo's load runs."""

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.running import MRM, ROOT, Stack, run_mrm, started

SITUATIONS = Path(__file__).parents[1] / "data" / "situations.json"
VICTIMS = ("intake", "verification", "aggregation", "export", "kafka", "postgres")


@pytest.fixture
def own_stack() -> Iterator[Stack]:
    """A stack that a test may hurt."""
    data = Path(tempfile.mkdtemp(prefix="mrm-fault-", dir="/tmp"))
    try:
        yield started(data)
    finally:
        run_mrm("down", "--data", str(data))
        shutil.rmtree(data, ignore_errors=True)


def pid_of(stack: Stack, part: str) -> int | None:
    """Return the process that runs a part now, None if it is down."""
    status = status_of(stack)
    pid = (status["services"] | status["servers"]).get(part, {}).get("pid")
    return pid if isinstance(pid, int) and psutil.pid_exists(pid) else None


def status_of(stack: Stack) -> dict[str, Any]:
    """Return what `mrm status` says, whatever its exit code."""
    status: dict[str, Any] = json.loads(stack.mrm("status", "--json").stdout.strip().splitlines()[-1])
    return status


def wait_until_balanced(stack: Stack, seconds: float = 120) -> dict[str, Any]:
    """Wait until every part is ready and the account balances with nothing in flight; return the last status."""
    deadline = time.monotonic() + seconds
    while True:
        status = status_of(stack)
        if status["ready"] and status["account"]["balanced"] and status["account"]["in_flight"] == 0:
            return status
        assert time.monotonic() < deadline, f"never balanced: {status}"
        time.sleep(1)


def test_killing_every_part_at_random_changes_no_figure(own_stack: Stack) -> None:
    seed = int(os.environ.get("MRM_FAULT_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed of the faults: {seed} (repeat with MRM_FAULT_SEED={seed})")
    chance = random.Random(seed)
    order = [*VICTIMS, *chance.choices(VICTIMS, k=2)]
    chance.shuffle(order)
    over = threading.Event()
    killed: list[str] = []

    def strike() -> None:
        for part in order:
            if over.wait(chance.uniform(1.0, 4.0)):
                return
            pid = pid_of(own_stack, part)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                killed.append(part)

    demo = subprocess.Popen(
        [str(MRM), "demo", "--json", "--data", str(own_stack.data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    striker = threading.Thread(target=strike)
    striker.start()
    try:
        out, err = demo.communicate(timeout=420)
    finally:
        over.set()
        striker.join()
        if demo.poll() is None:
            demo.kill()
    print(f"killed: {killed}")
    assert demo.returncode == 0, f"seed {seed}, killed {killed}\n{out[-1500:]}\n{err[-3000:]}"
    assert len(killed) >= 4, f"the load was over too soon for the faults: {killed}"
    status = wait_until_balanced(own_stack)
    assert status["account"]["parked"] == 0


def test_wiping_the_broker_while_rows_are_unconfirmed_loses_nothing(own_stack: Stack) -> None:
    first = own_stack.json("demo", "--situation", str(SITUATIONS), "--id", "COD-2020-08")
    assert first["differences"] == 0
    verification = pid_of(own_stack, "verification")
    assert verification is not None
    os.kill(verification, signal.SIGSTOP)  # reads nothing and confirms nothing from here on
    with own_stack.client("intake", "monitor") as intake:
        for number in range(20):
            answer = intake.post("/v1/incidents", json=least_report(first["situation"], number))
            assert answer.status_code == 202, answer.text
    time.sleep(2)  # the broker has acknowledged them by now; it will forget them
    os.kill(verification, signal.SIGKILL)
    assert own_stack.mrm("down").returncode == 0
    shutil.rmtree(own_stack.data / "kafka")
    again = started(own_stack.data)
    wait_until_balanced(again)
    with again.client("verification", "focal") as reviewer:
        situation = reviewer.get(f"/v1/situations/{first['situation']}").json()
    with again.client("intake", "monitor") as intake:
        for number in range(20):
            key = least_report(first["situation"], number)["key"]
            assert intake.get(f"/v1/incidents/{key}/status").status_code == 200
    assert situation["incidents"] >= 20
    assert situation["incidents"] == incidents_of(again, first["situation"])


def incidents_of(stack: Stack, situation: str) -> int:
    """Count the situation's incidents one by one through the paged list."""
    found, cursor = 0, None
    with stack.client("verification", "focal") as reviewer:
        while True:
            page = reviewer.get(
                f"/v1/situations/{situation}/incidents", params={"limit": 200} | ({"cursor": cursor} if cursor else {})
            ).json()
            found += len(page["items"])
            cursor = page["next"]
            if cursor is None:
                return found


def least_report(situation: str, number: int) -> dict[str, Any]:
    return {
        "situation": situation,
        "key": f"00000000-0000-4000-8000-{number:012d}",
        "occurred_from": "2020-08-15",
        "violations": [{"key": "k1", "type": "killing", "boys": 1}],
    }
