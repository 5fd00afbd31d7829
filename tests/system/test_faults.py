"""Nothing lost, nothing doubled, nothing early: parts are killed at random moments while the demo's load runs."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from support.running import MRM, ROOT, Stack, processes_of, started, wait_until

SITUATIONS = Path(__file__).parents[1] / "data" / "situations.json"
VICTIMS = ("intake", "verification", "aggregation", "export", "kafka", "postgres")


def pid_of(stack: Stack, part: str) -> int | None:
    """Return the process that runs a part now, None if it is down."""
    pid = stack.parts().get(part, {}).get("pid")
    return pid if isinstance(pid, int) and psutil.pid_exists(pid) else None


def wait_until_balanced(stack: Stack, seconds: float = 120) -> dict[str, Any]:
    """Wait until every part is ready and the account balances with nothing in flight; return the last status."""
    deadline = time.monotonic() + seconds
    while True:
        status = stack.status()
        if status["ready"] and status["account"]["balanced"] and status["account"]["in_flight"] == 0:
            return status
        assert time.monotonic() < deadline, f"never balanced: {status}"
        time.sleep(1)


def test_killing_every_part_at_random_changes_no_figure(hurt_stack: Stack) -> None:
    seed = int(os.environ.get("MRM_FAULT_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed of the faults: {seed} (repeat with MRM_FAULT_SEED={seed})")
    chance = random.Random(seed)
    order = [*VICTIMS, *chance.choices(VICTIMS, k=2)]
    chance.shuffle(order)
    killed: list[str] = []
    for _ in range(4):  # one run of the demo is enough unless the machine is fast
        demo_under_faults(hurt_stack, order, killed, chance)
        if not order:
            break
    assert set(killed) == set(VICTIMS), f"seed {seed}: the load was over too soon, only {killed} were killed"
    status = wait_until_balanced(hurt_stack)
    assert status["account"]["parked"] == 0


def demo_under_faults(stack: Stack, order: list[str], killed: list[str], chance: random.Random) -> None:
    """Run the demo once and kill parts meanwhile, taking them from `order`; the demo must succeed."""
    over = threading.Event()
    failures: list[BaseException] = []

    def strike() -> None:
        try:
            while order and not over.wait(chance.uniform(0.5, 3.0)):
                pid = pid_of(stack, order[0])
                if pid is not None and not over.is_set():  # otherwise it is still coming back: the next turn is its turn again
                    os.kill(pid, signal.SIGKILL)
                    killed.append(order.pop(0))
        except BaseException as error:
            failures.append(error)

    demo = subprocess.Popen(
        [str(MRM), "demo", "--json", "--data", str(stack.data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
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
    assert failures == []
    assert demo.returncode == 0, f"killed {killed}\n{out[-1500:]}\n{err[-3000:]}"


def test_down_ends_everything_and_up_finds_the_same_data_even_with_the_broker_wiped_and_rows_unconfirmed(hurt_stack: Stack) -> None:
    situation = hurt_stack.json("demo", "--situation", str(SITUATIONS), "--id", "COD-2020-08")["situation"]
    status = wait_until_balanced(hurt_stack)
    before = incidents_of(hurt_stack, situation)
    os.kill(status["services"]["verification"]["pid"], signal.SIGSTOP)  # reads nothing and confirms nothing from here on
    with hurt_stack.client("intake", "monitor") as intake:
        for number in range(20):
            answer = intake.post("/v1/incidents", json=least_report(situation, number))
            assert answer.status_code == 202, answer.text
    time.sleep(2)  # the broker has acknowledged them by now; it will forget them
    with hurt_stack.client("intake", "operator") as operator:
        assert operator.get("/v1/account").json()["in_flight"]["intake.incidents"] == 20
    ended(hurt_stack)  # verification, which hears nothing, is killed in the end
    shutil.rmtree(hurt_stack.data / "kafka")
    again = started(hurt_stack.data)
    assert {**again.urls, "started_at": ""} == {**hurt_stack.urls, "started_at": ""}
    wait_until_balanced(again)
    assert incidents_of(again, situation) == before + 20
    with again.client("verification", "focal") as reviewer, again.client("aggregation", "officer") as officer:
        facts = reviewer.get(f"/v1/situations/{situation}").json()["facts"]
        assert officer.get(f"/v1/situations/{situation}/position").json()["position"] == facts


def test_after_a_killed_supervisor_down_cleans_up(hurt_stack: Stack) -> None:
    psutil.Process(hurt_stack.parts()["supervisor"]["pid"]).kill()
    assert hurt_stack.mrm("down").returncode == 0
    assert wait_until(lambda: processes_of(hurt_stack.data) == [], within=30), processes_of(hurt_stack.data)


def ended(stack: Stack) -> None:
    """End a stack in order; nothing of it is left running, and ending it twice is harmless."""
    assert stack.json("down")["stopped"] is True
    assert processes_of(stack.data) == []
    assert not (stack.data / "stack.json").exists()
    assert not (stack.data / "postgres" / "socket" / ".s.PGSQL.5432").exists()
    assert stack.mrm("status").returncode == 1
    assert stack.json("down")["stopped"] is False


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
