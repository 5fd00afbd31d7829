"""Submissions: drafted by an officer, approved by both co-chairs, then frozen, signed and taken as a bundle."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, cast
from uuid import UUID

from fastapi import APIRouter, Request, Response

from chassis.errors import Conflict, Invalid, NotFound
from chassis.http import AnsweredBefore, Caller, OncePart, PageQuery, allowed, json_body, next_cursor, problem_responses, read_json
from chassis.service import Service
from chassis.storage import Tx
from contracts.bundle.manifest import NarrativeSource, Previous, Product, read_figures
from contracts.bundle.narrative import fill
from contracts.bundle.sums import contradictions
from contracts.model import FieldError
from contracts.situation import Situation
from export import store
from export.documents import (
    ApprovalAnswer,
    ApprovalForm,
    BundleAnswer,
    ContradictionAnswer,
    Drafted,
    SectionAnswer,
    SubmissionDocument,
    SubmissionForm,
    SubmissionItem,
    Submissions,
    WindowAnswer,
)
from export.domain.drafting import check_size, figures_of, narrative_of
from export.domain.submissions import (
    PRODUCTS,
    GivenApproval,
    State,
    Submission,
    approving_role,
    is_approved,
    require_draft,
    standing,
)
from export.signing import sign_if_possible

router = APIRouter(tags=["submissions"])
_PATH: Final = "/v1/situations/{situation}/submissions"
_SHOWN: Final = 50


@router.post(_PATH, status_code=201, openapi_extra=json_body(SubmissionForm), summary="Draft a submission")
async def draft_submission(
    situation: str, request: Request, caller: Annotated[Caller, allowed("submission.draft")], once: OncePart
) -> SubmissionDocument:
    """Draft a submission from a frozen snapshot, with the narrative as written or the product's default one."""
    caller.require(situation)
    form = await read_json(request, SubmissionForm)
    service: Service = request.app.state.service
    register = await service.register.get(situation)
    try:
        async with once.transaction(service.database, "draft_submission", caller) as tx:
            draft = await _written(tx, form, register, submission=tx.derived_id("submission"), by=caller.subject)
            await store.add_submission(tx, draft)
            tx.audit(caller.action, situation=situation, subject_ref=str(draft.submission), detail={"snapshot": str(draft.snapshot)})
            once.answer(Drafted(submission=draft.submission))
            return await _document(tx, draft)
    except AnsweredBefore as before:
        return await _open(service, caller, situation, Drafted.model_validate_json(before.answer).submission)


@router.get(_PATH, summary="List submissions")
async def list_submissions(
    situation: str, request: Request, page: PageQuery, caller: Annotated[Caller, allowed("submission.read")]
) -> Submissions:
    """Return the situation's submissions, the newest first, without what they say; each page is recorded."""
    caller.require(situation)
    service: Service = request.app.state.service
    after = page.after(datetime, UUID)
    async with service.database.transaction("list_submissions", by=caller) as tx:
        found = await store.list_submissions(tx, situation=situation, after=after, limit=page.limit + 1)
        items = [SubmissionItem(**_facts(submission)) for submission in found[: page.limit]]
        detail = {"route": "submissions", "found": len(items), **({"page": "next"} if after is not None else {})}
        tx.audit(caller.action, situation=situation, detail=detail)
    last = (items[-1].drafted_at, items[-1].submission) if items else ()
    return Submissions(items=items, next=next_cursor(page, len(found), last=last))


@router.get(f"{_PATH}/{{submission}}", summary="Read a submission")
async def read_submission(
    situation: str, submission: UUID, request: Request, caller: Annotated[Caller, allowed("submission.read")]
) -> SubmissionDocument:
    """Return a submission with its figures, its narrative as written and as filled, and its approvals; each opening is recorded."""
    caller.require(situation)
    return await _open(request.app.state.service, caller, situation, submission)


@router.put(f"{_PATH}/{{submission}}", openapi_extra=json_body(SubmissionForm), summary="Edit a draft")
async def edit_submission(
    situation: str, submission: UUID, request: Request, caller: Annotated[Caller, allowed("submission.edit")]
) -> SubmissionDocument:
    """Replace a draft as a whole. A changed content has a new digest, and approvals given before count no more."""
    caller.require(situation, state="draft")
    form = await read_json(request, SubmissionForm)
    service: Service = request.app.state.service
    register = await service.register.get(situation)
    async with service.database.transaction("edit_submission", by=caller) as tx:
        before = await store.lock_submission(tx, situation=situation, submission=submission)
        if before is None:
            raise NotFound
        require_draft(before)
        written = await _written(tx, form, register, submission=submission, by=before.drafted_by)
        if written.digest == before.digest:
            _record_opening(tx, before)
            return await _document(tx, before)
        after = replace(written, revision=before.revision + 1, drafted_at=before.drafted_at)
        await store.save_draft(tx, after)
        tx.audit(caller.action, situation=situation, subject_ref=str(submission), detail={"revision": after.revision})
        return await _document(tx, after)


@router.post(f"{_PATH}/{{submission}}/approvals", openapi_extra=json_body(ApprovalForm), summary="Approve a submission")
async def approve_submission(
    situation: str, submission: UUID, request: Request, caller: Annotated[Caller, allowed("submission.approve")]
) -> SubmissionDocument:
    """Approve exactly the content with the digest given. With the second approval, of another person, it is frozen and signed.

    The answer's state is then `signed`, or `signing` until what hinders the signing has gone.
    """
    caller.require(situation, state="draft")
    form = await read_json(request, ApprovalForm)
    service: Service = request.app.state.service
    register = await service.register.get(situation)
    async with service.database.transaction("approve_submission", by=caller) as tx:
        draft = await store.lock_submission(tx, situation=situation, submission=submission)
        if draft is None:
            raise NotFound
        given = standing(await store.list_approvals(tx, situation=situation, submission=submission), draft)
        if form.digest == draft.digest and any(one.approved_by == caller.subject and form.role in (None, one.role) for one in given):
            _record_opening(tx, draft)
            return await _document(tx, draft)
        require_draft(draft)
        _require_signable(draft, form, register)
        approval = GivenApproval(
            revision=draft.revision,
            digest=draft.digest,
            role=approving_role(roles=caller.roles_in(situation), asked=form.role, given=given, subject=caller.subject),
            approved_by=caller.subject,
            name=caller.principal.name[:200] or caller.subject[:200],
            approved_at=tx.now,
        )
        await store.add_approval(tx, approval, situation=situation, submission=submission)
        detail = {"role": approval.role, "digest": draft.digest, "revision": draft.revision}
        tx.audit(caller.action, situation=situation, subject_ref=str(submission), detail=detail)
        if is_approved([*given, approval]):
            await store.freeze_submission(tx, situation=situation, submission=submission)
            tx.audit("submission.freeze", situation=situation, subject_ref=str(submission), detail={"digest": draft.digest})
    await sign_if_possible(service, situation=situation, submission=submission)
    async with service.database.reading("read_approved", by=caller) as tx:  # what the approval's own entry speaks of
        return await _document(tx, await _get(tx, situation, submission))


@router.get(
    f"{_PATH}/{{submission}}/bundle",
    response_class=Response,
    responses={
        200: {"content": {"application/zip": {}}, "description": "The signed bundle, in its one canonical form."},
        **problem_responses(409),
    },
    summary="Take the signed bundle",
)
async def download_bundle(
    situation: str, submission: UUID, request: Request, caller: Annotated[Caller, allowed("submission.download")]
) -> Response:
    """Return the signed bundle as a file; each taking is recorded."""
    caller.require(situation, state="signed")
    service: Service = request.app.state.service
    async with service.database.transaction("download_bundle", by=caller) as tx:
        if await store.find_submission(tx, situation=situation, submission=submission) is None:
            raise NotFound
        raw = await store.find_bundle(tx, situation=situation, submission=submission)
        if raw is None:
            raise Conflict("submission.not_signed", "There is no bundle before both co-chairs have approved and it is signed.")
        tx.audit(caller.action, situation=situation, subject_ref=str(submission))
    return Response(
        raw,
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="submission-{submission}.zip"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )


async def _open(service: Service, caller: Caller, situation: str, submission: UUID) -> SubmissionDocument:
    async with service.database.transaction("read_submission", by=caller) as tx:
        found = await _get(tx, situation, submission)
        _record_opening(tx, found)
        return await _document(tx, found)


async def _get(tx: Tx, situation: str, submission: UUID) -> Submission:
    found = await store.find_submission(tx, situation=situation, submission=submission)
    if found is None:
        raise NotFound
    return found


def _record_opening(tx: Tx, submission: Submission) -> None:
    """Record that somebody is shown a whole submission without any act on it."""
    detail = {"route": "submission", "state": submission.state.value, "revision": submission.revision}
    tx.audit("submission.read", situation=submission.situation, subject_ref=str(submission.submission), detail=detail)


async def _written(tx: Tx, form: SubmissionForm, register: Situation, *, submission: UUID, by: str) -> Submission:
    """Make a draft of what was written; raises Invalid or Conflict."""
    if form.product not in PRODUCTS:
        raise Invalid([FieldError("product", "unknown_product", "Export makes the product annual; write that.")])
    snapshot = await store.find_snapshot(tx, situation=register.code, snapshot=form.snapshot)
    if snapshot is None:
        message = "No such snapshot has arrived in this situation; wait for it or take one of the list of snapshots."
        raise Invalid([FieldError("snapshot", "unknown_reference", message)])
    figures = figures_of(snapshot, register)
    narrative = narrative_of(figures, form.narrative)
    check_size(figures, narrative)
    draft = Submission(
        situation=register.code,
        submission=submission,
        product=cast(Product, form.product),
        snapshot=snapshot.snapshot,
        state=State.DRAFT,
        revision=1,
        digest="",
        figures=figures.encode(),
        narrative=narrative,
        previous=await _previous(tx, form, situation=register.code, submission=submission),
        drafted_by=by,
        drafted_at=tx.now,
        edited_at=tx.now,
    )
    return replace(draft, digest=draft.content.digest)


async def _previous(tx: Tx, form: SubmissionForm, *, situation: str, submission: UUID) -> Previous | None:
    if form.previous is None:
        return None
    facts = await store.find_bundle_facts(tx, situation=situation, submission=form.previous)
    if facts is None or form.previous == submission:
        message = "Name a signed submission of this situation, or leave the field out."
        raise Invalid([FieldError("previous", "unknown_reference", message)])
    return Previous(submission=form.previous, manifest_sha256=facts[1])


def _require_signable(draft: Submission, form: ApprovalForm, register: Situation) -> None:
    if form.digest != draft.digest:
        raise Conflict("submission.changed", "It is not what you saw: read it again and approve the digest that it has now.")
    if not register.recipients.get("recipient"):
        raise Conflict("submission.no_recipient", "Nobody could open it: let the operator add the recipient's key to the situation.")
    figures = read_figures(draft.figures)
    found = contradictions(figures.tables, params=figures.params)
    if found:
        errors = [FieldError(f"tables.{one.table}/{one.cell}".rstrip("/"), "does_not_add_up", one.message) for one in found[:_SHOWN]]
        raise Conflict("submission.figures_contradict", "Figures that do not add up are never signed; freeze a new snapshot.", errors)


async def _document(tx: Tx, submission: Submission) -> SubmissionDocument:
    figures = read_figures(submission.figures)
    narrative: NarrativeSource = submission.narrative
    where: dict[str, Any] = {"situation": submission.situation, "submission": submission.submission}
    facts = await store.find_bundle_facts(tx, **where) if submission.state is State.SIGNED else None
    given = standing(await store.list_approvals(tx, **where), submission)
    return SubmissionDocument(
        **_facts(submission),
        situation=submission.situation,
        window=WindowAnswer(from_=figures.window.from_, to=figures.window.to),
        position=figures.position,
        previous=submission.previous.submission if submission.previous else None,
        narrative=[SectionAnswer(section=section.section, text=section.text) for section in narrative.sections],
        filled=[SectionAnswer(section=section.section, text=fill(section.text, figures.tables)) for section in narrative.sections],
        tables=figures.tables,
        contradictions=[
            ContradictionAnswer(table=one.table, cell=one.cell, message=one.message)
            for one in contradictions(figures.tables, params=figures.params)[:_SHOWN]
        ],
        approvals=[ApprovalAnswer(role=one.role, name=one.name, approved_at=one.approved_at, digest=one.digest) for one in given],
        bundle=BundleAnswer(sha256=facts[0], manifest_sha256=facts[1], size=facts[2]) if facts else None,
    )


def _facts(submission: Submission) -> dict[str, Any]:
    return {
        "submission": submission.submission,
        "product": submission.product,
        "state": submission.state.value,
        "snapshot": submission.snapshot,
        "revision": submission.revision,
        "digest": submission.digest,
        "drafted_at": submission.drafted_at,
        "edited_at": submission.edited_at,
        "signed_at": submission.signed_at,
    }
