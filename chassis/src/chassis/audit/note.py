"""Signed notes (C2SP signed-note): a text, and the lines of those who signed it. What the text says is somebody else's business."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
MAX_NOTE_BYTES: Final = 64 * 1024
MAX_SIGNATURES: Final = 64
_LINE: Final = re.compile(r"\u2014 (?P<name>[^\s+]+) (?P<blob>[A-Za-z0-9+/]+={0,2})")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NAME: Final = re.compile(r"[^\s+]+")


class NoteError(Exception):
    """A note is not one, or is not signed as it must be. `code` is stable; nothing of the note is repeated."""

    def __init__(self, code: str) -> None:
        super().__init__(f"note refused: {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key that signs notes under a name; `kind` says how (`ED25519` or `COSIGNATURE`)."""

    name: str
    kind: int
    raw: bytes

    def __post_init__(self) -> None:
        if (
            _NAME.fullmatch(self.name) is None
            or _CONTROL.search(self.name)
            or self.kind not in (ED25519, COSIGNATURE)
            or len(self.raw) != 32
        ):
            raise NoteError("not_a_key")

    @property
    def id(self) -> bytes:
        """The four bytes that stand for the key in a signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.raw).digest()[:4]

    @property
    def verifier(self) -> str:
        """The key as one word to hand on: `<name>+<id>+<base64 of kind and key>`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.raw).decode()}"

    @classmethod
    def parse(cls, verifier: str) -> NoteKey:
        """Read a key from its word; raises NoteError."""
        try:
            name, key_id, encoded = verifier.split("+", 2)
            decoded = base64.b64decode(encoded, validate=True)
            key = cls(name, decoded[0], decoded[1:])
        except (ValueError, IndexError, binascii.Error):
            raise NoteError("not_a_key") from None
        if key.id.hex() != key_id:
            raise NoteError("not_a_key")
        return key


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One line below a note: who signed, with which key, and the rest as that kind of key has it."""

    name: str
    key_id: bytes
    blob: bytes

    def encode(self) -> str:
        """Write the line, its newline included."""
        return f"\u2014 {self.name} {base64.b64encode(self.key_id + self.blob).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text (its last newline included) and the signatures below it."""

    text: str
    signatures: tuple[SignatureLine, ...]

    def encode(self) -> str:
        """Write the note."""
        return f"{self.text}\n{''.join(line.encode() for line in self.signatures)}"

    def with_line(self, line: SignatureLine) -> Note:
        """Return the note with a further signature, in place of an older one of the same key."""
        kept = tuple(old for old in self.signatures if (old.name, old.key_id) != (line.name, line.key_id))
        return Note(self.text, (*kept, line))

    @classmethod
    def decode(cls, raw: str) -> Note:
        """Read a note; nothing is said yet about whether its signatures hold. Raises NoteError."""
        text, blank, below = raw.rpartition("\n\n")
        if not blank or len(raw.encode(errors="replace")) > MAX_NOTE_BYTES or _CONTROL.search(raw) or not below.endswith("\n"):
            raise NoteError("not_a_note")
        lines = below[:-1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise NoteError("not_a_note")
        return cls(f"{text}\n", tuple(_line(line) for line in lines))

    def signed_by(self, keys: Iterable[NoteKey]) -> list[tuple[NoteKey, SignatureLine]]:
        """Return which of these keys signed; raises NoteError if a line names one of them and does not hold."""
        known = {(key.name, key.id): key for key in keys}
        found = []
        for line in self.signatures:
            key = known.get((line.name, line.key_id))
            if key is None:
                continue
            if not _holds(key, line, self.text):
                raise NoteError("bad_signature")
            found.append((key, line))
        return found


def sign_note(text: str, key: NoteKey, sign: Callable[[bytes], bytes]) -> SignatureLine:
    """Sign a text as the owner of an Ed25519 key of kind `ED25519`."""
    return SignatureLine(key.name, key.id, sign(text.encode()))


def cosign_note(text: str, key: NoteKey, sign: Callable[[bytes], bytes], *, at: int) -> SignatureLine:
    """Sign a checkpoint's text as a witness (C2SP tlog-cosignature, cosignature/v1); `at` is a POSIX timestamp."""
    return SignatureLine(key.name, key.id, at.to_bytes(8, "big") + sign(_cosigned(text, at)))


def cosigned_at(line: SignatureLine) -> int:
    """Return the POSIX timestamp of a cosignature whose line has been found to hold."""
    return int.from_bytes(line.blob[:8], "big")


def _cosigned(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _holds(key: NoteKey, line: SignatureLine, text: str) -> bool:
    signature, message = line.blob, text.encode()
    if key.kind == COSIGNATURE:
        if len(line.blob) != 72 or line.blob[0] & 0x80:
            return False
        signature, message = line.blob[8:], _cosigned(text, cosigned_at(line))
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _line(line: str) -> SignatureLine:
    match = _LINE.fullmatch(line)
    try:
        blob = base64.b64decode(match["blob"], validate=True) if match else b""
    except binascii.Error:
        blob = b""
    found = SignatureLine(match["name"] if match else "", blob[:4], blob[4:])
    if len(blob) <= 4 or found.encode() != f"{line}\n":  # base64 has one form only
        raise NoteError("not_a_note")
    return found
