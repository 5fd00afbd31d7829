"""Processes are known by id and start time, die with their parent, and are ended with whatever they started."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from local_stack.children import ProcessMark, end, launch_command, run_to_end, spawn, wait_for

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_mark_finds_its_process_and_no_other(tmp_path: Path) -> None:
    process = spawn(SLEEPER, log=tmp_path / "log")
    mark = ProcessMark.of("sleeper", process.pid)
    assert ProcessMark.parse(mark.document()) == mark
    found = mark.process()
    assert found is not None
    assert found.pid == process.pid
    reused = ProcessMark(name="sleeper", pid=process.pid, started_at=mark.started_at - 5)
    assert reused.process() is None
    process.kill()
    process.wait()
    assert mark.process() is None


def test_a_process_that_has_ended_but_was_not_waited_for_counts_as_gone(tmp_path: Path) -> None:
    process = spawn([sys.executable, "-c", ""], log=tmp_path / "log")
    mark = ProcessMark.of("short", process.pid)
    assert wait_for(lambda: mark.process() is None, within=10)
    process.wait()


def test_the_command_keeps_its_own_arguments_and_output_goes_to_a_private_log(tmp_path: Path) -> None:
    process = spawn([sys.executable, "-c", "import sys; print(sys.argv[1:])", "--identity", "x"], log=tmp_path / "log")
    assert process.wait(20) == 0
    assert (tmp_path / "log").read_text() == "['--identity', 'x']\n"
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from local_stack.children import spawn\n"
        f"child = spawn({SLEEPER!r}, log=Path({str(tmp_path / 'log')!r}))\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    # the launcher has become the command, so the wish to die with its parent is in place
    assert wait_for(lambda: "local_stack" not in " ".join(child.cmdline()), within=10)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, within=10)


def test_end_asks_first_and_takes_the_family(tmp_path: Path) -> None:
    script = (
        "import signal, subprocess, sys, time\n"
        f"child = subprocess.Popen({SLEEPER!r})\n"
        "def leave(*_): print('asked', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('up', flush=True); time.sleep(60)"
    )
    process = spawn([sys.executable, "-c", script], log=tmp_path / "log")
    assert wait_for(lambda: "up" in (tmp_path / "log").read_text(), within=10)
    parent = psutil.Process(process.pid)
    (child,) = parent.children()
    end(parent, within=10)
    process.wait()
    assert "asked" in (tmp_path / "log").read_text()
    assert wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, within=5)


def test_end_insists_with_one_that_does_not_listen(tmp_path: Path) -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    process = spawn([sys.executable, "-c", script], log=tmp_path / "log")
    assert wait_for(lambda: "up" in (tmp_path / "log").read_text(), within=10)
    end(psutil.Process(process.pid), within=0.2)
    assert not psutil.pid_exists(process.pid)


def test_a_missing_program_is_a_failure_with_words() -> None:
    result = run_to_end(["/nowhere/program"])
    assert result.returncode == 126
    assert "cannot start" in result.stderr


@pytest.mark.parametrize("identity", ["namespace", "nobody"])
def test_another_identity_is_not_root_and_has_no_powers(identity: str) -> None:
    script = "import os, re; print(os.geteuid(), re.search('CapEff:\\s*(\\w+)', open('/proc/self/status').read())[1])"
    command = launch_command(["/usr/bin/python3", "-c", script], identity=identity)  # type: ignore[arg-type]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if os.geteuid() != 0:
        return  # only root can, and only root needs to, become somebody else
    if result.returncode == 126:  # the system forbids namespaces: choose_identity then takes the other one
        assert identity == "namespace"
        return
    user, powers = result.stdout.split()
    assert int(user) != 0
    assert int(powers, 16) == 0


def test_waiting_gives_up() -> None:
    began = time.monotonic()
    assert not wait_for(lambda: False, within=0.1)
    assert time.monotonic() - began >= 0.1
