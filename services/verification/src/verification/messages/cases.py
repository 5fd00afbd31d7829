"""What an opened case answers: coded facts to whoever may open it, everything else only to those who may read the whole of it."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from contracts.incident import AttributionEntry, IncidentReport
from contracts.vocabulary import Stage, Status
from verification.domain.progress import CaseStatus
from verification.messages.answers import LinkShown, Sources, ViolationCoded, ViolationShown


class RevisionShown(BaseModel):
    """A revision that came; `refusal` says why it is not in force."""

    revision: int
    recorded_at: datetime
    refusal: str | None


class QuestionCoded(BaseModel):
    """A question asked about an incident, without its wording."""

    question: UUID
    needs: list[str]
    asked_by: str
    asked_at: datetime


class QuestionShown(QuestionCoded):
    """A question asked about an incident."""

    message: str


class DecisionCoded(BaseModel):
    """A decision on a violation of the case, superseded ones included, without its reason."""

    decision: UUID
    violation: str
    recorded: int
    recorded_at: datetime
    stage: Stage
    outcome: Status
    decided_on: date | None
    decided_by: list[str]
    reopening: bool
    criteria: dict[str, Any] | None
    attribution: list[AttributionEntry] | None
    non_verification_reason: str | None
    sources: Sources
    docket: UUID | None


class StandingAccess(BaseModel):
    """The emergency access by which a case is shown whole, and when it ends."""

    access: UUID
    ends_at: datetime


class CodedCase(BaseModel):
    """A case by its coded facts. `withheld` says why the rest is not here: no role of the caller has a row for it."""

    situation: str
    incident: UUID
    revision: int
    status: CaseStatus
    needs: list[str]
    region: str | None
    violations: list[ViolationCoded]
    decisions: list[DecisionCoded]
    links: list[LinkShown]
    revisions: list[RevisionShown]
    questions: list[QuestionCoded]
    confidential: None
    withheld: Literal["role"]


class Case(BaseModel):
    """A whole case, opened in memory. Who submitted it is never shown; `children` gives the pseudonym of every victim key.

    `confidential` says by what right the report, the days and the wording of questions are shown.
    """

    situation: str
    incident: UUID
    revision: int
    status: CaseStatus
    needs: list[str]
    region: str | None
    report: IncidentReport
    children: dict[str, str]
    violations: list[ViolationShown]
    decisions: list[DecisionCoded]
    links: list[LinkShown]
    revisions: list[RevisionShown]
    questions: list[QuestionShown]
    confidential: Literal["role", "emergency_access"]
    withheld: None
    emergency_access: StandingAccess | None


class QuestionAsked(BaseModel):
    """A question that was kept; the monitor sees the needs."""

    question: UUID
    status: CaseStatus
    needs: list[str]
