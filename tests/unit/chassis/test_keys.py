"""Keys, key files and trust: what is lax, mixed up or missing is refused, and what is destroyed is gone."""

import json
import os
from pathlib import Path

import pytest

from chassis.sealing.errors import SealCode, SealError, UnusableKeyError
from chassis.sealing.key_files import key_path, retire_key_file
from chassis.sealing.keys import KeyFolder, PublicKey, SigningKey, SigningPublicKey, generate_signing_key
from chassis.sealing.opening import open_sealed
from chassis.sealing.opening_keys import FileKeyProvider, OpeningKey, generate_opening_key
from chassis.sealing.submission import (
    SubmissionPublicKey,
    generate_submission_keys,
    load_submission_keys,
    verify_submission_signature,
)
from chassis.sealing.trust import Trust
from support.sealing import REPORTED, SITUATION, House

HOUSE = House()
KEY = HOUSE.verification


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def opens(keys: FileKeyProvider) -> bool:
    """Say whether these keys open an event sealed to verification."""
    try:
        return open_sealed(HOUSE.seal(b"x"), keys=keys, trust=HOUSE.trust, expect=REPORTED)[1] == b"x"
    except SealError as refused:
        if refused.code is SealCode.WRONG_RECIPIENT:
            return False
        raise


def test_key_file_is_private_complete_and_named_like_the_key(folder: Path) -> None:
    path = KEY.save(folder)

    assert path.name == f"{KEY.id.replace('/', '__')}.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    document = json.loads(path.read_bytes())
    assert set(document) == {"id", "kind", "algorithm", "private", "public", "state", "created_at"}
    assert (document["id"], document["kind"], document["algorithm"], document["state"]) == (
        KEY.id,
        "opening",
        "ML-KEM-768+X25519",
        "active",
    )
    assert [entry.name for entry in folder.iterdir()] == [path.name]


def test_key_file_is_private_under_any_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        path = KEY.save(folder)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600


def test_key_file_is_never_written_over(folder: Path) -> None:
    path = KEY.save(folder)
    content = path.read_bytes()

    with pytest.raises(UnusableKeyError, match="already"):
        KEY.save(folder)

    assert path.read_bytes() == content
    assert [entry.name for entry in folder.iterdir()] == [path.name]


def test_key_opens_after_its_file_was_read_again(folder: Path) -> None:
    KEY.save(folder)

    assert opens(FileKeyProvider(folder))


def test_key_that_arrives_later_needs_no_restart(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    keys = FileKeyProvider(folder)
    assert not opens(keys)

    KEY.save(folder)

    assert opens(keys)


def test_key_that_is_destroyed_opens_no_more_here_and_in_other_processes(folder: Path) -> None:
    path = KEY.save(folder)
    here, elsewhere = FileKeyProvider(folder), FileKeyProvider(folder)
    assert opens(here)
    assert opens(elsewhere)

    here.destroy(KEY.id)

    assert not path.exists()
    assert not opens(here)
    assert not opens(elsewhere)
    assert KEY.id not in elsewhere._opening
    with pytest.raises(UnusableKeyError, match="no key file"):
        here.destroy(KEY.id)


def test_destroying_leaves_zeros_where_the_key_was(folder: Path, tmp_path: Path) -> None:
    path = KEY.save(folder)
    os.link(path, tmp_path / "kept")
    size = path.stat().st_size

    FileKeyProvider(folder).destroy(KEY.id)

    assert (tmp_path / "kept").read_bytes() == bytes(size)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610, 0o601, 0o666])
def test_key_file_open_to_others_is_refused(folder: Path, mode: int) -> None:
    path = KEY.save(folder)
    path.chmod(mode)
    keys = FileKeyProvider(folder)

    with pytest.raises(UnusableKeyError, match="chmod 600"):
        keys.holds(KEY.id)
    with pytest.raises(UnusableKeyError, match="chmod 600"):
        open_sealed(HOUSE.seal(b"x"), keys=keys, trust=HOUSE.trust, expect=REPORTED)


def test_key_file_opened_to_others_later_is_refused_from_then_on(folder: Path) -> None:
    path = KEY.save(folder)
    keys = FileKeyProvider(folder)
    assert opens(keys)

    path.chmod(0o644)

    with pytest.raises(UnusableKeyError, match="chmod 600"):
        keys.holds(KEY.id)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722])
def test_folder_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    KEY.save(folder)
    folder.chmod(mode)

    with pytest.raises(UnusableKeyError, match="chmod 700"):
        FileKeyProvider(folder).holds(KEY.id)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "sealing"},
        {"algorithm": "RSA"},
        {"state": "lost"},
        {"private": "!"},
        {"public": "AAAA"},
        {"id": "verification/AFG-2024/00000000"},
        {"note": "x"},
        {"created_at": 7},
    ],
)
def test_key_file_with_anything_else_in_it_is_refused(folder: Path, change: dict[str, object]) -> None:
    path = KEY.save(folder)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))

    with pytest.raises(UnusableKeyError):
        FileKeyProvider(folder).holds(KEY.id)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 50_000, b"{}"])
def test_key_file_that_is_not_one_is_refused(folder: Path, content: bytes) -> None:
    path = KEY.save(folder)
    path.write_bytes(content)

    with pytest.raises(UnusableKeyError):
        FileKeyProvider(folder).holds(KEY.id)


def test_key_file_under_another_keys_name_is_refused(folder: Path) -> None:
    KEY.save(folder).rename(key_path(folder, HOUSE.aggregation.id))

    with pytest.raises(UnusableKeyError, match="another key"):
        FileKeyProvider(folder).holds(HOUSE.aggregation.id)


def test_private_half_of_another_key_is_refused(folder: Path) -> None:
    path, other = KEY.save(folder), HOUSE.aggregation.save(folder)
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(document | {"private": json.loads(other.read_bytes())["private"]}))

    with pytest.raises(UnusableKeyError, match="do not belong together"):
        FileKeyProvider(folder).open(KEY.id, b"", info=b"")


@pytest.mark.parametrize(
    "key_id", ["", "a", "a/b", "a/b/c", "../b/01234567", "a/../01234567/x", "a/b\n/01234567", "a//01234567", "a/b/0123456G"]
)
def test_key_id_of_another_form_names_no_file(folder: Path, key_id: str) -> None:
    with pytest.raises(UnusableKeyError):
        key_path(folder, key_id)


def test_key_id_too_long_for_a_file_name_is_refused_in_our_words(folder: Path) -> None:
    with pytest.raises(UnusableKeyError, match="too long"):
        generate_opening_key("verification", "😀" * 64).save(folder)


@pytest.mark.parametrize("situation", ["a__b", "a_", "حالة", "..", "a b"])
def test_any_situation_code_serves_as_part_of_a_file_name(folder: Path, situation: str) -> None:
    key = generate_opening_key("verification", situation)
    key.save(folder)
    keys = FileKeyProvider(folder)

    assert keys.ids() == [key.id]
    assert keys.holds(key.id)


def test_signing_key_is_the_newest_active_one(folder: Path) -> None:
    first, second = generate_signing_key("intake"), generate_signing_key("intake")
    first.save(folder)
    second.save(folder)
    generate_signing_key("export").save(folder)
    newest = max(first, second, key=lambda key: (key.stored.created_at, key.id))
    other = first if newest is second else second
    keys = KeyFolder(folder)
    assert keys.signing_key("intake").id == newest.id

    retire_key_file(folder, newest.id)

    assert keys.signing_key("intake").id == other.id
    with pytest.raises(UnusableKeyError, match="not an active"):
        keys.sign(newest.id, b"x")
    retire_key_file(folder, other.id)
    with pytest.raises(UnusableKeyError, match="no active"):
        keys.signing_key("intake")


def test_retired_opening_key_still_opens(folder: Path) -> None:
    path = KEY.save(folder)
    keys = FileKeyProvider(folder)

    retire_key_file(folder, KEY.id)

    assert opens(keys)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.public(KEY.id) == KEY.public.raw


def test_provider_signs_with_every_kind_of_signing_key_and_no_opening_key(folder: Path) -> None:
    signing, (ed25519, mldsa65) = generate_signing_key("export"), generate_submission_keys()
    for key in (signing, ed25519, mldsa65, KEY):
        key.save(folder)
    keys = FileKeyProvider(folder)

    assert signing.public.verifies(keys.sign(signing.id, b"m"), b"m")
    assert not signing.public.verifies(keys.sign(signing.id, b"m"), b"n")
    for key in (ed25519, mldsa65):
        assert verify_submission_signature(key.public, signature=keys.sign(key.id, b"m"), message=b"m")
    with pytest.raises(UnusableKeyError, match="not an active signing key"):
        keys.sign(KEY.id, b"m")
    assert not keys.holds(signing.id)


def test_submission_keys_load_as_the_newest_active_pair(folder: Path) -> None:
    pair = generate_submission_keys()
    for key in pair:
        key.save(folder)
    keys = KeyFolder(folder)

    assert [key.id for key in load_submission_keys(keys)] == [key.id for key in pair]
    assert [key.algorithm for key in load_submission_keys(keys)] == ["Ed25519", "ML-DSA-65"]
    retire_key_file(folder, pair[1].id)
    with pytest.raises(UnusableKeyError, match="no active"):
        load_submission_keys(keys)


def test_a_submission_key_signs_no_events(folder: Path) -> None:
    ed25519, _ = generate_submission_keys()

    with pytest.raises(UnusableKeyError, match="not the id of a signing key"):
        SigningKey(ed25519.stored)


def test_submission_signatures_hold_for_their_key_and_message_only() -> None:
    ed25519, mldsa65 = generate_submission_keys()
    other = generate_submission_keys()

    assert (ed25519.id.split("/")[1], mldsa65.id.split("/")[1]) == ("submission-ed25519", "submission-mldsa65")
    assert (len(ed25519.sign(b"m")), len(mldsa65.sign(b"m"))) == (64, 3309)
    for key, stranger in zip((ed25519, mldsa65), other, strict=True):
        signature = key.sign(b"m")
        assert verify_submission_signature(key.public, signature=signature, message=b"m")
        assert not verify_submission_signature(key.public, signature=signature, message=b"n")
        assert not verify_submission_signature(stranger.public, signature=signature, message=b"m")
        assert not verify_submission_signature(key.public, signature=signature[:-1], message=b"m")
        assert not verify_submission_signature(key.public, signature=b"", message=b"m")
        flipped = signature[:-1] + bytes((signature[-1] ^ 1,))
        assert not verify_submission_signature(key.public, signature=flipped, message=b"m")


@pytest.mark.parametrize(
    "change", [lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda _: b"", lambda raw: bytes((raw[0] ^ 1,)) + raw[1:]]
)
def test_public_key_that_its_id_does_not_name_is_refused(change: object) -> None:
    with pytest.raises(UnusableKeyError):
        PublicKey(KEY.id, change(KEY.public.raw))  # type: ignore[operator]
    with pytest.raises(UnusableKeyError):
        SigningPublicKey(HOUSE.intake.id, change(HOUSE.intake.public.raw))  # type: ignore[operator]


def test_public_key_survives_the_situation_document() -> None:
    assert PublicKey.parse(KEY.id, KEY.public.base64) == KEY.public
    assert (KEY.public.holder, KEY.public.situation) == ("verification", SITUATION)
    for text in ("", "AAAA", KEY.public.base64 + "\n", KEY.public.base64[:-4]):
        with pytest.raises(UnusableKeyError):
            PublicKey.parse(KEY.id, text)


def test_private_halves_show_in_no_representation() -> None:
    for key in (KEY, HOUSE.intake, *generate_submission_keys()):
        private = key.stored.private
        for text in (repr(key), repr(key.stored), str(key.stored)):
            assert repr(private) not in text
            assert private.hex() not in text


def test_an_opening_key_is_no_signing_key_and_the_other_way_round() -> None:
    with pytest.raises(UnusableKeyError):
        OpeningKey(HOUSE.intake.stored)
    with pytest.raises(UnusableKeyError):
        SigningPublicKey(KEY.id, KEY.public.raw)


def test_trust_survives_its_file(tmp_path: Path) -> None:
    ed25519, mldsa65 = generate_submission_keys()
    trust = Trust().with_signing(HOUSE.intake.public).with_signing(HOUSE.other.public).with_submission(ed25519.public, mldsa65.public)

    trust.save(tmp_path / "trust.json")

    assert Trust.load(tmp_path / "trust.json") == trust
    assert json.loads((tmp_path / "trust.json").read_bytes())["signing"][HOUSE.intake.id]["service"] == "intake"
    assert [entry.name for entry in tmp_path.iterdir()] == ["trust.json"]


def test_adding_to_trust_leaves_the_old_one_as_it_was() -> None:
    before = Trust().with_signing(HOUSE.intake.public)

    after = before.with_signing(HOUSE.other.public)

    assert (set(before.signing), set(after.signing)) == ({HOUSE.intake.id}, {HOUSE.intake.id, HOUSE.other.id})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"signing":{}}',
        '{"signing":{"intake/signing/00000000":{"service":"intake","algorithm":"Ed25519","public":"AAAA"}},"submission":{}}',
        '{"signing":[],"submission":{}}',
    ],
)
def test_trust_file_that_is_not_sound_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "trust.json").write_text(content)

    with pytest.raises(UnusableKeyError):
        Trust.load(tmp_path / "trust.json")


@pytest.mark.parametrize("change", [{"service": "verification"}, {"algorithm": "ML-DSA-65"}])
def test_trust_entry_that_contradicts_its_key_id_is_refused(change: dict[str, str]) -> None:
    document = json.loads(Trust().with_signing(HOUSE.intake.public).encode())
    document["signing"][HOUSE.intake.id] |= change

    with pytest.raises(UnusableKeyError, match="contradicts"):
        Trust.decode(json.dumps(document).encode())


def test_submission_key_of_the_other_algorithm_is_refused() -> None:
    ed25519, _ = generate_submission_keys()

    with pytest.raises(UnusableKeyError):
        SubmissionPublicKey(ed25519.id, "ML-DSA-65", ed25519.public.raw)
