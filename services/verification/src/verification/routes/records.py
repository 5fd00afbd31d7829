"""The coded records of a situation in recording order, in the words of the exchange file: nothing confidential."""

import asyncio
from typing import Annotated

from asyncpg import Record
from fastapi import APIRouter

from chassis.http import Caller, PageQuery, allowed, next_cursor, problem_responses
from contracts.exchange import DuplicateLink, ExchangeDecision, ExchangeIncident, SameChildLink
from contracts.incident import Group, Source, Victim
from contracts.vocabulary import Stage, Status
from verification.desk import Desk, DeskPart
from verification.messages.answers import DecisionRecord, IncidentRecord, LinkRecord, Records
from verification.messages.facts import coded_groups, coded_perpetrators, coded_victims
from verification.routes.showing import attribution_shown
from verification.store import records as store

AnyRecord = IncidentRecord | DecisionRecord | LinkRecord
router = APIRouter(tags=["records"])


@router.get("/v1/situations/{situation}/records", responses=problem_responses(401, 403, 404, 422))
async def list_records(situation: str, caller: Annotated[Caller, allowed("records.export")], desk: DeskPart, page: PageQuery) -> Records:
    """Return incidents, revisions, decisions and links as recorded; reports are opened in memory, which is audited."""
    caller.require(situation)
    await desk.register.get(situation)
    after = page.after(int)
    start = after[0] if after else 0
    async with desk.database.transaction("list_records", by=caller) as tx:
        rows = await store.list_records(tx, situation, after=start, limit=page.limit + 1)
        shown = rows[: page.limit]
        tx.audit("records.export", situation=situation, detail={"route": "records", "after": start, "count": len(shown)})
    items = await asyncio.to_thread(lambda: [_record(desk, situation, row) for row in shown])
    return Records(situation=situation, items=items, next=next_cursor(page, len(rows), last=(shown[-1]["recorded"],) if shown else ()))


def _record(desk: Desk, situation: str, row: Record) -> AnyRecord:
    reference = f"{row['incident']}/{row['item']}"
    match row["kind"]:
        case "incident":
            incident = _incident(desk, situation, row)
            return IncidentRecord(recorded=row["recorded"], recorded_at=row["recorded_at"], incident=incident)
        case "decision":
            return DecisionRecord(recorded=row["recorded"], recorded_at=row["recorded_at"], decision=_decision(reference, row))
        case kind:
            link = _link(reference, row, undone=kind == "undoing")
            return LinkRecord(recorded=row["recorded"], recorded_at=row["recorded_at"], link=link)


def _incident(desk: Desk, situation: str, row: Record) -> ExchangeIncident:
    report = desk.safe.open_report(row["envelope"], situation=situation, incident=row["incident"])
    return ExchangeIncident(
        key=str(row["incident"]),
        occurred_from=report.occurred_from,
        occurred_to=report.occurred_to,
        ongoing=report.ongoing,
        place=report.place,
        violations=list(report.violations),
        victims=[
            Victim(key=victim.child, sex=victim.sex, age=victim.age, violations=victim.violations)
            for victim in coded_victims(report, desk.pseudonyms)
        ],
        groups=[Group(**dict(group)) for group in coded_groups(report, desk.pseudonyms)],
        perpetrators=coded_perpetrators(report),
        sources=[Source(category=one.category, type=one.type, violations=list(one.violations)) for one in report.sources],
    )


def _decision(reference: str, row: Record) -> ExchangeDecision:
    body = row["body"]
    decided_on = body["decided_on"]
    return ExchangeDecision.model_validate(
        {
            "violation": reference,
            "stage": Stage(body["stage"]),
            "outcome": Status(body["outcome"]),
            "decided_on": decided_on,
            "attribution": attribution_shown(body["attribution"]),
        },
        strict=False,
    )


def _link(reference: str, row: Record, *, undone: bool) -> DuplicateLink | SameChildLink:
    of = row["body"]["of"]
    if row["body"]["kind"] == "duplicate":
        return DuplicateLink(kind="not_duplicate" if undone else "duplicate", violation=reference, of=of)
    return SameChildLink(kind="not_same_child" if undone else "same_child", victim=reference, of=of)
