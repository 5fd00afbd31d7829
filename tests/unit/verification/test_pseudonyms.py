"""Pseudonyms: stable, keyed, told apart by every part of what they name."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verification.domain.pseudonyms import Pseudonyms

ONE = Pseudonyms(b"1" * 32)
INCIDENT = UUID(int=7)


def test_the_same_child_has_the_same_pseudonym_for_ever() -> None:
    assert ONE.child(situation="XAA", incident=INCIDENT, key="c1") == "76a6c22b6276cc9d9325f53c67938b53"
    assert len(ONE.child(situation="XAA", incident=INCIDENT, key="c1")) == 32


def test_another_secret_gives_other_pseudonyms() -> None:
    other = Pseudonyms(b"2" * 32)
    assert ONE.child(situation="XAA", incident=INCIDENT, key="c1") != other.child(situation="XAA", incident=INCIDENT, key="c1")
    assert ONE.person(situation="XAA", subject="amina") != other.person(situation="XAA", subject="amina")
    assert ONE.fingerprint() != other.fingerprint()


def test_a_child_is_no_group_and_a_person_is_unlinkable_across_situations() -> None:
    assert ONE.child(situation="XAA", incident=INCIDENT, key="c1") != ONE.group(situation="XAA", incident=INCIDENT, key="c1")
    assert ONE.person(situation="XAA", subject="amina") != ONE.person(situation="XBB", subject="amina")


@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), min_size=2, max_size=2, unique=True))
def test_no_two_names_run_together(names: list[tuple[str, str]]) -> None:
    first, second = (ONE.child(situation=situation, incident=INCIDENT, key=key) for situation, key in names)
    assert first != second


def test_a_short_secret_is_refused_and_never_shown() -> None:
    with pytest.raises(ValueError, match="too short"):
        Pseudonyms(b"short")
    assert "1111" not in repr(ONE)
