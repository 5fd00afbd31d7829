"""What verification answers over HTTP, the opened case aside. Coded facts only, except in reasons, which are opened in memory."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from contracts.exchange import DuplicateLink, ExchangeDecision, ExchangeIncident, SameChildLink
from contracts.incident import AttributionEntry
from contracts.situation import Situation
from contracts.vocabulary import Stage, Status, ViolationType
from verification.domain.dockets import DocketKind, DocketState
from verification.domain.links import LinkKind
from verification.domain.progress import CaseStatus


class SituationShown(Situation):
    """A register entry with what has been recorded for it. `facts` is the position that aggregation reaches."""

    incidents: int
    revisions: int
    refused: int
    facts: int


class SituationListed(BaseModel):
    """A situation in the list."""

    code: str
    name: str
    time_zone: str
    version: int


class SituationList(BaseModel):
    """The situations of the caller."""

    items: list[SituationListed]


class ViolationCoded(BaseModel):
    """The state of a violation. `status` is the one in force (C1), `waits_for` the stage whose turn it is, `decided_on` CTFMR's day.

    `incomplete` names what the report lacks for verification; `own` tells that the caller submitted it and may not decide on it.
    When it happened is told by the month, such as 2024-01.
    """

    violation: str
    incident: UUID
    type: ViolationType
    boys: int
    girls: int
    unknown: int
    month_from: str
    month_to: str | None
    ongoing: bool
    region: str | None
    case_status: CaseStatus
    status: Status
    focal_point: Status | None
    technical: Status | None
    ctfmr: Status | None
    decided_on: date | None
    waits_for: Stage | None
    reopened: bool
    incomplete: list[str]
    primary_sources: int
    secondary_sources: int
    duplicate: bool
    in_docket: bool
    own: bool


class ViolationShown(ViolationCoded):
    """The state of a violation for those who may read whole cases: with its days."""

    occurred_from: date
    occurred_to: date | None


class Queue(BaseModel):
    """A page of the queue. `withheld` says why months stand for days, where they do.

    `emergency_accesses` counts, for a co-chair, those that the office has yet to acknowledge; others are told none.
    """

    items: list[ViolationShown | ViolationCoded]
    withheld: Literal["role"] | None
    emergency_accesses: int | None
    next: str | None


class Lookup(BaseModel):
    """The states of the violations asked for; those not held now are left out. `withheld` as in the queue."""

    items: list[ViolationShown | ViolationCoded]
    withheld: Literal["role"] | None


class IncidentViolation(BaseModel):
    """A violation in the list of incidents."""

    violation: str
    type: ViolationType
    status: Status
    waits_for: Stage | None


class IncidentCoded(BaseModel):
    """An incident by its coded facts, with its months."""

    incident: UUID
    revision: int
    month_from: str
    month_to: str | None
    ongoing: bool
    region: str | None
    status: CaseStatus
    violations: list[IncidentViolation]


class IncidentListed(IncidentCoded):
    """An incident by its coded facts, for those who may read whole cases: with its days."""

    occurred_from: date
    occurred_to: date | None


class IncidentList(BaseModel):
    """A page of incidents in the order of their first reports. `withheld` as in the queue."""

    items: list[IncidentListed | IncidentCoded]
    withheld: Literal["role"] | None
    next: str | None


class LinkShown(BaseModel):
    """A standing link. Violations are named by key, children by pseudonym; `idle`: a revision has left out one of the ends."""

    link: UUID
    kind: LinkKind
    item: str
    of: str
    recorded: int
    recorded_at: datetime
    recorded_by: str
    idle: bool | None = None


class LinkList(BaseModel):
    """A page of standing links in recording order."""

    items: list[LinkShown]
    next: str | None


class LinkActShown(BaseModel):
    """A link made or undone, with its number in the recording order."""

    link: UUID
    recorded: int


class LinksRecorded(BaseModel):
    """The acts in the order sent."""

    links: list[LinkActShown]


class DecisionRecorded(BaseModel):
    """A decision with its number in the situation's recording order."""

    decision: UUID
    violation: str
    recorded: int
    reopening: bool


class DecisionsRecorded(BaseModel):
    """The decisions in the order sent."""

    decisions: list[DecisionRecorded]


class Sources(BaseModel):
    """How many sources the report linked to the violation when it was decided."""

    primary: int
    secondary: int


class DecisionShown(BaseModel):
    """A decision with its reason, opened in memory."""

    decision: UUID
    recorded: int
    recorded_at: datetime
    stage: Stage
    outcome: Status
    decided_on: date | None
    decided_by: list[str]
    reopening: bool
    reason: str
    documentation_exception: str | None
    criteria: dict[str, Any] | None
    attribution: list[AttributionEntry] | None
    non_verification_reason: str | None
    sources: Sources
    docket: UUID | None


class DecisionHistory(BaseModel):
    """All decisions on a violation in recording order, superseded ones included."""

    violation: str
    items: list[DecisionShown]


class ApprovalShown(BaseModel):
    """A co-chair's approval."""

    role: str
    subject: str
    approved_at: datetime


class DocketListed(BaseModel):
    """A docket without its lines."""

    docket: UUID
    kind: DocketKind
    state: DocketState
    lines: int
    proposed_by: str
    proposed_at: datetime
    ended_by: str | None
    ended_at: datetime | None
    approvals: list[ApprovalShown]


class DocketList(BaseModel):
    """A page of dockets, oldest first."""

    items: list[DocketListed]
    next: str | None


class DocketLineShown(BaseModel):
    """A line of a docket with its reason, opened in memory."""

    violation: str
    outcome: Status
    decided_on: date | None
    reason: str
    documentation_exception: str | None
    criteria: dict[str, Any] | None
    attribution: list[AttributionEntry] | None
    non_verification_reason: str | None


class DocketShown(DocketListed):
    """A docket with its lines."""

    items: list[DocketLineShown]


class DocketChanged(BaseModel):
    """What an act made of a docket; `decisions` are there once both co-chairs have approved."""

    docket: UUID
    state: DocketState
    approvals: list[str]
    decisions: list[DecisionRecorded]


class IncidentRecord(BaseModel):
    """A report or revision as recorded, with pseudonyms for the keys of children and groups."""

    recorded: int
    recorded_at: datetime
    kind: Literal["incident"] = "incident"
    incident: ExchangeIncident


class DecisionRecord(BaseModel):
    """A decision as recorded."""

    recorded: int
    recorded_at: datetime
    kind: Literal["decision"] = "decision"
    decision: ExchangeDecision


class LinkRecord(BaseModel):
    """A link made or undone, as recorded."""

    recorded: int
    recorded_at: datetime
    kind: Literal["link"] = "link"
    link: DuplicateLink | SameChildLink


class Records(BaseModel):
    """A page of a situation's coded records in recording order, in the words of the exchange file."""

    situation: str
    items: list[IncidentRecord | DecisionRecord | LinkRecord]
    next: str | None
