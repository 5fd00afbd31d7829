"""`mrm up`, `status`, `logs`, `token` and what a running stack shows: the real stack, driven as its operator drives it."""

import json
import subprocess
from typing import Any

import httpx
import psutil

from support.running import Stack

SERVICES = ("intake", "verification", "aggregation", "export")
SERVERS = ("postgres", "kafka", "identity")
GIB = 1 << 30


def last_json(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return document


def test_up_prints_where_everything_is(stack: Stack) -> None:
    result = stack.mrm("up", "--detach", "--json")
    document = last_json(result)
    assert result.returncode == 0
    assert {"intake", "verification", "aggregation", "export", "issuer", "kafka", "data"} <= set(document)
    assert document["data"] == str(stack.data)
    for service in SERVICES:
        assert httpx.get(f"{document[service]}/readyz").status_code == 200
        assert document[service].startswith("http://127.0.0.1:")


def test_starting_twice_is_harmless(stack: Stack) -> None:
    before = stack.status()
    first, second = last_json(stack.mrm("up", "--json")), last_json(stack.mrm("up", "--detach", "--json"))
    assert first == second
    assert {n: s["pid"] for n, s in stack.status()["services"].items()} == {n: s["pid"] for n, s in before["services"].items()}


def test_status_tells_every_part_and_the_account(stack: Stack) -> None:
    result = stack.mrm("status", "--json")
    document = last_json(result)
    assert result.returncode == 0, result.stdout
    assert document["ready"] is True
    assert set(document["services"]) == set(SERVICES)
    assert set(document["servers"]) == {"supervisor", *SERVERS}
    assert all(part["ready"] and part["memory_bytes"] > 0 for part in (document["services"] | document["servers"]).values())
    account = document["account"]
    assert account["balanced"] is True
    assert account["accepted"] == account["applied"] + account["parked"] + account["in_flight"]


def test_the_whole_stack_stays_below_two_gibibytes(stack: Stack) -> None:
    assert stack.status()["memory_bytes"] < 2 * GIB


def test_everything_of_the_stack_is_closed_to_others(stack: Stack) -> None:
    assert stack.data.stat().st_mode & 0o077 == 0
    secrets = [path for path in (stack.data / "secrets").rglob("*") if path.is_file()]
    assert len(secrets) > 20
    assert all(path.stat().st_mode & 0o177 == 0 for path in secrets)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (stack.data / "secrets").rglob("*") if path.is_dir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in (stack.data / "keys").rglob("*.key"))


def test_no_secret_is_in_a_command_line_an_environment_or_a_log(stack: Stack) -> None:
    secrets = {path.read_text().strip() for path in (stack.data / "secrets").rglob("*") if path.is_file()}
    secrets = {secret for secret in secrets if "\n" not in secret}
    document = stack.status()
    for part in (document["services"] | document["servers"]).values():
        process = psutil.Process(part["pid"])
        shown = " ".join([*process.cmdline(), *process.environ().values()])
        assert not any(secret in shown for secret in secrets)
    for log in (stack.data / "logs").iterdir():
        text = log.read_text(errors="replace")
        assert not any(secret in text for secret in secrets), log.name


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    document = stack.status()
    for name, part in (document["services"] | document["servers"]).items():
        listening = [c.laddr.ip for c in psutil.Process(part["pid"]).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1"}, name


def test_tokens_of_the_local_people(stack: Stack) -> None:
    token = stack.mrm("token", "operator").stdout.strip()
    url = last_json(stack.mrm("up", "--json"))["intake"]
    assert httpx.get(f"{url}/v1/account", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    unknown = stack.mrm("token", "stranger")
    assert unknown.returncode == 2
    assert "operator" in unknown.stderr


def test_logs_of_every_part_are_there(stack: Stack) -> None:
    for part in ("supervisor", "postgres", *SERVICES):
        result = stack.mrm("logs", part)
        assert result.returncode == 0
        assert result.stdout
