"""Cursors: what was given out is read back; anything else is refused."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Invalid
from chassis.http.paging import Page, next_cursor

KINDS = (datetime, str, UUID, int)


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    st.uuids(),
    st.integers(0, 2**63 - 1),
)
def test_a_cursor_names_the_last_item(at: datetime, text: str, key: UUID, number: int) -> None:
    cursor = next_cursor(Page(10, None), 11, last=(at, text, key, number))
    assert cursor is not None
    assert Page(10, cursor).after(*KINDS) == (at, text, key, number)


def test_the_last_page_has_none_and_the_first_needs_none() -> None:
    assert next_cursor(Page(10, None), 10, last=(1,)) is None
    assert next_cursor(Page(10, None), 0, last=()) is None
    assert Page(10, None).after(int) is None


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")))
def test_other_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as refusal:
        Page(10, cursor).after(*KINDS)
    assert [error.field for error in refusal.value.errors] == ["cursor"]


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ([1, 2], (int,)),
        (["1"], (int,)),
        ([True], (int,)),
        ([2**63], (int,)),
        ([1.5], (int,)),
        ([1], (str,)),
        (["a\0b"], (str,)),
        (["\ud800"], (str,)),
        (["2024-01-01T00:00:00"], (datetime,)),
        (["never"], (datetime,)),
        (["not-a-uuid"], (UUID,)),
        ([None], (str,)),
        ({"a": 1}, (str,)),
        ([[[]]], (str,)),
    ],
)
def test_values_of_the_wrong_kind_are_refused(values: object, kinds: tuple[type, ...]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    with pytest.raises(Invalid):
        Page(10, cursor).after(*kinds)
