"""The situation register: written here by the operator, published signed, copied by every service."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Request, Response

from chassis.errors import Conflict, Invalid, NotFound
from chassis.http import Caller, allowed, json_body, problem_responses, read_json
from chassis.recipients import find_key
from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.keys import PublicKey
from chassis.sealing.trust import Trust
from chassis.storage import Tx
from contracts.events import SituationRegistered
from contracts.model import FieldError
from contracts.situation import RecipientKey, Situation, check_situation
from verification.desk import Desk, DeskPart
from verification.messages.answers import SituationList, SituationListed, SituationShown
from verification.messages.requests import REGISTER_BYTES, SituationBody
from verification.store import ledgers

HOLDERS = ("verification", "aggregation", "export", "recipient")
"""Who must be able to open something of every situation."""
router = APIRouter(tags=["situations"])


@router.put(
    "/v1/situations/{situation}",
    openapi_extra=json_body(SituationBody),
    responses={201: {"model": SituationShown}, **problem_responses(400, 401, 403, 404, 409, 413, 415, 422)},
)
async def write_situation(
    situation: str, request: Request, response: Response, caller: Annotated[Caller, allowed("situation.write")], desk: DeskPart
) -> SituationShown:
    """Write a situation's register entry: a new one (201) or the next version (200)."""
    caller.require(situation)
    body = await read_json(request, SituationBody, limit=REGISTER_BYTES)
    errors = [*_check_code(body, situation), *check_situation(body), *_check_recipients(body, desk.trust)]
    if errors:
        raise Invalid(errors)
    async with desk.database.transaction("write_situation", by=caller) as tx:
        await desk.check_secret(tx)
        await ledgers.lock_new(tx, situation)
        before = await desk.register.find_in(tx, situation)
        if before is None:
            await ledgers.add_ledger(tx, situation, scratch=body.scratch)
            response.status_code = 201
        _check_change(before, body)
        version = await desk.register.newest_version(tx, situation) + 1
        document = Situation(**body.model_dump(exclude={"version", "removed"}), version=version)
        await _publish(desk, tx, document)
        detail = {"version": version, "scratch": body.scratch, "importing": body.importing, **_changed_keys(before, document)}
        tx.audit("situation.write", situation=situation, detail=detail)
        return await _shown(tx, document)


@router.get("/v1/situations", responses=problem_responses(401))
async def list_situations(caller: Annotated[Caller, allowed("situation.list")], desk: DeskPart) -> SituationList:
    """List the caller's situations; scratch ones are never among them."""
    everywhere, mine = caller.everywhere, caller.situations()
    return SituationList(
        items=[
            SituationListed(code=document.code, name=document.name, time_zone=document.time_zone, version=document.version)
            for document in await desk.register.all()
            if not document.scratch and (everywhere or document.code in mine)
        ]
    )


@router.get("/v1/situations/{situation}", responses=problem_responses(401, 403, 404))
async def get_situation(situation: str, caller: Annotated[Caller, allowed("situation.list")], desk: DeskPart) -> SituationShown:
    """Return a situation's register entry and how much has been recorded for it."""
    caller.require(situation)
    document = await desk.register.get(situation)
    async with desk.database.reading("get_situation", by=caller) as tx:
        return await _shown(tx, document)


@router.delete("/v1/situations/{situation}", status_code=204, responses=problem_responses(401, 403, 404, 409))
async def remove_situation(situation: str, caller: Annotated[Caller, allowed("situation.write")], desk: DeskPart) -> None:
    """Remove a scratch situation everywhere; audit entries stay. No other can be removed."""
    caller.require(situation)
    async with desk.database.transaction("remove_situation", by=caller) as tx:
        await ledgers.lock_new(tx, situation)
        document = await desk.register.find_in(tx, situation)
        if document is None:
            raise NotFound
        if not await ledgers.lock_ledger(tx, situation):
            raise Conflict("not_scratch", "Only a scratch situation can be removed; what a real one has recorded stays.")
        removed = document.model_copy(update={"removed": True, "version": document.version + 1})
        await _publish(desk, tx, removed)
        tx.audit("situation.remove", situation=situation, detail={"version": removed.version})


async def _publish(desk: Desk, tx: Tx, document: Situation) -> None:
    await desk.register.save(tx, document)
    tx.publish(SituationRegistered(situation=document.code, document=document), subject=document.code)


async def _shown(tx: Tx, document: Situation) -> SituationShown:
    counters = await ledgers.get_counters(tx, document.code)
    return SituationShown(
        **dict(document),
        incidents=counters.incidents,
        revisions=counters.revisions,
        refused=counters.refused,
        facts=counters.facts,
    )


def _check_code(body: SituationBody, situation: str) -> Iterable[FieldError]:
    if body.code != situation:
        yield FieldError("code", "contradiction", "The code must be the one in the address.")


def _check_recipients(body: SituationBody, trust: Trust) -> Iterable[FieldError]:
    for holder in sorted({*HOLDERS, *body.recipients}):
        if holder not in HOLDERS:
            yield FieldError("recipients", "unknown_code", f"Recipients are {', '.join(HOLDERS)}; remove the other one.")
        elif holder not in body.recipients:
            yield FieldError(f"recipients.{holder}", "missing", "Add at least one public key of this recipient.")
        else:
            for index, entry in enumerate(body.recipients[holder]):
                field = f"recipients.{holder}[{index}]"
                if not _is_key_of(entry, holder=holder, situation=body.code):
                    yield FieldError(field, "unusable_key", "This is not a public opening key of this recipient and situation.")
                elif find_key(entry, holder=holder, situation=body.code, trust=trust) is None:
                    yield FieldError(
                        field,
                        "unvouched_key",
                        "The service that holds this key must vouch for it: have `mrm keys vouch` run there, or leave it out.",
                    )


def _is_key_of(entry: RecipientKey, *, holder: str, situation: str) -> bool:
    try:
        key = PublicKey.parse(entry.id, entry.public)
    except UnusableKeyError:
        return False
    return key.holder == holder and key.situation == situation


def _changed_keys(before: Situation | None, document: Situation) -> dict[str, list[str]]:
    """Return the ids of keys that can open something from now on, and of those that nothing is sealed to any more, where there are any."""
    old, new = (set() if entry is None else {key.id for keys in entry.recipients.values() for key in keys} for entry in (before, document))
    changed = {"keys_added": sorted(new - old), "keys_removed": sorted(old - new)}
    return {name: ids for name, ids in changed.items() if ids}


def _check_change(before: Situation | None, body: SituationBody) -> None:
    """Raise unless the entry follows from the one before: nobody else's change is lost, nothing that reports refer to vanishes."""
    if body.version is not None and body.version != (before.version if before is not None else 0):
        raise Conflict("version_conflict", "Somebody has written another version; read the newest and change that.")
    if before is None:
        return
    if body.scratch != before.scratch:
        raise Conflict("scratch_fixed", "Whether a situation is a scratch one is settled when it is made; make a new one.")
    kept = {"parties": {party.code for party in body.parties}, "places": {place.code for place in body.places}}
    known = {"parties": {party.code for party in before.parties}, "places": {place.code for place in before.places}}
    errors = [
        FieldError(name, "code_removed", "A code once registered stays, for reports refer to it; put it back.")
        for name in ("parties", "places")
        if not known[name] <= kept[name]
    ]
    if errors:
        raise Invalid(errors)
