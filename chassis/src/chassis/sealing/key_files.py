"""Private keys as files: one JSON document per key, mode 0600, written atomically and never over another."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast, get_args

from chassis.sealing.errors import UnusableKeyError
from contracts.envelope import MAX_KEY_ID_BYTES

Kind = Literal["signing", "opening"]
State = Literal["active", "retired"]
Algorithm = Literal["Ed25519", "ML-DSA-65", "ML-KEM-768+X25519"]

_ID: Final = re.compile(r"([a-z][a-z0-9-]*)/([^/\x00-\x1f\x7f]+)/([0-9a-f]{8})")
_MEMBERS: Final = frozenset({"id", "kind", "algorithm", "private", "public", "state", "created_at"})
_MAX_FILE_BYTES: Final = 64 * 1024
_MAX_NAME_BYTES: Final = 255


class KeyIdParts(NamedTuple):
    """A key id taken apart: who holds it, what it is for (`signing` or a situation), and its fingerprint."""

    holder: str
    scope: str
    fingerprint: str


def key_id_parts(key_id: str) -> KeyIdParts:
    """Take a key id apart; raises UnusableKeyError when it is not one."""
    match = _ID.fullmatch(key_id)
    if match is None or len(key_id.encode()) > MAX_KEY_ID_BYTES:
        raise UnusableKeyError("a key id is not of the form holder/scope/fingerprint")
    return KeyIdParts(*match.groups())


def key_id(holder: str, scope: str, public: bytes) -> str:
    """Make the id of a key from its holder, its scope and its public part."""
    made = f"{holder}/{scope}/{fingerprint(public)}"
    key_id_parts(made)
    return made


def fingerprint(public: bytes) -> str:
    """Return the first 8 hexadecimal digits of the SHA-256 of a public key; a name, not a protection."""
    return hashlib.sha256(public).hexdigest()[:8]


def check_fingerprint(key_id: str, public: bytes) -> None:
    """Raise UnusableKeyError unless `public` is the key that `key_id` names."""
    if key_id_parts(key_id).fingerprint != fingerprint(public):
        raise UnusableKeyError(f"the public part does not belong to {key_id}")


def decode_base64(text: object) -> bytes:
    """Decode standard base64 strictly; raises UnusableKeyError."""
    if not isinstance(text, str):
        raise UnusableKeyError("a key is not base64 text")
    try:
        return base64.b64decode(text.encode(), validate=True)
    except (ValueError, binascii.Error):
        raise UnusableKeyError("a key is not base64 text") from None


def encode_base64(raw: bytes) -> str:
    """Encode as standard base64 with padding."""
    return base64.b64encode(raw).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """What a key file holds. `created_at` is RFC 3339, UTC, whole seconds."""

    id: str
    kind: Kind
    algorithm: Algorithm
    private: bytes = field(repr=False)
    public: bytes = field(repr=False)
    state: State
    created_at: str

    def encode(self) -> bytes:
        """Write the key as its file holds it."""
        document = {
            "id": self.id,
            "kind": self.kind,
            "algorithm": self.algorithm,
            "private": encode_base64(self.private),
            "public": encode_base64(self.public),
            "state": self.state,
            "created_at": self.created_at,
        }
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> StoredKey:
        """Read a key from the content of its file; raises UnusableKeyError unless it is sound."""
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            raise UnusableKeyError("a key file is not JSON") from None
        if not isinstance(document, dict) or document.keys() != _MEMBERS:
            raise UnusableKeyError("a key file does not have the members of one")
        if not all(isinstance(value, str) for value in document.values()):
            raise UnusableKeyError("a key file does not have the members of one")
        closed = (("kind", Kind), ("algorithm", Algorithm), ("state", State))
        if any(document[name] not in get_args(words) for name, words in closed):
            raise UnusableKeyError("a key file names a kind, algorithm or state that is not known")
        stored = cls(
            id=document["id"],
            kind=cast(Kind, document["kind"]),
            algorithm=cast(Algorithm, document["algorithm"]),
            private=decode_base64(document["private"]),
            public=decode_base64(document["public"]),
            state=cast(State, document["state"]),
            created_at=document["created_at"],
        )
        check_fingerprint(stored.id, stored.public)
        return stored


def created_now() -> str:
    """Return the present moment as key files write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_path(folder: Path, key_id: str) -> Path:
    """Return where the key file of `key_id` lies in `folder`."""
    key_id_parts(key_id)
    name = f"{key_id.replace('/', '__')}.key"
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise UnusableKeyError("a key id is too long to be the name of a file")
    return folder / name


def list_key_ids(folder: Path) -> list[str]:
    """List the ids of the key files in `folder`, sorted. Only a scope may hold `__` itself."""
    stems = (path.name.removesuffix(".key") for path in folder.glob("*__*__*.key"))
    return sorted("/".join((holder, *rest.rsplit("__", 1))) for holder, rest in (stem.split("__", 1) for stem in stems))


def write_key_file(folder: Path, stored: StoredKey) -> Path:
    """Write a new key file, whole or not at all, readable by its owner only; raises UnusableKeyError if there is one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = key_path(folder, stored.id)
    try:
        _place(path, stored.encode(), mode=0o600, put=os.link)
    except FileExistsError:
        raise UnusableKeyError(f"there is a key file of {stored.id} already") from None
    return path


def retire_key_file(folder: Path, key_id: str) -> None:
    """Mark a key as retired: it seals and signs no more, but still opens."""
    stored = read_key_file(key_path(folder, key_id))
    replace_file(key_path(folder, key_id), replace(stored, state="retired").encode(), mode=0o600)


def read_key_file(path: Path) -> StoredKey:
    """Read a key file; raises FileNotFoundError, or UnusableKeyError when others than its owner may touch it."""
    with path.open("rb", buffering=0) as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077:
            raise UnusableKeyError(f"the key file {path.name} is open to others than its owner; chmod 600 it")
        if path.parent.stat().st_mode & 0o022:
            raise UnusableKeyError("the folder of key files can be written by others than its owner; chmod 700 it")
        stored = StoredKey.decode(file.read(_MAX_FILE_BYTES) or b"")
    if key_path(path.parent, stored.id) != path:
        raise UnusableKeyError(f"the key file {path.name} holds another key than its name says")
    return stored


def destroy_key_file(path: Path) -> None:
    """Overwrite a key file and remove it. Copies that a file system or a backup keeps are beyond this."""
    with path.open("r+b", buffering=0) as file:
        file.write(b"\0" * os.fstat(file.fileno()).st_size)
        os.fsync(file.fileno())
    path.unlink()
    _sync_folder(path.parent)


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Put `content` at `path`, whole or not at all, in place of what is there."""
    _place(path, content, mode=mode, put=os.replace)


def _place(path: Path, content: bytes, *, mode: int, put: Callable[[Path, Path], object]) -> None:
    draft = path.parent / f".{path.name[:64]}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
