"""Vouchers: a public opening key counts only if the service that holds it has signed for it with a pinned key."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Final

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.key_files import decode_base64, encode_base64
from chassis.sealing.keys import PublicKey, Signer, SigningPublicKey
from chassis.sealing.trust import Trust
from contracts.situation import RecipientKey

VOUCHING: Final = MappingProxyType(
    {"verification": "verification", "aggregation": "aggregation", "export": "export", "recipient": "export"}
)
"""Holder of an opening key → the service that vouches for it; for the recipient outside, the service that sends to it."""
_VOUCHER_CONTEXT: Final = b"mrm-opening-key/1\0"


def voucher_input(key_id: str, public: bytes) -> bytes:
    """Return what is signed for a key: a context of its own, the id, which names holder and situation, and the raw public part."""
    return _VOUCHER_CONTEXT + key_id.encode() + b"\0" + public


def vouch(key: PublicKey, signer: Signer) -> RecipientKey:
    """Return the key as situation documents carry it, vouched for; raises UnusableKeyError if that is not this signer's to say."""
    vouching = VOUCHING.get(key.holder)
    if vouching is None or not signer.id.startswith(f"{vouching}/signing/"):
        raise UnusableKeyError(f"{signer.id} does not vouch for keys of {key.holder}")
    voucher = encode_base64(signer.sign(voucher_input(key.id, key.raw)))
    return RecipientKey(id=key.id, public=key.base64, vouched_by=signer.id, voucher=voucher)


def find_vouched(entry: RecipientKey, trust: Trust) -> PublicKey | None:
    """Return the key of an entry if a pinned signing key of its holder's service vouches for it, otherwise None.

    What was checked once is remembered, so that this costs nothing per event; a key that is pinned no longer vouches for nothing.
    """
    signing = trust.signing.get(entry.vouched_by)
    return None if signing is None else _checked(signing, entry.id, entry.public, entry.voucher)


@lru_cache(maxsize=4096)
def _checked(signing: SigningPublicKey, key_id: str, public: str, voucher: str) -> PublicKey | None:
    try:
        key, signature = PublicKey.parse(key_id, public), decode_base64(voucher)
    except UnusableKeyError:
        return None
    rightful = VOUCHING.get(key.holder) == signing.service
    return key if rightful and signing.verifies(signature, voucher_input(key.id, key.raw)) else None
