"""The pinned public keys of an installation: who may sign events, and who may sign submissions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.key_files import decode_base64, encode_base64, replace_file
from chassis.sealing.keys import SigningPublicKey
from chassis.sealing.submission import SubmissionPublicKey


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys whose signatures count. What is not in here does not exist."""

    signing: Mapping[str, SigningPublicKey] = field(default_factory=lambda: MappingProxyType({}))
    submission: Mapping[str, SubmissionPublicKey] = field(default_factory=lambda: MappingProxyType({}))

    def with_signing(self, *keys: SigningPublicKey) -> Trust:
        """Return this trust with further keys that may sign events."""
        return replace(self, signing=MappingProxyType({**self.signing, **{key.id: key for key in keys}}))

    def with_submission(self, *keys: SubmissionPublicKey) -> Trust:
        """Return this trust with further keys that may sign submissions."""
        return replace(self, submission=MappingProxyType({**self.submission, **{key.id: key for key in keys}}))

    @classmethod
    def load(cls, path: Path) -> Trust:
        """Read a trust file; raises UnusableKeyError unless every entry is sound."""
        return cls.decode(path.read_bytes())

    def save(self, path: Path) -> None:
        """Write the trust file, whole or not at all. It is public, but only its owner may change it."""
        replace_file(path, self.encode(), mode=0o644)

    def encode(self) -> bytes:
        """Write this trust as its file holds it."""
        document = {
            "signing": {
                key.id: {"service": key.service, "algorithm": "Ed25519", "public": encode_base64(key.raw)} for key in self.signing.values()
            },
            "submission": {key.id: {"algorithm": key.algorithm, "public": encode_base64(key.raw)} for key in self.submission.values()},
        }
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> Trust:
        """Read the content of a trust file; raises UnusableKeyError unless every entry is sound."""
        try:
            document = json.loads(raw)
            signing = [_signing_key(key_id, entry) for key_id, entry in document["signing"].items()]
            submission = [
                SubmissionPublicKey(key_id, entry["algorithm"], decode_base64(entry["public"]))
                for key_id, entry in document["submission"].items()
            ]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise UnusableKeyError("the trust file is not one") from None
        return cls().with_signing(*signing).with_submission(*submission)


def _signing_key(key_id: str, entry: Mapping[str, object]) -> SigningPublicKey:
    key = SigningPublicKey(key_id, decode_base64(entry["public"]))
    if entry["algorithm"] != "Ed25519" or entry["service"] != key.service:
        raise UnusableKeyError(f"the trust file contradicts the key id {key_id}")
    return key
