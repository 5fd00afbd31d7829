"""Private opening keys and the providers that hold them. A service that only writes must not import this."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.key_files import StoredKey, created_now, key_id, write_key_file
from chassis.sealing.keys import KeyFolder, PublicKey
from chassis.sealing.suite import HPKE

MLKEM_SEED_BYTES: Final = 64
X25519_PRIVATE_BYTES: Final = 32


class WrapRefusedError(Exception):
    """A wrap does not open with this key."""


class OpeningKey:
    """An opening key held in memory: a 64-byte ML-KEM-768 seed followed by a 32-byte X25519 key."""

    def __init__(self, stored: StoredKey) -> None:
        if stored.kind != "opening" or stored.algorithm != "ML-KEM-768+X25519":
            raise UnusableKeyError(f"{stored.id} is not an opening key")
        self.stored = stored
        self.public = PublicKey(stored.id, stored.public)
        mlkem, x25519 = _parse_private(stored.private)
        if mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw() != stored.public:
            raise UnusableKeyError(f"the two halves of {stored.id} do not belong together")
        self._private = MLKEM768X25519PrivateKey(mlkem, x25519)

    def __repr__(self) -> str:
        return f"OpeningKey({self.id!r})"

    @property
    def id(self) -> str:
        """The id of this key."""
        return self.stored.id

    def open(self, wrapped: bytes, *, info: bytes) -> bytes:
        """Open an HPKE wrap; raises WrapRefusedError."""
        try:
            return HPKE.decrypt(wrapped, self._private, info)
        except (InvalidTag, ValueError):
            raise WrapRefusedError from None

    def save(self, folder: Path) -> Path:
        """Write the key file into `folder`; raises UnusableKeyError if it is there already."""
        return write_key_file(folder, self.stored)


def _parse_private(raw: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(raw) != MLKEM_SEED_BYTES + X25519_PRIVATE_BYTES:
        raise UnusableKeyError("an opening key has not the length of one")
    return (
        MLKEM768PrivateKey.from_seed_bytes(raw[:MLKEM_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(raw[MLKEM_SEED_BYTES:]),
    )


def generate_opening_key(holder: str, situation: str) -> OpeningKey:
    """Make a new opening key of `holder` for one situation; nothing is written until it is saved."""
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    return OpeningKey(
        StoredKey(
            id=key_id(holder, situation, public),
            kind="opening",
            algorithm="ML-KEM-768+X25519",
            private=mlkem.private_bytes_raw() + x25519.private_bytes_raw(),
            public=public,
            state="active",
            created_at=created_now(),
        )
    )


class KeyProvider(Protocol):
    """Where a service's private keys are, and the four things that may be done with them."""

    def holds(self, key_id: str) -> bool:
        """Say whether `key_id` names an opening key of this provider, active or retired."""

    def public(self, key_id: str) -> bytes:
        """Return the raw public part of a key."""

    def open(self, key_id: str, wrapped: bytes, *, info: bytes) -> bytes:
        """Open an HPKE wrap; raises WrapRefusedError."""

    def sign(self, key_id: str, message: bytes) -> bytes:
        """Sign with the active signing key of this id."""

    def destroy(self, key_id: str) -> None:
        """Destroy a key for good."""


class FileKeyProvider(KeyFolder):
    """A `KeyProvider` over a folder of key files. Retired keys still open."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._opening: dict[str, OpeningKey] = {}

    def holds(self, key_id: str) -> bool:
        """Say whether there is a file of this opening key; raises UnusableKeyError if it is refused."""
        stored = self.find(key_id)
        return stored is not None and stored.kind == "opening"

    def open(self, key_id: str, wrapped: bytes, *, info: bytes) -> bytes:
        """Open an HPKE wrap; raises WrapRefusedError, or UnusableKeyError if there is no such key."""
        stored = self.get(key_id)
        key = self._opening.get(key_id)
        if key is None or key.stored is not stored:
            key = self._opening[key_id] = OpeningKey(stored)
        return key.open(wrapped, info=info)

    def _forget(self, key_id: str) -> None:
        super()._forget(key_id)
        self._opening.pop(key_id, None)
