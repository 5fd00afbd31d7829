"""Fetched programs: pinned by the lock, refused when they differ, made once however many ask at once."""

import hashlib
import threading
from pathlib import Path

import pytest

from local_stack.artifacts import KAFKA_LOCK, KEYCLOAK, Artifact, cache_folder, fetch, make_once, read_lock
from local_stack.errors import StackError


def test_the_lock_pins_every_jar_and_names_no_address() -> None:
    artifacts = read_lock(KAFKA_LOCK)
    assert len(artifacts) == 46
    assert {a.packaging for a in artifacts} == {"jar"}
    assert all(len(a.sha256) == 64 for a in (*artifacts, KEYCLOAK))
    assert next(a.version for a in artifacts if a.name == "kafka-clients") == "4.3.0"
    assert "://" not in KAFKA_LOCK.read_text()


def put_in_user_repository(home: Path, artifact: Artifact, content: bytes) -> None:
    folder = home / ".m2" / "repository" / artifact.group.replace(".", "/") / artifact.name / artifact.version
    folder.mkdir(parents=True)
    (folder / artifact.filename).write_bytes(content)


def test_a_file_that_is_already_on_this_machine_is_checked_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    content = b"a jar"
    artifact = Artifact("org.example.mrm", "piece", "1", "jar", hashlib.sha256(content).hexdigest())
    put_in_user_repository(tmp_path / "home", artifact, content)
    target = tmp_path / "into"
    target.mkdir()
    assert fetch(artifact, target).read_bytes() == content


def test_a_file_that_is_not_what_the_lock_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("local_stack.artifacts.ATTEMPTS", 1)  # the later attempts would ask the network
    artifact = Artifact("org.example.mrm", "piece", "1", "jar", hashlib.sha256(b"a jar").hexdigest())
    put_in_user_repository(tmp_path / "home", artifact, b"another jar")
    target = tmp_path / "into"
    target.mkdir()
    with pytest.raises(StackError, match="wrong checksum"):
        fetch(artifact, target)
    assert list(target.iterdir()) == []


def test_a_cache_entry_is_complete_or_absent(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "entry"

    def fail(draft: Path) -> None:
        (draft / "half").write_text("x")
        raise StackError("no network", remedy="")

    with pytest.raises(StackError, match="no network"):
        make_once(folder, fail, intact=folder.exists)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_cache_entry_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "entry"
    folder.mkdir(parents=True)
    (folder / "file").write_text("damaged")
    make_once(
        folder,
        lambda draft: [(draft / "file").write_text("whole")].clear(),
        intact=lambda: (folder / "file").exists() and (folder / "file").read_text() == "whole",
    )
    assert (folder / "file").read_text() == "whole"
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["entry"]


def test_two_that_make_an_entry_at_once_both_get_it(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "entry"
    both = threading.Barrier(2)
    got: list[Path] = []

    def fill(draft: Path) -> None:
        (draft / "file").write_text("whole")
        both.wait(10)

    threads = [threading.Thread(target=lambda: got.append(make_once(folder, fill, intact=(folder / "file").exists))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert got == [folder, folder]
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["entry"]


def test_the_cache_lies_in_the_home_or_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder(tmp_path / "fallback") == tmp_path / "home" / ".cache" / "mrm"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(tmp_path / "fallback") == tmp_path / "xdg" / "mrm"


def test_without_a_usable_home_the_cache_lies_with_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert cache_folder(tmp_path / "fallback") == tmp_path / "fallback"
