"""The two keys that sign a submission, Ed25519 and ML-DSA-65: one for today, one that outlives quantum computers.

What is signed (a DSSE envelope over the manifest) is the export service's concern.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.key_files import (
    StoredKey,
    check_fingerprint,
    created_now,
    key_id,
    key_id_parts,
    write_key_file,
)
from chassis.sealing.keys import KeyFolder

SubmissionAlgorithm = Literal["Ed25519", "ML-DSA-65"]
SEED_BYTES: Final = 32
"""Both algorithms keep a private key as 32 bytes."""
SUBMISSION_SCOPES: Final[dict[SubmissionAlgorithm, str]] = {
    "Ed25519": "submission-ed25519",
    "ML-DSA-65": "submission-mldsa65",
}


@dataclass(frozen=True, slots=True)
class SubmissionPublicKey:
    """The public half of a key that signs submissions."""

    id: str
    algorithm: SubmissionAlgorithm
    raw: bytes = field(repr=False)

    def __post_init__(self) -> None:
        check_fingerprint(self.id, self.raw)
        if key_id_parts(self.id).scope != SUBMISSION_SCOPES.get(self.algorithm):
            raise UnusableKeyError(f"{self.id} is not the id of such a submission key")
        _parse_public(self.algorithm, self.raw)


@lru_cache(maxsize=64)
def _parse_public(algorithm: SubmissionAlgorithm, raw: bytes) -> Ed25519PublicKey | MLDSA65PublicKey:
    try:
        if algorithm == "Ed25519":
            return Ed25519PublicKey.from_public_bytes(raw)
        return MLDSA65PublicKey.from_public_bytes(raw)
    except ValueError:
        raise UnusableKeyError("a submission key is not one") from None


def verify_submission_signature(public: SubmissionPublicKey, *, signature: bytes, message: bytes) -> bool:
    """Say whether `signature` is this key's over exactly `message`."""
    try:
        _parse_public(public.algorithm, public.raw).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class SubmissionSigner:
    """A private key that signs submissions, held in memory."""

    def __init__(self, stored: StoredKey) -> None:
        if stored.kind != "signing" or stored.algorithm not in SUBMISSION_SCOPES or len(stored.private) != SEED_BYTES:
            raise UnusableKeyError(f"{stored.id} is not a submission key")
        self.stored = stored
        self.public = SubmissionPublicKey(stored.id, stored.algorithm, stored.public)
        self._private: Ed25519PrivateKey | MLDSA65PrivateKey
        if stored.algorithm == "Ed25519":
            self._private = Ed25519PrivateKey.from_private_bytes(stored.private)
        else:
            self._private = MLDSA65PrivateKey.from_seed_bytes(stored.private)
        if self._private.public_key().public_bytes_raw() != stored.public:
            raise UnusableKeyError(f"the two halves of {stored.id} do not belong together")

    def __repr__(self) -> str:
        return f"SubmissionSigner({self.id!r})"

    @property
    def id(self) -> str:
        """The id of this key."""
        return self.stored.id

    @property
    def algorithm(self) -> SubmissionAlgorithm:
        """The algorithm this key signs with."""
        return self.public.algorithm

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`; ML-DSA-65 signs differently each time."""
        return self._private.sign(message)

    def save(self, folder: Path) -> Path:
        """Write the key file into `folder`; raises UnusableKeyError if it is there already."""
        return write_key_file(folder, self.stored)


def generate_submission_keys(holder: str = "export") -> tuple[SubmissionSigner, SubmissionSigner]:
    """Make the pair of submission keys, Ed25519 first; nothing is written until they are saved."""
    return _generate(holder, "Ed25519"), _generate(holder, "ML-DSA-65")


def _generate(holder: str, algorithm: SubmissionAlgorithm) -> SubmissionSigner:
    private = Ed25519PrivateKey.generate() if algorithm == "Ed25519" else MLDSA65PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return SubmissionSigner(
        StoredKey(
            id=key_id(holder, SUBMISSION_SCOPES[algorithm], public),
            kind="signing",
            algorithm=algorithm,
            private=private.private_bytes_raw(),
            public=public,
            state="active",
            created_at=created_now(),
        )
    )


def load_submission_keys(keys: KeyFolder, holder: str = "export") -> tuple[SubmissionSigner, SubmissionSigner]:
    """Load the newest active pair from a folder of key files, Ed25519 first; raises UnusableKeyError."""
    ed25519, mldsa65 = (keys.newest_active(f"{holder}/{scope}/") for scope in SUBMISSION_SCOPES.values())
    return SubmissionSigner(ed25519), SubmissionSigner(mldsa65)
