"""Supervision of one part, shown on small stand-in processes: restart, giving up, draining, a wiped folder."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from local_stack.children import Identity, ProcessMark, wait_for
from local_stack.errors import StackError
from local_stack.runner import FIRST_ATTEMPTS, PartRunner

SERVER = """
import pathlib, signal, sys, time
home = pathlib.Path(sys.argv[1])
def leave(*_):
    (home / "drained").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
(home / "up").touch()
time.sleep(60)
"""


class StandIn:
    """A part that is a sleeping process; it says it is up by a file."""

    stop_signal: int = signal.SIGTERM
    stop_seconds = 5.0

    def __init__(self, home: Path, *, script: str = SERVER, name: str = "stand-in") -> None:
        self.name = name
        self.home = home
        self.script = script
        self.preparations = 0

    def prepare(self) -> None:
        self.preparations += 1
        self.home.mkdir(exist_ok=True)
        (self.home / "up").unlink(missing_ok=True)

    def command(self) -> Sequence[str]:
        return [sys.executable, "-c", self.script, str(self.home)]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.defpath}

    def identity(self) -> Identity:
        return "keep"

    def wait_until_ready(self, alive: object) -> None:
        assert callable(alive)
        while not (self.home / "up").exists():
            if not alive():
                raise StackError("it ended", remedy="look")
            time.sleep(0.02)

    def intact(self) -> bool:
        return self.home.exists()


class Stage:
    """Runs parts and remembers what the runner said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self.marks: dict[str, ProcessMark] = {}
        self.runners: list[PartRunner] = []

    def run(self, part: StandIn, *, after: Sequence[PartRunner] = ()) -> PartRunner:
        runner = PartRunner(part, after=after, log=self.folder / "log", cwd=self.folder, note=self.notes.append, remember=self.remember)
        self.runners.append(runner)
        runner.start()
        return runner

    def remember(self, name: str, mark: ProcessMark | None) -> None:
        if mark is None:
            self.marks.pop(name, None)
        else:
            self.marks[name] = mark


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    for runner in stage.runners:
        runner.stop()
    for runner in stage.runners:
        runner.join(20)


def test_a_killed_process_is_started_again(stage: Stage, tmp_path: Path) -> None:
    runner = stage.run(StandIn(tmp_path / "home"))
    assert runner.ready.wait(20)
    first = stage.marks["stand-in"]
    os.kill(first.pid, signal.SIGKILL)
    assert wait_for(lambda: runner.ready.is_set() and stage.marks.get("stand-in", first) != first, within=20)
    assert runner.restarts == 1
    assert any("SIGKILL" in note for note in stage.notes)


def test_stopping_drains_and_leaves_nothing(stage: Stage, tmp_path: Path) -> None:
    runner = stage.run(StandIn(tmp_path / "home"))
    assert runner.ready.wait(20)
    pid = stage.marks["stand-in"].pid
    runner.stop()
    runner.join(20)
    assert (tmp_path / "home" / "drained").exists()
    assert not psutil.pid_exists(pid)
    assert stage.marks == {}
    assert not runner.ready.is_set()


def test_a_wiped_folder_means_a_fresh_start(stage: Stage, tmp_path: Path) -> None:
    part = StandIn(tmp_path / "home")
    runner = stage.run(part)
    assert runner.ready.wait(20)
    first = stage.marks["stand-in"]
    for file in part.home.iterdir():
        file.unlink()
    part.home.rmdir()
    assert wait_for(lambda: runner.ready.is_set() and stage.marks.get("stand-in", first) != first, within=20)
    assert part.preparations == 2


def test_one_that_never_comes_up_is_given_up_with_its_reason(stage: Stage, tmp_path: Path) -> None:
    part = StandIn(tmp_path / "home", script="raise SystemExit(3)")
    runner = stage.run(part)
    runner.join(30)
    assert runner.failure is not None
    assert runner.failure.sentence == "it ended"
    assert part.preparations == FIRST_ATTEMPTS


def test_one_that_was_up_is_never_given_up(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_stack.runner.LONGEST_PAUSE", 0.4)
    part = StandIn(tmp_path / "home")
    runner = stage.run(part)
    assert runner.ready.wait(20)
    part.script = "raise SystemExit(3)"
    os.kill(stage.marks["stand-in"].pid, signal.SIGKILL)
    assert wait_for(lambda: part.preparations > FIRST_ATTEMPTS + 1, within=30)
    part.script = SERVER
    assert runner.ready.wait(30)
    assert runner.failure is None


def test_a_part_waits_for_those_before_it(stage: Stage, tmp_path: Path) -> None:
    first = StandIn(tmp_path / "first", name="first", script="import time; time.sleep(60)")
    before = stage.run(first)
    second = StandIn(tmp_path / "second", name="second")
    after = stage.run(second, after=[before])
    assert not after.ready.wait(0.5)
    assert second.preparations == 0
    (tmp_path / "first" / "up").touch()
    assert after.ready.wait(20)


def test_stopping_before_it_is_up_ends_what_was_started(stage: Stage, tmp_path: Path) -> None:
    runner = stage.run(StandIn(tmp_path / "home", script="import time; time.sleep(60)"))
    assert wait_for(lambda: "stand-in" in stage.marks, within=20)
    pid = stage.marks["stand-in"].pid
    runner.stop()
    runner.join(20)
    assert not psutil.pid_exists(pid)
    assert runner.failure is None


def test_what_a_process_started_ends_with_it(stage: Stage, tmp_path: Path) -> None:
    script = "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    script += "import pathlib; pathlib.Path(sys.argv[1], 'child').write_text(str(c.pid))\n" + SERVER
    runner = stage.run(StandIn(tmp_path / "home", script=script))
    assert runner.ready.wait(20)
    child = psutil.Process(int((tmp_path / "home" / "child").read_text()))
    runner.stop()
    runner.join(20)
    assert wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, within=5)


def test_runner_threads_do_not_keep_the_program_alive(stage: Stage, tmp_path: Path) -> None:
    runner = stage.run(StandIn(tmp_path / "home"))
    assert runner.daemon
    assert runner is not threading.main_thread()
