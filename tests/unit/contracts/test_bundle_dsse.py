"""The signature file has one spelling."""

import base64
import json

import pytest

from contracts.bundle.dsse import SignedManifest, decode, read_signatures, signing_input
from contracts.bundle.manifest import BundleError
from contracts.envelope import canonical_json


def signed() -> SignedManifest:
    return SignedManifest.of(b'{"a":1}', [("export/submission-ed25519/00000000", b"\1" * 64)])


def test_what_is_signed_is_the_encoding_of_the_standard() -> None:
    assert signing_input(b"{}") == b"DSSEv1 33 application/vnd.mrm.manifest+json 2 {}"


def test_the_file_comes_back_as_it_was_written() -> None:
    assert read_signatures(signed().encode()) == signed()
    assert signed().manifest == b'{"a":1}'


@pytest.mark.parametrize(("canonical", "other"), [("AA==", "AB=="), ("AAA=", "AAB="), ("/w==", "//==")])
def test_bits_that_mean_nothing_must_be_zero(canonical: str, other: str) -> None:
    assert base64.b64decode(canonical) == base64.b64decode(other)
    assert decode(canonical) == base64.b64decode(canonical)
    with pytest.raises(BundleError):
        decode(other)


@pytest.mark.parametrize("part", ["payload", "sig"])
def test_such_bits_are_refused_in_a_file_too(part: str) -> None:
    document = json.loads(signed().encode())
    holder = document if part == "payload" else document["signatures"][0]
    text = holder[part]
    assert text.endswith("==")
    holder[part] = f"{text[:-3]}{chr(ord(text[-3]) + 1)}=="
    assert base64.b64decode(holder[part]) == base64.b64decode(text)
    with pytest.raises(BundleError):
        read_signatures(canonical_json(document))


@pytest.mark.parametrize("text", ["", "A", "AA", "AAA", "A===", "AA==AA==", "AA=\n=", "A A=", "-_=="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(BundleError):
        decode(text) if text else read_signatures(b"")


def test_another_payload_type_is_refused() -> None:
    document = json.loads(signed().encode()) | {"payloadType": "application/json"}
    with pytest.raises(BundleError):
        read_signatures(canonical_json(document))
