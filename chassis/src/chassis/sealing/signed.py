"""Check who wrote an envelope, and read those that are signed only. Nothing here can open a seal.

The order is that of the security design: signature, canonical header, agreement with topic, key and writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chassis.sealing.errors import SealCode, SealError
from chassis.sealing.suite import signature_input
from chassis.sealing.trust import Trust
from contracts.envelope import (
    Envelope,
    EnvelopeError,
    Header,
    MalformedEnvelopeError,
    Mode,
    UnknownVersionError,
    parse_header,
    peek_signing_key,
    unpack,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the place where an envelope was found says about it.

    `types` and `writer` follow from the topic, `subject` is the message key. `situation` is given where the reader
    asked for one; otherwise any is accepted and the caller uses the header's.
    """

    types: frozenset[str]
    writer: str
    subject: str
    situation: str | None = None


class Opener(Protocol):
    """Something that turns the bytes of a message into its header and payload, or raises SealError."""

    def __call__(self, raw: bytes, expect: Expectation) -> tuple[Header, bytes]:
        """Return header and payload; raises SealError, or UnusableKeyError if this service's own key is at fault."""


def verify_signature(raw: bytes, *, trust: Trust, expect: Expectation, mode: Mode) -> tuple[Header, Envelope]:
    """Check all that can be checked without opening; raises SealError."""
    try:
        envelope = unpack(raw)
        signing = trust.signing.get(peek_signing_key(envelope.header))
    except UnknownVersionError:
        raise SealError(SealCode.UNKNOWN_VERSION, authentic=False) from None
    except MalformedEnvelopeError:
        raise SealError(SealCode.MALFORMED, authentic=False) from None
    if signing is None:
        raise SealError(SealCode.UNKNOWN_KEY, authentic=False)
    if not signing.verifies(envelope.signature, signature_input(envelope.signed)):
        raise SealError(SealCode.FORGED, authentic=False)
    authentic = signing.service == expect.writer
    header = _checked_header(envelope, authentic=authentic)
    if not authentic or header.writer != expect.writer:
        raise SealError(SealCode.WRONG_WRITER, authentic=authentic)
    if not _agrees(header, expect) or envelope.mode is not mode:
        raise SealError(SealCode.WRONG_TOPIC, authentic=True)
    return header, envelope


def _checked_header(envelope: Envelope, *, authentic: bool) -> Header:
    try:
        header = parse_header(envelope.header)
    except EnvelopeError:
        raise SealError(SealCode.MALFORMED, authentic=authentic) from None
    # With this the suite fits the mode as well: layout and header each allow wraps and recipients to the sealed alone.
    if header.keys.recipients != tuple(wrap.key_id for wrap in envelope.wraps):
        raise SealError(SealCode.MALFORMED, authentic=authentic)
    return header


def _agrees(header: Header, expect: Expectation) -> bool:
    return header.type in expect.types and header.subject == expect.subject and expect.situation in (None, header.situation)


def open_signed(raw: bytes, *, trust: Trust, expect: Expectation) -> tuple[Header, bytes]:
    """Return header and payload of an envelope that is signed only; raises SealError."""
    header, envelope = verify_signature(raw, trust=trust, expect=expect, mode=Mode.SIGNED)
    return header, envelope.body


@dataclass(frozen=True, slots=True)
class SignedOpener:
    """An `Opener` for topics whose events are signed only."""

    trust: Trust

    def __call__(self, raw: bytes, expect: Expectation) -> tuple[Header, bytes]:
        """Read `raw`; see `open_signed`."""
        return open_signed(raw, trust=self.trust, expect=expect)
