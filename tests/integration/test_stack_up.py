"""`mrm up`, `status`, `down` and what happens when parts are killed: the real stack, driven as its operator drives it."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

SERVICES = ("intake", "verification", "aggregation", "export")
SERVERS = ("postgres", "kafka", "identity")
GIB = 1 << 30


def mrm(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mrm", *arguments, "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def last_json(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return document


def status(data: Path) -> dict[str, Any]:
    return last_json(mrm(data, "status", "--json"))


def processes_of(data: Path) -> list[str]:
    """Every process that has to do with a data folder, whoever started it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), process.environ().get("MRM_SECRETS_DIR", ""), process.cwd()]
            if any(str(data) in word for word in words) and process.pid != os.getpid():
                found.append(" ".join(process.cmdline())[:200])
    return found


def wait_until(condition: Callable[[], bool], *, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.5)
    return False


@pytest.fixture(scope="module")
def data(server_folder: Path) -> Iterator[Path]:
    folder = server_folder / "up"
    result = mrm(folder, "up", "--detach", "--json")
    assert result.returncode == 0, result.stderr
    yield folder
    mrm(folder, "down")
    assert processes_of(folder) == []


def test_up_prints_where_everything_is(data: Path) -> None:
    result = mrm(data, "up", "--detach", "--json")
    document = last_json(result)
    assert result.returncode == 0
    assert {"intake", "verification", "aggregation", "export", "issuer", "kafka", "data"} <= set(document)
    assert document["data"] == str(data)
    for service in SERVICES:
        assert httpx.get(f"{document[service]}/readyz").status_code == 200
        assert document[service].startswith("http://127.0.0.1:")


def test_starting_twice_is_harmless(data: Path) -> None:
    before = status(data)
    first, second = last_json(mrm(data, "up", "--json")), last_json(mrm(data, "up", "--detach", "--json"))
    assert first == second
    assert {n: s["pid"] for n, s in status(data)["services"].items()} == {n: s["pid"] for n, s in before["services"].items()}


def test_status_tells_every_part_and_the_account(data: Path) -> None:
    result = mrm(data, "status", "--json")
    document = last_json(result)
    assert result.returncode == 0, result.stdout
    assert document["ready"] is True
    assert set(document["services"]) == set(SERVICES)
    assert set(document["servers"]) == {"supervisor", *SERVERS}
    assert all(part["ready"] and part["memory_bytes"] > 0 for part in (document["services"] | document["servers"]).values())
    account = document["account"]
    assert account["balanced"] is True
    assert account["accepted"] == account["applied"] + account["parked"] + account["in_flight"]


def test_the_whole_stack_stays_below_two_gibibytes(data: Path) -> None:
    assert status(data)["memory_bytes"] < 2 * GIB


def test_everything_of_the_stack_is_closed_to_others(data: Path) -> None:
    assert data.stat().st_mode & 0o077 == 0
    secrets = [path for path in (data / "secrets").rglob("*") if path.is_file()]
    assert len(secrets) > 20
    assert all(path.stat().st_mode & 0o177 == 0 for path in secrets)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (data / "secrets").rglob("*") if path.is_dir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in (data / "keys").rglob("*.key"))


def test_no_secret_is_in_a_command_line_an_environment_or_a_log(data: Path) -> None:
    secrets = {path.read_text().strip() for path in (data / "secrets").rglob("*") if path.is_file()}
    secrets = {secret for secret in secrets if "\n" not in secret}
    document = status(data)
    for part in (document["services"] | document["servers"]).values():
        process = psutil.Process(part["pid"])
        shown = " ".join([*process.cmdline(), *process.environ().values()])
        assert not any(secret in shown for secret in secrets)
    for log in (data / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not any(secret in text for secret in secrets), log.name


def test_everything_listens_on_loopback_only(data: Path) -> None:
    document = status(data)
    for name, part in (document["services"] | document["servers"]).items():
        listening = [c.laddr.ip for c in psutil.Process(part["pid"]).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1"}, name


def test_tokens_of_the_local_people(data: Path) -> None:
    token = mrm(data, "token", "operator").stdout.strip()
    url = last_json(mrm(data, "up", "--json"))["intake"]
    assert httpx.get(f"{url}/v1/account", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    unknown = mrm(data, "token", "stranger")
    assert unknown.returncode == 2
    assert "operator" in unknown.stderr


def test_logs_of_every_part_are_there(data: Path) -> None:
    for part in ("supervisor", "postgres", *SERVICES):
        result = mrm(data, "logs", part)
        assert result.returncode == 0
        assert result.stdout


def test_killed_parts_come_back_at_the_same_addresses(data: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    order = [*SERVICES, *SERVERS]
    random.Random(seed).shuffle(order)
    addresses = last_json(mrm(data, "up", "--json"))
    before = status(data)
    pids = {name: part["pid"] for name, part in (before["services"] | before["servers"]).items()}
    for name in order:
        os.kill(pids[name], signal.SIGKILL)

    def all_back() -> bool:
        now = status(data)
        parts = now["services"] | now["servers"]
        return bool(now["ready"]) and all(parts[name]["pid"] not in {None, pids[name]} for name in order)

    assert wait_until(all_back, within=120), status(data)
    assert last_json(mrm(data, "up", "--json")) == addresses
    assert wait_until(lambda: status(data)["account"]["balanced"], within=60)


def test_a_wiped_broker_comes_back_whole(data: Path) -> None:
    kafka = status(data)["servers"]["kafka"]["pid"]
    os.kill(kafka, signal.SIGKILL)
    shutil.rmtree(data / "kafka", ignore_errors=True)

    def back() -> bool:
        now = status(data)
        return bool(now["ready"]) and now["servers"]["kafka"]["pid"] not in {None, kafka}

    assert wait_until(back, within=120), status(data)
    # the broker lays out partitions after it has answered for the topics
    assert wait_until((data / "kafka" / "data" / "intake.incidents-0").is_dir, within=60)


def test_down_ends_everything_and_up_finds_the_same_data(data: Path) -> None:
    addresses = last_json(mrm(data, "up", "--json"))
    assert last_json(mrm(data, "down", "--json"))["stopped"] is True
    assert processes_of(data) == []
    assert not (data / "stack.json").exists()
    assert not (data / "postgres" / "socket" / ".s.PGSQL.5432").exists()
    assert mrm(data, "status").returncode == 1
    assert last_json(mrm(data, "down", "--json"))["stopped"] is False
    again = mrm(data, "up", "--detach", "--json")
    assert again.returncode == 0, again.stderr
    assert {**last_json(again), "started_at": ""} == {**addresses, "started_at": ""}


def test_a_killed_supervisor_leaves_nothing_that_the_next_start_minds(data: Path) -> None:
    supervisor = psutil.Process(status(data)["servers"]["supervisor"]["pid"])
    supervisor.kill()
    assert mrm(data, "status").returncode == 1
    again = mrm(data, "up", "--detach", "--json")
    assert again.returncode == 0, again.stderr
    assert status(data)["ready"] is True


def test_after_a_killed_supervisor_down_cleans_up(data: Path) -> None:
    psutil.Process(status(data)["servers"]["supervisor"]["pid"]).kill()
    assert mrm(data, "down").returncode == 0
    assert wait_until(lambda: processes_of(data) == [], within=30), processes_of(data)


def test_ctrl_c_drains_and_stops_and_another_stack_stands_beside(data: Path, server_folder: Path) -> None:
    one = mrm(data, "up", "--detach", "--json")
    assert one.returncode == 0, one.stderr
    other = server_folder / "beside"
    command = [sys.executable, "-m", "mrm", "up", "--json", "--data", str(other)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        document = json.loads(line)
        first = last_json(one)
        assert not {document[s] for s in (*SERVICES, "kafka", "issuer")} & {first[s] for s in (*SERVICES, "kafka", "issuer")}
        for service in SERVICES:
            assert httpx.get(f"{document[service]}/readyz").status_code == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert processes_of(other) == []
    assert status(data)["ready"] is True
