"""What verification keeps of a report in clear: coded facts for the queue, and what reviewers must know is incomplete."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from contracts.incident import IncidentReport, Violation, tally_of
from contracts.situation import Situation, region_of
from contracts.vocabulary import CHILD_TYPES, Sex, ViolationType

PRIMARY_PREFIX = "primary_"
INCOMPLETE = ("place", "narrative", "sources", "primary_source", "ratings", "perpetrators", "details", "sex")
"""What a violation may lack, in the order in which it is listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedViolation:
    """One violation of a report as the queue shows it. Source counts are of sources linked to it."""

    key: str
    type: ViolationType
    boys: int
    girls: int
    unknown: int
    primary_sources: int
    secondary_sources: int
    incomplete: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedReport:
    """The clear part of a report: days (inclusive), region (level 1 only) and violations."""

    occurred_from: date
    occurred_to: date | None
    ongoing: bool
    region: str | None
    violations: tuple[CodedViolation, ...]


def code_report(report: IncidentReport, situation: Situation) -> CodedReport:
    """Return the clear part of a report that `check_incident` has accepted."""
    return CodedReport(
        occurred_from=report.occurred_from,
        occurred_to=report.occurred_to,
        ongoing=report.ongoing is True,
        region=region_of(situation, report.place),
        violations=tuple(_code_violation(violation, report) for violation in report.violations),
    )


def _code_violation(violation: Violation, report: IncidentReport) -> CodedViolation:
    sources = [source for source in report.sources if violation.key in source.violations]
    primary = sum(source.category.startswith(PRIMARY_PREFIX) for source in sources)
    boys, girls, unknown = tally_of(violation, report)
    lacks = {
        "place": report.place is None,
        "narrative": report.narrative is None,
        "sources": not sources,
        "primary_source": bool(sources) and not primary,
        "ratings": any(source.reliability is None or source.credibility is None for source in sources),
        "perpetrators": not any(violation.key in perpetrator.violations for perpetrator in report.perpetrators),
        "details": violation.type in CHILD_TYPES and not violation.details,
        "sex": violation.type in CHILD_TYPES
        and (unknown > 0 or any(victim.sex is Sex.UNKNOWN and violation.key in victim.violations for victim in report.victims)),
    }
    return CodedViolation(
        key=violation.key,
        type=violation.type,
        boys=boys,
        girls=girls,
        unknown=unknown,
        primary_sources=primary,
        secondary_sources=len(sources) - primary,
        incomplete=tuple(name for name in INCOMPLETE if lacks[name]),
    )


def precedes_a_decision(coded: CodedReport, earliest_decided_on: Mapping[str, date]) -> bool:
    """Tell whether a decision recorded for a violation that the revision holds is older than its new first day.

    `earliest_decided_on` holds the earliest day over all decisions of every stage, superseded ones too, by violation key.
    """
    held = (earliest_decided_on.get(violation.key) for violation in coded.violations)
    return any(day is not None and day < coded.occurred_from for day in held)
