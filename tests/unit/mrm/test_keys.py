"""`mrm keys`: an opening key is made where it is held, with the voucher of its service, and only the public half is printed."""

import json
from pathlib import Path
from typing import Any

import pytest

from chassis.sealing.keys import KeyFolder, SigningKey, generate_signing_key
from chassis.sealing.trust import Trust
from chassis.sealing.vouchers import find_vouched
from contracts.situation import RecipientKey
from mrm.app import run


@pytest.fixture
def signing(tmp_path: Path) -> dict[str, SigningKey]:
    keys = {service: generate_signing_key(service) for service in ("verification", "aggregation", "export")}
    for service, key in keys.items():
        key.save(tmp_path / service)
    return keys


def trust(signing: dict[str, SigningKey]) -> Trust:
    return Trust().with_signing(*(key.public for key in signing.values()))


def asked(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, Any]:
    """Run `mrm keys` and return its exit code and the last line on standard output as JSON."""
    code = run(["keys", *(str(word) for word in words)])
    out = capsys.readouterr().out.splitlines()
    return code, json.loads(out[-1]) if out else None


@pytest.mark.parametrize("holder", ["verification", "aggregation", "export"])
def test_a_services_key_is_made_with_its_voucher(
    holder: str, tmp_path: Path, signing: dict[str, SigningKey], capsys: pytest.CaptureFixture[str]
) -> None:
    code, entry = asked(capsys, "make", holder, "SYR 2024 (b)", "--keys-dir", tmp_path / holder)
    key = find_vouched(RecipientKey.model_validate(entry), trust(signing))
    assert (code, key is not None and (key.holder, key.situation)) == (0, (holder, "SYR 2024 (b)"))
    stored = KeyFolder(tmp_path / holder).get(entry["id"])
    assert (stored.kind, stored.state) == ("opening", "active")
    assert set(entry) == {"id", "public", "vouched_by", "voucher"}


def test_a_recipients_key_is_vouched_for_by_export(
    tmp_path: Path, signing: dict[str, SigningKey], capsys: pytest.CaptureFixture[str]
) -> None:
    code, bare = asked(capsys, "make", "recipient", "AFG-2024", "--keys-dir", tmp_path / "outside")
    assert (code, set(bare)) == (0, {"id", "public"})
    file = tmp_path / "entry.json"
    file.write_text(json.dumps(bare))
    code, _ = asked(capsys, "vouch", file, "--keys-dir", tmp_path / "verification")
    assert code == 1
    code, entry = asked(capsys, "vouch", file, "--keys-dir", tmp_path / "export")
    assert (code, entry["id"], entry["public"]) == (0, bare["id"], bare["public"])
    assert find_vouched(RecipientKey.model_validate(entry), trust(signing)) is not None


def test_an_older_voucher_is_replaced_by_one_of_the_newest_signing_key(
    tmp_path: Path, signing: dict[str, SigningKey], capsys: pytest.CaptureFixture[str]
) -> None:
    _, old = asked(capsys, "make", "verification", "AFG-2024", "--keys-dir", tmp_path / "verification")
    old = {**old, "vouched_by": "verification/signing/00000000"}
    file = tmp_path / "entry.json"
    file.write_text(json.dumps(old))
    code, new = asked(capsys, "vouch", file, "--keys-dir", tmp_path / "verification", "--json")
    assert (code, new["vouched_by"]) == (0, signing["verification"].id)
    assert find_vouched(RecipientKey.model_validate(new), trust(signing)) is not None


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["make", "intake", "AFG-2024", "--keys-dir", "verification"], 2),
        (["make", "nobody", "AFG-2024", "--keys-dir", "verification"], 2),
        (["make", "verification", "AFG-2024"], 2),
        (["make", "verification", "AFG-2024", "--keys-dir", "export"], 1),
        (["make", "verification", "AFG-2024", "--keys-dir", "empty"], 1),
        (["make", "verification", "AFG/2024", "--keys-dir", "verification"], 1),
        (["vouch", "missing.json", "--keys-dir", "verification"], 2),
    ],
    ids=["of one that opens nothing", "of nobody", "nowhere", "elsewhere", "without a signing key", "for no situation", "for no file"],
)
def test_what_cannot_be_vouched_for_is_not_made(
    words: list[str], code: int, tmp_path: Path, signing: dict[str, SigningKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["keys", *words, "--json"]) == code
    assert {path.parent.name for path in tmp_path.rglob("*.key")} == set(signing)
    assert len(list(tmp_path.rglob("*.key"))) == len(signing)


@pytest.mark.parametrize(
    "content", ["{}", "[]", "null", '{"id": "verification/AFG-2024/0a1b2c3d", "public": "AAAA"}', '{"id": 1, "public": 2}']
)
def test_what_is_no_key_is_not_vouched_for(content: str, tmp_path: Path, signing: dict[str, SigningKey]) -> None:
    file = tmp_path / "entry.json"
    file.write_text(content)
    assert signing
    assert run(["keys", "vouch", str(file), "--keys-dir", str(tmp_path / "verification"), "--json"]) == 2
