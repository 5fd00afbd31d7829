"""The events verification publishes: coded facts for aggregation, progress for the monitor, the register."""

from datetime import datetime
from uuid import UUID

from contracts.events import (
    ChildrenLinked,
    ChildrenUnlinked,
    CodedGroup,
    CodedVictim,
    Event,
    IncidentCoded,
    IncidentProgressed,
    IncidentReported,
    IncidentRevised,
    ViolationDecided,
    ViolationLinked,
    ViolationUnlinked,
)
from contracts.incident import IncidentReport, Perpetrator
from verification.domain.decisions import ProposedDecision
from verification.domain.links import LinkAct, LinkKind
from verification.domain.progress import Progress
from verification.domain.pseudonyms import Pseudonyms


def incident_coded(event: IncidentReported | IncidentRevised, pseudonyms: Pseudonyms, *, recorded_at: datetime) -> IncidentCoded:
    """Return the coded facts of a report: keys of children become pseudonyms, everything confidential is left behind."""
    report = event.report
    return IncidentCoded(
        situation=event.situation,
        incident=event.incident,
        revision=event.revision,
        recorded_at=recorded_at,
        occurred_from=report.occurred_from,
        occurred_to=report.occurred_to,
        ongoing=report.ongoing is True,
        place=report.place,
        violations=list(report.violations),
        victims=coded_victims(report, pseudonyms),
        groups=coded_groups(report, pseudonyms),
        perpetrators=coded_perpetrators(report),
    )


def coded_victims(report: IncidentReport, pseudonyms: Pseudonyms) -> list[CodedVictim]:
    """Return the victims by pseudonym."""
    return [
        CodedVictim(
            child=pseudonyms.child(situation=report.situation, incident=report.key, key=victim.key),
            sex=victim.sex,
            age=victim.age,
            violations=list(victim.violations),
        )
        for victim in report.victims
    ]


def coded_groups(report: IncidentReport, pseudonyms: Pseudonyms) -> list[CodedGroup]:
    """Return the groups by pseudonym."""
    return [
        CodedGroup(
            key=pseudonyms.group(situation=report.situation, incident=report.key, key=group.key),
            boys=group.boys,
            girls=group.girls,
            unknown=group.unknown,
            violations=list(group.violations),
        )
        for group in report.groups
    ]


def coded_perpetrators(report: IncidentReport) -> list[Perpetrator]:
    """Return the perpetrators without their descriptions."""
    return [
        Perpetrator(party=perpetrator.party, attribution=perpetrator.attribution, violations=list(perpetrator.violations))
        for perpetrator in report.perpetrators
    ]


def violation_decided(
    situation: str, *, incident: UUID, violation: str, decision: UUID, proposed: ProposedDecision, recorded_at: datetime
) -> ViolationDecided:
    """Return the fact of a task force decision."""
    return ViolationDecided(
        situation=situation,
        incident=incident,
        violation=violation,
        decision=decision,
        outcome=proposed.outcome,
        decided_on=proposed.decided_on,
        attribution=None if proposed.attribution is None else list(proposed.attribution),
        recorded_at=recorded_at,
    )


def link_fact(situation: str, act: LinkAct, *, recorded_at: datetime) -> tuple[Event, str]:
    """Return the fact of a link made or undone, and its subject: the violation's incident, or the smaller of the children's two."""
    standing = act.standing
    match standing.kind:
        case LinkKind.DUPLICATE:
            violation_event = ViolationUnlinked if act.undone else ViolationLinked
            fact: Event = violation_event(
                situation=situation, link=standing.link, violation=str(standing.item), of=str(standing.of), recorded_at=recorded_at
            )
            return fact, str(standing.item.incident)
        case LinkKind.SAME_CHILD:
            children_event = ChildrenUnlinked if act.undone else ChildrenLinked
            fact = children_event(
                situation=situation, link=standing.link, child=standing.item.item, of=standing.of.item, recorded_at=recorded_at
            )
            return fact, min(str(standing.item.incident), str(standing.of.incident))


def incident_progressed(situation: str, incident: UUID, progress: Progress, *, at: datetime) -> IncidentProgressed:
    """Return what the monitor may learn."""
    return IncidentProgressed(situation=situation, incident=incident, status=progress.status, needs=list(progress.needs), at=at)
