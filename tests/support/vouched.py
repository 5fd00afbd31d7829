"""Opening keys as register entries list them in tests: vouched for by signing keys that the fixtures' trust files pin."""

from typing import Any, Final

from chassis.sealing.keys import SigningKey, generate_signing_key
from chassis.sealing.opening_keys import OpeningKey
from chassis.sealing.vouchers import VOUCHING, vouch
from contracts.situation import RecipientKey
from contracts.topics import SERVICES

VOUCHERS: Final[dict[str, SigningKey]] = {service: generate_signing_key(service) for service in SERVICES}
"""One signing key per service, only for vouching; what a service under test signs with is its own."""
PINNED: Final = tuple(key.public for key in VOUCHERS.values())
"""Belongs into the trust file of every service that seals in tests."""


def vouched(key: OpeningKey) -> RecipientKey:
    """Return a key's entry with the voucher of the service that must give it."""
    return vouch(key.public, VOUCHERS[VOUCHING[key.public.holder]])


def entry(key: OpeningKey) -> dict[str, Any]:
    """The same as JSON."""
    return vouched(key).model_dump()
