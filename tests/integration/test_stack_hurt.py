"""What happens when parts of a stack are killed, wiped or interrupted: the real stack, driven as its operator drives it."""

import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import httpx
import psutil

from support.running import MRM, ROOT, Stack, processes_of, token_parts, wait_until
from support.stack import identity_of

SERVICES = ("intake", "verification", "aggregation", "export")
SERVERS = ("postgres", "kafka", "identity")


def test_killed_parts_come_back_at_the_same_addresses_with_people_and_their_rights(hurt_stack: Stack) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - to repeat what failed
    order = [*SERVICES, *SERVERS]
    random.Random(seed).shuffle(order)
    addresses = hurt_stack.json("up")
    identity = identity_of(hurt_stack)
    with identity.directory() as directory:
        directory.grant_situation("XCC-2024")
    header, claims = token_parts(identity.access_token("monitor"))
    assert "/XCC-2024/monitor" in claims["groups"]
    pids = {name: part["pid"] for name, part in hurt_stack.parts().items()}
    for name in order:
        os.kill(pids[name], signal.SIGKILL)

    def all_back() -> bool:
        now = hurt_stack.status()
        parts = now["services"] | now["servers"]
        return bool(now["ready"]) and all(parts[name]["pid"] not in {None, pids[name]} for name in order)

    assert wait_until(all_back, within=120), hurt_stack.status()
    assert hurt_stack.json("up") == addresses
    assert wait_until(lambda: hurt_stack.status()["account"]["balanced"], within=60)
    header_now, claims_now = token_parts(identity.access_token("monitor"))
    assert (claims_now["sub"], claims_now["groups"]) == (claims["sub"], claims["groups"])
    assert header_now["kid"] == header["kid"]


def test_a_wiped_broker_comes_back_whole(hurt_stack: Stack) -> None:
    kafka = hurt_stack.parts()["kafka"]["pid"]
    os.kill(kafka, signal.SIGKILL)
    shutil.rmtree(hurt_stack.data / "kafka", ignore_errors=True)

    def back() -> bool:
        now = hurt_stack.status()
        return bool(now["ready"]) and now["servers"]["kafka"]["pid"] not in {None, kafka}

    assert wait_until(back, within=120), hurt_stack.status()
    # the broker lays out partitions after it has answered for the topics
    assert wait_until((hurt_stack.data / "kafka" / "data" / "intake.incidents-0").is_dir, within=60)


def test_a_killed_supervisor_leaves_nothing_that_the_next_start_minds(hurt_stack: Stack) -> None:
    psutil.Process(hurt_stack.parts()["supervisor"]["pid"]).kill()
    assert hurt_stack.mrm("status").returncode == 1
    again = hurt_stack.mrm("up", "--detach", "--json")
    assert again.returncode == 0, again.stderr
    assert hurt_stack.status()["ready"] is True


def test_ctrl_c_drains_and_stops_and_another_stack_stands_beside(hurt_stack: Stack, server_folder: Path) -> None:
    first = hurt_stack.json("up", "--detach")
    other = server_folder / "beside"
    command = [str(MRM), "up", "--json", "--data", str(other)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        document = json.loads(line)
        assert not {document[s] for s in (*SERVICES, "kafka", "issuer")} & {first[s] for s in (*SERVICES, "kafka", "issuer")}
        for service in SERVICES:
            assert httpx.get(f"{document[service]}/readyz").status_code == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert processes_of(other) == []
    assert hurt_stack.status()["ready"] is True
