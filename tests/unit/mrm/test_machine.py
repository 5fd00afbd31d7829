"""`mrm doctor`: each subject is found fine here, and is missed when it is missing."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local_stack.children import ProcessMark
from local_stack.errors import StackError
from local_stack.layout import StackFolder
from mrm import machine
from mrm.machine import CHECKS, GIB, Finding, State


class Amount(NamedTuple):
    available: int
    free: int


def unreachable(*_: Any) -> Any:
    raise StackError("It cannot be had.", remedy="Mend it.")


def absent(name: str) -> Any:
    raise importlib.metadata.PackageNotFoundError(name)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_this_machine_can_run_a_stack(check: Callable[[StackFolder], Finding], tmp_path: Path) -> None:
    finding = check(StackFolder.at(tmp_path / "var"))
    assert finding.state is not State.LACKING
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("check", "target", "replacement"),
    [
        (machine.python_version, "mrm.machine.sys.version_info", (3, 10, 9)),
        (machine.machine_kind, "mrm.machine.platform.machine", lambda: "riscv64"),
        (machine.packages, "mrm.machine.importlib.metadata.requires", absent),
        (machine.packages, "mrm.machine.importlib.metadata.version", absent),
        (machine.postgres_programs, "mrm.machine.choose_identity", unreachable),
        (machine.java_runtime, "mrm.machine.java", lambda: "/nowhere/java"),
        (machine.java_runtime, "mrm.machine.java", unreachable),
        (machine.memory, "mrm.machine.psutil.virtual_memory", lambda: Amount(GIB // 2, 0)),
        (machine.disk, "mrm.machine.shutil.disk_usage", lambda _: Amount(0, GIB)),
    ],
    ids=lambda value: getattr(value, "__name__", "") or str(value).rpartition(".")[2],
)
def test_what_is_lacking_is_named_with_a_remedy(
    check: Callable[[StackFolder], Finding], target: str, replacement: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, replacement)
    finding = check(StackFolder.at(tmp_path))
    assert finding.state is State.LACKING
    assert finding.remedy


def test_programs_that_can_be_fetched_are_only_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrm.machine.missing_programs", lambda _: ["Kafka"])
    monkeypatch.setattr("mrm.machine.fetch", lambda *_: None)
    assert machine.java_programs(StackFolder.at(tmp_path)).state is State.NOTE
    monkeypatch.setattr("mrm.machine.fetch", unreachable)
    assert machine.java_programs(StackFolder.at(tmp_path)).state is State.LACKING


def test_little_memory_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mrm.machine.psutil.virtual_memory", lambda: Amount(3 * GIB // 2, 0))
    assert machine.memory(StackFolder.at(tmp_path)).state is State.NOTE


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> Any:
        raise PermissionError

    monkeypatch.setattr("mrm.machine.tempfile.TemporaryFile", refuse)
    assert machine.data_folder(StackFolder.at(tmp_path)).state is State.LACKING


def test_a_long_path_is_a_note(tmp_path: Path) -> None:
    assert machine.data_folder(StackFolder.at(tmp_path / ("x" * 100))).state is State.NOTE


def test_leftovers_of_a_crash_are_named(tmp_path: Path) -> None:
    folder = StackFolder.at(tmp_path)
    folder.make()
    folder.write_marks({"kafka": ProcessMark.of("kafka", os.getpid())})
    finding = machine.leftovers(folder)
    assert finding.state is State.NOTE
    assert "kafka" in finding.found
    assert "mrm down" in finding.remedy


def test_the_command_prints_every_finding_and_makes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mrm", "doctor", "--data", str(tmp_path / "var"), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    document = json.loads(result.stdout.splitlines()[-1])
    assert result.returncode == 0
    assert document["ok"] is True
    assert len(document["checks"]) == len(CHECKS)
    assert not (tmp_path / "var").exists()
