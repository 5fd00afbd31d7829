"""What intake decides about a report, without I/O: its canonical content, keyed marks, revision numbers and the receipt."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID

from contracts.incident import IncidentReport

RECEIPT_TYPE: Final = "mrm-receipt"
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
LIST_ORDER: Final = (datetime, str, UUID)
"""Kinds of the sort key of a monitor's own list: received_at, situation, incident."""


def canonical_content(report: IncidentReport) -> bytes:
    """Return the one form of a report's content: sorted keys, no spaces, UTF-8, without the revision number.

    What is absent and what is written as its default (`null`, an empty list) is the same content.
    """
    document = report.model_dump(mode="json", exclude={"revision"}, exclude_defaults=True)
    return canonical(document)


def canonical(document: Mapping[str, Any]) -> bytes:
    """Encode a document so that the same content is the same bytes."""
    return _ENCODER.encode(document).encode()


class Marks:
    """Keyed marks (HMAC-SHA-256) by which intake knows a monitor and a content again without keeping either.

    Without the key neither can be found by trying.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_monitor(self, subject: str) -> bytes:
        """Return the mark of a monitor."""
        return self._mark(b"monitor", subject.encode())

    def of_content(self, content: bytes) -> bytes:
        """Return the mark of a canonical content."""
        return self._mark(b"content", content)

    def of_device(self, device: UUID, secret: bytes) -> bytes:
        """Return the mark of a device's token."""
        return self._mark(b"device", device.bytes + secret)

    def label_key(self, subject: str, device: UUID) -> bytes:
        """Return the key for what a monitor calls a device: nobody makes it who does not know the monitor."""
        return self._mark(b"device label", device.bytes + subject.encode())

    def _mark(self, purpose: bytes, value: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + value, "sha256")


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """What is kept of an accepted revision."""

    number: int
    content: bytes
    """The mark of its content."""
    received_at: datetime


class Step(Enum):
    """What becomes of a revision at the door."""

    NEXT = "next"
    REPEAT = "repeat"
    CLASH = "clash"


def decide_revision(*, latest: int, given: int | None, content: bytes, stored: Mapping[int, StoredRevision]) -> tuple[Step, int]:
    """Return what becomes of a submitted revision and the number it is about.

    `content` is a mark; `stored` holds the revisions `latest` and, if it exists, `given`. Without a number, the content of the
    latest revision is a repeat and any other the next revision.
    """
    number = given if given is not None else latest
    known = stored.get(number)
    if known is not None and hmac.compare_digest(known.content, content):
        return Step.REPEAT, number
    if given in (None, latest + 1):
        return Step.NEXT, latest + 1
    return Step.CLASH, number


def receipt(
    *,
    situation: str,
    incident: UUID,
    revision: int,
    received_at: datetime,
    content: bytes,
    key_id: str,
    sign: Callable[[bytes], bytes],
) -> str:
    """Return the signed receipt, a JWS in compact form (RFC 7515, EdDSA): the same for the same revision as long as the key is.

    `content` is the canonical content itself; its SHA-256 is in the receipt and nowhere else.
    """
    header = {"alg": "EdDSA", "kid": key_id, "typ": RECEIPT_TYPE}
    payload = {
        "situation": situation,
        "incident": str(incident),
        "revision": revision,
        "received_at": received_at.astimezone(UTC).isoformat(timespec="microseconds"),
        "content_sha256": hashlib.sha256(content).hexdigest(),
    }
    signed = b".".join((_base64url(canonical(header)), _base64url(canonical(payload))))
    return b".".join((signed, _base64url(sign(signed)))).decode()


def receipt_key(key_id: str, public: bytes) -> dict[str, str]:
    """Return the public half of a receipt key as a JWK (RFC 8037)."""
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key_id, "x": _base64url(public).decode()}


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
