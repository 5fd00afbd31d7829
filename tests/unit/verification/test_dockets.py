"""Four eyes: two offices, two people, each their own approval."""

from itertools import product

import pytest

from verification.domain.dockets import CO_CHAIRS, Approval, DocketState, is_complete, next_approval

UN, UNICEF = CO_CHAIRS


def approval(role: str, person: str) -> Approval:
    return Approval(role=role, subject=person, mark=person.encode())


def acting(person: str, *roles: str, given: list[Approval], docket: DocketState = DocketState.OPEN) -> Approval | str:
    one, refusal = next_approval(docket=docket, given=given, roles=frozenset(roles), subject=person, mark=person.encode())
    assert (one is None) != (refusal is None)
    if one is not None:
        return one
    assert refusal is not None
    return refusal.error.code


def test_each_co_chair_gives_their_own() -> None:
    first = acting("ursula", UN, given=[])
    assert first == approval(UN, "ursula")
    second = acting("imani", UNICEF, given=[approval(UN, "ursula")])
    assert second == approval(UNICEF, "imani")


def test_nobody_approves_twice_not_even_in_both_roles() -> None:
    assert acting("ursula", UN, UNICEF, given=[approval(UN, "ursula")]) == "already_approved"


def test_an_office_approves_once() -> None:
    assert acting("deputy", UN, given=[approval(UN, "ursula")]) == "role_has_approved"


def test_who_holds_both_roles_gives_the_missing_one() -> None:
    assert acting("ursula", UN, UNICEF, given=[approval(UN, "deputy")]) == approval(UNICEF, "ursula")


@pytest.mark.parametrize("state", [DocketState.DECIDED, DocketState.WITHDRAWN])
def test_only_an_open_docket_is_approved(state: DocketState) -> None:
    assert acting("imani", UNICEF, given=[], docket=state) == "docket_not_open"


def test_complete_is_two_roles_of_two_people() -> None:
    people = ("ursula", "imani")
    for first, second in product(product(CO_CHAIRS, people), repeat=2):
        given = [approval(*first), approval(*second)]
        assert is_complete(given) == (first[0] != second[0] and first[1] != second[1])
    assert not is_complete([])
    assert not is_complete([approval(UN, "ursula")])
