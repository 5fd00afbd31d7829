"""Canonical content, marks, revision numbers, receipts."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contracts.incident import IncidentReport
from intake.domain import Marks, Step, StoredRevision, canonical_content, decide_revision, receipt

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
BASE = {
    "situation": "XAA",
    "key": "0190a6f2-7c41-7d2e-9a54-0f6f3e1c2b77",
    "occurred_from": "2024-01-23",
    "violations": [{"key": "k1", "type": "killing", "boys": 1, "details": {"weapon_type": ["landmine"], "attack_type": ["arson"]}}],
}


def content(document: object) -> bytes:
    return canonical_content(IncidentReport.model_validate_json(json.dumps(document)))


def test_content_is_the_submitted_document_in_one_form() -> None:
    assert content(BASE) == json.dumps(BASE, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "spelled",
    [
        {**BASE, "revision": 1},
        {**BASE, "revision": 7},
        {**BASE, "narrative": None, "victims": [], "ongoing": None},
        {**BASE, "key": BASE["key"].upper()},
        dict(reversed(BASE.items())),
        {**BASE, "violations": [dict(reversed(BASE["violations"][0].items()))]},
        {
            **BASE,
            "violations": [{**BASE["violations"][0], "details": dict(reversed(BASE["violations"][0]["details"].items())), "girls": None}],
        },
    ],
)
def test_spelling_does_not_change_the_content(spelled: object) -> None:
    assert content(spelled) == content(BASE)


@pytest.mark.parametrize(
    "other",
    [
        {**BASE, "narrative": "x"},
        {**BASE, "situation": "XBB"},
        {**BASE, "occurred_to": "2024-01-23"},
        {**BASE, "violations": [{**BASE["violations"][0], "girls": 0}]},
        {**BASE, "violations": [{**BASE["violations"][0], "boys": 2}]},
        {**BASE, "victims": [{"key": "c", "sex": "male", "violations": []}]},
    ],
)
def test_what_counts_or_is_said_changes_the_content(other: object) -> None:
    assert content(other) != content(BASE)


def test_marks_depend_on_key_purpose_and_value() -> None:
    marks, others = Marks(b"k" * 32), Marks(b"o" * 32)
    made = {marks.of_monitor("a"), marks.of_monitor("b"), marks.of_content(b"a"), others.of_monitor("a"), others.of_content(b"a")}
    assert len(made) == 5
    assert all(len(mark) == 32 for mark in made)
    assert marks.of_monitor("a") == Marks(b"k" * 32).of_monitor("a")


def stored(*contents: bytes) -> dict[int, StoredRevision]:
    return {number: StoredRevision(number, mark, NOW) for number, mark in enumerate(contents, start=1)}


@pytest.mark.parametrize(
    ("given_number", "mark", "expected"),
    [
        (None, b"b", (Step.REPEAT, 2)),
        (None, b"a", (Step.NEXT, 3)),
        (None, b"c", (Step.NEXT, 3)),
        (3, b"c", (Step.NEXT, 3)),
        (3, b"b", (Step.NEXT, 3)),
        (2, b"b", (Step.REPEAT, 2)),
        (1, b"a", (Step.REPEAT, 1)),
        (2, b"c", (Step.CLASH, 2)),
        (1, b"b", (Step.CLASH, 1)),
        (4, b"c", (Step.CLASH, 4)),
    ],
)
def test_revision_numbers(given_number: int | None, mark: bytes, expected: tuple[Step, int]) -> None:
    assert decide_revision(latest=2, given=given_number, content=mark, stored=stored(b"a", b"b")) == expected


@given(st.lists(st.tuples(st.none() | st.integers(1, 6), st.sampled_from([b"a", b"b", b"c"])), max_size=30))
def test_accepted_revisions_are_numbered_without_gap_and_every_repeat_is_true(posts: list[tuple[int | None, bytes]]) -> None:
    kept = [b"first"]
    for number, mark in posts:
        step, about = decide_revision(latest=len(kept), given=number, content=mark, stored=stored(*kept))
        if step is Step.NEXT:
            assert about == len(kept) + 1
            kept.append(mark)
        elif step is Step.REPEAT:
            assert kept[about - 1] == mark
        else:
            assert number is not None


def test_the_same_receipt_every_time() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)

    def make() -> str:
        return receipt(
            situation="XAA",
            incident=UUID(BASE["key"]),
            revision=1,
            received_at=NOW,
            content=b"content",
            key_id="intake/signing/00000000",
            sign=key.sign,
        )

    assert make() == make()
    signed, _, signature = make().rpartition(".")
    key.public_key().verify(base64.urlsafe_b64decode(signature + "=="), signed.encode())
