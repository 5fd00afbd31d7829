"""Where the content key comes from."""

import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from intake.content_key import FILE_NAME, content_key
from intake.settings import IntakeSettings


def settings(folder: Path, **changes: Any) -> IntakeSettings:
    return IntakeSettings(
        database_url=SecretStr("postgresql://x@/x"),
        kafka_bootstrap="x",
        kafka_username="x",
        kafka_password=SecretStr("x"),
        keys_dir=folder,
        trust_file=folder / "trust.json",
        issuer="http://127.0.0.1:1",
        **changes,
    )


def test_the_setting_wins_and_no_file_is_made(tmp_path: Path) -> None:
    assert content_key(settings(tmp_path, content_key=SecretStr("s" * 32))) == b"s" * 32
    assert list(tmp_path.iterdir()) == []


def test_a_short_secret_is_refused_without_being_repeated(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as refusal:
        settings(tmp_path, content_key=SecretStr("canary-short"))
    assert "canary" not in str(refusal.value)


def test_the_file_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    first = content_key(settings(tmp_path))
    assert len(first) == 64
    assert content_key(settings(tmp_path)) == first
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(content_key(settings(tmp_path)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    content_key(settings(tmp_path))
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(PermissionError):
        content_key(settings(tmp_path))
