"""The leaf of an audit entry: a salted commitment to the whole row, which says nothing to whoever does not have the row."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from chassis.audit.merkle import leaf_hash
from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.keys import Signer
from chassis.sealing.trust import Trust

SALT_BYTES: Final = 32
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_LEAF_CONTEXT: Final = b"mrm-audit/1 leaf\0"
_SIGNATURE_CONTEXT: Final = b"mrm-audit/1 entry\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the record as its row holds it, signature aside."""

    service: str
    id: UUID
    at: datetime
    actor: str
    action: str
    situation: str | None
    subject_ref: str | None
    detail: Mapping[str, Any]
    cause: UUID
    salt: bytes = field(repr=False)

    def canonical(self) -> bytes:
        """Write everything the entry says as canonical JSON: sorted names, no spaces, UTF-8, UTC with microseconds.

        Raises TypeError or ValueError for a detail that would not come back from the database as it went in.
        """
        _check_stable(self.detail)
        document = {
            "action": self.action,
            "actor": self.actor,
            "at": self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "cause": str(self.cause),
            "detail": self.detail,
            "entry": str(self.id),
            "service": self.service,
            "situation": self.situation,
            "subject": self.subject_ref,
            "v": 1,
        }
        return _ENCODER.encode(document).encode()

    def leaf(self) -> bytes:
        """Return the content of the entry's leaf: 32 bytes of HMAC-SHA256 under the row's own random salt."""
        return _LEAF_CONTEXT + hmac.digest(self.salt, self.canonical(), hashlib.sha256)

    def leaf_hash(self) -> bytes:
        """Return the hash that stands for the entry in the tree (RFC 6962)."""
        return leaf_hash(self.leaf())

    def find_leaf_hash(self) -> bytes | None:
        """Return the leaf's hash, None for a row so changed that it cannot be one of ours."""
        try:
            return self.leaf_hash()
        except (TypeError, ValueError, ArithmeticError, RecursionError):
            return None


def new_salt() -> bytes:
    """Return a fresh salt for one entry."""
    return secrets.token_bytes(SALT_BYTES)


def sign_leaf(hashed: bytes, signer: Signer) -> bytes:
    """Sign a leaf's hash as the service: a row that the service did not write has no such signature."""
    return signer.sign(_SIGNATURE_CONTEXT + hashed)


def is_signed(hashed: bytes, *, service: str, signed_by: str, signature: bytes, trust: Trust) -> bool:
    """Tell whether a pinned key of the service signed this leaf's hash."""
    try:
        key = trust.signing.get(signed_by)
        return key is not None and key.service == service and key.verifies(signature, _SIGNATURE_CONTEXT + hashed)
    except (UnusableKeyError, ValueError):
        return False


def _check_stable(value: object) -> None:
    """Refuse what jsonb would store differently: fractions, names that are no text, anything that is not JSON."""
    if value is None or isinstance(value, str | bool | int):
        return
    if isinstance(value, Mapping):
        for name, member in value.items():
            if not isinstance(name, str):
                raise TypeError("the names in an audit entry's detail must be texts")
            _check_stable(member)
    elif isinstance(value, list | tuple):
        for member in value:
            _check_stable(member)
    else:
        raise TypeError(f"an audit entry's detail cannot hold a {type(value).__name__}")
