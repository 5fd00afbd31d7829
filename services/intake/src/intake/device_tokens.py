"""A field device's token: how it is written and read, and what is sealed so that intake's own database cannot tell whose device it is.

Why it is so: docs/decisions/0009-a-device-token-carries-the-key-to-its-owner.md.
"""

import os
import re
import secrets
import zlib
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chassis.identity import DEVICE_TOKEN_PREFIX

SECRET_BYTES: Final = 32
_FORM: Final = re.compile(DEVICE_TOKEN_PREFIX + r"([0-9a-f]{32})_([0-9a-f]{64})_([0-9a-f]{8})")
_NONCE_BYTES: Final = 12
_BLOCK_BYTES: Final = 256
_SUBJECT: Final = b"mrm-device/1 subject\0"
_LABEL: Final = b"mrm-device/1 label\0"


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """`mrmd_<device, 32 hex>_<secret, 64 hex>_<CRC-32 of all before, 8 hex>`: known by its beginning, a typing error by its end."""

    device: UUID
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "DeviceToken":
        """Make a token that nobody has had before."""
        return cls(uuid4(), secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> "DeviceToken | None":
        """Read a token in its one written form; None if it is none."""
        found = _FORM.fullmatch(text)
        if found is None or _checksum(text.rpartition("_")[0]) != found[3]:
            return None
        return cls(UUID(found[1]), bytes.fromhex(found[2]))

    def text(self) -> str:
        """Write the token."""
        text = f"{DEVICE_TOKEN_PREFIX}{self.device.hex}_{self.secret.hex()}"
        return f"{text}_{_checksum(text)}"

    def seal_subject(self, subject: str) -> bytes:
        """Seal the monitor's subject so that only this token opens it."""
        return _seal(self._subject_key(), subject, bound_to=_SUBJECT + self.device.bytes)

    def open_subject(self, sealed: bytes) -> str | None:
        """Return the monitor's subject; None if it was sealed under another token."""
        return _open(self._subject_key(), sealed, bound_to=_SUBJECT + self.device.bytes)

    def _subject_key(self) -> bytes:
        return HKDF(SHA256(), 32, salt=self.device.bytes, info=_SUBJECT).derive(self.secret)


def seal_label(key: bytes, label: str, *, device: UUID) -> bytes:
    """Seal what a monitor calls a device under a key of the two (`Marks.label_key`)."""
    return _seal(key, label, bound_to=_LABEL + device.bytes)


def open_label(key: bytes, sealed: bytes, *, device: UUID) -> str | None:
    """Return what a monitor calls a device; None if the key is not the one it was sealed under."""
    return _open(key, sealed, bound_to=_LABEL + device.bytes)


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _seal(key: bytes, text: str, *, bound_to: bytes) -> bytes:
    """Seal a text with AES-256-GCM; its length shows in steps of 256 bytes only (padding: ISO 7816-4)."""
    raw = text.encode() + b"\x80"
    raw += bytes(-len(raw) % _BLOCK_BYTES)
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, raw, bound_to)


def _open(key: bytes, sealed: bytes, *, bound_to: bytes) -> str | None:
    try:
        raw = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError):
        return None
    text, _, _ = raw.rpartition(b"\x80")
    return text.decode()
