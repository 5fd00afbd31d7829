"""A public opening key counts only with a voucher by a pinned signing key of the service that holds it."""

import base64
from typing import Final

import pytest

from chassis.recipients import UnvouchedKey, is_vouched, keys_of
from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.keys import generate_signing_key
from chassis.sealing.opening_keys import generate_opening_key
from chassis.sealing.trust import Trust
from chassis.sealing.vouchers import VOUCHING, find_vouched, vouch, voucher_input
from contracts.situation import RecipientKey, Situation
from contracts.topics import SERVICES

SITUATION: Final = "AFG-2024"
SIGNING: Final = {service: generate_signing_key(service) for service in SERVICES}
TRUST: Final = Trust().with_signing(*(key.public for key in SIGNING.values()))
KEYS: Final = {holder: generate_opening_key(holder, SITUATION) for holder in VOUCHING}
OTHER: Final = generate_opening_key("verification", SITUATION)
ELSEWHERE: Final = generate_opening_key("verification", "SDN-2024")
ENTRIES: Final = {holder: vouch(key.public, SIGNING[VOUCHING[holder]]) for holder, key in KEYS.items()}
GOOD: Final = ENTRIES["verification"]


def document(**recipients: list[RecipientKey]) -> Situation:
    return Situation(code=SITUATION, name="x", time_zone="UTC", recipients=recipients, version=1)


def by(service: str, **changes: str) -> RecipientKey:
    """Verification's entry as a signing key of another service would vouch for it, were it asked."""
    raw = SIGNING[service].sign(voucher_input(GOOD.id, KEYS["verification"].public.raw))
    return GOOD.model_copy(update={"vouched_by": SIGNING[service].id, "voucher": base64.b64encode(raw).decode(), **changes})


@pytest.mark.parametrize("holder", VOUCHING)
def test_each_holders_key_counts_with_the_voucher_of_its_service(holder: str) -> None:
    assert find_vouched(ENTRIES[holder], TRUST) == KEYS[holder].public
    assert keys_of(document(**{holder: [ENTRIES[holder]]}), (holder,), TRUST) == [KEYS[holder].public]


@pytest.mark.parametrize("holder", VOUCHING)
@pytest.mark.parametrize("service", SERVICES)
def test_no_other_service_vouches(holder: str, service: str) -> None:
    if service == VOUCHING[holder]:
        return
    with pytest.raises(UnusableKeyError):
        vouch(KEYS[holder].public, SIGNING[service])
    raw = SIGNING[service].sign(voucher_input(ENTRIES[holder].id, KEYS[holder].public.raw))
    lie = ENTRIES[holder].model_copy(update={"vouched_by": SIGNING[service].id, "voucher": base64.b64encode(raw).decode()})
    assert find_vouched(lie, TRUST) is None


@pytest.mark.parametrize(
    "entry",
    [
        GOOD.model_copy(update={"id": OTHER.id, "public": OTHER.public.base64}),
        GOOD.model_copy(update={"id": ELSEWHERE.id, "public": ELSEWHERE.public.base64}),
        GOOD.model_copy(update={"public": OTHER.public.base64}),
        GOOD.model_copy(update={"id": OTHER.id}),
        GOOD.model_copy(update={"id": "verification"}),
        GOOD.model_copy(update={"public": "é"}),
        GOOD.model_copy(update={"voucher": "A" * 86 + "=="}),
        GOOD.model_copy(update={"voucher": "*" * 88}),
        GOOD.model_copy(update={"voucher": ENTRIES["aggregation"].voucher}),
        GOOD.model_copy(update={"vouched_by": "verification/signing/00000000"}),
        GOOD.model_copy(update={"vouched_by": SIGNING["export"].id}),
        by("export"),
        by("export", vouched_by=SIGNING["verification"].id),
        vouch(KEYS["verification"].public, generate_signing_key("verification")),
    ],
    ids=[
        "of another key", "of another situation", "of another public part", "of another id", "no id", "no public part", "no signature",
        "no base64", "of another holder", "by an unknown key", "named after another", "by another service", "by another in its name",
        "by a key that is not pinned",
    ],
)  # fmt: skip
def test_any_other_voucher_counts_for_nothing_and_nothing_is_sealed(entry: RecipientKey) -> None:
    assert find_vouched(entry, TRUST) is None
    tampered = document(verification=[GOOD, entry])
    assert not is_vouched(tampered, TRUST)
    with pytest.raises(UnvouchedKey) as refusal:
        keys_of(tampered, ("verification",), TRUST)
    assert (refusal.value.status, refusal.value.code) == (503, "situation.unvouched_key")


def test_a_sound_key_in_the_wrong_place_is_refused_as_well() -> None:
    for tampered in (
        document(verification=[GOOD, ENTRIES["aggregation"]]),
        document(verification=[vouch(ELSEWHERE.public, SIGNING["verification"])]),
    ):
        assert not is_vouched(tampered, TRUST)
        with pytest.raises(UnvouchedKey):
            keys_of(tampered, ("verification",), TRUST)


def test_what_was_checked_once_is_forgotten_with_the_signing_key() -> None:
    assert find_vouched(GOOD, TRUST) is not None
    others = Trust().with_signing(*(key.public for service, key in SIGNING.items() if service != "verification"))
    assert find_vouched(GOOD, others) is None
    renewed = generate_signing_key("verification")
    assert find_vouched(vouch(KEYS["verification"].public, renewed), others.with_signing(renewed.public)) is not None


def test_several_keys_of_a_holder_count_and_a_holder_without_any_means_nobody() -> None:
    second = vouch(OTHER.public, SIGNING["verification"])
    both = document(verification=[GOOD, second], aggregation=[])
    assert is_vouched(both, TRUST)
    assert [key.id for key in keys_of(both, ("verification",), TRUST)] == [GOOD.id, OTHER.id]
    assert keys_of(both, ("verification", "aggregation"), TRUST) == ()
    assert keys_of(both, ("export",), TRUST) == ()
