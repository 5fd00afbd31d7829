"""SQL of incidents, their sealed reports and children, and how far a case has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from asyncpg import Record

from chassis.storage import Tx
from verification.domain.progress import CaseStatus, Progress
from verification.domain.reports import CodedReport

_VIOLATIONS = """
    jsonb_to_recordset($%d::jsonb) as given (violation text, type text, boys integer, girls integer, unknown integer,
        primary_sources integer, secondary_sources integer, incomplete text[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedReport:
    """A revision to keep: the envelope as it came, and what stands in clear beside it."""

    incident: UUID
    revision: int
    envelope: bytes
    coded: CodedReport
    children: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownIncident:
    """What is known of an incident. `seen` is the newest revision that came, refused ones included."""

    revision: int
    seen: int
    submitter: bytes
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseProgress:
    """How far a case has come; `settled` if it holds a violation and all it holds are settled."""

    incident: UUID
    progress: Progress
    settled: bool


async def add_incident(tx: Tx, situation: str, report: SealedReport, *, submitter: bytes, recorded: int) -> bool:
    """Keep a first report; returns False, and keeps nothing, if the incident is there already."""
    added = await tx.fetchval(
        f"""
        with incident as (
            insert into incidents (situation, incident, revision, submitter, occurred_from, occurred_to, ongoing, region, opened)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (situation, incident) do nothing returning incident
        ), report as (
            insert into reports (situation, incident, revision, recorded, recorded_at, envelope)
            select $1, incident, $3, $9, $10, $11 from incident
        ), violation as (
            insert into violations (situation, incident, violation, opened, held, type, boys, girls, unknown, primary_sources,
                secondary_sources, incomplete, waits_for)
            select $1, incident, given.violation, $9, true, given.type, given.boys, given.girls, given.unknown, given.primary_sources,
                given.secondary_sources, given.incomplete, 'focal_point'
            from incident, {_VIOLATIONS % 12}
        ), child as (
            insert into children (situation, incident, child, held) select $1, incident, child, true
            from incident, unnest($13::text[]) as child
        )
        select true from incident
        """,  # noqa: S608 - our own text
        situation,
        report.incident,
        report.revision,
        submitter,
        report.coded.occurred_from,
        report.coded.occurred_to,
        report.coded.ongoing,
        report.coded.region,
        recorded,
        tx.now,
        report.envelope,
        _violations(report.coded),
        list(report.children),
    )
    return added is not None


async def revise_incident(tx: Tx, situation: str, report: SealedReport, *, recorded: int) -> None:
    """Put a revision in force: what it leaves out is no longer held, what it brings back is held again; decisions stay attached."""
    await tx.execute(
        f"""
        with incident as (
            update incidents set revision = $3, occurred_from = $4, occurred_to = $5, ongoing = $6, region = $7
            where situation = $1 and incident = $2
        ), report as (
            insert into reports (situation, incident, revision, recorded, recorded_at, envelope) values ($1, $2, $3, $8, $9, $10)
        ), given as (
            select * from {_VIOLATIONS % 11}
        ), left_out as (
            update violations set held = false
            where situation = $1 and incident = $2 and held and violation not in (select violation from given)
        ), violation as (
            insert into violations as kept (situation, incident, violation, opened, held, type, boys, girls, unknown, primary_sources,
                secondary_sources, incomplete, waits_for)
            select $1, $2, given.violation, $8, true, given.type, given.boys, given.girls, given.unknown, given.primary_sources,
                given.secondary_sources, given.incomplete, 'focal_point'
            from given
            on conflict (situation, incident, violation) do update
            set held = true, type = excluded.type, boys = excluded.boys, girls = excluded.girls, unknown = excluded.unknown,
                primary_sources = excluded.primary_sources, secondary_sources = excluded.secondary_sources,
                incomplete = excluded.incomplete
        ), child_left_out as (
            update children set held = false where situation = $1 and incident = $2 and held and child <> all ($12::text[])
        )
        insert into children (situation, incident, child, held) select $1, $2, child, true from unnest($12::text[]) as child
        on conflict (situation, incident, child) do update set held = true
        """,  # noqa: S608 - our own text
        situation,
        report.incident,
        report.revision,
        report.coded.occurred_from,
        report.coded.occurred_to,
        report.coded.ongoing,
        report.coded.region,
        recorded,
        tx.now,
        report.envelope,
        _violations(report.coded),
        list(report.children),
    )


async def add_refused_revision(tx: Tx, situation: str, *, incident: UUID, revision: int, envelope: bytes, refusal: str) -> None:
    """Keep a revision that was refused: it has no place in the recording order."""
    await tx.execute(
        "insert into reports (situation, incident, revision, recorded_at, refusal, envelope) values ($1, $2, $3, $4, $5, $6)",
        situation,
        incident,
        revision,
        tx.now,
        refusal,
        envelope,
    )


async def find_incident(tx: Tx, situation: str, incident: UUID) -> KnownIncident | None:
    """Return what is known of an incident."""
    row = await tx.fetchrow(
        """
        select i.revision, i.submitter, i.status, i.needs,
            (select max(r.revision) from reports r where r.situation = i.situation and r.incident = i.incident) as seen
        from incidents i where i.situation = $1 and i.incident = $2
        """,
        situation,
        incident,
    )
    if row is None:
        return None
    return KnownIncident(revision=row["revision"], seen=row["seen"], submitter=row["submitter"], progress=_progress(row))


async def list_earliest_decisions(tx: Tx, situation: str, incident: UUID) -> dict[str, date]:
    """Return, by violation key, the earliest day over all decisions recorded, superseded ones included."""
    rows = await tx.fetch(
        """
        select violation, earliest_decided_on from violations
        where situation = $1 and incident = $2 and earliest_decided_on is not null
        """,
        situation,
        incident,
    )
    return {row["violation"]: row["earliest_decided_on"] for row in rows}


async def list_progress(tx: Tx, situation: str, incidents: Sequence[UUID]) -> list[CaseProgress]:
    """Return how far cases have come, counting only what they hold now."""
    rows = await tx.fetch(
        """
        select i.incident, i.status, i.needs, coalesce(bool_and(v.settled), false) as settled
        from incidents i left join violations v on v.situation = i.situation and v.incident = i.incident and v.held
        where i.situation = $1 and i.incident = any ($2::uuid[]) group by i.situation, i.incident order by i.incident
        """,
        situation,
        list(incidents),
    )
    return [CaseProgress(incident=row["incident"], progress=_progress(row), settled=row["settled"]) for row in rows]


async def save_progress(tx: Tx, situation: str, changed: Sequence[tuple[UUID, Progress]]) -> None:
    """Keep how far cases have come."""
    await tx.execute(
        """
        update incidents i set status = given.status, needs = given.needs
        from jsonb_to_recordset($2::jsonb) as given (incident uuid, status text, needs text[])
        where i.situation = $1 and i.incident = given.incident
        """,
        situation,
        [{"incident": str(incident), "status": progress.status, "needs": list(progress.needs)} for incident, progress in changed],
    )


async def list_incidents(tx: Tx, situation: str, *, after: int, limit: int) -> list[Record]:
    """Return incidents in the order of their first reports, with the keys, types and statuses of the violations they hold."""
    return await tx.fetch(
        """
        select i.incident, i.revision, i.occurred_from, i.occurred_to, i.ongoing, i.region, i.status, i.opened,
            (select coalesce(jsonb_agg(jsonb_build_object('violation', v.violation, 'type', v.type,
                    'status', coalesce(v.ctfmr, 'report_pending_verification'), 'waits_for', v.waits_for) order by v.violation), '[]')
             from violations v where v.situation = i.situation and v.incident = i.incident and v.held) as violations
        from incidents i where i.situation = $1 and i.opened > $2 order by i.opened limit $3
        """,
        situation,
        after,
        limit,
    )


async def find_case(tx: Tx, situation: str, incident: UUID) -> Record | None:
    """Return the coded facts of an incident as a whole."""
    return await tx.fetchrow(
        "select incident, revision, region, status, needs from incidents where situation = $1 and incident = $2", situation, incident
    )


async def get_envelope(tx: Tx, situation: str, incident: UUID, revision: int) -> bytes:
    """Return a revision as it came: sealed."""
    envelope: bytes = await tx.fetchval(
        "select envelope from reports where situation = $1 and incident = $2 and revision = $3", situation, incident, revision
    )
    return envelope


async def list_revisions(tx: Tx, situation: str, incident: UUID) -> list[Record]:
    """Return all revisions that came, without their contents."""
    return await tx.fetch(
        """
        select revision, recorded_at, refusal from reports where situation = $1 and incident = $2 order by revision
        """,
        situation,
        incident,
    )


async def add_question(tx: Tx, situation: str, *, question: UUID, incident: UUID, needs: Sequence[str], text: UUID) -> None:
    """Keep a question to the monitor; its wording is the sealed text."""
    await tx.execute(
        """
        insert into questions (situation, question, incident, needs, asked_by, asked_at, text) values ($1, $2, $3, $4, $5, $6, $7)
        """,
        situation,
        question,
        incident,
        list(needs),
        tx.actor,
        tx.now,
        text,
    )


async def list_questions(tx: Tx, situation: str, incident: UUID) -> list[Record]:
    """Return the questions asked about an incident, oldest first."""
    return await tx.fetch(
        """
        select question, needs, asked_by, asked_at, text from questions
        where situation = $1 and incident = $2 order by asked_at, question
        """,
        situation,
        incident,
    )


async def add_texts(tx: Tx, situation: str, *, text: UUID, envelope: bytes) -> None:
    """Keep sealed free texts."""
    await tx.execute("insert into sealed_texts (situation, text, envelope) values ($1, $2, $3)", situation, text, envelope)


async def list_texts(tx: Tx, situation: str, texts: Sequence[UUID]) -> dict[UUID, bytes]:
    """Return sealed free texts by id."""
    rows = await tx.fetch("select text, envelope from sealed_texts where situation = $1 and text = any ($2::uuid[])", situation, texts)
    return {row["text"]: row["envelope"] for row in rows}


def _progress(row: Record) -> Progress:
    return Progress(CaseStatus(row["status"]), tuple(row["needs"]))


def _violations(coded: CodedReport) -> list[dict[str, Any]]:
    return [
        {
            "violation": violation.key,
            "type": violation.type,
            "boys": violation.boys,
            "girls": violation.girls,
            "unknown": violation.unknown,
            "primary_sources": violation.primary_sources,
            "secondary_sources": violation.secondary_sources,
            "incomplete": list(violation.incomplete),
        }
        for violation in coded.violations
    ]
