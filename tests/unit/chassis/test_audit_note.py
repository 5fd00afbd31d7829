"""Signed notes, checkpoints and cosignatures as C2SP describes them, checked against its published examples and by hand."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from chassis.audit.checkpoint import Checkpoint, sign_checkpoint
from chassis.audit.merkle import EMPTY_ROOT, Head
from chassis.audit.note import COSIGNATURE, ED25519, MAX_SIGNATURES, Note, NoteError, NoteKey, cosign_note, cosigned_at, sign_note
from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.keys import generate_signing_key
from chassis.sealing.trust import Trust

ORIGIN = "mrm/intake/6f1f6f0e-4c53-4c0e-9d3c-0f5d5b0c9a11"
# The example of C2SP's pages on checkpoints and cosignatures.
PUBLISHED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\u2014 witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def signed() -> tuple[Checkpoint, Trust]:
    key = generate_signing_key("intake")
    trust = Trust().with_signing(key.public, generate_signing_key("verification").public)
    return sign_checkpoint(ORIGIN, Head(3, b"r" * 32), signer=key, trust=trust), trust


def test_the_published_example_is_read_and_written_byte_for_byte() -> None:
    note = Note.decode(PUBLISHED)
    assert note.encode() == PUBLISHED
    assert note.text.split("\n")[:2] == ["example.com/behind-the-sofa", "20852163"]
    log, witness = note.signatures
    assert (log.name, log.key_id.hex(), len(log.blob)) == ("example.com/behind-the-sofa", "033de0ae", 64)
    assert (witness.name, witness.key_id.hex(), len(witness.blob)) == ("witness.example.com/w1", "8d66cf3f", 72)
    assert cosigned_at(witness) == 1679315147


def test_a_checkpoint_is_three_lines_signed_under_the_name_of_the_record() -> None:
    checkpoint, trust = signed()
    text, _, line = checkpoint.note.encode().partition("\n\n")
    assert text == f"{ORIGIN}\n3\n{base64.b64encode(b'r' * 32).decode()}"
    dash, name, blob = line.rstrip("\n").split(" ")
    raw = next(key for key in trust.signing.values() if key.service == "intake").raw
    assert (dash, name) == ("\u2014", ORIGIN)
    assert base64.b64decode(blob)[:4] == hashlib.sha256(ORIGIN.encode() + b"\n\x01" + raw).digest()[:4]
    again = Checkpoint.decode(checkpoint.note.encode())
    again.require_signature(trust)
    assert (again.head, again.service) == (Head(3, b"r" * 32), "intake")


def test_a_checkpoint_of_another_service_or_a_stranger_does_not_count() -> None:
    key = generate_signing_key("verification")
    trust = Trust().with_signing(key.public)
    with pytest.raises(NoteError, match="not_signed"):
        sign_checkpoint(ORIGIN, Head(0, EMPTY_ROOT), signer=key, trust=trust).require_signature(trust)
    checkpoint, _ = signed()
    with pytest.raises(NoteError, match="not_signed"):
        checkpoint.require_signature(trust)
    with pytest.raises(UnusableKeyError):
        sign_checkpoint(ORIGIN, Head(0, EMPTY_ROOT), signer=key, trust=Trust())


@given(place=st.integers(min_value=0, max_value=10_000), to=st.characters())
def test_a_checkpoint_changed_anywhere_is_refused(place: int, to: str) -> None:
    checkpoint, trust = CHECKPOINT
    raw = checkpoint.note.encode()
    place %= len(raw)
    changed = raw[:place] + to + raw[place + 1 :]
    if changed == raw:
        return
    with pytest.raises(NoteError):
        Checkpoint.decode(changed).require_signature(trust)


CHECKPOINT = signed()


@pytest.mark.parametrize(
    "text",
    [
        f"{ORIGIN}\n03\n{base64.b64encode(b'r' * 32).decode()}\n",
        f"{ORIGIN}\n-3\n{base64.b64encode(b'r' * 32).decode()}\n",
        f"{ORIGIN}\n3\n{base64.b64encode(b'r' * 31).decode()}\n",
        f"{ORIGIN}\n3\n{base64.b64encode(b'r' * 32).decode()}\nan extension\n",
        f"{ORIGIN}\n3\n{base64.b64encode(b'r' * 32).decode()[:-2]}9=\n",
        f"{ORIGIN}\n3\n",
        f"somebody.example/log\n3\n{base64.b64encode(b'r' * 32).decode()}\n",
        "\n",
    ],
)
def test_what_is_no_checkpoint_of_a_record_is_refused_though_signed(text: str) -> None:
    key = generate_signing_key("intake")
    line = sign_note(text, NoteKey(ORIGIN, ED25519, key.public.raw), key.sign)
    with pytest.raises(NoteError):
        Checkpoint.decode(Note(text, (line,)).encode())


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\n- name AAAAAAA=\n",
        "text\n\n\u2014 name AAAAAAA=",
        "text\n\n\u2014 name AAAA\n",
        "text\n\n\u2014 name AAAAAAB=\n",
        "te\0xt\n\n\u2014 n AAAAAAA=\n",
        "text\n\n\u2014 a+b AAAAAAA=\n",
        "text\n\n" + "\u2014 name AAAAAAA=\n" * (MAX_SIGNATURES + 1),
        "x" * 70_000 + "\n\n\u2014 name AAAAAAA=\n",
    ],
)
def test_what_is_no_note_is_refused(raw: str) -> None:
    with pytest.raises(NoteError, match="not_a_note"):
        Note.decode(raw)


def test_lines_of_unknown_keys_are_passed_over_and_false_ones_of_known_keys_are_not() -> None:
    checkpoint, trust = signed()
    stranger = generate_signing_key("intake")
    line = sign_note(checkpoint.text, NoteKey(ORIGIN, ED25519, stranger.public.raw), stranger.sign)
    checkpoint_with_both = Checkpoint.decode(checkpoint.note.with_line(line).encode())
    checkpoint_with_both.require_signature(trust)
    false = sign_note("something else\n", NoteKey(ORIGIN, ED25519, stranger.public.raw), stranger.sign)
    falsely = Checkpoint.decode(checkpoint.note.with_line(false).encode())
    with pytest.raises(NoteError, match="bad_signature"):
        falsely.require_signature(trust.with_signing(stranger.public))


def test_a_cosignature_covers_instant_and_text_and_is_no_signature_of_the_log() -> None:
    checkpoint, _ = signed()
    private = Ed25519PrivateKey.generate()
    key = NoteKey("witness.example/w1", COSIGNATURE, private.public_key().public_bytes_raw())
    line = cosign_note(checkpoint.text, key, private.sign, at=1_700_000_000)
    note = Note.decode(checkpoint.note.with_line(line).encode())
    ((found, at_line),) = note.signed_by([key])
    assert (found, cosigned_at(at_line)) == (key, 1_700_000_000)
    private.public_key().verify(line.blob[8:], f"cosignature/v1\ntime 1700000000\n{checkpoint.text}".encode())
    assert key.id == hashlib.sha256(b"witness.example/w1\n\x04" + key.raw).digest()[:4]
    later = line.blob[:7] + bytes([line.blob[7] ^ 1]) + line.blob[8:]
    with pytest.raises(NoteError, match="bad_signature"):
        Note(note.text, (type(line)(line.name, line.key_id, later),)).signed_by([key])
    assert note.signed_by([NoteKey(key.name, ED25519, key.raw)]) == []


def test_a_key_is_handed_on_as_one_word() -> None:
    key = NoteKey("witness.example/w1", COSIGNATURE, bytes(range(32)))
    assert NoteKey.parse(key.verifier) == key
    for wrong in ("", "a+b", key.verifier[:-4], key.verifier.replace("w1", "w2"), "a b+00000000+AAAA", "a+00000000+BA=="):
        with pytest.raises(NoteError, match="not_a_key"):
            NoteKey.parse(wrong)
