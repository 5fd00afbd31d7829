"""The keys of a stack: each holder's own private files, one trust file, and nothing that intake could open with."""

from pathlib import Path

from chassis.sealing.keys import KeyFolder, PublicKey
from chassis.sealing.submission import load_submission_keys
from chassis.sealing.trust import Trust
from contracts.topics import SERVICES
from local_stack.keys import HOLDERS, ensure_service_keys, situation_recipients


def test_every_service_signs_and_the_trust_file_pins_exactly_these_keys(tmp_path: Path) -> None:
    trust_file = tmp_path / "keys" / "trust.json"
    ensure_service_keys(tmp_path / "keys", trust_file)
    trust = Trust.load(trust_file)
    assert set(trust.signing) == {KeyFolder(tmp_path / "keys" / service).signing_key(service).id for service in SERVICES}
    assert set(trust.submission) == {key.id for key in load_submission_keys(KeyFolder(tmp_path / "keys" / "export"))}
    assert len(trust.submission) == 2


def test_making_them_again_changes_nothing(tmp_path: Path) -> None:
    trust_file = tmp_path / "keys" / "trust.json"
    ensure_service_keys(tmp_path / "keys", trust_file)
    first = {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()}
    ensure_service_keys(tmp_path / "keys", trust_file)
    assert {path: path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file()} == first


def test_opening_keys_are_per_holder_and_situation_and_intake_has_none(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    ensure_service_keys(keys, keys / "trust.json")
    one, two = situation_recipients(keys, "AFG-2024"), situation_recipients(keys, "SYR 2024 (b)")
    assert set(one) == set(HOLDERS)
    ids = [entry["id"] for recipients in (one, two) for entries in recipients.values() for entry in entries]
    assert len(set(ids)) == 2 * len(HOLDERS)
    for holder, entries in one.items():
        public = PublicKey.parse(entries[0]["id"], entries[0]["public"])
        assert (public.holder, public.situation) == (holder, "AFG-2024")
        assert KeyFolder(keys / holder).find(public.id) is not None
    assert all(key_id.startswith("intake/signing/") for key_id in KeyFolder(keys / "intake").ids())
    assert situation_recipients(keys, "AFG-2024") == one


def test_private_keys_are_private(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    ensure_service_keys(keys, keys / "trust.json")
    situation_recipients(keys, "AFG-2024")
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys.rglob("*.key"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys.rglob("*") if path.is_dir())
