"""Keeps one part running: starts it, starts it again when it dies, ends it when asked.

The thread lives as long as the process that it started: Linux tells a child of its parent's death when the *thread*
that made it ends.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import psutil

from local_stack.children import ProcessMark, end, spawn
from local_stack.errors import StackError
from local_stack.parts import Part

FIRST_ATTEMPTS = 3
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
STEADY_SECONDS = 30.0
WATCH_SECONDS = 0.25

Note = Callable[[str], None]
Remember = Callable[[str, ProcessMark | None], None]


class PartRunner(threading.Thread):
    """One part under supervision. `ready` is set while it does its work; `failure` is why it never did."""

    def __init__(self, part: Part, *, after: Iterable["PartRunner"], log: Path, cwd: Path, note: Note, remember: Remember) -> None:
        """Supervise a part once the parts before it are ready; nothing starts before `start`."""
        super().__init__(name=part.name, daemon=True)
        self.part = part
        self.ready = threading.Event()
        self.failure: StackError | None = None
        self.restarts = 0
        self._after = list(after)
        self._log = log
        self._cwd = cwd
        self._note = note
        self._remember = remember
        self._stopping = threading.Event()
        self._was_ready = False

    def stop(self) -> None:
        """Ask the part to end; `join` waits for it."""
        self._stopping.set()

    def run(self) -> None:
        """Start the part and keep it up until `stop`."""
        while not self._stopping.is_set() and not all(before.ready.is_set() for before in self._after):
            time.sleep(0.05)
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._run_once()
            except Exception as error:  # a part must never take its supervisor down
                known = error if isinstance(error, StackError) else _unexpected(self.part.name, error)
                if not self._was_ready and (self.restarts + 1 >= FIRST_ATTEMPTS or time.monotonic() - began > STEADY_SECONDS):
                    self.failure = known
                    return
                self._note(f"{self.part.name}: {known.sentence}")
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY_SECONDS else min(pause * 2, LONGEST_PAUSE)
            self.restarts += 1
            self._stopping.wait(pause)

    def _run_once(self) -> None:
        """Run the process once, from preparation until it has ended."""
        self.part.prepare()
        if self._stopping.is_set():
            return
        process = spawn(
            self.part.command(),
            log=self._log,
            env=self.part.environment(),
            cwd=self._cwd,
            identity=self.part.identity(),
            death_signal=self.part.stop_signal,
        )
        try:
            mark = _mark(self.part.name, process)
            self._remember(self.part.name, mark)
            self.part.wait_until_ready(lambda: process.poll() is None and not self._stopping.is_set())
            self._remember(self.part.name, replace(mark, ready=True))
            self._was_ready = True
            self.ready.set()
            self._watch(process)
        except StackError:
            if not self._stopping.is_set():
                raise
        finally:
            self.ready.clear()
            self._end(process)
            self._remember(self.part.name, None)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        while not self._stopping.wait(WATCH_SECONDS):
            status = process.poll()
            if status is not None:
                self._note(f"{self.part.name} ended ({_describe(status)}), starting it again")
                return
            if not self.part.intact():
                self._note(f"the data of {self.part.name} was removed, starting it anew")
                process.kill()
                return

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """End the process with whatever it started."""
        if process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(psutil.Process(process.pid), gently=self.part.stop_signal, within=self.part.stop_seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # its session was its own
        process.wait()


def _mark(name: str, process: subprocess.Popen[bytes]) -> ProcessMark:
    try:
        return ProcessMark.of(name, process.pid)
    except psutil.NoSuchProcess:
        raise StackError(f"{name} ended at once.", remedy=f"`mrm logs {name}` says why.") from None


def _describe(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"


def _unexpected(name: str, error: Exception) -> StackError:
    return StackError(f"{name} could not be started ({type(error).__name__}).", remedy="`mrm doctor` tells what this machine lacks.")
