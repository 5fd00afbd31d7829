"""How `mrm` ends: 0 done, 1 failed, 2 misused; a sentence and a remedy, never a traceback; one JSON object last."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.layout import KIND, StackFolder
from local_stack.private_files import write_private_json
from mrm.app import run


def mrm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mrm", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["up", "--nonsense"],
        ["token"],
        ["logs", "nobody"],
        ["logs", "kafka", "--lines", "many"],
        [],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_misuse_is_2(arguments: list[str], tmp_path: Path) -> None:
    result = mrm(*arguments, *(["--data", str(tmp_path)] if arguments and arguments[0] != "frobnicate" else []))
    assert result.returncode == 2
    assert "Traceback" not in result.stderr + result.stdout


@pytest.mark.parametrize("arguments", [["status"], ["token", "monitor"], ["logs"]], ids=lambda arguments: arguments[0])
def test_without_a_stack_commands_fail_with_a_remedy(arguments: list[str], tmp_path: Path) -> None:
    result = mrm(*arguments, "--data", str(tmp_path))
    assert result.returncode == 1
    assert "mrm up" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_ending_nothing_is_done_at_once(tmp_path: Path) -> None:
    result = mrm("down", "--data", str(tmp_path / "nowhere"), "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout.splitlines()[-1])["stopped"] is False
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("arguments", [["token", "monitor"], ["frobnicate"]], ids=lambda arguments: arguments[0])
def test_with_json_a_failure_is_an_object_too(arguments: list[str]) -> None:
    result = mrm(*arguments, "--json")
    error = json.loads(result.stdout.splitlines()[-1])["error"]
    assert error["sentence"]
    assert error["remedy"]


def test_status_of_nothing_says_so(tmp_path: Path) -> None:
    result = mrm("status", "--data", str(tmp_path), "--json")
    document = json.loads(result.stdout.splitlines()[-1])
    assert document["running"] is False
    assert document["ready"] is False
    assert result.returncode == 1


def test_a_token_is_refused_on_anything_but_a_local_stack(tmp_path: Path) -> None:
    folder = StackFolder.at(tmp_path)
    folder.make()
    write_private_json(folder.running, {"kind": "installation", "issuer": "http://127.0.0.1:1/realms/mrm"})
    result = mrm("token", "monitor", "--data", str(tmp_path))
    assert result.returncode == 1
    assert "No local stack" in result.stderr
    assert result.stdout == ""
    assert KIND == "local stack"


@pytest.mark.parametrize("command", ["up", "down", "status", "logs", "token", "doctor", "verify"])
def test_every_command_explains_itself(command: str) -> None:
    result = mrm(command, "--help")
    assert result.returncode == 0
    assert "--data" in result.stdout


@pytest.mark.parametrize("how", ["--detach", "--json"])
def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path, how: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = mrm("up", how, "--data", str(tmp_path / "file" / "var"))
    assert result.returncode == 1
    assert "--data" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unexpected_error_is_a_sentence_and_a_traceback_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("mrm.status.find_running", break_down)
    assert run(["status"]) == 1
    monkeypatch.setenv("MRM_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        run(["status"])
