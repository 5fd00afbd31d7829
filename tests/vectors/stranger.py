"""A second reader of envelopes, written from docs/envelope.md with library primitives alone; imports nothing of ours.

It opens what is sound and knows no reasons: everything else raises. HPKE is spelled out here (RFC 9180, X-Wing KEM), so the vectors
hold against the standards and not only against the library call that made them.
"""

import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_XWING, _HKDF_SHA256, _AES_256_GCM = 0x647A, 1, 2
_SUITE_ID = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (_XWING, _HKDF_SHA256, _AES_256_GCM))


def read(raw: bytes, *, signing: dict[str, bytes], opening: dict[str, bytes]) -> tuple[dict, bytes]:
    """Return header and payload; `signing` maps ids to raw public keys, `opening` to raw private ones."""
    mode, header_end = raw[4], 9 + int.from_bytes(raw[5:9], "big")
    assert raw[:4] == b"MRM1"
    header = json.loads(raw[9:header_end])
    position, wraps = header_end + 1, []
    for _ in range(raw[header_end]):
        key_id, position = _sized(raw, position, 2)
        wrap, position = _sized(raw, position, 2)
        wraps.append((key_id.decode(), wrap))
    body, position = _sized(raw, position, 4)
    assert len(raw) == position + 64
    key = Ed25519PublicKey.from_public_bytes(signing[header["keys"]["signing"]])
    key.verify(raw[position:], b"mrm-envelope/1 signature\0" + raw[:position])
    assert header["keys"]["recipients"] == [key_id for key_id, _ in wraps]
    if mode == 2:
        return header, body
    key_id, wrap = next(pair for pair in wraps if pair[0] in opening)
    info = b"mrm-envelope/1 wrap\0" + key_id.encode() + b"\0" + hashlib.sha256(raw[:header_end]).digest()
    data_key = hpke_open(opening[key_id], wrap, info)
    padded = AESGCM(data_key).decrypt(body[:12], body[12:], raw[:header_end])
    payload, mark, zeros = padded.rpartition(b"\x80")
    assert mark == b"\x80"
    assert zeros == bytes(len(zeros))
    return header, payload


def hpke_open(private: bytes, wrap: bytes, info: bytes) -> bytes:
    """Open one HPKE message in base mode, from the KEM up."""
    encapsulated, ciphertext = wrap[:1120], wrap[1120:]
    shared = _xwing(private, encapsulated)
    context = b"\0" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", info)
    secret = _extract(shared, b"secret", b"")
    return AESGCM(_expand(secret, b"key", context, 32)).decrypt(_expand(secret, b"base_nonce", context, 12), ciphertext, b"")


def _xwing(private: bytes, encapsulated: bytes) -> bytes:
    mlkem, x25519 = MLKEM768PrivateKey.from_seed_bytes(private[:64]), X25519PrivateKey.from_private_bytes(private[64:])
    lattice, curve = encapsulated[:1088], encapsulated[1088:]
    secrets = mlkem.decapsulate(lattice) + x25519.exchange(X25519PublicKey.from_public_bytes(curve))
    return hashlib.sha3_256(secrets + curve + x25519.public_key().public_bytes_raw() + b"\\.//^\\").digest()


def _extract(salt: bytes, label: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + _SUITE_ID + label + secret, "sha256")


def _expand(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    # One block of HKDF-Expand suffices: no more than 32 bytes are ever asked for.
    return hmac.digest(secret, length.to_bytes(2, "big") + b"HPKE-v1" + _SUITE_ID + label + context + b"\x01", "sha256")[:length]


def _sized(raw: bytes, position: int, width: int) -> tuple[bytes, int]:
    start = position + width
    end = start + int.from_bytes(raw[position:start], "big")
    assert end <= len(raw)
    return raw[start:end], end
