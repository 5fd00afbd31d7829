"""The pseudonym secret: made once, private, the same for every process."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import SecretStr

from verification.settings import VerificationSettings, load_pseudonym_secret


def settings(folder: Path, secret: str | None = None) -> VerificationSettings:
    return VerificationSettings(
        database_url=SecretStr("postgresql://nowhere"),
        kafka_bootstrap="127.0.0.1:1",
        kafka_username="verification",
        kafka_password=SecretStr("unused"),
        keys_dir=folder,
        trust_file=folder / "trust.json",
        issuer="http://127.0.0.1:1",
        pseudonym_secret=SecretStr(secret) if secret is not None else None,
    )


def test_the_first_start_makes_a_private_secret_that_stays(tmp_path: Path) -> None:
    first = load_pseudonym_secret(settings(tmp_path))
    assert len(first) >= 32
    assert load_pseudonym_secret(settings(tmp_path)) == first
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_processes_that_start_together_share_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: load_pseudonym_secret(settings(tmp_path)), range(32)))
    assert len(secrets) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["pseudonyms.secret"]


def test_a_given_secret_goes_before_the_file(tmp_path: Path) -> None:
    assert load_pseudonym_secret(settings(tmp_path, "x" * 40)) == b"x" * 40
    assert list(tmp_path.iterdir()) == []
