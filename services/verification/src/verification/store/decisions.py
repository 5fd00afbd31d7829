"""SQL of decisions: appended, read, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from asyncpg import Record

from chassis.storage import Tx
from verification.domain.decisions import Criteria, Decided, ProposedDecision
from verification.domain.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """A decision with its id, its number in the recording order, its deciders, and where its free text lies."""

    decision: UUID
    recorded: int
    decided: Decided
    decided_by: Sequence[str]
    marks: Sequence[bytes]
    docket: UUID | None
    text: UUID
    line: int


async def add_decisions(tx: Tx, situation: str, decisions: Sequence[RecordedDecision]) -> None:
    """Append decisions; raises asyncpg.CheckViolationError for one on an own report or without four eyes where they are needed."""
    await tx.execute(
        """
        insert into decisions (situation, decision, recorded, recorded_at, incident, violation, stage, outcome, decided_on, reopening,
            decided_by, marks, submitter, criteria, attribution, non_verification_reason, primary_sources, secondary_sources, docket,
            text, line)
        select $1, given.decision, given.recorded, $2, given.incident, given.violation, given.stage, given.outcome, given.decided_on,
            given.reopening, given.decided_by, given.marks, given.submitter, given.criteria, given.attribution,
            given.non_verification_reason, given.primary_sources, given.secondary_sources, given.docket, given.text, given.line
        from jsonb_to_recordset($3::jsonb) as given (decision uuid, recorded bigint, incident uuid, violation text, stage text,
            outcome text, decided_on date, reopening boolean, decided_by text[], marks bytea[], submitter bytea, criteria jsonb,
            attribution jsonb, non_verification_reason text, primary_sources integer, secondary_sources integer, docket uuid, text uuid,
            line integer)
        """,
        situation,
        tx.now,
        [_row(one) for one in decisions],
    )


def _row(one: RecordedDecision) -> dict[str, Any]:
    violation = one.decided.violation
    return {
        **coded(one.decided.proposed),
        "decision": str(one.decision),
        "recorded": one.recorded,
        "incident": str(violation.reference.incident),
        "violation": violation.reference.item,
        "stage": one.decided.proposed.stage,
        "reopening": one.decided.reopening,
        "decided_by": list(one.decided_by),
        "marks": [_hex(mark) for mark in one.marks],
        "submitter": _hex(violation.submitter),
        "primary_sources": violation.primary_sources,
        "secondary_sources": violation.secondary_sources,
        "docket": str(one.docket) if one.docket is not None else None,
        "text": str(one.text),
        "line": one.line,
    }


def coded(proposed: ProposedDecision) -> dict[str, Any]:
    """Return the coded part of a decision as JSON: no free text."""
    stated: Criteria | None = proposed.criteria
    return {
        "outcome": proposed.outcome,
        "decided_on": proposed.decided_on.isoformat() if proposed.decided_on is not None else None,
        "criteria": None
        if stated is None
        else {
            "primary_source": stated.primary_source,
            "documentation_exception": stated.documentation_exception,
            "source_reliability": stated.source_reliability,
            "information_credibility": stated.information_credibility,
            "nexus": stated.nexus,
            "under_18": stated.under_18,
            "party": stated.party,
        },
        "attribution": None
        if proposed.attribution is None
        else [{"party": entry.party, "attribution": entry.attribution} for entry in proposed.attribution],
        "non_verification_reason": proposed.non_verification_reason,
    }


async def list_decisions(tx: Tx, situation: str, violation: Reference) -> list[Record]:
    """Return all decisions on a violation in recording order, superseded ones included."""
    return await tx.fetch(
        """
        select decision, recorded, recorded_at, stage, outcome, decided_on, reopening, decided_by, criteria, attribution,
            non_verification_reason, primary_sources, secondary_sources, docket, text, line
        from decisions where situation = $1 and incident = $2 and violation = $3 order by recorded
        """,
        situation,
        violation.incident,
        violation.item,
    )


async def list_decisions_of(tx: Tx, situation: str, incident: UUID) -> list[Record]:
    """Return all decisions on an incident's violations in recording order, superseded ones included."""
    return await tx.fetch(
        """
        select decision, incident, violation, recorded, recorded_at, stage, outcome, decided_on, reopening, decided_by, criteria,
            attribution, non_verification_reason, primary_sources, secondary_sources, docket
        from decisions where situation = $1 and incident = $2 order by recorded
        """,
        situation,
        incident,
    )


async def has_violation(tx: Tx, situation: str, violation: Reference) -> bool:
    """Tell whether any revision ever held this violation."""
    found: bool = await tx.fetchval(
        "select exists (select from violations where situation = $1 and incident = $2 and violation = $3)",
        situation,
        violation.incident,
        violation.item,
    )
    return found


def _hex(raw: bytes) -> str:
    return "\\x" + raw.hex()
