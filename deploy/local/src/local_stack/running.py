"""A stack seen from outside its supervisor: finding it, starting it in the background, ending it."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from local_stack.children import ProcessMark, end
from local_stack.errors import StackError
from local_stack.layout import KIND, StackFolder
from local_stack.private_files import read_json

START_SECONDS = 600.0  # the first start fetches 200 MB
STOP_SECONDS = 120.0
MARK_SECONDS = 5.0  # within which a new supervisor has written down who it is, and an old one has exited
ADDRESSES = ("intake", "verification", "aggregation", "export", "issuer", "identity", "kafka")


@dataclass(frozen=True)
class RunningStack:
    """How to reach a running stack."""

    folder: StackFolder
    intake: str
    verification: str
    aggregation: str
    export: str
    issuer: str
    identity: str
    kafka: str
    started_at: str

    def document(self) -> dict[str, Any]:
        """Return the addresses as commands print them."""
        addresses = {name: getattr(self, name) for name in ADDRESSES}
        return {**addresses, "data": str(self.folder.data), "started_at": self.started_at}

    def url(self, service: str) -> str:
        """Return the address of one of the services."""
        return str(getattr(self, service))


def is_held(folder: StackFolder) -> bool:
    """Tell whether a supervisor lives that holds this data folder."""
    try:
        with folder.lock.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no such folder
        return False
    return False


def find_running(folder: StackFolder) -> RunningStack | None:
    """Return the stack of a data folder when it is up, else None."""
    document = read_json(folder.running)
    if document is None or document.get("kind") != KIND:
        return None
    try:
        if ProcessMark.parse(document["supervisor"]).process() is None:
            return None
        addresses = {name: str(document[name]) for name in ADDRESSES}
        return RunningStack(folder=folder, started_at=str(document["started_at"]), **addresses)
    except (KeyError, TypeError, ValueError):
        return None


def require_running(folder: StackFolder) -> RunningStack:
    """Return the stack of a data folder. Raises StackError when it is not up."""
    stack = find_running(folder)
    if stack is None:
        raise StackError(f"No local stack is running in {folder.data}.", remedy="`mrm up` starts one; --data names another folder.")
    return stack


def start_detached(folder: StackFolder, *, note: Callable[[str], None]) -> RunningStack:
    """Start a stack in a session of its own and wait until it is up; a running one is returned as it is."""
    folder.make()
    if not is_held(folder):
        folder.progress.unlink(missing_ok=True)
        _launch(folder)
    return wait_until_up(folder, note=note)


def wait_until_up(folder: StackFolder, *, note: Callable[[str], None]) -> RunningStack:
    """Wait until somebody else's start of this stack is done. Raises StackError with its reason when it fails."""
    told, silent_since = "", time.monotonic()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        stack = find_running(folder)
        if stack is not None:
            return stack
        progress = folder.read_progress()
        failure = progress.get("failure")
        if failure and not is_held(folder):
            folder.progress.unlink(missing_ok=True)
            raise StackError(str(failure["sentence"]), remedy=str(failure["remedy"]))
        stage = str(progress.get("stage", ""))
        if stage and stage != told:
            note(stage)
            told = stage
        if is_held(folder):
            silent_since = time.monotonic()
        elif time.monotonic() - silent_since > 15:
            break
        time.sleep(0.1)
    raise StackError("The stack did not come up.", remedy=f"{folder.log('supervisor')} says why.")


def stop(folder: StackFolder) -> bool:
    """End a stack, or what a crash left of one. Returns whether there was anything to end."""
    supervisor = folder.read_marks().get("supervisor")
    deadline = time.monotonic() + MARK_SECONDS
    while supervisor is None and is_held(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
        supervisor = folder.read_marks().get("supervisor")
    process = supervisor.process() if supervisor else None
    if process is not None and is_held(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while is_held(folder) and time.monotonic() < deadline:
            time.sleep(0.05)
        psutil.wait_procs([process], timeout=MARK_SECONDS)
        if process.is_running():
            end(process, within=1)
        end_leftovers(folder)
        return True
    return end_leftovers(folder) > 0


def end_leftovers(folder: StackFolder) -> int:
    """End the processes that a killed supervisor left, and only those: id and start time must both fit."""
    ended = 0
    for name, mark in folder.read_marks().items():
        process = mark.process()
        if process is None or process.pid == os.getpid():
            continue
        end(process, gently=signal.SIGINT if name == "postgres" else signal.SIGTERM)
        ended += 1
    for file in (folder.processes, folder.running):
        file.unlink(missing_ok=True)
    return ended


def _launch(folder: StackFolder) -> None:
    log = folder.log("supervisor")
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as output:
        subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "local_stack.supervisor", "--data", str(folder.data)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=Path("/"),
        )
