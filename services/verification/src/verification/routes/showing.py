"""Rows of the store as answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from asyncpg import Record

from contracts.incident import AttributionEntry
from contracts.vocabulary import Attribution, Status
from verification.domain.references import Reference
from verification.messages.answers import ApprovalShown, DecisionRecorded, DocketListed, LinkShown, ViolationShown
from verification.store.decisions import RecordedDecision
from verification.store.violations import vetting_of


def violation_shown(row: Record, *, mark: bytes) -> ViolationShown:
    """Return the state of a violation; `mark` is the caller's own."""
    vetting = vetting_of(row)
    return ViolationShown(
        violation=str(Reference(row["incident"], row["violation"])),
        incident=row["incident"],
        type=row["type"],
        boys=row["boys"],
        girls=row["girls"],
        unknown=row["unknown"],
        occurred_from=row["occurred_from"],
        occurred_to=row["occurred_to"],
        ongoing=row["ongoing"],
        region=row["region"],
        case_status=row["status"],
        status=vetting.status,
        focal_point=vetting.focal_point,
        technical=vetting.technical,
        ctfmr=vetting.ctfmr,
        decided_on=row["ctfmr_decided_on"],
        waits_for=vetting.waits_for,
        reopened=vetting.reopened,
        incomplete=row["incomplete"],
        primary_sources=row["primary_sources"],
        secondary_sources=row["secondary_sources"],
        duplicate=row["duplicate"],
        in_docket=row["in_docket"],
        own=row["submitter"] == mark,
    )


def link_shown(row: Record) -> LinkShown:
    """Return a standing link."""
    return LinkShown(
        link=row["link"],
        kind=row["kind"],
        item=str(Reference(row["incident"], row["item"])),
        of=str(Reference(row["of_incident"], row["of_item"])),
        recorded=row["recorded"],
        recorded_at=row["recorded_at"],
        recorded_by=row["recorded_by"],
        idle=row.get("idle"),
    )


def docket_listed(row: Record) -> DocketListed:
    """Return a docket without its lines."""
    return DocketListed(
        docket=row["docket"],
        kind=row["kind"],
        state=row["state"],
        lines=row["lines"],
        proposed_by=row["proposed_by"],
        proposed_at=row["proposed_at"],
        ended_by=row["ended_by"],
        ended_at=row["ended_at"],
        approvals=[ApprovalShown.model_validate(approval) for approval in row["approvals"]],
    )


def attribution_shown(entries: Sequence[Mapping[str, Any]] | None) -> list[AttributionEntry] | None:
    """Return a decision's own attribution list, None if it has none."""
    if entries is None:
        return None
    return [AttributionEntry(party=entry["party"], attribution=Attribution(entry["attribution"])) for entry in entries]


def decision_recorded(one: RecordedDecision) -> DecisionRecorded:
    """Return what a recorded decision's sender learns."""
    return DecisionRecorded(
        decision=one.decision, violation=str(one.decided.violation.reference), recorded=one.recorded, reopening=one.decided.reopening
    )


STATUSES = [status.value for status in Status]
"""The statuses by which the queue can be asked."""
