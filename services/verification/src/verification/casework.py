"""What several acts do inside their transaction: record decisions, and tell the monitor how far the case has come."""

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from chassis.storage import Tx
from contracts.vocabulary import Stage
from verification.domain.decisions import Decided
from verification.domain.progress import Progress
from verification.domain.references import Reference
from verification.messages.facts import incident_progressed, violation_decided
from verification.store import decisions as decision_store
from verification.store import incidents, ledgers, violations
from verification.store.decisions import RecordedDecision
from verification.store.incidents import CaseProgress
from verification.store.violations import DecidedViolation

Step = Callable[[CaseProgress], Progress]
"""What an act makes of a case's progress."""


async def move_cases(tx: Tx, situation: str, cases: Iterable[UUID], step: Step) -> None:
    """Let cases progress; what changes is kept and published, what does not change is not."""
    changed: list[tuple[UUID, Progress]] = []
    for case in await incidents.list_progress(tx, situation, list(dict.fromkeys(cases))):
        progress = step(case)
        if progress != case.progress:
            changed.append((case.incident, progress))
            tx.publish(incident_progressed(situation, case.incident, progress, at=tx.now), subject=str(case.incident))
    if changed:
        await incidents.save_progress(tx, situation, changed)


async def record_decisions(
    tx: Tx,
    situation: str,
    decided: Sequence[Decided],
    *,
    text: UUID,
    decided_by: Sequence[str],
    marks: Sequence[bytes],
    docket: UUID | None = None,
) -> list[RecordedDecision]:
    """Append decisions in their order with their audit entries; those of the task force (C1) leave as facts.

    The caller holds the ledger's lock and has had every rule checked.
    """
    first = await ledgers.advance(tx, situation, recorded=len(decided), facts=len(decided) if docket is not None else 0)
    if first is None:
        raise LookupError("the situation has no ledger")
    recorded = [
        RecordedDecision(
            decision=tx.derived_id(f"decision/{line}"),
            recorded=first + line,
            decided=one,
            decided_by=decided_by,
            marks=marks,
            docket=docket,
            text=text,
            line=line,
        )
        for line, one in enumerate(decided)
    ]
    await decision_store.add_decisions(tx, situation, recorded)
    await violations.save_vettings(tx, situation, _after(decided))
    for one in recorded:
        _account_for(tx, situation, one)
    cases = (one.violation.reference.incident for one in decided)
    await move_cases(tx, situation, cases, lambda case: case.progress.decided(settled=case.settled))
    return recorded


def _account_for(tx: Tx, situation: str, one: RecordedDecision) -> None:
    proposed, reference = one.decided.proposed, one.decided.violation.reference
    tx.audit(
        "decision.record",
        situation=situation,
        subject_ref=str(reference),
        detail={
            "decision": str(one.decision),
            "stage": proposed.stage,
            "outcome": proposed.outcome,
            "reopening": one.decided.reopening,
            **({"docket": str(one.docket), "line": one.line, "decided_by": list(one.decided_by)} if one.docket is not None else {}),
        },
    )
    if proposed.stage is Stage.CTFMR:
        fact = violation_decided(
            situation,
            incident=reference.incident,
            violation=reference.item,
            decision=one.decision,
            proposed=proposed,
            recorded_at=tx.now,
        )
        tx.publish(fact, subject=str(reference.incident))


def _after(decided: Sequence[Decided]) -> list[DecidedViolation]:
    """Return what each violation is after all decisions of the batch."""
    after: dict[Reference, DecidedViolation] = {}
    for one in decided:
        reference, day = one.violation.reference, one.proposed.decided_on
        before = after.get(reference)
        days = [known for known in (before.earliest_decided_on if before else None, day) if known is not None]
        after[reference] = DecidedViolation(
            reference=reference,
            vetting=one.vetting,
            ctfmr=(before is not None and before.ctfmr) or one.proposed.stage is Stage.CTFMR,
            ctfmr_decided_on=day if one.proposed.stage is Stage.CTFMR else before.ctfmr_decided_on if before else None,
            earliest_decided_on=min(days, default=None),
        )
    return list(after.values())
