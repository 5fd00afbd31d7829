"""Intake's HTTP API: reports in, receipts out, and what a monitor may know of their own reports."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from chassis.errors import Conflict, Invalid
from chassis.http import Caller, PageQuery, allowed, json_body, next_cursor, open_to_all, read_json
from chassis.storage import Tx
from contracts.incident import IncidentReport, check_incident, hints
from contracts.model import FieldError
from intake import devices, domain, messages, store
from intake.desk import Desk, DeskOf
from intake.documents import Accepted, Hint, IncidentStatus, OwnIncident, OwnIncidents, ReceiptKey, ReceiptKeys, ReportForm
from intake.domain import StoredRevision

router = APIRouter(tags=["reports"])
_ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": Accepted, "description": "Accepted, sealed and on its way."},
    200: {"model": Accepted, "description": "Accepted before with the same content: the same receipt."},
}


@router.post(
    "/v1/incidents",
    status_code=202,
    response_model=None,
    responses=_ACCEPTED,
    openapi_extra=json_body(IncidentReport),
    summary="Report an incident",
)
async def submit_incident(request: Request, desk: DeskOf, caller: Annotated[Caller, allowed("incident.submit")]) -> Response:
    """Accept a whole incident, once: sending the same again answers 200 with the same receipt."""
    report = await read_json(request, IncidentReport)
    caller.require(report.situation)
    if report.revision not in (None, 1):
        raise Invalid([FieldError("revision", "not_first", "A first report is revision 1; leave the number out.")])
    situation = await desk.register.get(report.situation)
    submitter, content = desk.marks.of_monitor(caller.subject), domain.canonical_content(report)
    mark = desk.marks.of_content(content)
    async with desk.database.transaction("submit_incident", by=caller.known_as(desk.actor(submitter))) as tx:
        await devices.hold(tx, caller.principal)
        errors = check_incident(report, situation, today=situation.today(tx.now), first=True)
        if not errors and await store.add_incident(
            tx,
            situation=report.situation,
            incident=report.key,
            submitter=submitter,
            device=caller.principal.device,
            content=mark,
        ):
            _send(tx, caller, report, revision=1)
            return _accepted(desk, report, content, StoredRevision(1, mark, tx.now), status=202)
        known = await store.find_first_report(
            tx, situation=report.situation, incident=report.key, submitter=submitter, device=caller.principal.device
        )
    if known is not None and known.content == mark:
        return _accepted(desk, report, content, known, status=200)
    if errors:
        raise Invalid(errors)
    raise Conflict("incident.key_taken", "This key is taken by other content; send a revision of your own report or choose a new key.")


@router.post(
    "/v1/incidents/{incident}/revisions",
    status_code=202,
    response_model=None,
    responses=_ACCEPTED,
    openapi_extra=json_body(IncidentReport),
    summary="Send a later version of a report",
)
async def revise_incident(
    request: Request, incident: UUID, desk: DeskOf, caller: Annotated[Caller, allowed("incident.revise")]
) -> Response:
    """Replace one's own report from now on; without `revision` the next number is taken."""
    report = await read_json(request, IncidentReport)
    caller.require(report.situation, relation="own")
    if report.key != incident:
        raise Invalid([FieldError("key", "contradiction", "The key is not the one in the address; correct one of them.")])
    situation = await desk.register.get(report.situation)
    submitter, content = desk.marks.of_monitor(caller.subject), domain.canonical_content(report)
    mark = desk.marks.of_content(content)
    async with desk.database.transaction("revise_incident", by=caller.known_as(desk.actor(submitter))) as tx:
        await devices.hold(tx, caller.principal)
        latest = await store.lock_incident(
            tx, situation=report.situation, incident=incident, submitter=submitter, device=caller.principal.device
        )
        if latest is None:
            caller.refuse([report.situation])
        numbers = {latest, report.revision or latest}
        stored = await store.list_revisions(tx, situation=report.situation, incident=incident, numbers=numbers)
        step, number = domain.decide_revision(latest=latest, given=report.revision, content=mark, stored=stored)
        match step:
            case domain.Step.REPEAT:
                return _accepted(desk, report, content, stored[number], status=200)
            case domain.Step.CLASH:
                raise _revision_clash()
            case domain.Step.NEXT:
                errors = check_incident(report, situation, today=situation.today(tx.now), first=False)
                if errors:
                    raise Invalid(errors)
                await store.add_revision(tx, situation=report.situation, incident=incident, revision=number, content=mark)
                _send(tx, caller, report, revision=number)
                return _accepted(desk, report, content, StoredRevision(number, mark, tx.now), status=202)


@router.get("/v1/incidents", summary="List one's own reports")
async def list_incidents(
    page: PageQuery,
    desk: DeskOf,
    caller: Annotated[Caller, allowed("incident.list")],
    situation: Annotated[str | None, Query(max_length=64)] = None,
) -> OwnIncidents:
    """Return the caller's own reports, the newest first, those sent by their devices as well."""
    situations = _own_situations(caller, situation)
    after = page.after(*domain.LIST_ORDER)
    submitter = desk.marks.of_monitor(caller.subject)
    async with desk.database.reading("list_incidents", by=caller.known_as(desk.actor(submitter))) as tx:
        found = await store.list_incidents(tx, situations=situations, submitter=submitter, after=after, limit=page.limit + 1)
    items = [OwnIncident.model_validate(incident, from_attributes=True) for incident in found[: page.limit]]
    last = (items[-1].received_at, items[-1].situation, items[-1].incident) if items else ()
    return OwnIncidents(items=items, next=next_cursor(page, len(found), last=last))


@router.get("/v1/incidents/{incident}/status", summary="How far is my report?")
async def incident_status(
    incident: UUID,
    desk: DeskOf,
    caller: Annotated[Caller, allowed("incident.status")],
    situation: Annotated[str | None, Query(max_length=64)] = None,
) -> IncidentStatus:
    """Tell the monitor who submitted a report, or the device through which it came, and nobody else, how far it has come."""
    situations = _own_situations(caller, situation)
    submitter = desk.marks.of_monitor(caller.subject)
    async with desk.database.reading("incident_status", by=caller.known_as(desk.actor(submitter))) as tx:
        found = await store.find_incident(tx, situations=situations, incident=incident, submitter=submitter, device=caller.principal.device)
    if found is None:
        caller.refuse(situations)
    return IncidentStatus.model_validate(found, from_attributes=True)


@router.get("/v1/situations/{situation}", summary="What a report form offers")
async def report_form(situation: str, desk: DeskOf, caller: Annotated[Caller, allowed("form.read")]) -> ReportForm:
    """Return the parties and places that a report of this situation may name."""
    caller.require(situation)
    document = await desk.register.get(situation)
    return ReportForm.model_validate(document, from_attributes=True)


@router.get("/v1/receipts/keys", summary="Keys that receipts are checked with", dependencies=[open_to_all()])
async def receipt_keys(desk: DeskOf) -> ReceiptKeys:
    """Return the public keys as a JWK set (RFC 7517)."""
    return ReceiptKeys(keys=[ReceiptKey(**domain.receipt_key(key_id, public)) for key_id, public in desk.receipt_keys()])


def _own_situations(caller: Caller, situation: str | None) -> frozenset[str]:
    if situation is None:
        return caller.require_somewhere()
    caller.require(situation, relation="own")
    return frozenset({situation})


def _send(tx: Tx, caller: Caller, report: IncidentReport, *, revision: int) -> None:
    messages.publish_report(tx, report, revision=revision, submitted_by=caller.subject, received_at=tx.now)
    tx.audit(caller.action, situation=report.situation, subject_ref=str(report.key), detail=_detail(caller, revision))


def _detail(caller: Caller, revision: int) -> dict[str, Any]:
    device = caller.principal.device
    return {"revision": revision} if device is None else {"revision": revision, "device": str(device)}


def _accepted(desk: Desk, report: IncidentReport, content: bytes, revision: StoredRevision, *, status: int) -> Response:
    signer = desk.signer
    receipt = domain.receipt(
        situation=report.situation,
        incident=report.key,
        revision=revision.number,
        received_at=revision.received_at,
        content=content,
        key_id=signer.id,
        sign=signer.sign,
    )
    answer = Accepted(
        situation=report.situation,
        incident=report.key,
        revision=revision.number,
        receipt=receipt,
        hints=[Hint(field=hint.field, code=hint.code, message=hint.message) for hint in hints(report)],
    )
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json")


def _revision_clash() -> Conflict:
    error = FieldError("revision", "not_next", "Give the number after the latest revision, or leave it out.")
    return Conflict("incident.revision_clash", "Another revision has this place; look at the report's status and send again.", [error])
