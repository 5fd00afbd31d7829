"""The running system as its users meet it: the `mrm` command and HTTP. Nothing here imports the product."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

MRM = Path(sys.executable).with_name("mrm")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stack:
    """A running stack: its data folder and what `mrm up --json` said."""

    data: Path
    urls: dict[str, Any]

    def mrm(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run one `mrm` command against this stack."""
        return run_mrm(*arguments, "--data", str(self.data), timeout=timeout)

    def json(self, *arguments: str, timeout: float = 600, expect: int = 0) -> dict[str, Any]:
        """Run one command with `--json` and return its object."""
        done = self.mrm(*arguments, "--json", timeout=timeout)
        assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer

    def status(self) -> dict[str, Any]:
        """Return what `mrm status` says, whatever its exit code."""
        document: dict[str, Any] = json.loads(self.mrm("status", "--json").stdout.strip().splitlines()[-1])
        return document

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return what `mrm status` says of every service and server, by name."""
        status = self.status()
        parts: dict[str, dict[str, Any]] = status["services"] | status["servers"]
        return parts

    def token(self, person: str) -> str:
        """Return an access token of one of the local people."""
        done = self.mrm("token", person)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def client(self, service: str, person: str | None = None) -> httpx.Client:
        """Return an HTTP client for one service, as a person or as nobody."""
        headers = {"Authorization": f"Bearer {self.token(person)}"} if person else {}
        return httpx.Client(base_url=self.urls[service], headers=headers, timeout=30)


def run_mrm(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run the operator's command as its user would."""
    return subprocess.run(
        [str(MRM), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": "160"},
        cwd=ROOT,
    )


def started(data: Path) -> Stack:
    """Start a stack in a folder, detached, and say where it is."""
    done = run_mrm("up", "--detach", "--json", "--data", str(data))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return Stack(data=data, urls=json.loads(done.stdout.strip().splitlines()[-1]))


def token_parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a token's header and claims, unchecked."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


def wait_until(condition: Callable[[], bool], *, within: float) -> bool:
    """Tell whether a condition came true in time; asking about a stack takes the time of a command, so it is asked seldom."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(1)
    return False


def processes_of(data: Path) -> list[str]:
    """Every process that has to do with a data folder, whoever started it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = [*process.cmdline(), process.environ().get("MRM_SECRETS_DIR", ""), process.cwd()]
            if any(str(data) in word for word in words) and process.pid != os.getpid():
                found.append(" ".join(process.cmdline())[:200])
    return found


@contextlib.contextmanager
def _stack_of_its_own(name: str) -> Iterator[Stack]:
    data = Path(tempfile.mkdtemp(prefix=f"mrm-{name}-", dir="/tmp"))
    try:
        yield started(data)
    finally:
        run_mrm("down", "--data", str(data))
        left = processes_of(data)
        shutil.rmtree(data, ignore_errors=True)
    assert left == []


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One whole running stack for all tests that leave it as they found it."""
    with _stack_of_its_own("system") as running:
        yield running


@pytest.fixture(scope="session")
def _hurt_stack() -> Iterator[Stack]:
    with _stack_of_its_own("hurt") as running:
        yield running


@pytest.fixture
def hurt_stack(_hurt_stack: Stack) -> Stack:
    """One whole stack for all tests that kill, wipe or end parts of it; it is up, and may be left down."""
    return started(_hurt_stack.data)
