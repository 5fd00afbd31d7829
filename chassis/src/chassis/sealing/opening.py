"""Open sealed envelopes. A service that only writes must not import this."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.sealing.errors import SealCode, SealError, UnusableKeyError
from chassis.sealing.key_files import key_id_parts
from chassis.sealing.opening_keys import KeyProvider, WrapRefusedError
from chassis.sealing.signed import Expectation, verify_signature
from chassis.sealing.suite import DATA_KEY_BYTES, wrap_info
from chassis.sealing.trust import Trust
from contracts.envelope import NONCE_BYTES, Envelope, Header, MalformedEnvelopeError, Mode, Wrap, unpad


def open_sealed(raw: bytes, *, keys: KeyProvider, trust: Trust, expect: Expectation) -> tuple[Header, bytes]:
    """Return header and payload of a sealed envelope.

    Raises SealError when it is refused, and UnusableKeyError when this service's own key file is at fault.
    """
    header, envelope = verify_signature(raw, trust=trust, expect=expect, mode=Mode.SEALED)
    wrap = _own_wrap(header, envelope, keys)
    try:
        data_key = keys.open(wrap.key_id, wrap.wrapped, info=wrap_info(wrap.key_id, envelope.opening))
        return header, _decrypt(envelope, data_key)
    except (WrapRefusedError, InvalidTag, MalformedEnvelopeError):
        raise SealError(SealCode.CANNOT_OPEN, authentic=True) from None


def _own_wrap(header: Header, envelope: Envelope, keys: KeyProvider) -> Wrap:
    try:
        situations = {key_id_parts(wrap.key_id).scope for wrap in envelope.wraps}
    except UnusableKeyError:
        raise SealError(SealCode.MALFORMED, authentic=True) from None
    if situations != {header.situation}:
        raise SealError(SealCode.WRONG_RECIPIENT, authentic=True)
    for wrap in envelope.wraps:
        if keys.holds(wrap.key_id):
            return wrap
    raise SealError(SealCode.WRONG_RECIPIENT, authentic=True)


def _decrypt(envelope: Envelope, data_key: bytes) -> bytes:
    if len(data_key) != DATA_KEY_BYTES:
        raise WrapRefusedError
    nonce, ciphertext = envelope.body[:NONCE_BYTES], envelope.body[NONCE_BYTES:]
    return unpad(AESGCM(data_key).decrypt(nonce, ciphertext, envelope.opening))


@dataclass(frozen=True, slots=True)
class SealedOpener:
    """An `Opener` for topics whose events are sealed."""

    keys: KeyProvider
    trust: Trust

    def __call__(self, raw: bytes, expect: Expectation) -> tuple[Header, bytes]:
        """Open `raw` with the keys of this service; see `open_sealed`."""
        return open_sealed(raw, keys=self.keys, trust=self.trust, expect=expect)
