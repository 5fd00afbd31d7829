"""SQL of dockets, their lines and the co-chairs' approvals."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from chassis.storage import Tx
from contracts.incident import AttributionEntry
from contracts.vocabulary import Attribution, Stage, Status
from verification.domain.decisions import Criteria, ProposedDecision
from verification.domain.dockets import Approval, DocketKind, DocketState
from verification.domain.references import Reference
from verification.store.decisions import coded

_DOCKET = """
    d.docket, d.kind, d.state, d.lines, d.proposed_by, d.proposed_at, d.ended_by, d.ended_at, d.text,
    (select coalesce(jsonb_agg(jsonb_build_object('role', a.role, 'subject', a.subject, 'approved_at', a.approved_at)
        order by a.approved_at, a.role), '[]')
     from docket_approvals a where a.situation = d.situation and a.docket = d.docket) as approvals
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDocket:
    """A docket as the approval rules need it."""

    docket: UUID
    kind: DocketKind
    state: DocketState
    proposed_by: str
    text: UUID
    approvals: Sequence[Approval]


async def add_docket(tx: Tx, situation: str, *, docket: UUID, kind: DocketKind, text: UUID, lines: Sequence[ProposedDecision]) -> None:
    """Keep an open docket with its lines; every line names a violation."""
    await tx.execute(
        """
        insert into dockets (situation, docket, kind, lines, proposed_by, proposed_at, text) values ($1, $2, $3, $4, $5, $6, $7)
        """,
        situation,
        docket,
        kind,
        len(lines),
        tx.actor,
        tx.now,
        text,
    )
    await tx.execute(
        """
        insert into docket_lines (situation, docket, line, incident, violation, outcome, decided_on, criteria, attribution,
            non_verification_reason)
        select $1, $2, given.line, given.incident, given.violation, given.outcome, given.decided_on, given.criteria, given.attribution,
            given.non_verification_reason
        from jsonb_to_recordset($3::jsonb) as given (line integer, incident uuid, violation text, outcome text, decided_on date,
            criteria jsonb, attribution jsonb, non_verification_reason text)
        """,
        situation,
        docket,
        [
            {**coded(line), "line": number, "incident": str(line.violation.incident), "violation": line.violation.item}
            for number, line in enumerate(lines)
            if line.violation is not None
        ],
    )


async def find_docket(tx: Tx, situation: str, docket: UUID) -> KeptDocket | None:
    """Return a docket with its approvals."""
    row = await tx.fetchrow(
        "select docket, kind, state, proposed_by, text from dockets where situation = $1 and docket = $2", situation, docket
    )
    if row is None:
        return None
    approvals = await tx.fetch(
        "select role, subject, mark from docket_approvals where situation = $1 and docket = $2 order by role", situation, docket
    )
    return KeptDocket(
        docket=row["docket"],
        kind=DocketKind(row["kind"]),
        state=DocketState(row["state"]),
        proposed_by=row["proposed_by"],
        text=row["text"],
        approvals=[Approval(role=given["role"], subject=given["subject"], mark=given["mark"]) for given in approvals],
    )


async def get_docket_shown(tx: Tx, situation: str, docket: UUID) -> Record | None:
    """Return a docket as it is shown, without its lines."""
    return await tx.fetchrow(f"select {_DOCKET} from dockets d where d.situation = $1 and d.docket = $2", situation, docket)  # noqa: S608


async def list_dockets(tx: Tx, situation: str, *, state: str | None, after: tuple[datetime, UUID] | None, limit: int) -> list[Record]:
    """Return dockets, oldest first, without their lines."""
    proposed_at, docket = after or (None, None)
    return await tx.fetch(
        f"""
        select {_DOCKET} from dockets d
        where d.situation = $1 and ($2::text is null or d.state = $2)
            and ($3::timestamptz is null or (d.proposed_at, d.docket) > ($3, $4::uuid))
        order by d.proposed_at, d.docket limit $5
        """,  # noqa: S608 - our own text
        situation,
        state,
        proposed_at,
        docket,
        limit,
    )


async def list_docket_lines(tx: Tx, situation: str, docket: UUID) -> list[ProposedDecision]:
    """Return the lines of a docket in their order, without their free texts."""
    rows = await tx.fetch(
        """
        select incident, violation, outcome, decided_on, criteria, attribution, non_verification_reason from docket_lines
        where situation = $1 and docket = $2 order by line
        """,
        situation,
        docket,
    )
    return [_line(row) for row in rows]


async def add_approval(tx: Tx, situation: str, docket: UUID, approval: Approval) -> None:
    """Keep a co-chair's approval; the database refuses a second one of the same office or person."""
    await tx.execute(
        "insert into docket_approvals (situation, docket, role, subject, mark, approved_at) values ($1, $2, $3, $4, $5, $6)",
        situation,
        docket,
        approval.role,
        approval.subject,
        approval.mark,
        tx.now,
    )


async def end_docket(tx: Tx, situation: str, docket: UUID, state: DocketState) -> None:
    """Mark a docket as decided or withdrawn."""
    await tx.execute(
        "update dockets set state = $3, ended_by = $4, ended_at = $5 where situation = $1 and docket = $2",
        situation,
        docket,
        state,
        tx.actor,
        tx.now,
    )


def _line(row: Record) -> ProposedDecision:
    return ProposedDecision(
        violation=Reference(row["incident"], row["violation"]),
        stage=Stage.CTFMR,
        outcome=Status(row["outcome"]),
        decided_on=row["decided_on"],
        criteria=Criteria(**row["criteria"]) if row["criteria"] is not None else None,
        attribution=None
        if row["attribution"] is None
        else tuple(AttributionEntry(party=entry["party"], attribution=Attribution(entry["attribution"])) for entry in row["attribution"]),
        non_verification_reason=row["non_verification_reason"],
    )
