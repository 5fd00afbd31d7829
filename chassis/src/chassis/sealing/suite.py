"""The constants that sealing and opening must agree on."""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives import hpke

HPKE: Final = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
DATA_KEY_BYTES: Final = 32
_SIGNATURE_CONTEXT: Final = b"mrm-envelope/1 signature\0"
_WRAP_CONTEXT: Final = b"mrm-envelope/1 wrap\0"


def signature_input(signed: bytes) -> bytes:
    """Return what the writer signs: a context of its own, then all bytes before the signature."""
    return _SIGNATURE_CONTEXT + signed


def wrap_info(key_id: str, opening: bytes) -> bytes:
    """Return what binds a wrap to its recipient and to the bytes up to and including the header."""
    return _WRAP_CONTEXT + key_id.encode() + b"\0" + hashlib.sha256(opening).digest()
