"""Names that mean nothing outside: children, groups and submitters as HMAC-SHA256 under the installation's secret."""

import hashlib
import hmac
from dataclasses import dataclass, field
from uuid import UUID

_PSEUDONYM_BYTES = 16
_CONTEXT = "mrm-pseudonym/1"
MIN_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Makes pseudonyms. The same secret gives the same child the same pseudonym in every revision, for ever; without it nobody can."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ValueError("the pseudonym secret is too short")

    def child(self, *, situation: str, incident: UUID, key: str) -> str:
        """Return the pseudonym of a victim record: 32 hexadecimal digits."""
        return self._mac("child", situation, str(incident), key)[:_PSEUDONYM_BYTES].hex()

    def group(self, *, situation: str, incident: UUID, key: str) -> str:
        """Return the pseudonym of a group of children; never that of a victim, though both have the same key."""
        return self._mac("group", situation, str(incident), key)[:_PSEUDONYM_BYTES].hex()

    def person(self, *, situation: str, subject: str) -> bytes:
        """Return the mark by which a person is recognised inside one situation only (nobody decides on their own report)."""
        return self._mac("person", situation, subject)[:_PSEUDONYM_BYTES]

    def fingerprint(self) -> bytes:
        """Return what tells this secret from another without giving it away."""
        return self._mac("fingerprint")[:_PSEUDONYM_BYTES]

    def _mac(self, *parts: str) -> bytes:
        message = bytearray()
        for part in (_CONTEXT, *parts):
            raw = part.encode()
            message += len(raw).to_bytes(4, "big") + raw
        return hmac.digest(self.secret, bytes(message), hashlib.sha256)
