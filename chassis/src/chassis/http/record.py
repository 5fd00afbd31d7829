"""The record of acts over HTTP: reading it, signed checkpoints and proofs of it, and everything that a check of the whole needs.

Whoever checks or witnesses the record sees hashes only; entries themselves are for those whose situation they belong to.
"""

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import AwareDatetime, BaseModel

from chassis.audit import documents, store, survey
from chassis.audit.leaf import Entry
from chassis.audit.merkle import Range, consistency_ranges, inclusion_ranges
from chassis.audit.verify import SeenCheckpoint
from chassis.errors import Forbidden, Invalid, NotFound
from chassis.http.access import allowed
from chassis.http.denials import ActorOf
from chassis.http.health import ServiceOf
from chassis.http.paging import Page, PageQuery, next_cursor
from chassis.identity import EVERYWHERE, Principal
from chassis.permissions import Caller
from contracts.model import FieldError

router = APIRouter(prefix="/v1/audit", tags=["record of acts"])
OF_SITUATION: Final = "situation"
OF_INSTALLATION: Final = "installation"
"""The two kinds of entries, as the permission table's column `state` tells them apart."""
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
Text = Annotated[str, Query(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
PERSON: Final = r"^[A-Za-z0-9._:@|+=/~-]{1,255}$"
"""What an issuer's subject or a service's mark may look like; a name with a space in it is neither."""
CASE: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(/[^/\x00-\x1f\x7f]{1,64})?$"
NOT_FOUND: Final = "not_found"
"""Stands in the record for a person who was looked for and whom the record does not know."""
_FORMS: Final = (
    (
        "person",
        re.compile(PERSON),
        "Write the subject that the issuer knows the person by, or a mark from this record: letters, digits and "
        "`._:@|+=/~-`, at most 255, no spaces.",
    ),
    ("case", re.compile(CASE), "Write the object's id, or its case's id and its key: `<uuid>` or `<uuid>/<key>`."),
)
Size = Annotated[int, Query(ge=0, lt=2**60)]


class EntryItem(BaseModel):
    """An act. With `salt` anybody who sees this can compute the leaf that stands for it in the tree."""

    position: int
    id: UUID
    at: datetime
    actor: str
    action: str
    situation: str | None
    subject: str | None
    detail: Any
    cause: UUID
    salt: str


class Entries(BaseModel):
    """A page of acts, newest first."""

    items: list[EntryItem]
    next: str | None


class Proof(BaseModel):
    """Hashes in base64, nearest to the leaf first (RFC 6962); `position` and `leaf` only where one leaf is proven."""

    size: int
    position: int | None = None
    leaf: str | None = None
    hashes: list[str]


class Checkpoints(BaseModel):
    """A page of kept checkpoints, oldest first, and the record's name as the database has it."""

    origin: str
    items: list[documents.CheckpointDocument]
    next: str | None


class Leaves(BaseModel):
    """A page of leaves in their order."""

    items: list[documents.LeafDocument]
    next: str | None


@router.get("/entries", summary="Who did what?")
async def list_entries(  # noqa: PLR0917 - FastAPI passes by name
    page: PageQuery,
    request: Request,
    service: ServiceOf,
    caller: Annotated[Caller, allowed("audit.read")],
    situation: Annotated[Text | None, Query(description="One situation; without it all that the caller may see.")] = None,
    person: Annotated[
        str | None, Query(description="The issuer's subject of whoever acted, or their mark.", json_schema_extra={"pattern": PERSON})
    ] = None,
    case: Annotated[
        str | None,
        Query(
            description="The object's id, `<uuid>` or `<uuid>/<key>`; objects below it are found as well.",
            json_schema_extra={"pattern": CASE},
        ),
    ] = None,
    since: Annotated[AwareDatetime | None, Query(description="From this instant on.")] = None,
) -> Entries:
    """Return acts that the caller may see, newest first; the reading is itself an act and recorded.

    A person is found under the issuer's subject and under the name that this service's record has for them. Of the question the record
    keeps ids only, and a person or a key only if it knows them already: nobody's words enter it by a search.
    """
    situations, installation = _scope(caller, situation)
    _check_forms(person=person, case=case)
    if since is not None and not _EARLIEST <= since <= _LATEST:
        raise Invalid([FieldError("since", "out_of_range", "Use an instant of this century.")])
    before = page.after(int)
    await service.record.grow()
    known_as = "" if person is None else _known_as(request, person)
    people = None if person is None else {person, known_as}
    wanted = store.Search(situations=situations, installation=installation, people=people, case=case, since=since)
    async with service.database.transaction("read_record", by=caller) as tx:
        found = await store.search(tx, service.name, wanted, before=before[0] if before else None, limit=page.limit + 1)
        named = None if person is None else _named(person, known_as, (entry for _, entry in found))
        asked = {"person": named, "case": _known_case(case, found=bool(found)), "since": since.isoformat() if since else None}
        detail = {name: value for name, value in asked.items() if value is not None}
        for place in [*sorted(situations), *([None] if installation else [])]:
            tx.audit(caller.action, situation=place, detail=detail)
    items = [_item(position, entry) for position, entry in found[: page.limit]]
    return Entries(items=items, next=next_cursor(page, len(found), last=[items[-1].position] if items else []))


@router.get(
    "/checkpoint",
    summary="How long is the record, and what is its root?",
    response_class=PlainTextResponse,
    responses={200: {"description": "A signed note (C2SP tlog-checkpoint).", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def checkpoint(service: ServiceOf, caller: Annotated[Caller, allowed("audit.checkpoint")]) -> PlainTextResponse:
    """Return a checkpoint, signed by the service, that covers every act done before. Keep it where nobody here can reach it."""
    _require_somewhere(caller)
    return PlainTextResponse((await service.record.checkpoint()).note.encode())


@router.get("/proof/consistency", summary="Does the record continue an older one?")
async def prove_consistency(service: ServiceOf, caller: Annotated[Caller, allowed("audit.checkpoint")], old: Size, size: Size) -> Proof:
    """Prove that the record of `size` entries begins with the one of `old` entries."""
    _require_somewhere(caller)
    async with service.database.reading("prove_consistency", by=caller) as tx:
        if old > size or size > await store.get_size(tx):
            raise NotFound
        return Proof(size=size, hashes=_encoded(await survey.prove(tx, consistency_ranges(old, size))))


@router.get("/proof/inclusion", summary="Is an act in the record?")
async def prove_inclusion(service: ServiceOf, caller: Annotated[Caller, allowed("audit.checkpoint")], entry: UUID, size: Size) -> Proof:
    """Prove that an entry is among the first `size` ones."""
    _require_somewhere(caller)
    async with service.database.reading("prove_inclusion", by=caller) as tx:
        position = await store.find_position(tx, entry)
        if position is None or position >= size or size > await store.get_size(tx):
            raise NotFound
        hashes = await survey.prove(tx, inclusion_ranges(position, size))
        leaf = await survey.prove(tx, [Range(position, position + 1)])
    return Proof(size=size, position=position, leaf=_encoded(leaf)[0], hashes=_encoded(hashes))


@router.get("/checkpoints", summary="List every checkpoint ever signed")
async def list_checkpoints(page: PageQuery, service: ServiceOf, caller: Annotated[Caller, allowed("audit.verify")]) -> Checkpoints:
    """Return the kept checkpoints, oldest first."""
    _require_somewhere(caller)
    async with service.database.reading("list_checkpoints", by=caller) as tx:
        found = await store.list_checkpoints(tx, after=_after(page), limit=page.limit + 1)
        origin = await survey.get_origin(tx, service.name)
    items = [documents.CheckpointDocument.of(SeenCheckpoint(*kept)) for kept in found[: page.limit]]
    return Checkpoints(origin=origin, items=items, next=next_cursor(page, len(found), last=[items[-1].number] if items else []))


@router.get("/leaves", summary="List the leaves of the record's tree")
async def list_leaves(page: PageQuery, service: ServiceOf, caller: Annotated[Caller, allowed("audit.verify")]) -> Leaves:
    """Return leaves in order, each with the hash that follows from its entry as it is now; of the entry itself nothing is told."""
    _require_somewhere(caller)
    async with service.database.reading("list_leaves", by=caller) as tx:
        found = await survey.list_leaves(tx, service.name, first=_after(page) + 1, limit=page.limit + 1)
    items = [documents.LeafDocument.of(leaf) for leaf, _ in found[: page.limit]]
    return Leaves(items=items, next=next_cursor(page, len(found), last=[items[-1].position] if items else []))


@router.get("/remainder", summary="What lies beside the record's tree?")
async def remainder(service: ServiceOf, caller: Annotated[Caller, allowed("audit.verify")]) -> documents.RemainderDocument:
    """Return what a check needs to know beside checkpoints and leaves; fetch it last."""
    _require_somewhere(caller)
    async with service.database.reading("show_remainder", by=caller) as tx:
        return documents.RemainderDocument.of(await survey.remainder_of(tx, service.name))


def _known_as(request: Request, subject: str) -> str:
    """Return the name that this service's record gives to somebody of whom nothing but the issuer's subject is known."""
    actor_of: ActorOf = request.app.state.actor_of
    return actor_of(Principal(subject, subject, frozenset()))


def _named(person: str, known_as: str, found: Iterable[Entry]) -> str:
    """Return under which name a search for a person is recorded: one that the record has already, else the service's own for them.

    A service that keeps its people's names out of its database does not let them in by a search, and neither does any service let in
    what it knows nobody by.
    """
    actors = {entry.actor for entry in found}
    if known_as in actors or known_as != person:
        return known_as if person not in actors else person
    return person if person in actors else NOT_FOUND


def _known_case(case: str | None, *, found: bool) -> str | None:
    """Return under which id a search for an object is recorded: a key, which may be anybody's words, only if the record has it."""
    return case if case is None or found else case.partition("/")[0]


def _check_forms(**given: str | None) -> None:
    """Raise Invalid for what can name neither a person nor an object of the record."""
    errors = [
        FieldError(name, "wrong_form", remedy)
        for name, form, remedy in _FORMS
        if (value := given[name]) is not None and form.fullmatch(value) is None
    ]
    if errors:
        raise Invalid(errors)


def _scope(caller: Caller, situation: str | None) -> tuple[frozenset[str], bool]:
    """Return the situations whose acts the caller is shown, and whether acts on the installation are; raises NotFound or Forbidden."""
    if situation is not None:
        caller.require(situation, state=OF_SITUATION)
        return frozenset([situation]), False
    situations = frozenset(code for code in caller.situations() if caller.may(code, state=OF_SITUATION))
    installation = caller.may(EVERYWHERE, state=OF_INSTALLATION)
    if not situations and not installation:
        raise Forbidden if caller.principal.grants else NotFound
    return situations, installation


def _require_somewhere(caller: Caller) -> None:
    """Let everybody pass whose role, wherever held, has the action; raises NotFound or Forbidden."""
    if not caller.everywhere and not caller.require_somewhere():
        raise NotFound


def _after(page: Page) -> int:
    last = page.after(int)
    return last[0] if last and last[0] < 2**62 else -1


def _item(position: int, entry: Entry) -> EntryItem:
    return EntryItem(
        position=position,
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        situation=entry.situation,
        subject=entry.subject_ref,
        detail=entry.detail,
        cause=entry.cause,
        salt=base64.b64encode(entry.salt).decode(),
    )


def _encoded(hashes: Iterable[bytes]) -> list[str]:
    return [base64.b64encode(hashed).decode() for hashed in hashes]
