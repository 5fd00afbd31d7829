"""Sealing and opening: only the named recipients read, and nothing that was changed is believed."""

import subprocess
import sys
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.sealing.errors import SealCode, SealError, UnusableKeyError
from chassis.sealing.keys import PublicKey
from chassis.sealing.opening import SealedOpener, open_sealed
from chassis.sealing.opening_keys import generate_opening_key
from chassis.sealing.seal import seal, sign_only
from chassis.sealing.signed import Expectation, SignedOpener, open_signed
from chassis.sealing.suite import wrap_info
from chassis.sealing.trust import Trust
from contracts.envelope import (
    MAX_ENVELOPE_BYTES,
    MAX_PAYLOAD_BYTES,
    EnvelopeTooLargeError,
    Header,
    Wrap,
    bucket_for,
    frame_content,
    pad,
    unpack,
)
from support.sealing import INCIDENT, REPORTED, SITUATION, House, KeysInMemory, craft_sealed, resign

HOUSE = House()
TRUST = HOUSE.trust
VERIFICATION = KeysInMemory(HOUSE.verification)
SECRET = "Ärztin Жанна, قریه بالا, 測試".encode()
PROGRESSED = Expectation(types=frozenset({"incident.progressed.v1"}), writer="intake", subject=INCIDENT)


def read(raw: bytes, *, keys: KeysInMemory = VERIFICATION, expect: Expectation = REPORTED) -> tuple[Header, bytes]:
    return open_sealed(raw, keys=keys, trust=TRUST, expect=expect)


def refusal(raw: bytes, *, keys: KeysInMemory = VERIFICATION, expect: Expectation = REPORTED) -> SealError:
    with pytest.raises(SealError) as refused:
        read(raw, keys=keys, expect=expect)
    return refused.value


def signed(payload: bytes = SECRET) -> bytes:
    return sign_only(header=HOUSE.header(event_type="incident.progressed.v1"), payload=payload, signer=HOUSE.intake)


def refused_as(raw: bytes) -> SealCode | None:
    """Return why an envelope is refused, None if it opens."""
    try:
        read(raw)
    except SealError as refused:
        return refused.code
    return None


@given(
    payload=st.one_of(st.binary(max_size=6000), st.text(max_size=1000).map(lambda text: text.encode(errors="replace"))),
    subject=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=64),
    sequence=st.integers(0, 2**53 - 1),
    event=st.uuids(),
)
def test_what_was_sealed_opens(payload: bytes, subject: str, sequence: int, event: UUID) -> None:
    raw = HOUSE.seal(payload, subject=subject, sequence=sequence, event=event)

    header, opened = read(raw, expect=Expectation(types=REPORTED.types, writer="intake", subject=subject))

    assert opened == payload
    assert (header.situation, header.subject, header.sequence, header.event) == (SITUATION, subject, sequence, event)


@given(payload=st.binary(max_size=3000))
def test_what_was_signed_reads(payload: bytes) -> None:
    assert open_signed(signed(payload), trust=TRUST, expect=PROGRESSED)[1] == payload


@given(situation=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=64))
def test_a_situation_code_in_any_script_is_part_of_the_key_id(situation: str) -> None:
    raw_key = HOUSE.verification.stored.public
    key = PublicKey(f"verification/{situation}/{HOUSE.verification.id[-8:]}", raw_key)

    raw = HOUSE.seal(SECRET, recipients=[key], situation=situation)

    assert unpack(raw).wraps[0].key_id == key.id


def test_sealed_bytes_show_nothing_of_the_payload_and_its_length_only_roughly() -> None:
    short, long = HOUSE.seal(SECRET), HOUSE.seal(SECRET * 15)

    assert SECRET not in short
    assert len(short) == len(long)
    assert len(HOUSE.seal(bytes(1024))) == len(short) + bucket_for(1024) - bucket_for(0)


def test_sealing_twice_gives_nothing_to_compare() -> None:
    first, second = unpack(HOUSE.seal(SECRET)), unpack(HOUSE.seal(SECRET))
    data_keys = {
        HOUSE.verification.open(envelope.wraps[0].wrapped, info=wrap_info(HOUSE.verification.id, envelope.opening))
        for envelope in (first, second)
    }

    assert len(data_keys) == 2
    assert first.opening == second.opening
    assert first.wraps != second.wraps
    assert first.body != second.body
    assert first.body[:12] != second.body[:12]


def test_each_recipient_opens_and_nobody_else() -> None:
    raw = HOUSE.seal(SECRET, recipients=[HOUSE.verification.public, HOUSE.aggregation.public])

    assert read(raw, keys=KeysInMemory(HOUSE.verification))[1] == SECRET
    assert read(raw, keys=KeysInMemory(HOUSE.aggregation))[1] == SECRET
    for stranger in (KeysInMemory(), KeysInMemory(HOUSE.elsewhere), KeysInMemory(generate_opening_key("verification", SITUATION))):
        assert refusal(raw, keys=stranger).code is SealCode.WRONG_RECIPIENT


def test_every_bit_of_a_sealed_event_counts() -> None:
    raw = HOUSE.seal(SECRET)
    assert 1600 < len(raw) < 3072
    changed = bytearray(raw)
    opened = []
    for bit in range(len(raw) * 8):
        changed[bit // 8] ^= 1 << bit % 8
        if refused_as(bytes(changed)) is None:
            opened.append(bit)
        changed[bit // 8] ^= 1 << bit % 8

    assert opened == []
    assert refused_as(bytes(changed)) is None


def test_every_bit_of_a_signed_event_counts() -> None:
    raw = signed()
    changed = bytearray(raw)
    for bit in range(len(raw) * 8):
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            open_signed(bytes(changed), trust=TRUST, expect=PROGRESSED)
        changed[bit // 8] ^= 1 << bit % 8


def test_every_bit_counts_even_to_the_writer_who_signs_again() -> None:
    """Without the outer signature's help, wraps and body alone must still refuse each change to them and to the header."""
    raw = HOUSE.seal(SECRET)
    envelope = unpack(raw)
    changed = bytearray(raw)
    opened = []
    for position in [*range(len(envelope.opening)), *range(len(envelope.opening), len(raw) - 64, 7)]:
        changed[position] ^= 0x10
        if refused_as(resign(bytes(changed), HOUSE.intake)) is None:
            opened.append(position)
        changed[position] ^= 0x10

    assert opened == []
    assert refused_as(resign(bytes(changed), HOUSE.intake)) is None


def test_cut_at_any_length_it_is_malformed() -> None:
    raw = HOUSE.seal(SECRET)

    assert {refused_as(raw[:length]) for length in range(len(raw))} == {SealCode.MALFORMED}
    assert refused_as(raw + b"\0") is SealCode.MALFORMED


def test_wraps_of_two_events_cannot_be_swapped() -> None:
    """Not by an outsider, nor by the writer who signs again: each wrap is bound to its header."""
    mine, other = unpack(HOUSE.seal(SECRET)), unpack(HOUSE.seal(b"other", sequence=2))
    swapped = frame_content(mine.opening, wraps=other.wraps, body=mine.body) + mine.signature

    assert refusal(swapped).code is SealCode.FORGED
    assert refusal(resign(swapped, HOUSE.intake)).code is SealCode.CANNOT_OPEN


def test_wraps_and_body_of_another_event_together_do_not_open_under_this_header() -> None:
    mine, other = unpack(HOUSE.seal(SECRET)), unpack(HOUSE.seal(b"other", sequence=2))
    moved = frame_content(mine.opening, wraps=other.wraps, body=other.body) + mine.signature

    assert refusal(resign(moved, HOUSE.intake)).code is SealCode.CANNOT_OPEN


def test_wraps_in_another_order_than_the_header_names_are_malformed() -> None:
    envelope = unpack(HOUSE.seal(SECRET, recipients=[HOUSE.verification.public, HOUSE.aggregation.public]))
    turned = frame_content(envelope.opening, wraps=envelope.wraps[::-1], body=envelope.body) + envelope.signature

    assert refusal(resign(turned, HOUSE.intake)).code is SealCode.MALFORMED


def test_a_recipient_cannot_be_added_or_taken_away() -> None:
    envelope = unpack(HOUSE.seal(SECRET))
    added = [*envelope.wraps, Wrap(HOUSE.aggregation.id, envelope.wraps[0].wrapped)]
    for wraps in (added, [*envelope.wraps, *envelope.wraps]):
        raw = frame_content(envelope.opening, wraps=wraps, body=envelope.body) + envelope.signature
        assert refusal(raw).code is SealCode.FORGED
        assert refusal(resign(raw, HOUSE.intake)).code is SealCode.MALFORMED


def test_our_key_of_another_situation_does_not_serve() -> None:
    both = KeysInMemory(HOUSE.verification, HOUSE.elsewhere)
    header = HOUSE.header(recipients=[HOUSE.elsewhere.public])
    raw = craft_sealed(HOUSE, raw_header=header.canonical(), padded=pad(SECRET), recipients=[HOUSE.elsewhere.public])

    assert refusal(raw, keys=both).code is SealCode.WRONG_RECIPIENT


@pytest.mark.parametrize("tail", [b"", b"\x01", b"\x80\x01", b"\x80\0\0\x01", b"\x80" + bytes(1024)])
def test_an_insider_with_the_content_key_cannot_hide_bytes_in_the_padding(tail: bytes) -> None:
    size = 1024 if len(tail) < 1024 else 2048
    padded = SECRET + bytes(size - len(SECRET) - len(tail)) + tail
    raw = craft_sealed(HOUSE, raw_header=HOUSE.header(recipients=[HOUSE.verification.public]).canonical(), padded=padded)

    assert refusal(raw).code is SealCode.CANNOT_OPEN


def test_the_crafted_envelope_of_these_tests_opens_when_nothing_is_wrong_with_it() -> None:
    raw = craft_sealed(HOUSE, raw_header=HOUSE.header(recipients=[HOUSE.verification.public]).canonical(), padded=pad(SECRET))

    assert read(raw)[1] == SECRET


@pytest.mark.parametrize(
    ("expect", "code", "authentic"),
    [
        ({"subject": "another"}, SealCode.WRONG_TOPIC, True),
        ({"types": frozenset({"incident.coded.v1"})}, SealCode.WRONG_TOPIC, True),
        ({"situation": "SDN-2024"}, SealCode.WRONG_TOPIC, True),
        ({"writer": "verification"}, SealCode.WRONG_WRITER, False),
    ],
)
def test_a_sound_event_in_the_wrong_place_is_refused(expect: dict[str, object], code: SealCode, authentic: bool) -> None:
    place: dict[str, object] = {"types": REPORTED.types, "writer": "intake", "subject": INCIDENT} | expect

    refused = refusal(HOUSE.seal(SECRET), expect=Expectation(**place))  # type: ignore[arg-type]

    assert (refused.code, refused.authentic) == (code, authentic)


def test_sealed_and_signed_are_not_taken_for_each_other() -> None:
    with pytest.raises(SealError) as sealed_refused:
        open_signed(HOUSE.seal(SECRET), trust=TRUST, expect=REPORTED)

    assert sealed_refused.value.code is SealCode.WRONG_TOPIC
    assert refusal(signed(), expect=PROGRESSED).code is SealCode.WRONG_TOPIC


def test_a_key_that_is_not_pinned_is_unknown() -> None:
    with pytest.raises(SealError) as refused:
        open_sealed(HOUSE.seal(SECRET), keys=VERIFICATION, trust=Trust(), expect=REPORTED)

    assert (refused.value.code, refused.value.authentic) == (SealCode.UNKNOWN_KEY, False)


def test_a_refusal_says_its_code_and_nothing_else() -> None:
    refused = refusal(HOUSE.seal(SECRET), expect=Expectation(types=REPORTED.types, writer="intake", subject="another"))

    assert str(refused) == "envelope refused: wrong_topic"
    assert refused.__suppress_context__ or refused.__context__ is None


def test_a_bad_wrap_a_bad_body_and_bad_padding_are_not_told_apart() -> None:
    envelope, raw_header = unpack(HOUSE.seal(SECRET)), HOUSE.header(recipients=[HOUSE.verification.public]).canonical()
    bad_wrap = [Wrap(HOUSE.verification.id, bytes(1168))]
    bad_body = envelope.body[:-1] + bytes((envelope.body[-1] ^ 1,))
    cases = [
        resign(frame_content(envelope.opening, wraps=bad_wrap, body=envelope.body) + envelope.signature, HOUSE.intake),
        resign(frame_content(envelope.opening, wraps=envelope.wraps, body=bad_body) + envelope.signature, HOUSE.intake),
        craft_sealed(HOUSE, raw_header=raw_header, padded=bytes(1024)),
    ]

    assert {str(refusal(raw)) for raw in cases} == {"envelope refused: cannot_open"}


def test_a_key_of_ours_that_cannot_be_used_is_not_the_messages_fault() -> None:
    class Locked(KeysInMemory):
        def holds(self, key_id: str) -> bool:
            raise UnusableKeyError(f"the key file of {key_id} is open to others")

    with pytest.raises(UnusableKeyError):
        read(HOUSE.seal(SECRET), keys=Locked())


@pytest.mark.parametrize("changes", [{"signing": "intake/signing/00000000"}, {"writer": "verification"}, {"situation": "SDN-2024"}])
def test_sealing_under_a_header_that_says_otherwise_is_refused(changes: dict[str, object]) -> None:
    recipients = [HOUSE.verification.public]

    with pytest.raises(ValueError, match=r"another signer|another situation"):
        seal(header=HOUSE.header(recipients=recipients, **changes), payload=SECRET, recipients=recipients, signer=HOUSE.intake)


@pytest.mark.parametrize("named", [[], [HOUSE.aggregation.public], [HOUSE.aggregation.public, HOUSE.verification.public]])
def test_sealing_to_others_than_the_header_names_is_refused(named: list[PublicKey]) -> None:
    with pytest.raises(ValueError, match="does not name these recipients"):
        seal(header=HOUSE.header(recipients=named), payload=SECRET, recipients=[HOUSE.verification.public], signer=HOUSE.intake)


def test_a_service_does_not_sign_under_the_name_of_another() -> None:
    with pytest.raises(ValueError, match="another signer"):
        HOUSE.seal(SECRET, signer=HOUSE.other)


def test_signing_under_a_header_with_recipients_is_refused() -> None:
    with pytest.raises(ValueError, match="names recipients"):
        sign_only(header=HOUSE.header(recipients=[HOUSE.verification.public]), payload=SECRET, signer=HOUSE.intake)


def test_the_largest_payload_is_carried_and_the_next_is_refused() -> None:
    largest = HOUSE.seal(bytes(MAX_PAYLOAD_BYTES))

    assert len(largest) <= MAX_ENVELOPE_BYTES
    assert len(read(largest)[1]) == MAX_PAYLOAD_BYTES
    for write in (HOUSE.seal, signed):
        with pytest.raises(EnvelopeTooLargeError):
            write(bytes(MAX_PAYLOAD_BYTES + 1))


def test_openers_answer_like_the_functions_they_carry() -> None:
    assert SealedOpener(VERIFICATION, TRUST)(HOUSE.seal(SECRET), REPORTED)[1] == SECRET
    assert SignedOpener(TRUST)(signed(), PROGRESSED)[1] == SECRET


def test_a_service_that_only_writes_loads_no_opening_code() -> None:
    script = (
        "import sys, chassis.sealing.seal, chassis.sealing.signed, chassis.sealing.keys, chassis.sealing.trust\n"
        "import chassis.sealing.submission\n"
        "print([name for name in sys.modules if name.startswith('chassis.sealing.opening')])"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert loaded.stdout.strip() == "[]"
