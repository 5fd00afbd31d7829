"""Builders for sealed events: a small installation with keys in memory, and envelopes that differ in one thing."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.key_files import StoredKey
from chassis.sealing.keys import PublicKey, SigningKey, generate_signing_key
from chassis.sealing.opening_keys import OpeningKey, generate_opening_key
from chassis.sealing.seal import seal
from chassis.sealing.signed import Expectation
from chassis.sealing.suite import DATA_KEY_BYTES, HPKE, signature_input, wrap_info
from chassis.sealing.trust import Trust
from contracts.envelope import NONCE_BYTES, SIGNATURE_BYTES, Header

SITUATION = "AFG-2024"
INCIDENT = "0190a6f2-7c41-7d2e-9a54-0f6f3e1c2b77"
EVENT = UUID("5a0f1f62-2f5f-5d0e-8b0e-0b8b6a9f5a11")
AT = datetime(2024, 5, 3, 14, 37, 12, tzinfo=UTC)
REPORTED = Expectation(types=frozenset({"incident.reported.v1", "incident.revised.v1"}), writer="intake", subject=INCIDENT)


class KeysInMemory:
    """A key provider over keys that a test made."""

    def __init__(self, *keys: OpeningKey) -> None:
        self._keys = {key.id: key for key in keys}

    def holds(self, key_id: str) -> bool:
        return key_id in self._keys

    def public(self, key_id: str) -> bytes:
        return self._keys[key_id].stored.public

    def open(self, key_id: str, wrapped: bytes, *, info: bytes) -> bytes:
        return self._keys[key_id].open(wrapped, info=info)

    def sign(self, key_id: str, message: bytes) -> bytes:  # noqa: ARG002 - the shape of a provider
        raise UnusableKeyError(f"{key_id} cannot sign")

    def destroy(self, key_id: str) -> None:
        del self._keys[key_id]


@dataclass(frozen=True)
class House:
    """Intake writes, verification opens, aggregation is there to be the wrong one."""

    intake: SigningKey = field(default_factory=lambda: generate_signing_key("intake"))
    other: SigningKey = field(default_factory=lambda: generate_signing_key("aggregation"))
    verification: OpeningKey = field(default_factory=lambda: generate_opening_key("verification", SITUATION))
    aggregation: OpeningKey = field(default_factory=lambda: generate_opening_key("aggregation", SITUATION))
    elsewhere: OpeningKey = field(default_factory=lambda: generate_opening_key("verification", "SDN-2024"))

    @property
    def trust(self) -> Trust:
        return Trust().with_signing(self.intake.public, self.other.public)

    def header(self, *, recipients: Iterable[StoredKey | PublicKey] = (), **changes: object) -> Header:
        fields: dict[str, object] = {
            "event_type": "incident.reported.v1",
            "situation": SITUATION,
            "subject": INCIDENT,
            "event": EVENT,
            "sequence": 1,
            "writer": "intake",
            "at": AT,
            "signing": self.intake.id,
            "recipients": [key.id for key in recipients],
        }
        return Header.of(**{**fields, **changes})  # type: ignore[arg-type]

    def seal(
        self, payload: bytes = b"{}", *, recipients: Sequence[PublicKey] | None = None, signer: SigningKey | None = None, **changes: object
    ) -> bytes:
        recipients = [self.verification.public] if recipients is None else recipients
        header = self.header(recipients=recipients, **changes)
        return seal(header=header, payload=payload, recipients=recipients, signer=signer or self.intake)


def craft(*, raw_header: bytes, mode: int, wraps: Iterable[tuple[bytes, bytes]], body: bytes, signer: SigningKey) -> bytes:
    """Lay out and sign any bytes whatever, as a writer could who does not keep to the rules."""
    content = opening_bytes(raw_header, mode=mode)
    wraps = tuple(wraps)
    content += bytes((len(wraps),))
    for key_id, wrap in wraps:
        content += len(key_id).to_bytes(2, "big") + key_id + len(wrap).to_bytes(2, "big") + wrap
    content += len(body).to_bytes(4, "big") + body
    return content + signer.sign(signature_input(content))


def opening_bytes(raw_header: bytes, *, mode: int = 1) -> bytes:
    """Lay out the bytes up to the end of a header."""
    return b"MRM1" + bytes((mode,)) + len(raw_header).to_bytes(4, "big") + raw_header


def craft_sealed(
    house: House,
    *,
    raw_header: bytes,
    padded: bytes,
    recipients: Sequence[PublicKey] | None = None,
    mode: int = 1,
    bound_to: bytes | None = None,
    signer: SigningKey | None = None,
) -> bytes:
    """Seal `padded` soundly under a header that may be anything, or bind it to another opening than its own."""
    recipients = [house.verification.public] if recipients is None else recipients
    opening = opening_bytes(raw_header, mode=mode) if bound_to is None else bound_to
    data_key, nonce = os.urandom(DATA_KEY_BYTES), os.urandom(NONCE_BYTES)
    wraps = [(key.id.encode(), HPKE.encrypt(data_key, key.hpke(), wrap_info(key.id, opening))) for key in recipients]
    body = nonce + AESGCM(data_key).encrypt(nonce, padded, opening)
    return craft(raw_header=raw_header, mode=mode, wraps=wraps, body=body, signer=signer or house.intake)


def resign(raw: bytes, signer: SigningKey) -> bytes:
    """Sign again what someone changed."""
    return raw[:-SIGNATURE_BYTES] + signer.sign(signature_input(raw[:-SIGNATURE_BYTES]))
