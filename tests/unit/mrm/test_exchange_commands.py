"""Where an export goes, and how commands that wait for the services end on Ctrl-C."""

import json
from pathlib import Path
from typing import Any

import pytest

from mrm.app import run
from mrm.console import MISUSED, STOPPED

EXAMPLE = Path(__file__).parents[2] / "data" / "exchange" / "example.json"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let a situation without records be exported, whatever is running."""
    document: dict[str, Any] = {"format": "mrm-exchange/1", "situation": {"code": "S"}, "steps": []}

    async def export(*_: object) -> dict[str, Any]:
        return document

    monkeypatch.setattr("mrm.exchange_commands._export_situation", export)
    return document


def test_an_export_replaces_a_file_whole_and_closes_it(tmp_path: Path, exported: dict[str, Any]) -> None:
    path = tmp_path / "old.json"
    path.write_text("old")
    path.chmod(0o644)
    before = path.stat().st_ino
    assert run(["export", "exchange", "S", "-o", str(path)]) == 0
    assert json.loads(path.read_text("utf-8")) == exported
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_ino != before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("name", ["missing/file.json", "."])
def test_a_place_that_cannot_be_written_is_misuse_and_named(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "exchange", "S", "-o", str(tmp_path / name), "--json"]) == MISUSED
    sentence = json.loads(capsys.readouterr().out)["error"]["sentence"]
    assert str((tmp_path / name).parent if "/" in name else tmp_path) in sentence
    assert "unexpected" not in sentence


def test_an_export_into_a_link_replaces_what_it_leads_to(tmp_path: Path, exported: dict[str, Any]) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert run(["export", "exchange", "S", "-o", str(tmp_path / "link")]) == 0
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "file").read_text("utf-8")) == exported


@pytest.mark.parametrize(
    ("work", "arguments", "said"),
    [
        ("mrm.check._check_all", ["check", str(EXAMPLE)], "Stopped before the end."),
        ("mrm.exchange_commands._export_situation", ["export", "exchange", "S"], "Stopped before the end."),
        ("mrm.exchange_commands._import_file", ["import", "exchange", str(EXAMPLE)], "they stand"),
        ("mrm.rebuild._rebuild", ["rebuild"], "goes on in the service"),
        ("mrm.situation._list", ["situation", "list"], "Stopped."),
    ],
)
def test_ctrl_c_is_one_object_with_json_too(
    work: str, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, interrupted)
    assert run([*arguments, "--json"]) == STOPPED
    [line] = capsys.readouterr().out.splitlines()
    assert said in json.loads(line)["error"]["sentence"]


def test_a_register_entry_in_which_a_name_stands_twice_is_refused_by_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "draft.json").write_text('{"code": "S", "name": "S", "time_zone": "UTC", "time_zone": "Asia/Kabul"}', "utf-8")
    assert run(["situation", "add", str(tmp_path / "draft.json"), "--data", str(tmp_path), "--json"]) == MISUSED
    assert "time_zone: This name stands twice" in json.loads(capsys.readouterr().out)["error"]["sentence"]
