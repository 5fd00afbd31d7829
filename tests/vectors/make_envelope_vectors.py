"""Make the envelope vectors. Run by hand when a case is added: `python tests/vectors/make_envelope_vectors.py`.

A vector that exists is never made again: sealing is random, and what once opened must open for ever. The keys come from their labels
and protect nothing.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from chassis.sealing.key_files import StoredKey, key_id
from chassis.sealing.keys import SigningKey
from chassis.sealing.opening_keys import OpeningKey
from chassis.sealing.seal import sign_only
from chassis.sealing.suite import HPKE, wrap_info
from contracts.envelope import Header, Wrap, canonical_json, frame_content, frame_header, pad, unpack
from support.sealing import INCIDENT, REPORTED, SITUATION, House, craft, craft_sealed, opening_bytes, resign

FOLDER = Path(__file__).parent / "envelope"
MADE_AT = "2024-05-03T14:00:00Z"
PAYLOAD = '{"narrative":"Vector, not a case. متجه اختبار. Вектор. 测试向量. Vecteur d’essai."}'.encode()


def signing_key(service: str, label: str = "") -> SigningKey:
    private = hashlib.sha256(f"mrm test vector signing {service}{label}".encode()).digest()
    public = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return SigningKey(
        StoredKey(
            id=key_id(service, "signing", public),
            kind="signing",
            algorithm="Ed25519",
            private=private,
            public=public,
            state="active",
            created_at=MADE_AT,
        )
    )


def opening_key(holder: str, situation: str) -> OpeningKey:
    seed = hashlib.sha512(f"mrm test vector ML-KEM {holder} {situation}".encode()).digest()
    scalar = hashlib.sha256(f"mrm test vector X25519 {holder} {situation}".encode()).digest()
    mlkem, x25519 = MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(scalar)
    public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    return OpeningKey(
        StoredKey(
            id=key_id(holder, situation, public),
            kind="opening",
            algorithm="ML-KEM-768+X25519",
            private=seed + scalar,
            public=public,
            state="active",
            created_at=MADE_AT,
        )
    )


HOUSE = House(
    intake=signing_key("intake"),
    other=signing_key("aggregation"),
    verification=opening_key("verification", SITUATION),
    aggregation=opening_key("aggregation", SITUATION),
    elsewhere=opening_key("verification", "SDN-2024"),
)
STRAY = signing_key("intake", " not pinned")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One vector: what is asked of which reader, and the answer."""

    name: str
    says: str
    make: Callable[[], bytes]
    payload: bytes | None = None
    code: str | None = None
    authentic: bool = False
    mode: str = "sealed"
    types: tuple[str, ...] = tuple(sorted(REPORTED.types))
    subject: str = INCIDENT
    situation: str | None = None
    holds: tuple[str, ...] = (HOUSE.verification.id,)


def opens(name: str, says: str, make: Callable[[], bytes], payload: bytes, **more: object) -> Case:
    return Case(name=name, says=says, make=make, payload=payload, **more)  # type: ignore[arg-type]


def refused(name: str, says: str, make: Callable[[], bytes], code: str, *, authentic: bool = False, **more: object) -> Case:
    return Case(name=name, says=says, make=make, code=code, authentic=authentic, **more)  # type: ignore[arg-type]


def signed(payload: bytes = PAYLOAD, **changes: object) -> bytes:
    return sign_only(header=HOUSE.header(event_type="incident.progressed.v1", **changes), payload=payload, signer=HOUSE.intake)


def header() -> Header:
    return HOUSE.header(recipients=[HOUSE.verification.public])


def with_header(raw_header: bytes) -> bytes:
    """Seal under another text of the header; everything else is as it should be."""
    return craft_sealed(HOUSE, raw_header=raw_header, padded=pad(PAYLOAD))


def with_member(**changes: object) -> bytes:
    return with_header(canonical_json({**json.loads(header().canonical()), **changes}))


def with_padded(padded: bytes) -> bytes:
    return craft_sealed(HOUSE, raw_header=header().canonical(), padded=padded)


def with_recipients_turned() -> bytes:
    both = [HOUSE.verification.public, HOUSE.aggregation.public]
    return craft_sealed(HOUSE, raw_header=HOUSE.header(recipients=both).canonical(), padded=pad(PAYLOAD), recipients=both[::-1])


def with_recipient_twice() -> bytes:
    document = json.loads(header().canonical())
    document["keys"]["recipients"] *= 2
    recipients = [HOUSE.verification.public] * 2
    return craft_sealed(HOUSE, raw_header=canonical_json(document), padded=pad(PAYLOAD), recipients=recipients)


def with_foreign_wrap(*, resigned: bool) -> bytes:
    """Put in the wrap of another event of the same incident to the same key."""
    mine, other = unpack(HOUSE.seal(PAYLOAD)), unpack(HOUSE.seal(PAYLOAD, sequence=2))
    raw = frame_content(mine.opening, wraps=other.wraps, body=mine.body) + mine.signature
    return resign(raw, HOUSE.intake) if resigned else raw


def with_foreign_body() -> bytes:
    mine, other = unpack(HOUSE.seal(PAYLOAD)), unpack(HOUSE.seal(PAYLOAD))
    return resign(frame_content(mine.opening, wraps=mine.wraps, body=other.body) + mine.signature, HOUSE.intake)


def with_other_bound_header() -> bytes:
    """The header says sequence 2, while wrap and body are bound to sequence 1."""
    other = HOUSE.header(recipients=[HOUSE.verification.public], sequence=2)
    return craft_sealed(HOUSE, raw_header=other.canonical(), padded=pad(PAYLOAD), bound_to=frame_header(header()))


def with_renamed_wrap() -> bytes:
    """A wrap made for aggregation under the id of verification's key."""
    raw_header = header().canonical()
    mine, opening = unpack(HOUSE.seal(PAYLOAD)), opening_bytes(raw_header)
    wrap = HPKE.encrypt(bytes(32), HOUSE.aggregation.public.hpke(), wrap_info(HOUSE.aggregation.id, opening))
    return resign(frame_content(opening, wraps=[Wrap(HOUSE.verification.id, wrap)], body=mine.body) + mine.signature, HOUSE.intake)


def with_foreign_situations_key() -> bytes:
    return craft_sealed(
        HOUSE,
        raw_header=HOUSE.header(recipients=[HOUSE.elsewhere.public]).canonical(),
        padded=pad(PAYLOAD),
        recipients=[HOUSE.elsewhere.public],
    )


def flipped(raw: bytes, at: int) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)


def respelled(old: bytes, new: bytes) -> bytes:
    text = header().canonical()
    assert text.count(old) == 1
    return text.replace(old, new)


BOTH = [HOUSE.verification.public, HOUSE.aggregation.public]
CLEAR = {"mode": "signed", "types": ("incident.progressed.v1",)}
CASES = (
    opens("opens_small", "The smallest bucket.", lambda: HOUSE.seal(PAYLOAD), PAYLOAD),
    opens("opens_empty", "An empty payload.", lambda: HOUSE.seal(b""), b""),
    opens("opens_full_bucket", "1,023 bytes just fit into 1,024.", lambda: HOUSE.seal(b"a" * 1023), b"a" * 1023),
    opens("opens_next_bucket", "1,024 bytes need 2,048.", lambda: HOUSE.seal(b"a" * 1024), b"a" * 1024),
    opens("opens_payload_like_padding", "The payload ends like padding.", lambda: HOUSE.seal(b"a\x80\0\0"), b"a\x80\0\0"),
    opens("opens_first_of_two", "Two recipients, the first reads.", lambda: HOUSE.seal(PAYLOAD, recipients=BOTH), PAYLOAD),
    opens(
        "opens_second_of_two",
        "Two recipients, the second reads.",
        lambda: HOUSE.seal(PAYLOAD, recipients=BOTH),
        PAYLOAD,
        holds=(HOUSE.aggregation.id,),
    ),
    opens("opens_non_ascii_subject", "Nothing is escaped.", lambda: HOUSE.seal(PAYLOAD, subject="حادث-١"), PAYLOAD, subject="حادث-١"),
    opens("opens_asked_situation", "The situation asked for.", lambda: HOUSE.seal(PAYLOAD), PAYLOAD, situation=SITUATION),
    opens("opens_signed", "Signed only.", signed, PAYLOAD, **CLEAR),
    opens("opens_signed_empty", "Signed only, nothing in it.", lambda: signed(b""), b"", **CLEAR),
    refused("malformed_not_an_envelope", "Other bytes.", lambda: PAYLOAD, "malformed"),
    refused("malformed_nothing", "No bytes at all.", lambda: b"", "malformed"),
    refused("malformed_cut_short", "The last byte is missing.", lambda: HOUSE.seal(PAYLOAD)[:-1], "malformed"),
    refused("malformed_left_over", "A byte follows the signature.", lambda: HOUSE.seal(PAYLOAD) + b"\0", "malformed"),
    refused("malformed_mode", "Mode 3.", lambda: craft(raw_header=b"{}", mode=3, wraps=(), body=b"", signer=HOUSE.intake), "malformed"),
    refused(
        "malformed_no_wraps",
        "Sealed to nobody.",
        lambda: craft_sealed(HOUSE, raw_header=b"{}", padded=pad(b""), recipients=[]),
        "malformed",
    ),
    refused("malformed_body_length", "The body fills no bucket.", lambda: with_padded(bytes(1500)), "malformed"),
    refused(
        "malformed_header_spaces",
        "White space in the header.",
        lambda: with_header(respelled(b'"v":1', b'"v": 1')),
        "malformed",
        authentic=True,
    ),
    refused(
        "malformed_header_order",
        "Members not sorted.",
        lambda: with_header(json.dumps(dict(reversed(json.loads(header().canonical()).items())), separators=(",", ":")).encode()),
        "malformed",
        authentic=True,
    ),
    refused(
        "malformed_header_escape",
        "A letter escaped.",
        lambda: with_header(respelled(b'AFG-2024","subject', b'\\u0041FG-2024","subject')),
        "malformed",
        authentic=True,
    ),
    refused(
        "malformed_header_twice", "A member twice.", lambda: with_header(respelled(b'"v":1', b'"v":1,"v":1')), "malformed", authentic=True
    ),
    refused("malformed_header_member", "A member too many.", lambda: with_member(monitor="m"), "malformed", authentic=True),
    refused("malformed_header_minute", "Finer than an hour.", lambda: with_member(at="2024-05-03T14:37:00Z"), "malformed", authentic=True),
    refused(
        "malformed_header_event",
        "The event id in capitals.",
        lambda: with_member(event="5A0F1F62-2F5F-5D0E-8B0E-0B8B6A9F5A11"),
        "malformed",
        authentic=True,
    ),
    refused("malformed_header_sequence", "A sequence below zero.", lambda: with_member(sequence=-1), "malformed", authentic=True),
    refused("malformed_header_control", "A control character.", lambda: with_member(subject="a\n"), "malformed", authentic=True),
    refused("malformed_header_suite", "The suite of the other mode.", lambda: with_member(suite="Ed25519"), "malformed", authentic=True),
    refused("malformed_wraps_turned", "Wraps in another order than the header's.", with_recipients_turned, "malformed", authentic=True),
    refused("malformed_recipient_twice", "The same recipient twice.", with_recipient_twice, "malformed", authentic=True),
    refused("unknown_version_magic", "MRM2.", lambda: b"MRM2" + HOUSE.seal(PAYLOAD)[4:], "unknown_version"),
    refused("unknown_version_header", "v is 2.", lambda: with_member(v=2), "unknown_version"),
    refused("unknown_version_suite", "A suite of tomorrow.", lambda: with_member(suite="ML-DSA-65"), "unknown_version"),
    refused(
        "unknown_key_not_pinned",
        "Signed by a key that is not pinned.",
        lambda: HOUSE.seal(PAYLOAD, signer=STRAY, signing=STRAY.id),
        "unknown_key",
    ),
    refused("forged_signature", "One bit of the signature.", lambda: flipped(HOUSE.seal(PAYLOAD), -1), "forged"),
    refused("forged_signer", "Signed by another key than is named.", lambda: resign(HOUSE.seal(PAYLOAD), STRAY), "forged"),
    refused("forged_body", "One bit of the body.", lambda: flipped(HOUSE.seal(PAYLOAD), -65), "forged"),
    refused("forged_wrap", "The wrap of another event.", lambda: with_foreign_wrap(resigned=False), "forged"),
    refused("forged_signed_body", "One bit of a signed payload.", lambda: flipped(signed(), -65), "forged", **CLEAR),
    refused(
        "wrong_writer_other_service",
        "Aggregation writes where intake does.",
        lambda: HOUSE.seal(PAYLOAD, signer=HOUSE.other, signing=HOUSE.other.id, writer="aggregation"),
        "wrong_writer",
    ),
    refused(
        "wrong_writer_pretends",
        "Aggregation signs as intake.",
        lambda: craft_sealed(
            HOUSE,
            raw_header=HOUSE.header(recipients=[HOUSE.verification.public], signing=HOUSE.other.id).canonical(),
            padded=pad(PAYLOAD),
            signer=HOUSE.other,
        ),
        "wrong_writer",
    ),
    refused(
        "wrong_writer_header", "Intake names another writer.", lambda: with_member(writer="aggregation"), "wrong_writer", authentic=True
    ),
    refused(
        "wrong_topic_type",
        "A type of another topic.",
        lambda: HOUSE.seal(PAYLOAD, event_type="incident.coded.v1"),
        "wrong_topic",
        authentic=True,
    ),
    refused(
        "wrong_topic_subject", "Another subject than the key.", lambda: HOUSE.seal(PAYLOAD, subject="x"), "wrong_topic", authentic=True
    ),
    refused(
        "wrong_topic_situation",
        "Another situation than asked for.",
        lambda: HOUSE.seal(PAYLOAD),
        "wrong_topic",
        authentic=True,
        situation="SDN-2024",
    ),
    refused(
        "wrong_topic_not_sealed", "In clear where a seal belongs.", signed, "wrong_topic", authentic=True, types=("incident.progressed.v1",)
    ),
    refused(
        "wrong_topic_sealed", "Sealed where all is in clear.", lambda: HOUSE.seal(PAYLOAD), "wrong_topic", authentic=True, mode="signed"
    ),
    refused(
        "wrong_recipient_other_holder",
        "Sealed to aggregation alone.",
        lambda: HOUSE.seal(PAYLOAD, recipients=[HOUSE.aggregation.public]),
        "wrong_recipient",
        authentic=True,
    ),
    refused(
        "wrong_recipient_other_situation",
        "Sealed to our key of another situation.",
        with_foreign_situations_key,
        "wrong_recipient",
        authentic=True,
        holds=(HOUSE.verification.id, HOUSE.elsewhere.id),
    ),
    refused(
        "cannot_open_wrap",
        "The wrap of another event, signed again.",
        lambda: with_foreign_wrap(resigned=True),
        "cannot_open",
        authentic=True,
    ),
    refused("cannot_open_renamed_wrap", "A wrap made for another key.", with_renamed_wrap, "cannot_open", authentic=True),
    refused("cannot_open_body", "The body of another data key.", with_foreign_body, "cannot_open", authentic=True),
    refused("cannot_open_header", "Bound to another header.", with_other_bound_header, "cannot_open", authentic=True),
    refused("cannot_open_no_mark", "Padding without a mark.", lambda: with_padded(bytes(1024)), "cannot_open", authentic=True),
    refused(
        "cannot_open_dirty_padding",
        "Padding that is not zero.",
        lambda: with_padded(pad(b"a")[:-1] + b"\x01"),
        "cannot_open",
        authentic=True,
    ),
    refused(
        "cannot_open_wide_padding",
        "A larger bucket than needed.",
        lambda: with_padded(pad(b"a") + bytes(1024)),
        "cannot_open",
        authentic=True,
    ),
)


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def document(case: Case) -> dict[str, object]:
    raw = case.make()
    asked = {
        "mode": case.mode,
        "types": case.types,
        "writer": "intake",
        "subject": case.subject,
        "situation": case.situation,
        "holds": case.holds,
    }
    answer: dict[str, object] = {"refused": case.code, "authentic": case.authentic}
    if case.payload is not None:
        answer = {"header": json.loads(unpack(raw).header), "payload": b64(case.payload)}
    return {"says": case.says, "asked": asked, "envelope": b64(raw), **answer}


def keys() -> dict[str, object]:
    pinned, opening = (HOUSE.intake, HOUSE.other), (HOUSE.verification, HOUSE.aggregation, HOUSE.elsewhere)
    return {
        "says": "Made from public labels for these vectors. They protect nothing.",
        "signing": {key.id: {"public": b64(key.stored.public), "private": b64(key.stored.private)} for key in pinned},
        "opening": {key.id: {"public": b64(key.stored.public), "private": b64(key.stored.private)} for key in opening},
    }


def write(name: str, content: dict[str, object]) -> None:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    write("keys", keys())
    for case in CASES:
        if not (FOLDER / f"{case.name}.json").exists():
            write(case.name, document(case))
