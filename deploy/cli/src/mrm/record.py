"""Checking a service's record of acts from outside: over HTTP, or in a dump without any service. Saved checkpoints in files."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from chassis.audit.checkpoint import Checkpoint
from chassis.audit.documents import CheckpointDocument, LeafDocument, RemainderDocument
from chassis.audit.note import NoteError
from chassis.audit.survey import checkpoints_of, get_origin, leaves_of, remainder_of
from chassis.audit.verify import Finding, Verification
from chassis.sealing.trust import Trust
from chassis.storage import SYSTEM, Database, Tx
from local_stack.private_files import write_private
from mrm.client import Api, RefusedError
from mrm.console import MISUSED, CommandError

PAGE: Final = 500
_BETWEEN_NOTES: Final = re.compile(r"(?<=\n)\n(?=mrm/)")
_HEAD: Final = TypeAdapter(list[CheckpointDocument])


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of one record came to; `newest` is the checkpoint signed for it, if the service signs one at all."""

    service: str
    entries: int
    checkpoints: int
    against: int
    """How many saved checkpoints it was held against."""
    findings: Sequence[Finding]
    more: int
    newest: str | None
    broken: Sequence[Mapping[str, str]] = ()
    """Why the service itself refuses to sign its record: `code`, `field` (where) and `message` of each."""

    @property
    def valid(self) -> bool:
        """Whether nothing was found."""
        return not self.findings and not self.broken

    def document(self) -> dict[str, Any]:
        """Return the outcome as a JSON object."""
        return {
            "service": self.service,
            "valid": self.valid,
            "entries": self.entries,
            "checkpoints": self.checkpoints,
            "saved_checkpoints": self.against,
            "findings": [{"code": found.flaw.value, "where": found.where, "sentence": found.sentence} for found in self.findings],
            "more_findings": self.more,
            "signing_refused": bool(self.broken),
            "refused_because": [{"code": one["code"], "where": one["field"], "sentence": one["message"]} for one in self.broken],
        }


async def check_service(api: Api, service: str, *, person: str, trust: Trust, saved: Sequence[str]) -> Checked:
    """Check the record of a running service; it is trusted with nothing but to compute each entry's leaf from its row."""
    broken: Sequence[Mapping[str, str]] = ()
    newest = None
    try:
        newest = (await api.ask("GET", service, "/v1/audit/checkpoint", person=person)).text
    except RefusedError as error:
        if error.problem_code != "record_broken":
            raise
        broken = error.fields or [{"code": error.problem_code, "field": "the record", "message": "It contradicts itself."}]
    origin = str((await api.get(service, "/v1/audit/checkpoints", person=person, params={"limit": "1"}))["origin"])
    kept = [CheckpointDocument.model_validate(item).seen() async for item in _pages(api, service, "/v1/audit/checkpoints", person)]
    against = _of_service(service, saved)
    verification = Verification(service, origin=origin, trust=trust, checkpoints=kept, saved=against)
    async for item in _pages(api, service, "/v1/audit/leaves", person):
        verification.take(LeafDocument.model_validate(item).seen(service))
    remainder = RemainderDocument.model_validate(await api.get(service, "/v1/audit/remainder", person=person))
    verification.finish(remainder.seen(service))
    return _checked(verification, against, newest, broken=broken)


def check_dump(file: Path, *, trust: Trust, saved: Sequence[str]) -> Checked:
    """Check a record in a dump: every leaf is computed here from its row. Raises CommandError for a file that is no dump."""
    lines = _lines(file)
    try:
        head = next(lines)
        service, origin = str(head["record"]), str(head["origin"])
        kept = [checkpoint.seen() for checkpoint in _HEAD.validate_python(head["checkpoints"])]
        against = _of_service(service, saved)
        verification = Verification(service, origin=origin, trust=trust, checkpoints=kept, saved=against)
        for line in lines:
            if "remainder" in line:
                verification.finish(RemainderDocument.model_validate(line["remainder"]).seen(service))
                return _checked(verification, against, None, broken=())
            leaf = LeafDocument.model_validate(line)
            if leaf.entry is not None and leaf.entry.row is None:
                leaf = leaf.model_copy(update={"entry": None})
            verification.take(leaf.seen(service))
    except (ValidationError, KeyError, TypeError, StopIteration):
        pass
    raise CommandError(f"{file} is not a whole dump of a record.", remedy="`mrm audit dump SERVICE FILE` writes one.", code=MISUSED)


async def dump_record(service: str, url: str, file: Path) -> int:
    """Write a service's record from its database as it is at one moment; returns how many entries have their place in it."""
    database = Database(url, max_size=1)
    await database.open()
    try:
        async with database.reading("dump_record", by=SYSTEM) as tx:
            lines = [line async for line in _dumped(tx, service)]
    finally:
        await database.close()
    write_private(file, "\n".join(lines) + "\n")
    return len(lines) - 2


def read_saved(file: Path) -> list[str]:
    """Read saved checkpoints, one after the other with an empty line between; raises CommandError."""
    try:
        return [note for note in _BETWEEN_NOTES.split(file.read_text("utf-8")) if note.strip()]
    except (OSError, ValueError):
        raise CommandError(f"{file} cannot be read.", remedy="Name a file that --save wrote.", code=MISUSED) from None


def write_saved(file: Path, notes: Sequence[str]) -> None:
    """Write checkpoints so that `read_saved` reads them."""
    write_private(file, "\n".join(notes))


async def _pages(api: Api, service: str, path: str, person: str) -> AsyncIterator[Any]:
    params = {"limit": str(PAGE)}
    while True:
        page = await api.get(service, path, person=person, params=params)
        for item in page["items"]:
            yield item
        if page["next"] is None:
            return
        params["cursor"] = page["next"]


async def _dumped(tx: Tx, service: str) -> AsyncIterator[str]:
    kept = [CheckpointDocument.of(checkpoint).model_dump(mode="json") async for checkpoint in checkpoints_of(tx)]
    yield json.dumps({"record": service, "origin": await get_origin(tx, service), "checkpoints": kept}, ensure_ascii=False)
    async for leaf, row in leaves_of(tx, service):
        yield LeafDocument.of(leaf, None if row is None else row.entry).model_dump_json()
    remainder = RemainderDocument.of(await remainder_of(tx, service))
    yield json.dumps({"remainder": remainder.model_dump(mode="json")}, ensure_ascii=False)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8") as opened:
            for line in opened:
                document = json.loads(line)
                if not isinstance(document, dict):
                    raise TypeError
                yield document
    except (OSError, ValueError, RecursionError):
        return


def _of_service(service: str, saved: Sequence[str]) -> list[str]:
    """Return the saved checkpoints of a service, and those that are nobody's."""
    return [note for note in saved if _service_of(note) in (service, None)]


def _service_of(note: str) -> str | None:
    try:
        return Checkpoint.decode(note).service
    except NoteError:
        return None


def _checked(verification: Verification, saved: Sequence[str], newest: str | None, *, broken: Sequence[Mapping[str, str]]) -> Checked:
    return Checked(
        service=verification.service,
        entries=verification.size,
        checkpoints=verification.checkpoints,
        against=len(saved),
        findings=verification.findings,
        more=verification.more,
        newest=newest,
        broken=broken,
    )
