"""The byte layout of an envelope: header, framing, padding and limits. No cryptography lives here.

The layout is written down for implementers in docs/envelope.md; keys and algorithms are `chassis.sealing`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Annotated, Final, Literal, NamedTuple, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

MAGIC: Final = b"MRM1"
VERSION: Final = 1
MAX_HEADER_BYTES: Final = 4096
MAX_RECIPIENTS: Final = 16
MAX_KEY_ID_BYTES: Final = 320
WRAP_BYTES: Final = 1168
"""HPKE output over a 32-byte data key: 1,120 bytes of encapsulation, 32 of ciphertext, 16 of tag."""
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
SIGNATURE_BYTES: Final = 64
SMALLEST_BUCKET: Final = 1024
LARGEST_BUCKET: Final = 4 * 1024 * 1024
MAX_PAYLOAD_BYTES: Final = LARGEST_BUCKET - 1
"""The longest payload, sealed or signed: one byte of a bucket always marks the end."""
MAX_ENVELOPE_BYTES: Final = (
    len(MAGIC)
    + 1
    + 4
    + MAX_HEADER_BYTES
    + 1
    + MAX_RECIPIENTS * (2 + MAX_KEY_ID_BYTES + 2 + WRAP_BYTES)
    + 4
    + NONCE_BYTES
    + LARGEST_BUCKET
    + TAG_BYTES
    + SIGNATURE_BYTES
)

_PAD_MARK: Final = b"\x80"
_U16: Final = struct.Struct(">H")
_U32: Final = struct.Struct(">I")


class EnvelopeError(ValueError):
    """Bytes or values that no envelope can have. Its text is fixed and holds no value."""


class MalformedEnvelopeError(EnvelopeError):
    """The framing, the header or the padding is not as written down."""


class UnknownVersionError(EnvelopeError):
    """Another version or suite of the envelope than this code speaks."""


class EnvelopeTooLargeError(EnvelopeError):
    """More header, recipients or payload than an envelope may carry."""


class Mode(IntEnum):
    """What protects the payload: a seal with recipients, or the signature alone."""

    SEALED = 1
    SIGNED = 2


class Suite(StrEnum):
    """The algorithms of an envelope, under our own names (pyca's enum integers are not RFC 9180 identifiers)."""

    SEALED = "MLKEM768-X25519.HKDF-SHA256.AES-256-GCM+AES-256-GCM+Ed25519"
    SIGNED = "Ed25519"


def _whole_hour(instant: datetime) -> datetime:
    if instant.utcoffset() != timedelta(0) or instant.minute or instant.second or instant.microsecond:
        raise ValueError("must be a whole hour in UTC")
    return instant.astimezone(UTC)


def coarse(instant: datetime) -> datetime:
    """Return the beginning of the UTC hour that holds `instant`, the only time an envelope shows."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


Text = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]
EventType = Annotated[str, StringConstraints(max_length=80, pattern=r"^[a-z][a-z_]*(\.[a-z][a-z_]*)+\.v[1-9][0-9]*$")]
ServiceName = Annotated[str, StringConstraints(max_length=32, pattern=r"^[a-z][a-z0-9-]*$")]
KeyId = Annotated[str, StringConstraints(max_length=MAX_KEY_ID_BYTES, pattern=r"^[a-z][a-z0-9-]*/[^/\x00-\x1f\x7f]+/[0-9a-f]{8}$")]
CoarseTime = Annotated[datetime, AfterValidator(_whole_hour)]


class HeaderKeys(BaseModel):
    """The ids of the keys that signed an envelope and that open it, in the order of its wraps."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    signing: KeyId
    recipients: Annotated[tuple[KeyId, ...], Field(max_length=MAX_RECIPIENTS)]


class Header(BaseModel):
    """Everything an envelope shows in clear: a closed list, for whoever runs the broker sees it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    v: Literal[1]
    type: EventType
    situation: Text
    subject: Text
    event: UUID
    sequence: Annotated[int, Field(ge=0, le=2**53 - 1)]
    writer: ServiceName
    at: CoarseTime
    keys: HeaderKeys
    suite: Suite

    @model_validator(mode="after")
    def _suite_fits_recipients(self) -> Self:
        recipients = self.keys.recipients
        if len(set(recipients)) != len(recipients):
            raise ValueError("a recipient is named twice")
        if (self.suite is Suite.SEALED) != bool(recipients):
            raise ValueError("a sealed envelope has recipients and a signed one has none")
        return self

    @classmethod
    def of(
        cls,
        *,
        event_type: str,
        situation: str,
        subject: str,
        event: UUID,
        sequence: int,
        writer: str,
        at: datetime,
        signing: str,
        recipients: Iterable[str] = (),
    ) -> Header:
        """Make the header of a sealed envelope, or without recipients of a signed one; `at` becomes its hour."""
        recipients = tuple(recipients)
        return cls(
            v=VERSION,
            type=event_type,
            situation=situation,
            subject=subject,
            event=event,
            sequence=sequence,
            writer=writer,
            at=coarse(at),
            keys=HeaderKeys(signing=signing, recipients=recipients),
            suite=Suite.SEALED if recipients else Suite.SIGNED,
        )

    @property
    def mode(self) -> Mode:
        """The mode that goes with the suite."""
        return Mode.SEALED if self.suite is Suite.SEALED else Mode.SIGNED

    def canonical(self) -> bytes:
        """Encode as the one JSON text this header may have: sorted keys, no spaces, UTF-8."""
        document = {
            "v": self.v,
            "type": self.type,
            "situation": self.situation,
            "subject": self.subject,
            "event": str(self.event),
            "sequence": self.sequence,
            "writer": self.writer,
            "at": f"{self.at.replace(tzinfo=None).isoformat()}Z",
            "keys": {"signing": self.keys.signing, "recipients": self.keys.recipients},
            "suite": self.suite.value,
        }
        return canonical_json(document)


_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(document: object) -> bytes:
    """Encode as JSON with sorted keys, no spaces, UTF-8 and nothing escaped that need not be."""
    return _ENCODER.encode(document).encode()


def parse_header(raw: bytes) -> Header:
    """Read a header and refuse every text but its canonical one."""
    try:
        header = Header.model_validate_json(raw)
    except ValidationError:
        raise MalformedEnvelopeError("the header is not one of this version") from None
    if header.canonical() != raw:
        raise MalformedEnvelopeError("the header is not in canonical form")
    return header


def peek_signing_key(raw: bytes) -> str:
    """Return the signing key id that a header not yet authenticated claims, and believe nothing else of it.

    Raises UnknownVersionError when version or suite are not ours, for then the signature could not be checked either.
    """
    try:
        document = json.loads(raw)
        version, suite, signing = document["v"], document["suite"], document["keys"]["signing"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise MalformedEnvelopeError("the header is not one of this version") from None
    if not isinstance(version, int) or not isinstance(suite, str) or not isinstance(signing, str):
        raise MalformedEnvelopeError("the header is not one of this version")
    if version != VERSION or suite not in (Suite.SEALED.value, Suite.SIGNED.value):
        raise UnknownVersionError("the header is of another version or suite")
    return signing


class Wrap(NamedTuple):
    """The data key, wrapped for the holder of one opening key."""

    key_id: str
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An envelope taken apart; nothing of it has been authenticated."""

    mode: Mode
    opening: bytes
    """All bytes up to and including the header: bound by every wrap and by the body."""
    header: bytes
    wraps: tuple[Wrap, ...]
    body: bytes
    signed: bytes
    """All bytes before the signature."""
    signature: bytes


def frame_header(header: Header) -> bytes:
    """Lay out the bytes up to and including the header."""
    raw = header.canonical()
    if len(raw) > MAX_HEADER_BYTES:
        raise EnvelopeTooLargeError("the header is longer than an envelope may carry")
    return b"".join((MAGIC, bytes((header.mode,)), _U32.pack(len(raw)), raw))


def frame_content(opening: bytes, *, wraps: Iterable[Wrap], body: bytes) -> bytes:
    """Lay out everything before the signature, after an `opening` made by `frame_header`."""
    wraps = tuple(wraps)
    if len(wraps) > MAX_RECIPIENTS:
        raise EnvelopeTooLargeError("more recipients than an envelope may carry")
    parts = [opening, bytes((len(wraps),))]
    for wrap in wraps:
        key_id = wrap.key_id.encode()
        if len(key_id) > MAX_KEY_ID_BYTES:
            raise EnvelopeTooLargeError("a key id is longer than an envelope may carry")
        parts += (_U16.pack(len(key_id)), key_id, _U16.pack(len(wrap.wrapped)), wrap.wrapped)
    parts += (_U32.pack(len(body)), body)
    return b"".join(parts)


def unpack(raw: bytes) -> Envelope:
    """Take an envelope apart, strictly: every length is checked and no byte may be left over."""
    if len(raw) > MAX_ENVELOPE_BYTES:
        raise MalformedEnvelopeError("the envelope is longer than any can be")
    reader = _Reader(raw)
    magic = reader.take(len(MAGIC))
    if magic != MAGIC:
        if magic[:3] == MAGIC[:3] and magic[3:].isdigit():
            raise UnknownVersionError("the envelope is of another version")
        raise MalformedEnvelopeError("these bytes are not an envelope")
    try:
        mode = Mode(reader.take(1)[0])
    except ValueError:
        raise MalformedEnvelopeError("the mode is not one of this version") from None
    header = reader.take(reader.u32(at_most=MAX_HEADER_BYTES))
    opening = raw[: reader.position]
    wraps = tuple(reader.wrap() for _ in range(reader.take(1)[0]))
    if len(wraps) > MAX_RECIPIENTS or (mode is Mode.SEALED) != bool(wraps):
        raise MalformedEnvelopeError("the number of wraps does not fit the mode")
    body = reader.take(reader.u32(at_most=NONCE_BYTES + LARGEST_BUCKET + TAG_BYTES))
    _check_body_length(mode, len(body))
    signed = raw[: reader.position]
    signature = reader.take(SIGNATURE_BYTES)
    if reader.position != len(raw):
        raise MalformedEnvelopeError("bytes are left over behind the signature")
    return Envelope(mode=mode, opening=opening, header=header, wraps=wraps, body=body, signed=signed, signature=signature)


def _check_body_length(mode: Mode, length: int) -> None:
    if mode is Mode.SEALED:
        if not _is_bucket(length - NONCE_BYTES - TAG_BYTES):
            raise MalformedEnvelopeError("the body does not fill a bucket")
    elif length > MAX_PAYLOAD_BYTES:
        raise MalformedEnvelopeError("the body is longer than any can be")


class _Reader:
    """A cursor over bytes that refuses to read past their end."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._raw):
            raise MalformedEnvelopeError("the envelope is cut short")
        piece = self._raw[self.position : end]
        self.position = end
        return piece

    def u16(self, *, at_most: int) -> int:
        return self._bounded(_U16.unpack(self.take(2))[0], at_most)

    def u32(self, *, at_most: int) -> int:
        return self._bounded(_U32.unpack(self.take(4))[0], at_most)

    def wrap(self) -> Wrap:
        try:
            key_id = self.take(self.u16(at_most=MAX_KEY_ID_BYTES)).decode()
        except UnicodeDecodeError:
            raise MalformedEnvelopeError("a key id is not UTF-8") from None
        if self.u16(at_most=WRAP_BYTES) != WRAP_BYTES:
            raise MalformedEnvelopeError("a wrap is cut short")
        return Wrap(key_id, self.take(WRAP_BYTES))

    @staticmethod
    def _bounded(value: int, at_most: int) -> int:
        if value > at_most:
            raise MalformedEnvelopeError("a length is larger than it may be")
        return value


def bucket_for(length: int) -> int:
    """Return the size to which a payload of `length` bytes is padded: the least 512 x 2^k >= 1,024 that exceeds it."""
    if length > MAX_PAYLOAD_BYTES:
        raise EnvelopeTooLargeError("the payload is longer than an envelope may carry")
    return max(SMALLEST_BUCKET, 1 << length.bit_length())


def pad(payload: bytes) -> bytes:
    """Pad to the bucket as ISO/IEC 7816-4 does: one byte 0x80, then zeros."""
    return (payload + _PAD_MARK).ljust(bucket_for(len(payload)), b"\0")


def unpad(padded: bytes) -> bytes:
    """Undo `pad`, and refuse whatever `pad` would not have made."""
    end = padded.rfind(_PAD_MARK)
    payload = padded[:end] if end >= 0 else padded
    if end < 0 or len(payload) > MAX_PAYLOAD_BYTES or pad(payload) != padded:
        raise MalformedEnvelopeError("the padding is not as written down")
    return payload


def _is_bucket(length: int) -> bool:
    return SMALLEST_BUCKET <= length <= LARGEST_BUCKET and length & (length - 1) == 0
