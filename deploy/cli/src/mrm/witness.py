"""An outside witness of records: it remembers the last checkpoint of each, cosigns what continues it, and refuses everything else.

It needs no access to any database and trusts no service: only the pinned keys, its own memory and mathematics. Its folder must
lie where nobody who can change the records can change it too.
"""

import base64
import binascii
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from chassis.audit.checkpoint import Checkpoint
from chassis.audit.merkle import verify_consistency
from chassis.audit.note import COSIGNATURE, NoteError, NoteKey, cosign_note
from chassis.sealing.keys import KeyFolder, SigningKey, generate_signing_key
from chassis.sealing.trust import Trust
from local_stack.private_files import private_folder, write_private
from mrm.client import Api
from mrm.console import MISUSED, CommandError

HOLDER: Final = "witness"
_NAME_FILE: Final = "name"


class Verdict(StrEnum):
    """What a witness made of a checkpoint. The words are stable."""

    FIRST = "first"
    CONTINUES = "continues"
    NOT_SIGNED = "not_signed"
    ANOTHER_RECORD = "another_record"
    ROLLED_BACK = "rolled_back"
    FORKED = "forked"


SENTENCES: Final = {
    Verdict.FIRST: "first seen and cosigned",
    Verdict.CONTINUES: "continues what was seen before; cosigned",
    Verdict.NOT_SIGNED: "REFUSED: it is damaged, or no pinned key of the service signed it",
    Verdict.ANOTHER_RECORD: "REFUSED: it is of another record than the one seen before; the database was made anew",
    Verdict.ROLLED_BACK: "REFUSED: the record is shorter than it was",
    Verdict.FORKED: "REFUSED: the record does not continue what was seen before; its past has been rewritten",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """What the witness saw of one service."""

    service: str
    verdict: Verdict
    size: int | None

    @property
    def cosigned(self) -> bool:
        """Whether the witness put its name to it."""
        return self.verdict in (Verdict.FIRST, Verdict.CONTINUES)

    def document(self) -> dict[str, Any]:
        """Return what was seen as a JSON object."""
        return {"service": self.service, "verdict": self.verdict.value, "cosigned": self.cosigned, "size": self.size}


class Witness:
    """A witness in its folder: its key, its name, and the last checkpoint that it cosigned of each service."""

    def __init__(self, folder: Path, name: str | None, trust: Trust) -> None:
        """Open the folder, or make it with a new key under `name`; raises CommandError if the name is another than before."""
        self._folder = private_folder(folder)
        self._trust = trust
        with self._locked():
            self._key = self._own_key()
            self.key = NoteKey(self._own_name(name), COSIGNATURE, self._key.public.raw)

    def file(self, service: str) -> Path:
        """Return where the last cosigned checkpoint of a service lies."""
        return self._folder / f"{service}.checkpoint"

    async def look(self, api: Api, service: str, *, person: str) -> Sight:
        """Fetch a service's checkpoint and cosign it if it continues the last one."""
        with self._locked():
            raw = (await api.ask("GET", service, "/v1/audit/checkpoint", person=person)).text
            last = self._last(service)
            try:
                seen = Checkpoint.decode(raw)
                seen.require_signature(self._trust)
            except NoteError:
                return Sight(service, Verdict.NOT_SIGNED, None)
            proof: list[bytes] = []
            if last is not None and last.origin == seen.origin and last.head.size < seen.head.size:
                params = {"old": str(last.head.size), "size": str(seen.head.size)}
                answer = await api.get(service, "/v1/audit/proof/consistency", person=person, params=params)
                proof = _hashes(answer)
            return self.judge(service, seen, last, proof)

    def judge(self, service: str, seen: Checkpoint, last: Checkpoint | None, proof: list[bytes]) -> Sight:
        """Cosign a checkpoint whose signature holds if it is the first or continues the last one, and remember it."""
        verdict = _verdict(service, seen, last, proof)
        sight = Sight(service, verdict, seen.head.size)
        if sight.cosigned:
            line = cosign_note(seen.text, self.key, self._key.sign, at=int(time.time()))
            write_private(self.file(service), seen.note.with_line(line).encode())
        return sight

    def _last(self, service: str) -> Checkpoint | None:
        """Return the last checkpoint cosigned; raises CommandError if the file is not what this witness wrote."""
        try:
            last = Checkpoint.decode(self.file(service).read_text("utf-8"))
            if not last.note.signed_by([self.key]):
                raise NoteError("not_signed")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, NoteError):
            raise CommandError(
                f"{self.file(service)} is not what this witness wrote.",
                remedy="Restore it from a copy; without it nothing can be compared.",
            ) from None
        return last

    def _own_key(self) -> SigningKey:
        keys = KeyFolder(self._folder)
        if not keys.ids():
            generate_signing_key(HOLDER).save(self._folder)
        return KeyFolder(self._folder).signing_key(HOLDER)

    def _own_name(self, wanted: str | None) -> str:
        file = self._folder / _NAME_FILE
        known = file.read_text("utf-8").strip() if file.is_file() else None
        if known is None and wanted is None:
            raise CommandError("A new witness needs a name.", remedy="Add --name, such as witness.example/records.", code=MISUSED)
        if known is not None and wanted not in (None, known):
            raise CommandError(
                f"This witness is called {known!r}.", remedy="Leave --name out, or name another --state folder.", code=MISUSED
            )
        name = known or str(wanted)
        try:
            NoteKey(name, COSIGNATURE, self._key.public.raw)
        except NoteError:
            raise CommandError("A witness's name has no space and no plus sign.", remedy="Choose another --name.", code=MISUSED) from None
        if known is None:
            write_private(file, f"{name}\n")
        return name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Compare and remember as one step: two runs at once must not set the memory back."""
        with (self._folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _verdict(service: str, seen: Checkpoint, last: Checkpoint | None, proof: list[bytes]) -> Verdict:
    if seen.service != service:
        return Verdict.NOT_SIGNED
    if last is None:
        return Verdict.FIRST
    if seen.origin != last.origin:
        return Verdict.ANOTHER_RECORD
    if seen.head.size < last.head.size:
        return Verdict.ROLLED_BACK
    return Verdict.CONTINUES if verify_consistency(last.head, seen.head, proof) else Verdict.FORKED


def _hashes(answer: Any) -> list[bytes]:  # noqa: ANN401 - JSON
    try:
        return [base64.b64decode(text, validate=True) for text in answer["hashes"]]
    except (KeyError, TypeError, ValueError, binascii.Error):
        return []
