"""Checkpoints of a record (C2SP tlog-checkpoint): how many entries there are and the root over them, signed by the service."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from chassis.audit.merkle import HASH_BYTES, Head
from chassis.audit.note import ED25519, Note, NoteError, NoteKey, sign_note
from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.keys import Signer
from chassis.sealing.trust import Trust

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_ORIGIN: Final = re.compile(r"mrm/([a-z]+)/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")
_KEPT_CONTEXT: Final = b"mrm-audit/1 checkpoint\0"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says, and the note that says it. `origin` names the record: its service and its own id."""

    origin: str
    head: Head
    note: Note

    @property
    def service(self) -> str:
        """The service whose record it is."""
        match = _ORIGIN.fullmatch(self.origin)
        return match[1] if match else ""

    @classmethod
    def decode(cls, raw: str) -> Checkpoint:
        """Read a checkpoint; nothing is said yet about who signed it. Raises NoteError.

        A record of ours has no extension lines, so a note with any is not its checkpoint.
        """
        note = Note.decode(raw)
        origin, size, root, *rest = note.text.split("\n")[:-1] if note.text.count("\n") >= 3 else ("", "", "")
        try:
            decoded = base64.b64decode(root, validate=True)
        except (ValueError, binascii.Error):
            raise NoteError("not_a_checkpoint") from None
        if rest or _ORIGIN.fullmatch(origin) is None or _SIZE.fullmatch(size) is None or len(decoded) != HASH_BYTES:
            raise NoteError("not_a_checkpoint")
        found = cls(origin, Head(int(size), decoded), note)
        if found.text != note.text:
            raise NoteError("not_a_checkpoint")
        return found

    @property
    def text(self) -> str:
        """What is signed."""
        return text_of(self.origin, self.head)

    def require_signature(self, trust: Trust) -> None:
        """Raise NoteError unless a pinned key of the record's service signed it, and none of its lines is false."""
        if not self.note.signed_by(log_keys(self.origin, trust, service=self.service)):
            raise NoteError("not_signed")


def origin_of(service: str, log_id: UUID) -> str:
    """Return the name of a service's record in this database."""
    return f"mrm/{service}/{log_id}"


def text_of(origin: str, head: Head) -> str:
    """Return what a checkpoint's signatures cover."""
    return f"{origin}\n{head.size}\n{base64.b64encode(head.root).decode()}\n"


def log_keys(origin: str, trust: Trust, *, service: str) -> list[NoteKey]:
    """Return the keys that may sign checkpoints of a record: every pinned signing key of its service."""
    return [NoteKey(origin, ED25519, key.raw) for key in trust.signing.values() if key.service == service]


def sign_checkpoint(origin: str, head: Head, *, signer: Signer, trust: Trust) -> Checkpoint:
    """Sign a head; raises UnusableKeyError if the signing key is not pinned, for then nobody could check it."""
    pinned = trust.signing.get(signer.id)
    if pinned is None:
        raise UnusableKeyError(f"{signer.id} is not in the trust file")
    text = text_of(origin, head)
    return Checkpoint(origin, head, Note(text, (sign_note(text, NoteKey(origin, ED25519, pinned.raw), signer.sign),)))


def kept_message(number: int, at: datetime, note: str) -> bytes:
    """Return what a service signs of the row in which it keeps a checkpoint."""
    return _KEPT_CONTEXT + f"{number}\n{at.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}\n{note}".encode()


def is_kept(number: int, at: datetime, note: str, *, signature: bytes, service: str, trust: Trust) -> bool:
    """Tell whether a pinned key of the service signed the row of a kept checkpoint."""
    message = kept_message(number, at, note)
    return any(key.service == service and key.verifies(signature, message) for key in trust.signing.values())
