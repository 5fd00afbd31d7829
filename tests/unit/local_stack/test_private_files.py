"""Secrets and state are readable by their owner only, and never half written."""

import os
import stat
from pathlib import Path

import pytest

from local_stack.errors import StackError
from local_stack.private_files import generated_secret, private_folder, read_json, write_private, write_private_json


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_folders_are_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secrets" / "a", "x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "secrets") == 0o700
    assert mode(tmp_path / "secrets" / "a") == 0o600


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    private_folder(folder)
    assert mode(folder) == 0o700


def test_replacing_leaves_no_draft(tmp_path: Path) -> None:
    write_private(tmp_path / "f", "old")
    write_private(tmp_path / "f", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_text() == "new"


def test_a_secret_is_made_once_and_differs_from_stack_to_stack(tmp_path: Path) -> None:
    one = generated_secret(tmp_path / "one" / "s")
    assert generated_secret(tmp_path / "one" / "s") == one
    assert generated_secret(tmp_path / "two" / "s") != one
    assert len(one) >= 32


def test_json_is_read_back_and_a_cut_file_is_none(tmp_path: Path) -> None:
    write_private_json(tmp_path / "j", {"name": "Ghōr"})
    assert read_json(tmp_path / "j") == {"name": "Ghōr"}
    (tmp_path / "j").write_text('{"name": "Gh')
    assert read_json(tmp_path / "j") is None
    (tmp_path / "j").write_text("[1]")
    assert read_json(tmp_path / "j") is None
    assert read_json(tmp_path / "missing") is None


def test_a_file_leaves_the_mode_of_a_folder_that_is_there(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    write_private(shared / "secret", "x")
    assert mode(shared) == 0o755
    assert mode(shared / "secret") == 0o600


def test_every_folder_that_is_made_is_private(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "a" / "b")
    assert mode(made) == 0o700
    assert mode(made.parent) == 0o700


def test_a_folder_that_everybody_shares_is_never_closed(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(StackError, match="shares"):
        private_folder(shared)
    assert mode(shared) == 0o1777
