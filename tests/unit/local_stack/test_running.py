"""A stack seen from outside: found only while its supervisor lives, and its leftovers ended without touching others."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local_stack.children import ProcessMark, wait_for
from local_stack.errors import StackError
from local_stack.layout import KIND, StackFolder
from local_stack.private_files import write_private_json
from local_stack.running import ADDRESSES, end_leftovers, find_running, is_held, require_running, stop
from local_stack.supervisor import AlreadyRunningError, locked


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    folder = StackFolder.at(tmp_path / "var")
    folder.make()
    return folder


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def write_stack(folder: StackFolder, supervisor: ProcessMark, **changes: object) -> None:
    document = {name: f"http://{name}" for name in ADDRESSES} | {"kind": KIND, "started_at": "2024-01-01T00:00:00+00:00"}
    write_private_json(folder.running, {**document, "supervisor": supervisor.document(), **changes})


def test_a_stack_is_found_while_its_supervisor_lives(folder: StackFolder) -> None:
    assert find_running(folder) is None
    write_stack(folder, ProcessMark.of("supervisor", os.getpid()))
    stack = find_running(folder)
    assert stack is not None
    assert stack.url("intake") == "http://intake"
    assert set(stack.document()) == {*ADDRESSES, "data", "started_at"}


def test_the_file_of_a_killed_supervisor_is_not_a_stack(folder: StackFolder) -> None:
    mark = ProcessMark.of("supervisor", os.getpid())
    write_stack(folder, ProcessMark("supervisor", mark.pid, mark.started_at - 100))
    assert find_running(folder) is None
    with pytest.raises(StackError, match="No local stack is running"):
        require_running(folder)


def test_an_installation_is_not_a_local_stack(folder: StackFolder) -> None:
    write_stack(folder, ProcessMark.of("supervisor", os.getpid()), kind="installation")
    assert find_running(folder) is None


def test_leftovers_are_ended_and_forgotten(folder: StackFolder, sleeper: subprocess.Popen[bytes]) -> None:
    folder.write_marks({"kafka": ProcessMark.of("kafka", sleeper.pid)})
    assert end_leftovers(folder) == 1
    assert not psutil.pid_exists(sleeper.pid)
    assert folder.read_marks() == {}
    assert end_leftovers(folder) == 0


def test_a_foreign_process_with_a_remembered_number_is_left_alone(folder: StackFolder, sleeper: subprocess.Popen[bytes]) -> None:
    mark = ProcessMark.of("kafka", sleeper.pid)
    folder.write_marks({"kafka": ProcessMark("kafka", mark.pid, mark.started_at - 3600)})
    assert end_leftovers(folder) == 0
    time.sleep(0.2)
    assert sleeper.poll() is None


def test_a_data_folder_is_held_by_one_supervisor(folder: StackFolder) -> None:
    assert not is_held(folder)
    with locked(folder):
        assert is_held(folder)
        with pytest.raises(AlreadyRunningError), locked(folder):
            pass
    assert not is_held(folder)


def test_the_hold_ends_with_its_process_even_when_it_is_killed(folder: StackFolder) -> None:
    script = (
        "import sys, time; from pathlib import Path; from local_stack.layout import StackFolder\n"
        "from local_stack.supervisor import locked\n"
        "with locked(StackFolder.at(Path(sys.argv[1]))):\n    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(folder.data)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert is_held(folder)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert wait_for(lambda: not is_held(folder), within=5)


def test_ending_what_never_ran_does_nothing(folder: StackFolder) -> None:
    assert stop(folder) is False
    assert stop(StackFolder.at(folder.data / "nowhere")) is False
    assert not (folder.data / "nowhere").exists()


def test_marks_of_processes_long_gone_do_no_harm(folder: StackFolder) -> None:
    folder.write_marks({"kafka": ProcessMark("kafka", 2**22 - 1, 1.0), "postgres": ProcessMark("postgres", os.getpid(), 1.0)})
    assert end_leftovers(folder) == 0
    assert psutil.pid_exists(os.getpid())
