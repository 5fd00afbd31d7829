"""Coded facts as the ledger keeps them (the event's JSON without its situation), and the domain's reading of them."""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_json

from aggregation.domain.incident import (
    Coded,
    Decision,
    Entry,
    Group,
    Incident,
    Membership,
    Perpetrator,
    Posting,
    Record,
    Victim,
    Violation,
)
from aggregation.domain.sexes import Sexes
from contracts.events import (
    ChildrenLinked,
    ChildrenUnlinked,
    Event,
    IncidentCoded,
    ViolationDecided,
    ViolationLinked,
    ViolationUnlinked,
)
from contracts.vocabulary import Attribution, Sex, Status, ViolationType

Fact = dict[str, Any]
CODED_FACTS: Final[tuple[type[Event], ...]] = (
    IncidentCoded,
    ViolationDecided,
    ViolationLinked,
    ViolationUnlinked,
    ChildrenLinked,
    ChildrenUnlinked,
)
"""The events that take a position in the ledger."""
_TALLY: Final = frozenset(("boys", "girls", "unknown"))
_TYPES: Final = {kind.value: kind for kind in ViolationType}
_ATTRIBUTIONS: Final = {kind.value: kind for kind in Attribution}
_SEXES: Final = {sex.value: sex for sex in Sex}
_OUTCOMES: Final = {status.value: status for status in Status}
"""Looked up millions of times in a rebuild: calling an enumeration takes ten times as long."""


def fact_of(event: Event) -> Fact:
    """Return what the ledger keeps of an event."""
    fact: Fact = event.model_dump(mode="json", exclude_none=True, exclude={"situation"})
    return fact


def subject_of(event: IncidentCoded | ViolationDecided | ViolationLinked | ViolationUnlinked | ChildrenLinked | ChildrenUnlinked) -> str:
    """Return what a fact is about: its incident, or the link between children."""
    match event:
        case IncidentCoded() | ViolationDecided():
            return str(event.incident)
        case ViolationLinked() | ViolationUnlinked():
            return event.violation.partition("/")[0]
        case ChildrenLinked() | ChildrenUnlinked():
            return str(event.link)


def coded_from(fact: Mapping[str, Any], *, region: str | None) -> Coded:
    """Read the coded facts of an incident."""
    occurred_from = date.fromisoformat(fact["occurred_from"])
    last = fact.get("occurred_to")
    ended_on = None if fact.get("ongoing") else date.fromisoformat(last) if last else occurred_from
    return Coded(
        occurred_from=occurred_from,
        ended_on=ended_on,
        region=region,
        violations=tuple(_violation(entry) for entry in fact["violations"]),
        victims=tuple(
            Victim(child=entry["child"], sex=_SEXES[entry["sex"]], age=entry.get("age"), violations=frozenset(entry["violations"]))
            for entry in fact.get("victims", ())
        ),
        groups=tuple(
            Group(key=entry["key"], size=_sexes(entry), violations=frozenset(entry["violations"])) for entry in fact.get("groups", ())
        ),
        perpetrators=tuple(
            Perpetrator(entry=_entry(entry), violations=frozenset(entry["violations"])) for entry in fact.get("perpetrators", ())
        ),
    )


def decision_from(fact: Mapping[str, Any]) -> Decision:
    """Read a decision; an empty attribution list is one, an absent list is none."""
    decided_on, attribution = fact.get("decided_on"), fact.get("attribution")
    return Decision(
        outcome=_OUTCOMES[fact["outcome"]],
        decided_on=date.fromisoformat(decided_on) if decided_on else None,
        attribution=None if attribution is None else tuple(_entry(entry) for entry in attribution),
    )


def incident_from(
    incident: str, *, coded: Mapping[str, Any] | None, region: str | None, decisions: Mapping[str, Any], suppressed: frozenset[str]
) -> Incident:
    """Read what the store keeps of an incident."""
    return Incident(
        id=incident,
        coded=None if coded is None else coded_from(coded, region=region),
        decisions={key: decision_from(decision) for key, decision in decisions.items()},
        suppressed=suppressed,
    )


def posting_values(posting: Posting) -> tuple[Any, ...]:
    """Write a posting as the store's columns take it: its dimensions, amount, numbers, region, lines, and details as JSON."""
    return (
        *_dimensions(posting),
        posting.amount,
        *posting.tally,
        *posting.beyond,
        posting.region,
        posting.lines,
        _details(posting.details),
    )


def membership_values(row: Membership) -> tuple[Any, ...]:
    """Write a membership as the store's columns take it."""
    return (*_dimensions(row), row.kind, row.member, row.sex, row.age, *row.size)


def record_values(record: Record) -> tuple[Any, ...]:
    """Write a victim record as the store's columns take it."""
    return record.child, record.sex, record.age


def json_text(value: object) -> str:
    """Write what goes into a jsonb column."""
    return to_json(value).decode()


def incident_and_key(ref: str) -> tuple[str, str]:
    """Split a reference `incident/key`; the incident in the one form its id is kept in."""
    incident, _, key = ref.partition("/")
    try:
        return str(UUID(incident)), key
    except ValueError:
        return incident, key


def _dimensions(row: Posting | Membership) -> tuple[Any, ...]:
    return row.violation, row.type, row.standing, row.decided_on, row.occurred_from, row.ended_on, row.late_by_quarter


@lru_cache(maxsize=4096)
def _details(details: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    return json_text(dict(details))


def _violation(entry: Mapping[str, Any]) -> Violation:
    return Violation(
        key=entry["key"],
        type=_TYPES[entry["type"]],
        tally=None if _TALLY.isdisjoint(entry) else _sexes(entry),
        details=tuple((name, tuple(sorted(set(codes)))) for name, codes in sorted(entry.get("details", {}).items()) if codes),
    )


def _sexes(entry: Mapping[str, Any]) -> Sexes:
    return Sexes(entry.get("boys", 0), entry.get("girls", 0), entry.get("unknown", 0))


def _entry(entry: Mapping[str, Any]) -> Entry:
    return Entry(_ATTRIBUTIONS[entry["attribution"]], entry.get("party"))
