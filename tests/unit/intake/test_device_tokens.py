"""A device token has one written form, and only it opens what was sealed under it."""

from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.device_tokens import DeviceToken, open_label, seal_label
from intake.domain import Marks

TOKEN = DeviceToken.new()


def test_a_token_reads_back_from_its_text_and_does_not_show_in_its_name() -> None:
    assert DeviceToken.parse(TOKEN.text()) == TOKEN
    assert TOKEN.text().startswith(f"mrmd_{TOKEN.device.hex}_")
    assert TOKEN.secret.hex() not in repr(TOKEN)
    assert len({DeviceToken.new().text() for _ in range(100)}) == 100


@pytest.mark.parametrize("place", range(len(TOKEN.text())))
def test_any_one_wrong_letter_is_seen(place: int) -> None:
    text = TOKEN.text()
    for letter in "0f_gA ":
        changed = text[:place] + letter + text[place + 1 :]
        assert changed == text or DeviceToken.parse(changed) is None


@pytest.mark.parametrize(
    "text", ["", "mrmd_", TOKEN.text()[:-1], TOKEN.text() + "0", TOKEN.text().upper(), f" {TOKEN.text()}", f"{TOKEN.text()}\n"]
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert DeviceToken.parse(text) is None


@given(st.text())
def test_no_text_is_a_fault(text: str) -> None:
    assert DeviceToken.parse(text) is None
    assert DeviceToken.parse(f"mrmd_{text}") is None


@given(st.text(max_size=255).filter(lambda text: text.isprintable()))
def test_a_subject_opens_with_its_token_alone(subject: str) -> None:
    sealed = TOKEN.seal_subject(subject)
    assert TOKEN.open_subject(sealed) == subject
    assert replace(TOKEN, secret=bytes(32)).open_subject(sealed) is None
    assert replace(TOKEN, device=uuid4()).open_subject(sealed) is None
    assert TOKEN.open_subject(sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert TOKEN.open_subject(b"") is None
    assert TOKEN.seal_subject(subject) != sealed


def test_the_length_of_a_name_does_not_show() -> None:
    assert len({len(TOKEN.seal_subject("x" * length)) for length in (0, 1, 36, 255)}) == 1


def test_a_label_opens_for_its_monitor_and_device_alone() -> None:
    marks, device = Marks(b"k" * 32), uuid4()
    sealed = seal_label(marks.label_key("amina", device), "Old phone گوشی", device=device)
    assert open_label(marks.label_key("amina", device), sealed, device=device) == "Old phone گوشی"
    assert open_label(marks.label_key("bashir", device), sealed, device=device) is None
    assert open_label(marks.label_key("amina", device), sealed, device=uuid4()) is None
    assert open_label(Marks(b"l" * 32).label_key("amina", device), sealed, device=device) is None
