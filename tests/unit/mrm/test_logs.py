"""`mrm logs`: the last lines of each part, and new ones as they come."""

import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.layout import StackFolder
from mrm.logs import Tail


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    folder = StackFolder.at(tmp_path)
    folder.make()
    folder.log("intake").write_text("one\ntwo\nthree\n")
    folder.log("kafka").write_text("started\n")
    return folder


def logs(folder: StackFolder, *arguments: str) -> str:
    command = [sys.executable, "-m", "mrm", "logs", *arguments, "--data", str(folder.data)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_one_part(folder: StackFolder) -> None:
    assert logs(folder, "intake", "--lines", "2") == "two\nthree\n"


def test_all_parts_are_told_apart(folder: StackFolder) -> None:
    assert set(logs(folder).splitlines()) == {"intake: one", "intake: two", "intake: three", "kafka: started"}


def test_following_prints_whole_new_lines_and_starts_over_with_a_new_file(folder: StackFolder, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder.log("intake")
    tail = Tail(path, prefix="")
    tail.print_last(1)
    assert not tail.print_new()
    with path.open("a") as file:
        file.write("four\nfi")
    assert tail.print_new()
    with path.open("a") as file:
        file.write("ve\n")
    assert tail.print_new()
    path.unlink()
    assert not tail.print_new()
    path.write_text("six\n")
    assert tail.print_new()
    assert capsys.readouterr().out == "three\nfour\nfive\nsix\n"


def test_follow_prints_what_comes(folder: StackFolder) -> None:
    command = [sys.executable, "-m", "mrm", "logs", "intake", "--follow", "--data", str(folder.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(3)] == ["one\n", "two\n", "three\n"]
        with folder.log("intake").open("a") as file:
            file.write("four\n")
        assert process.stdout.readline() == "four\n"
        process.send_signal(2)
        assert process.wait(10) == 0
