"""The envelope of a bundle's two signatures (DSSE 1.0): layout only, no cryptography."""

import base64
import binascii
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from contracts.bundle.manifest import PAYLOAD_TYPE, BundleError
from contracts.envelope import canonical_json
from contracts.model import Wire

ALGORITHMS: Final = ("Ed25519", "ML-DSA-65")
"""One signature of each, in this order; one alone is none."""

_Base64 = Annotated[str, StringConstraints(min_length=4, max_length=400_000, pattern=r"^[A-Za-z0-9+/]+={0,2}$")]


class Signature(Wire):
    """One signature over the pre-authentication encoding, by the key with this id."""

    keyid: Annotated[str, StringConstraints(min_length=1, max_length=320)]
    sig: _Base64


class SignedManifest(Wire):
    """`signature.dsse.json`: the manifest's bytes and the signatures over them."""

    payloadType: Literal["application/vnd.mrm.manifest+json"]  # noqa: N815 - DSSE names it so
    payload: _Base64
    signatures: Annotated[list[Signature], Field(max_length=8)]

    @classmethod
    def of(cls, manifest: bytes, signatures: list[tuple[str, bytes]]) -> "SignedManifest":
        """Put signatures, as pairs of key id and raw bytes, beside the manifest they are over."""
        return cls(
            payloadType=PAYLOAD_TYPE,
            payload=_encode(manifest),
            signatures=[Signature(keyid=keyid, sig=_encode(raw)) for keyid, raw in signatures],
        )

    def encode(self) -> bytes:
        """Return the one canonical form."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def manifest(self) -> bytes:
        """The bytes that are signed."""
        return decode(self.payload)


def signing_input(manifest: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: the bytes that both keys sign."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(manifest), manifest)


def read_signatures(raw: bytes) -> SignedManifest:
    """Read the signature file and refuse every text but its canonical one; raises BundleError."""
    try:
        signed = SignedManifest.model_validate_json(raw)
        canonical = signed.encode() == raw
    except (ValidationError, ValueError):
        raise BundleError("It does not have the fields of a signature file.") from None
    for text in (signed.payload, *(signature.sig for signature in signed.signatures)):
        decode(text)
    if not canonical:
        raise BundleError("It is not in canonical form.")
    return signed


def decode(text: str) -> bytes:
    """Decode base64 and refuse every text but the canonical one for its bytes; raises BundleError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise BundleError("It holds base64 that is none.") from None
    if _encode(raw) != text:
        raise BundleError("It holds base64 that is not in canonical form.")
    return raw


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
