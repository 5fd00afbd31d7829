"""The layout: header, framing, padding, limits."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.envelope import (
    LARGEST_BUCKET,
    MAX_PAYLOAD_BYTES,
    WRAP_BYTES,
    EnvelopeTooLargeError,
    Header,
    MalformedEnvelopeError,
    Mode,
    Suite,
    UnknownVersionError,
    Wrap,
    bucket_for,
    coarse,
    frame_content,
    frame_header,
    pad,
    parse_header,
    peek_signing_key,
    unpack,
    unpad,
)

SIGNING = "intake/signing/0123abcd"
OPENING = "verification/AFG-2024/89abcdef"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(32)), "\x7f"]), min_size=1, max_size=64)


def header(**changes: object) -> Header:
    fields: dict[str, object] = {
        "event_type": "incident.reported.v1",
        "situation": "AFG-2024",
        "subject": "0190a6f2-7c41-7d2e-9a54-0f6f3e1c2b77",
        "event": UUID(int=7),
        "sequence": 3,
        "writer": "intake",
        "at": datetime(2024, 5, 3, 14, 37, 12, tzinfo=UTC),
        "signing": SIGNING,
        "recipients": [OPENING],
    }
    return Header.of(**{**fields, **changes})  # type: ignore[arg-type]


def sealed(**changes: object) -> bytes:
    content = frame_content(frame_header(header(**changes)), wraps=[Wrap(OPENING, b"w" * WRAP_BYTES)], body=bytes(12 + 1024 + 16))
    return content + b"s" * 64


def test_header_has_one_text() -> None:
    assert header().canonical() == (
        b'{"at":"2024-05-03T14:00:00Z","event":"00000000-0000-0000-0000-000000000007",'
        b'"keys":{"recipients":["verification/AFG-2024/89abcdef"],"signing":"intake/signing/0123abcd"},"sequence":3,"situation":"AFG-2024",'
        b'"subject":"0190a6f2-7c41-7d2e-9a54-0f6f3e1c2b77","suite":"MLKEM768-X25519.HKDF-SHA256.AES-256-GCM+AES-256-GCM+Ed25519",'
        b'"type":"incident.reported.v1","v":1,"writer":"intake"}'
    )


def test_recipients_decide_suite_and_mode() -> None:
    assert (header().suite, header().mode) == (Suite.SEALED, Mode.SEALED)
    assert (header(recipients=[]).suite, header(recipients=[]).mode) == (Suite.SIGNED, Mode.SIGNED)


def test_time_is_the_utc_hour_wherever_the_clock_stands() -> None:
    kabul = datetime(2024, 1, 1, 0, 15, tzinfo=timezone(timedelta(hours=4, minutes=30)))

    assert coarse(kabul) == datetime(2023, 12, 31, 19, tzinfo=UTC)
    assert header(at=kabul).at == coarse(kabul)


@given(situation=TEXT, subject=TEXT, sequence=st.integers(0, 2**53 - 1), event=st.uuids(), at=st.datetimes(timezones=st.just(UTC)))
def test_header_survives_the_round_trip(situation: str, subject: str, sequence: int, event: UUID, at: datetime) -> None:
    written = header(situation=situation, subject=subject, sequence=sequence, event=event, at=at)

    assert parse_header(written.canonical()) == written
    assert peek_signing_key(written.canonical()) == SIGNING


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "incident reported"},
        {"event_type": "incident.reported.v0"},
        {"situation": ""},
        {"situation": "a\x00"},
        {"subject": "a" * 129},
        {"sequence": -1},
        {"sequence": 2**53},
        {"sequence": True},
        {"writer": "Intake"},
        {"signing": "intake/signing"},
        {"signing": "intake/signing/0123ABCD"},
        {"recipients": [OPENING, OPENING]},
        {"recipients": [f"verification/AFG-2024/{number:08x}" for number in range(17)]},
    ],
)
def test_header_refuses(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        header(**change)


@pytest.mark.parametrize(
    "respell",
    [
        lambda raw: raw.replace(b'"v":1', b'"v":1.0'),
        lambda raw: raw.replace(b'"v":1', b'"v":true'),
        lambda raw: raw.replace(b'"sequence":3', b'"sequence":"3"'),
        lambda raw: raw.replace(b'"sequence":3', b'"sequence":3e0'),
        lambda raw: raw.replace(b"14:00:00Z", b"14:00:00+00:00"),
        lambda raw: raw.replace(b"14:00:00Z", b"16:00:00+02:00"),
        lambda raw: raw.replace(b"00000000-0000-0000-0000-000000000007", b"00000000000000000000000000000007"),
        lambda raw: raw.replace(b'"v":1', b'"v":1,"v":1'),
        lambda raw: raw.replace(b'"v":1,', b""),
        lambda raw: b" " + raw,
        lambda raw: raw + b"\n",
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"AFG", b"\xff\xfe\xfd"),
        lambda raw: raw.decode().encode("utf-16"),
        lambda raw: json.dumps(json.loads(raw)).encode(),
        lambda _: b"[" * 4000,
        lambda _: b"null",
        lambda _: b"",
    ],
)
def test_header_in_any_other_text_is_malformed(respell: Callable[[bytes], bytes]) -> None:
    raw = respell(header().canonical())
    assert raw != header().canonical()

    with pytest.raises(MalformedEnvelopeError):
        parse_header(raw)


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b"null", b"[" * 4000, b'{"v":1,"suite":"Ed25519","keys":{"signing":7}}', b'{"v":1,"keys":[]}']
)
def test_header_that_names_no_signing_key_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedEnvelopeError):
        peek_signing_key(raw)


@pytest.mark.parametrize("change", [(b'"v":1', b'"v":2'), (b"Ed25519", b"Ed448")])
def test_header_of_another_version_or_suite_is_told_apart(change: tuple[bytes, bytes]) -> None:
    with pytest.raises(UnknownVersionError):
        peek_signing_key(header().canonical().replace(*change))


def test_unpack_gives_the_parts_back() -> None:
    raw = sealed()

    envelope = unpack(raw)

    assert envelope.mode is Mode.SEALED
    assert envelope.header == header().canonical()
    assert envelope.opening == frame_header(header())
    assert envelope.wraps == (Wrap(OPENING, b"w" * WRAP_BYTES),)
    assert envelope.body == bytes(12 + 1024 + 16)
    assert (envelope.signed, envelope.signature) == (raw[:-64], b"s" * 64)


def test_unpack_refuses_every_length_but_the_right_one() -> None:
    raw = sealed()

    for length in range(len(raw)):
        with pytest.raises(MalformedEnvelopeError):
            unpack(raw[:length])
    with pytest.raises(MalformedEnvelopeError):
        unpack(raw + b"\0")


@pytest.mark.parametrize(
    ("position", "value", "error"),
    [
        (3, ord("2"), UnknownVersionError),
        (3, ord("x"), MalformedEnvelopeError),
        (0, 0, MalformedEnvelopeError),
        (4, 0, MalformedEnvelopeError),
    ],
)
def test_unpack_refuses_other_magic_and_mode(position: int, value: int, error: type[Exception]) -> None:
    raw = bytearray(sealed())
    raw[position] = value

    with pytest.raises(error):
        unpack(bytes(raw))


@pytest.mark.parametrize("length", [0, 27, 28 + 512, 28 + 1023, 28 + 1025, 28 + 3072])
def test_sealed_body_must_fill_a_bucket(length: int) -> None:
    raw = frame_content(frame_header(header()), wraps=[Wrap(OPENING, bytes(WRAP_BYTES))], body=bytes(length)) + bytes(64)

    with pytest.raises(MalformedEnvelopeError):
        unpack(raw)


def test_wraps_fit_the_mode() -> None:
    to_nobody = frame_content(frame_header(header()), wraps=(), body=bytes(28 + 1024)) + bytes(64)
    in_clear_to_someone = frame_content(frame_header(header(recipients=[])), wraps=[Wrap(OPENING, bytes(WRAP_BYTES))], body=b"") + bytes(64)

    for raw in (to_nobody, in_clear_to_someone):
        with pytest.raises(MalformedEnvelopeError):
            unpack(raw)


@given(st.binary(max_size=3000))
def test_unpack_of_anything_is_an_answer_or_one_family_of_errors(raw: bytes) -> None:
    with pytest.raises((MalformedEnvelopeError, UnknownVersionError)):
        unpack(raw)


@pytest.mark.parametrize(
    ("length", "bucket"),
    [(0, 1024), (1, 1024), (1023, 1024), (1024, 2048), (2047, 2048), (2048, 4096), (MAX_PAYLOAD_BYTES, LARGEST_BUCKET)],
)
def test_bucket_is_the_least_that_exceeds_the_payload(length: int, bucket: int) -> None:
    assert bucket_for(length) == bucket
    assert len(pad(bytes(length))) == bucket


def test_payload_beyond_the_largest_bucket_is_too_large() -> None:
    with pytest.raises(EnvelopeTooLargeError):
        pad(bytes(MAX_PAYLOAD_BYTES + 1))


@given(st.one_of(st.binary(max_size=5000), st.text(max_size=1500).map(lambda text: text.encode(errors="replace")), st.just(b"\x80" * 1023)))
def test_padding_comes_off_as_it_went_on(payload: bytes) -> None:
    assert unpad(pad(payload)) == payload


@pytest.mark.parametrize(
    "padded",
    [
        b"",
        b"\x80",
        bytes(1024),
        b"a" * 1024,
        b"a\x80" + bytes(1021) + b"\x01",
        b"a\x80" + bytes(2046),
        b"a\x80" + bytes(1021),
        b"a" * 1024 + b"\x80" + bytes(1024),
    ],
)
def test_padding_that_pad_would_not_make_is_refused(padded: bytes) -> None:
    with pytest.raises(MalformedEnvelopeError):
        unpad(padded)


@given(st.integers(0, 8 * 1024 - 1), st.binary(min_size=1, max_size=900))
def test_no_bit_of_the_padding_can_be_turned_unseen(bit: int, payload: bytes) -> None:
    padded = bytearray(pad(payload))
    padded[bit // 8] ^= 1 << bit % 8

    try:
        assert unpad(bytes(padded)) != payload
    except MalformedEnvelopeError:
        assert bit // 8 >= len(payload)
