"""Write envelopes: sealed to recipients, or signed only."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.sealing.key_files import key_id_parts
from chassis.sealing.keys import SIGNING_SCOPE, PublicKey, Signer
from chassis.sealing.suite import DATA_KEY_BYTES, HPKE, signature_input, wrap_info
from contracts.envelope import (
    MAX_PAYLOAD_BYTES,
    NONCE_BYTES,
    EnvelopeTooLargeError,
    Header,
    Mode,
    Wrap,
    frame_content,
    frame_header,
    pad,
)


def seal(*, header: Header, payload: bytes, recipients: Sequence[PublicKey], signer: Signer) -> bytes:
    """Seal `payload` so that exactly `recipients` can open it.

    Raises EnvelopeTooLargeError, and ValueError when the header does not name this signer and these recipients in this
    order or a recipient's key is of another situation.
    """
    if header.mode is not Mode.SEALED or header.keys.recipients != tuple(key.id for key in recipients):
        raise ValueError("the header does not name these recipients")
    if any(key.situation != header.situation for key in recipients):
        raise ValueError("a recipient's key is of another situation")
    opening = frame_header(header)
    data_key, nonce = os.urandom(DATA_KEY_BYTES), os.urandom(NONCE_BYTES)
    body = nonce + AESGCM(data_key).encrypt(nonce, pad(payload), opening)
    wraps = [Wrap(key.id, HPKE.encrypt(data_key, key.hpke(), wrap_info(key.id, opening))) for key in recipients]
    return _signed(header, frame_content(opening, wraps=wraps, body=body), signer)


def sign_only(*, header: Header, payload: bytes, signer: Signer) -> bytes:
    """Sign `payload` and leave it in clear: for what everyone who can read the topic may know.

    Raises EnvelopeTooLargeError, and ValueError when the header names recipients or another signer.
    """
    if header.mode is not Mode.SIGNED:
        raise ValueError("the header names recipients")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise EnvelopeTooLargeError("the payload is longer than an envelope may carry")
    return _signed(header, frame_content(frame_header(header), wraps=(), body=payload), signer)


def _signed(header: Header, content: bytes, signer: Signer) -> bytes:
    service, scope, _ = key_id_parts(signer.id)
    if header.keys.signing != signer.id or header.writer != service or scope != SIGNING_SCOPE:
        raise ValueError("the header names another signer")
    return content + signer.sign(signature_input(content))
