"""Rows of the store as answers."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from asyncpg import Record

from contracts.incident import AttributionEntry
from contracts.vocabulary import Attribution, Status
from verification.domain.references import Reference
from verification.messages.answers import ApprovalShown, DecisionRecorded, DocketListed, LinkShown, Sources, ViolationCoded, ViolationShown
from verification.messages.cases import DecisionCoded
from verification.store.decisions import RecordedDecision
from verification.store.violations import vetting_of


def violation_shown(row: Record, *, mark: bytes) -> ViolationShown:
    """Return the state of a violation with its days; `mark` is the caller's own."""
    coded = violation_coded(row, mark=mark)
    return ViolationShown(**dict(coded), occurred_from=row["occurred_from"], occurred_to=row["occurred_to"])


def violation_coded(row: Record, *, mark: bytes) -> ViolationCoded:
    """Return the state of a violation with its months; `mark` is the caller's own."""
    vetting = vetting_of(row)
    return ViolationCoded(
        violation=str(Reference(row["incident"], row["violation"])),
        incident=row["incident"],
        type=row["type"],
        boys=row["boys"],
        girls=row["girls"],
        unknown=row["unknown"],
        **months_of(row),
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


def months_of(row: Record) -> dict[str, str | None]:
    """Return the months between which something happened; the second is absent with the second day."""
    first, last = row["occurred_from"], row["occurred_to"]
    return {"month_from": month_of(first), "month_to": None if last is None else month_of(last)}


def month_of(day: date) -> str:
    """Write the month of a day, such as 2024-01."""
    return f"{day:%Y-%m}"


def decision_coded(row: Record) -> DecisionCoded:
    """Return a decision without its reason."""
    return DecisionCoded(
        decision=row["decision"],
        violation=str(Reference(row["incident"], row["violation"])),
        recorded=row["recorded"],
        recorded_at=row["recorded_at"],
        stage=row["stage"],
        outcome=row["outcome"],
        decided_on=row["decided_on"],
        decided_by=row["decided_by"],
        reopening=row["reopening"],
        criteria=row["criteria"],
        attribution=attribution_shown(row["attribution"]),
        non_verification_reason=row["non_verification_reason"],
        sources=Sources(primary=row["primary_sources"], secondary=row["secondary_sources"]),
        docket=row["docket"],
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
