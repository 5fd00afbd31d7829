"""An incident as it stands in the ledger: its coded facts, the decisions in force and the postings that follow from them."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from aggregation.domain.periods import late_by_quarter
from aggregation.domain.sexes import Sexes, total_of
from contracts.vocabulary import TALLIED_TYPES, Attribution, Sex, Status, ViolationType


class Standing(StrEnum):
    """The two sets a violation can count in; a violation in neither counts nowhere (C2)."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"


class MemberKind(StrEnum):
    """What can be linked to a violation as its children."""

    VICTIM = "victim"
    GROUP = "group"


_STANDING = {
    Status.VERIFIED: Standing.VERIFIED,
    Status.PENDING: Standing.UNVERIFIED,
    Status.NOT_VERIFIED: Standing.UNVERIFIED,
    Status.NOT_MRM: None,
    Status.DID_NOT_OCCUR: None,
}
_NAMED = (Attribution.SOLE, Attribution.JOINT, Attribution.CROSSFIRE)
_BY_KIND = {
    Attribution.ALLEGED: "_alleged",
    Attribution.UNIDENTIFIED: "_unidentified",
    Attribution.NO_ACTOR: "_no_actor",
    Attribution.JOINT: "_joint",
    Attribution.CROSSFIRE: "_crossfire",
}
UNATTRIBUTED = "_unattributed"
_SEXES = {Sex.MALE: Sexes(1, 0, 0), Sex.FEMALE: Sexes(0, 1, 0), Sex.UNKNOWN: Sexes(0, 0, 1)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One attribution: a kind and, for the kinds that name one, a party."""

    attribution: Attribution
    party: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A reported violation. `tally` None means that no part of it was given."""

    key: str
    type: ViolationType
    tally: Sexes | None
    details: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A victim record by its pseudonym; `violations` are keys of its incident."""

    child: str
    sex: Sex
    age: int | None
    violations: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of children known by its size."""

    key: str
    size: Sexes
    violations: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perpetrator:
    """A reported attribution of some violations."""

    entry: Entry
    violations: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """The coded facts of an incident's newest revision. `ended_on` None means that it goes on; `region` is the place of level 1."""

    occurred_from: date
    ended_on: date | None
    region: str | None
    violations: tuple[Violation, ...]
    victims: tuple[Victim, ...] = ()
    groups: tuple[Group, ...] = ()
    perpetrators: tuple[Perpetrator, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The newest task force decision on a violation (C1). `attribution` None leaves what was reported."""

    outcome: Status
    decided_on: date | None
    attribution: tuple[Entry, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What is known of one incident. `suppressed` holds the keys with a standing duplicate link to a violation that exists."""

    id: str
    coded: Coded | None = None
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    suppressed: Set[str] = frozenset()


class Posting(NamedTuple):
    """One violation with all its dimensions. `ended_on` of a verified ongoing one is the day of the decision; None: it goes on."""

    violation: str
    type: ViolationType
    standing: Standing
    decided_on: date | None
    occurred_from: date
    ended_on: date | None
    late_by_quarter: bool
    tally: Sexes
    beyond: Sexes
    """The part of the tally beyond the victim records and groups linked to the violation (C9)."""
    amount: int
    lines: tuple[str, ...]
    region: str | None
    details: tuple[tuple[str, tuple[str, ...]], ...]


class Membership(NamedTuple):
    """A victim or group linked to a posted violation, with what decides whether the violation is in a window."""

    violation: str
    type: ViolationType
    standing: Standing
    decided_on: date | None
    occurred_from: date
    ended_on: date | None
    late_by_quarter: bool
    kind: MemberKind
    member: str
    sex: Sex | None
    age: int | None
    size: Sexes


class Record(NamedTuple):
    """A victim record that exists, whether or not anything counts it."""

    child: str
    sex: Sex
    age: int | None


@dataclass(frozen=True, slots=True)
class Rows:
    """All that an incident contributes at a moment; each row at most once."""

    postings: frozenset[Posting] = frozenset()
    memberships: frozenset[Membership] = frozenset()
    records: frozenset[Record] = frozenset()

    def without(self, other: "Rows") -> "Rows":
        """Return the rows of this moment that another moment lacks."""
        return Rows(self.postings - other.postings, self.memberships - other.memberships, self.records - other.records)


def keys_of(coded: Coded | None) -> frozenset[str]:
    """Return the keys of the violations that an incident holds."""
    return frozenset(violation.key for violation in coded.violations) if coded else frozenset()


def lines_of(entries: tuple[Entry, ...]) -> tuple[str, ...]:
    """Return the lines of a table by party that a violation stands under, each once, besides `_all` (C8)."""
    lines = {entry.party for entry in entries if entry.attribution in _NAMED and entry.party is not None}
    lines |= {_BY_KIND[entry.attribution] for entry in entries if entry.attribution in _BY_KIND}
    return tuple(sorted(lines)) if entries else (UNATTRIBUTED,)


def rows_of(incident: Incident) -> Rows:
    """Derive everything an incident contributes from its facts, decisions and duplicate links; nothing before it is coded."""
    coded = incident.coded
    if coded is None:
        return Rows()
    postings: list[Posting] = []
    memberships: list[Membership] = []
    for violation in coded.violations:
        if violation.key in incident.suppressed:
            continue
        victims = [victim for victim in coded.victims if violation.key in victim.violations]
        groups = [group for group in coded.groups if violation.key in group.violations]
        posting = _posting(incident, coded, violation, _total_of(victims, groups))
        if posting is not None:
            postings.append(posting)
            memberships += _memberships(incident, posting, victims, groups)
    records = frozenset(Record(victim.child, victim.sex, victim.age) for victim in coded.victims)
    return Rows(frozenset(postings), frozenset(memberships), records)


def _posting(incident: Incident, coded: Coded, violation: Violation, linked: Sexes) -> Posting | None:
    decision = incident.decisions.get(violation.key)
    standing = _STANDING[decision.outcome if decision else Status.PENDING]
    if standing is None:
        return None
    decided_on = decision.decided_on if decision else None
    verified = standing is Standing.VERIFIED
    ended_on = decided_on if verified and coded.ended_on is None else coded.ended_on
    tally = _tally(violation, linked)
    return Posting(
        violation=f"{incident.id}/{violation.key}",
        type=violation.type,
        standing=standing,
        decided_on=decided_on,
        occurred_from=coded.occurred_from,
        ended_on=ended_on,
        late_by_quarter=verified
        and decided_on is not None
        and ended_on is not None
        and late_by_quarter(ended_on=ended_on, decided_on=decided_on),
        tally=tally,
        beyond=tally.beyond(linked),
        amount=tally.total if violation.type in TALLIED_TYPES else 1,
        lines=lines_of(_entries(coded, violation, decision)),
        region=coded.region,
        details=violation.details,
    )


def _entries(coded: Coded, violation: Violation, decision: Decision | None) -> tuple[Entry, ...]:
    if decision is not None and decision.attribution is not None:
        return decision.attribution
    return tuple(perpetrator.entry for perpetrator in coded.perpetrators if violation.key in perpetrator.violations)


def _total_of(linked: list[Victim], known_by_size: list[Group]) -> Sexes:
    victims = (_SEXES[victim.sex] for victim in linked)
    groups = (group.size for group in known_by_size)
    return total_of((*victims, *groups))


def _tally(violation: Violation, linked: Sexes) -> Sexes:
    if violation.tally is not None:
        return violation.tally
    return linked if violation.type in TALLIED_TYPES else Sexes()


def _memberships(incident: Incident, posting: Posting, victims: list[Victim], groups: list[Group]) -> Iterator[Membership]:
    dimensions = posting[:7]
    for victim in victims:
        yield Membership(*dimensions, MemberKind.VICTIM, victim.child, victim.sex, victim.age, _SEXES[victim.sex])
    for group in groups:
        yield Membership(*dimensions, MemberKind.GROUP, f"{incident.id}/{group.key}", None, None, group.size)
