"""Keys that every service may use: public keys to seal to, signing keys, and the folder that holds them.

Private opening keys are `chassis.sealing.opening_keys`, out of reach of a service that only writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.key_files import (
    StoredKey,
    check_fingerprint,
    created_now,
    decode_base64,
    destroy_key_file,
    encode_base64,
    key_id,
    key_id_parts,
    key_path,
    list_key_ids,
    read_key_file,
    write_key_file,
)

MLKEM_PUBLIC_BYTES: Final = 1184
X25519_PUBLIC_BYTES: Final = 32
ED25519_PRIVATE_BYTES: Final = 32
SIGNING_SCOPE: Final = "signing"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of an opening key: an ML-KEM-768 key of 1,184 bytes followed by an X25519 key of 32."""

    id: str
    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_fingerprint(self.id, self.raw)
        self.hpke()

    @classmethod
    def parse(cls, key_id: str, public: str) -> PublicKey:
        """Read a key as situation documents carry it: its id, and its raw bytes in base64."""
        return cls(key_id, decode_base64(public))

    @property
    def base64(self) -> str:
        """The raw bytes as situation documents carry them."""
        return encode_base64(self.raw)

    @property
    def holder(self) -> str:
        """Who can open what is sealed to this key."""
        return key_id_parts(self.id).holder

    @property
    def situation(self) -> str:
        """The one situation that this key is for."""
        return key_id_parts(self.id).scope

    def hpke(self) -> MLKEM768X25519PublicKey:
        """Return the key as `cryptography` wants it, parsed once for the life of the process."""
        return _parse_public(self.raw)


@lru_cache(maxsize=4096)
def _parse_public(raw: bytes) -> MLKEM768X25519PublicKey:
    if len(raw) != MLKEM_PUBLIC_BYTES + X25519_PUBLIC_BYTES:
        raise UnusableKeyError("a public key has not the length of one")
    try:
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(raw[:MLKEM_PUBLIC_BYTES]),
            X25519PublicKey.from_public_bytes(raw[MLKEM_PUBLIC_BYTES:]),
        )
    except ValueError:
        raise UnusableKeyError("a public key is not one") from None


@dataclass(frozen=True, slots=True)
class SigningPublicKey:
    """The public half of a service's Ed25519 signing key."""

    id: str
    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_fingerprint(self.id, self.raw)
        if key_id_parts(self.id).scope != SIGNING_SCOPE:
            raise UnusableKeyError(f"{self.id} is not the id of a signing key")
        _parse_ed25519(self.raw)

    @property
    def service(self) -> str:
        """The service that signs with this key."""
        return key_id_parts(self.id).holder

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Say whether `signature` is this key's over `message`."""
        try:
            _parse_ed25519(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@lru_cache(maxsize=256)
def _parse_ed25519(raw: bytes) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise UnusableKeyError("a signing key is not one") from None


class Signer(Protocol):
    """Something that signs as one service with Ed25519, wherever the private key may be."""

    @property
    def id(self) -> str:
        """The id of the signing key."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over `message`."""


class SigningKey:
    """An Ed25519 signing key held in memory."""

    def __init__(self, stored: StoredKey) -> None:
        if stored.kind != "signing" or stored.algorithm != "Ed25519" or len(stored.private) != ED25519_PRIVATE_BYTES:
            raise UnusableKeyError(f"{stored.id} is not an Ed25519 signing key")
        self.stored = stored
        self.public = SigningPublicKey(stored.id, stored.public)
        self._private = Ed25519PrivateKey.from_private_bytes(stored.private)
        if self._private.public_key().public_bytes_raw() != stored.public:
            raise UnusableKeyError(f"the two halves of {stored.id} do not belong together")

    def __repr__(self) -> str:
        return f"SigningKey({self.id!r})"

    @property
    def id(self) -> str:
        """The id of this key."""
        return self.stored.id

    @property
    def service(self) -> str:
        """The service that signs with this key."""
        return self.public.service

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over `message`."""
        return self._private.sign(message)

    def save(self, folder: Path) -> Path:
        """Write the key file into `folder`; raises UnusableKeyError if it is there already."""
        return write_key_file(folder, self.stored)


def generate_signing_key(service: str) -> SigningKey:
    """Make a new signing key of `service`; nothing is written until it is saved."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return SigningKey(
        StoredKey(
            id=key_id(service, SIGNING_SCOPE, public),
            kind="signing",
            algorithm="Ed25519",
            private=private.private_bytes_raw(),
            public=public,
            state="active",
            created_at=created_now(),
        )
    )


class _Version(NamedTuple):
    """What tells a key file from the one that lay there before."""

    inode: int
    changed: int
    size: int
    mode: int


class KeyFolder:
    """The private key files of one service, read when they are first needed and again when they change.

    A file that arrives, is retired or is destroyed while the process runs takes effect without a restart.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[_Version, StoredKey]] = {}

    def find(self, key_id: str) -> StoredKey | None:
        """Return the key with this id, None if there is no such file; raises UnusableKeyError if the file is refused."""
        path = key_path(self._folder, key_id)
        try:
            status = path.stat()
            version = _Version(status.st_ino, status.st_ctime_ns, status.st_size, status.st_mode)
            known = self._read.get(key_id)
            if known is not None and known[0] == version:
                return known[1]
            stored = read_key_file(path)
        except FileNotFoundError:
            self._forget(key_id)
            return None
        except PermissionError:
            raise UnusableKeyError(f"the key file of {key_id} cannot be read by this process") from None
        self._read[key_id] = (version, stored)
        return stored

    def get(self, key_id: str) -> StoredKey:
        """Return the key with this id; raises UnusableKeyError."""
        stored = self.find(key_id)
        if stored is None:
            raise UnusableKeyError(f"there is no key file of {key_id}")
        return stored

    def ids(self) -> list[str]:
        """List the ids of all keys in the folder, sorted."""
        return list_key_ids(self._folder)

    def signing_key(self, service: str) -> SigningKey:
        """Return the key that `service` signs with: the newest active one."""
        return SigningKey(self.newest_active(f"{service}/{SIGNING_SCOPE}/"))

    def newest_active(self, prefix: str) -> StoredKey:
        """Return the newest active key whose id begins with `prefix`; raises UnusableKeyError if there is none."""
        keys = [self.get(key_id) for key_id in self.ids() if key_id.startswith(prefix)]
        active = [key for key in keys if key.state == "active"]
        if not active:
            raise UnusableKeyError(f"there is no active key file of {prefix}")
        return max(active, key=lambda key: (key.created_at, key.id))

    def public(self, key_id: str) -> bytes:
        """Return the raw public part of a key."""
        return self.get(key_id).public

    def sign(self, key_id: str, message: bytes) -> bytes:
        """Sign with the active signing key of this id; raises UnusableKeyError for a retired key or another kind."""
        stored = self.get(key_id)
        if stored.kind != "signing" or stored.state != "active":
            raise UnusableKeyError(f"{key_id} is not an active signing key")
        if stored.algorithm == "ML-DSA-65":
            return MLDSA65PrivateKey.from_seed_bytes(stored.private).sign(message)
        return Ed25519PrivateKey.from_private_bytes(stored.private).sign(message)

    def destroy(self, key_id: str) -> None:
        """Destroy a key for good; raises UnusableKeyError if there is none."""
        self.get(key_id)
        self._forget(key_id)
        destroy_key_file(key_path(self._folder, key_id))

    def _forget(self, key_id: str) -> None:
        self._read.pop(key_id, None)
