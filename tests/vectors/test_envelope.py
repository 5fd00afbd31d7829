"""Every vector is read as it says, by our reader and by one that knows only the written layout."""

import base64
import json
from pathlib import Path

import pytest

from chassis.sealing.errors import SealCode, SealError
from chassis.sealing.key_files import StoredKey
from chassis.sealing.keys import SigningPublicKey
from chassis.sealing.opening import open_sealed
from chassis.sealing.opening_keys import OpeningKey
from chassis.sealing.signed import Expectation, open_signed
from chassis.sealing.trust import Trust
from contracts.envelope import Header
from support.sealing import KeysInMemory
from vectors import stranger
from vectors.make_envelope_vectors import CASES, Case, keys

FOLDER = Path(__file__).parent / "envelope"
KEYS = json.loads((FOLDER / "keys.json").read_text(encoding="utf-8"))
VECTORS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json")) if path.stem != "keys"}
OPENS = [name for name in VECTORS if "payload" in VECTORS[name]]
REFUSED = [name for name in VECTORS if "refused" in VECTORS[name]]
TRUST = Trust().with_signing(*(SigningPublicKey(key_id, base64.b64decode(key["public"])) for key_id, key in KEYS["signing"].items()))


def read(vector: dict, raw: bytes) -> tuple[Header, bytes]:
    asked = vector["asked"]
    expect = Expectation(types=frozenset(asked["types"]), writer=asked["writer"], subject=asked["subject"], situation=asked["situation"])
    if asked["mode"] == "signed":
        return open_signed(raw, trust=TRUST, expect=expect)
    return open_sealed(raw, keys=KeysInMemory(*map(opening_key, asked["holds"])), trust=TRUST, expect=expect)


def opening_key(key_id: str) -> OpeningKey:
    private, public = (base64.b64decode(KEYS["opening"][key_id][half]) for half in ("private", "public"))
    return OpeningKey(
        StoredKey(
            id=key_id,
            kind="opening",
            algorithm="ML-KEM-768+X25519",
            private=private,
            public=public,
            state="active",
            created_at="2024-05-03T14:00:00Z",
        )
    )


def test_every_case_has_its_file_and_every_file_its_case() -> None:
    assert set(VECTORS) == {case.name for case in CASES}
    assert json.loads(json.dumps(keys())) == KEYS


def test_every_reason_to_refuse_has_a_vector() -> None:
    assert {VECTORS[name]["refused"] for name in REFUSED} == {code.value for code in SealCode}


@pytest.mark.parametrize("name", OPENS)
def test_opens(name: str) -> None:
    vector = VECTORS[name]

    header, payload = read(vector, base64.b64decode(vector["envelope"]))

    assert json.loads(header.canonical()) == vector["header"]
    assert payload == base64.b64decode(vector["payload"])


@pytest.mark.parametrize("name", OPENS)
def test_a_stranger_who_read_the_page_opens_it_too(name: str) -> None:
    vector = VECTORS[name]
    signing = {key_id: base64.b64decode(key["public"]) for key_id, key in KEYS["signing"].items()}
    opening = {key_id: base64.b64decode(KEYS["opening"][key_id]["private"]) for key_id in vector["asked"]["holds"]}

    header, payload = stranger.read(base64.b64decode(vector["envelope"]), signing=signing, opening=opening)

    assert header == vector["header"]
    assert payload == base64.b64decode(vector["payload"])


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_for_the_reason_it_states(name: str) -> None:
    vector = VECTORS[name]

    with pytest.raises(SealError) as refusal:
        read(vector, base64.b64decode(vector["envelope"]))

    assert (refusal.value.code.value, refusal.value.authentic) == (vector["refused"], vector["authentic"])


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in ("opens_signed", "opens_signed_empty")], ids=lambda case: case.name
)
def test_what_is_signed_only_comes_out_the_same_today(case: Case) -> None:
    assert base64.b64encode(case.make()).decode() == VECTORS[case.name]["envelope"]
