"""Processes of the stack: starting them, knowing them again after a crash, and ending them.

A process is known by its id *and* its start time, so that a number which the system has given to somebody else's
process in the meantime is never signalled.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

Identity = Literal["keep", "namespace", "nobody"]
LAUNCHER = Path(__file__).with_name("launch.py")
START_TIME_TOLERANCE = 0.05  # seconds; psutil derives the start time from clock ticks


@dataclass(frozen=True)
class ProcessMark:
    """What is written down about a process so that it can be recognised later."""

    name: str
    pid: int
    started_at: float
    ready: bool = False
    """Whether its supervisor found it doing its work."""

    @classmethod
    def of(cls, name: str, pid: int) -> "ProcessMark":
        """Mark a running process. Raises psutil.NoSuchProcess when it is gone already."""
        return cls(name=name, pid=pid, started_at=psutil.Process(pid).create_time())

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "ProcessMark":
        """Read what `document` wrote."""
        return cls(
            name=str(document["name"]),
            pid=int(document["pid"]),
            started_at=float(document["started_at"]),
            ready=bool(document.get("ready", False)),
        )

    def document(self) -> dict[str, Any]:
        """Return the mark as a JSON object."""
        return asdict(self)

    def process(self) -> psutil.Process | None:
        """Return the very process that was marked, or None when it has ended."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started_at) > START_TIME_TOLERANCE:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


def launch_command(command: Sequence[str], *, identity: Identity = "keep", death_signal: int = 0) -> list[str]:
    """Return the command line that starts `command` through the launcher."""
    options = ["--parent", str(os.getpid()), "--death-signal", str(int(death_signal)), "--identity", identity]
    return [sys.executable, "-I", "-S", str(LAUNCHER), *options, "--", *command]


def run_to_end(
    command: Sequence[str],
    *,
    identity: Identity = "keep",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a short command and return its result with the output as text; never raises for its exit status."""
    return subprocess.run(  # noqa: S603 - programs of the installed wheels
        launch_command(command, identity=identity, death_signal=signal.SIGKILL),
        env=None if env is None else dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    identity: Identity = "keep",
    death_signal: int = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own (the operator's Ctrl-C must not reach it); its output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as output:
        return subprocess.Popen(  # noqa: S603 - programs of the installed wheels
            launch_command(command, identity=identity, death_signal=death_signal),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(process: psutil.Process, *, gently: int = signal.SIGTERM, within: float = 10.0) -> None:
    """Ask a process to end, then insist after `within` seconds, on its descendants as well."""
    family = [process]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += process.children(recursive=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(gently)
    _, alive = psutil.wait_procs([process], timeout=within)
    _, remaining = psutil.wait_procs(family, timeout=0 if alive else 2)
    for survivor in remaining:
        with contextlib.suppress(psutil.NoSuchProcess):
            survivor.kill()
    psutil.wait_procs(remaining, timeout=5)


def wait_for(condition: Callable[[], bool], *, within: float, pause: float = 0.05) -> bool:
    """Poll until `condition()` is true; False when it did not become so within the given seconds."""
    deadline = time.monotonic() + within
    while True:
        if condition():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
