"""The leaf of an entry: it binds everything and tells nothing."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.audit.leaf import Entry, is_signed, new_salt, sign_leaf
from chassis.sealing.keys import generate_signing_key
from chassis.sealing.trust import Trust

ENTRY = Entry(
    service="verification",
    id=UUID(int=1),
    at=datetime(2024, 5, 1, 12, 30, 15, 123456, UTC),
    actor="4f0c-subject",
    action="case.open",
    situation="AFG-2024",
    subject_ref="7d1e/v1",
    detail={"reason": "vetting", "count": 2, "parts": [True, None, "é"]},
    cause=UUID(int=2),
    salt=bytes(range(32)),
)
KNOWN_LEAF = "6d726d2d61756469742f31206c656166008fa0ab361161910df703082063ffa96f802b984e9da994461cdb3ea174a93c7e"
KNOWN_HASH = "afbaaf9a0942f6ede5fc9c132a2fbb076aa72d785ef70201ed08c022d9ce2bc8"
OTHERS: dict[str, Any] = {
    "service": "intake",
    "id": UUID(int=3),
    "at": ENTRY.at + timedelta(microseconds=1),
    "actor": "4f0c-subjecu",
    "action": "case.closed",
    "situation": None,
    "subject_ref": None,
    "detail": {"reason": "vetting", "count": 2, "parts": [True, None, "e"]},
    "cause": UUID(int=4),
    "salt": bytes(32),
}


def test_a_leaf_has_its_known_form() -> None:
    assert (
        ENTRY.canonical()
        == (
            '{"action":"case.open","actor":"4f0c-subject","at":"2024-05-01T12:30:15.123456Z","cause":"00000000-0000-0000-0000-000000000002",'
            '"detail":{"count":2,"parts":[true,null,"é"],"reason":"vetting"},"entry":"00000000-0000-0000-0000-000000000001",'
            '"service":"verification","situation":"AFG-2024","subject":"7d1e/v1","v":1}'
        ).encode()
    )
    assert ENTRY.leaf().hex() == KNOWN_LEAF
    assert ENTRY.leaf_hash().hex() == KNOWN_HASH


@pytest.mark.parametrize("name", [field.name for field in fields(Entry)])
def test_every_part_of_an_entry_is_bound(name: str) -> None:
    assert replace(ENTRY, **{name: OTHERS[name]}).leaf_hash() != ENTRY.leaf_hash()


def test_the_same_instant_in_another_zone_is_the_same_entry() -> None:
    elsewhere = ENTRY.at.astimezone(timezone(timedelta(hours=4, minutes=30)))
    assert replace(ENTRY, at=elsewhere).leaf_hash() == ENTRY.leaf_hash()


def test_a_leaf_tells_nothing_of_a_person_and_does_not_repeat_itself() -> None:
    again = [replace(ENTRY, salt=new_salt()).leaf() for _ in range(20)]
    assert len(set(again)) == 20
    assert not any(word in leaf for leaf in again for word in (b"4f0c", b"AFG", b"case", b"7d1e"))


@pytest.mark.parametrize(
    "detail", [{"x": 1.0}, {"x": {"y": [0.5]}}, {"x": b"raw"}, {"x": datetime.now(UTC)}, {1: "x"}, {"x": {2: 3}}, {"x": "\ud800"}]
)
def test_a_detail_that_the_database_would_change_is_refused(detail: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        replace(ENTRY, detail=detail).leaf_hash()


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
stable = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(one=st.dictionaries(texts, stable, max_size=4), other=st.dictionaries(texts, stable, max_size=4))
def test_different_details_have_different_leaves(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = replace(ENTRY, detail=one).leaf_hash() == replace(ENTRY, detail=other).leaf_hash()
    assert same == (repr(sorted_names(one)) == repr(sorted_names(other)))


def sorted_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: sorted_names(value[name]) for name in sorted(value)}
    return [sorted_names(member) for member in value] if isinstance(value, list) else value


def test_only_the_service_signs_its_entries() -> None:
    key, other = generate_signing_key("verification"), generate_signing_key("intake")
    trust, hashed = Trust().with_signing(key.public, other.public), ENTRY.leaf_hash()
    signature = sign_leaf(hashed, key)
    assert is_signed(hashed, service="verification", signed_by=key.id, signature=signature, trust=trust)
    assert not is_signed(hashed, service="verification", signed_by=other.id, signature=sign_leaf(hashed, other), trust=trust)
    assert not is_signed(hashed, service="verification", signed_by=key.id, signature=signature[:-1], trust=trust)
    assert not is_signed(hashed, service="verification", signed_by="nobody", signature=signature, trust=trust)
    assert not is_signed(bytes(32), service="verification", signed_by=key.id, signature=signature, trust=trust)
