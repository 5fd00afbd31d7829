"""The running system as its users meet it: the `mrm` command and HTTP. Nothing here imports the product."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
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


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One whole running stack for all system tests that leave it as they found it."""
    data = Path(tempfile.mkdtemp(prefix="mrm-system-", dir="/tmp"))
    try:
        yield started(data)
    finally:
        run_mrm("down", "--data", str(data))
        shutil.rmtree(data, ignore_errors=True)
