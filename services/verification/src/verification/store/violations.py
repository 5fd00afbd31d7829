"""SQL of violations: what the queue shows and what a decision changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from asyncpg import Record

from chassis.storage import Tx
from contracts.vocabulary import Stage, Status, ViolationType
from verification.domain.decisions import KnownViolation
from verification.domain.references import Reference
from verification.domain.vetting import Vetting

_SHOWN = """
    v.incident, v.violation, v.opened, v.type, v.boys, v.girls, v.unknown, v.primary_sources, v.secondary_sources, v.incomplete,
    v.focal_point, v.technical, v.ctfmr, v.latest, v.waits_for, v.ctfmr_decided_on, i.occurred_from, i.occurred_to, i.ongoing, i.region,
    i.status, i.submitter,
    exists (
        select from links l where l.situation = v.situation and l.incident = v.incident and l.item = v.violation
            and l.kind = 'duplicate' and l.undone_recorded is null
    ) as duplicate,
    exists (
        select from docket_lines l join dockets d using (situation, docket)
        where l.situation = v.situation and l.incident = v.incident and l.violation = v.violation and d.state = 'open'
    ) as in_docket
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """What of the queue is asked for; None leaves out nothing."""

    stage: str | None
    type: str | None
    region: str | None
    status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedViolation:
    """What a violation is after decisions: its vetting, the day of its newest CTFMR decision and the earliest day of all."""

    reference: Reference
    vetting: Vetting
    ctfmr: bool
    """Whether the task force was among those who decided; only then is its day written, a missing one too."""
    ctfmr_decided_on: date | None
    earliest_decided_on: date | None


async def find_violations(tx: Tx, situation: str, references: Iterable[Reference]) -> dict[Reference, KnownViolation]:
    """Return those of the violations that their incidents hold now."""
    distinct = list(dict.fromkeys(references))
    rows = await tx.fetch(
        """
        select v.incident, v.violation, v.type, v.primary_sources, v.secondary_sources, v.focal_point, v.technical, v.ctfmr, v.latest,
            i.occurred_from, i.submitter
        from unnest($2::uuid[], $3::text[]) as asked (incident, violation)
        join violations v on v.situation = $1 and v.incident = asked.incident and v.violation = asked.violation and v.held
        join incidents i on i.situation = $1 and i.incident = v.incident
        """,
        situation,
        [reference.incident for reference in distinct],
        [reference.item for reference in distinct],
    )
    found = (
        KnownViolation(
            reference=Reference(row["incident"], row["violation"]),
            type=ViolationType(row["type"]),
            occurred_from=row["occurred_from"],
            primary_sources=row["primary_sources"],
            secondary_sources=row["secondary_sources"],
            submitter=row["submitter"],
            vetting=vetting_of(row),
        )
        for row in rows
    )
    return {violation.reference: violation for violation in found}


def vetting_of(row: Record) -> Vetting:
    """Return the vetting that a row of violations holds."""

    def status(column: str) -> Status | None:
        return Status(row[column]) if row[column] is not None else None

    return Vetting(
        focal_point=status("focal_point"),
        technical=status("technical"),
        ctfmr=status("ctfmr"),
        latest=Stage(row["latest"]) if row["latest"] is not None else None,
    )


async def save_vettings(tx: Tx, situation: str, decided: Sequence[DecidedViolation]) -> None:
    """Keep what decisions changed."""
    await tx.execute(
        """
        update violations v
        set focal_point = given.focal_point, technical = given.technical, ctfmr = given.ctfmr, latest = given.latest,
            waits_for = given.waits_for, settled = given.settled,
            ctfmr_decided_on = case when given.by_ctfmr then given.ctfmr_decided_on else v.ctfmr_decided_on end,
            earliest_decided_on = least(v.earliest_decided_on, given.earliest_decided_on)
        from jsonb_to_recordset($2::jsonb) as given (incident uuid, violation text, focal_point text, technical text, ctfmr text,
            latest text, waits_for text, settled boolean, by_ctfmr boolean, ctfmr_decided_on date, earliest_decided_on date)
        where v.situation = $1 and v.incident = given.incident and v.violation = given.violation
        """,
        situation,
        [
            {
                "incident": str(one.reference.incident),
                "violation": one.reference.item,
                "focal_point": one.vetting.focal_point,
                "technical": one.vetting.technical,
                "ctfmr": one.vetting.ctfmr,
                "latest": one.vetting.latest,
                "waits_for": one.vetting.waits_for,
                "settled": one.vetting.settled,
                "by_ctfmr": one.ctfmr,
                "ctfmr_decided_on": _text(one.ctfmr_decided_on),
                "earliest_decided_on": _text(one.earliest_decided_on),
            }
            for one in decided
        ],
    )


async def list_queue(tx: Tx, situation: str, asked: QueueFilter, *, after: tuple[int, str] | None, limit: int) -> list[Record]:
    """Return violations that wait for a stage, oldest reports first."""
    opened, violation = after or (0, "")
    return await tx.fetch(
        f"""
        select {_SHOWN} from violations v join incidents i using (situation, incident)
        where v.situation = $1 and v.held and (v.opened, v.violation) > ($2::bigint, $3::text)
            and case when $4::text is null then v.waits_for is not null else v.waits_for = $4 end
            and ($5::text is null or v.type = $5)
            and ($6::text is null or i.region = $6 or ($6 = '_unknown' and i.region is null))
            and ($7::text is null or coalesce(v.ctfmr, 'report_pending_verification') = $7)
        order by v.opened, v.violation limit $8
        """,  # noqa: S608 - our own text
        situation,
        opened,
        violation,
        asked.stage,
        asked.type,
        asked.region,
        asked.status,
        limit,
    )


async def list_violations(tx: Tx, situation: str, references: Sequence[Reference]) -> list[Record]:
    """Return the state of those violations that are held now, in the order asked."""
    return await tx.fetch(
        f"""
        select {_SHOWN} from unnest($2::uuid[], $3::text[]) with ordinality as asked (incident, violation, place)
        join violations v on v.situation = $1 and v.incident = asked.incident and v.violation = asked.violation and v.held
        join incidents i on i.situation = $1 and i.incident = v.incident order by asked.place
        """,  # noqa: S608 - our own text
        situation,
        [reference.incident for reference in references],
        [reference.item for reference in references],
    )


async def list_violations_of(tx: Tx, situation: str, incident: object) -> list[Record]:
    """Return the state of the violations an incident holds."""
    return await tx.fetch(
        f"""
        select {_SHOWN} from violations v join incidents i using (situation, incident)
        where v.situation = $1 and v.incident = $2 and v.held order by v.opened, v.violation
        """,  # noqa: S608 - our own text
        situation,
        incident,
    )


def _text(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None
