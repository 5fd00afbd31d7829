"""The events that travel between the services. A released version never changes; a change is a `.v2` with an upcast."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID

from pydantic import Field

from contracts.incident import AttributionEntry, Group, IncidentReport, Perpetrator, Violation
from contracts.model import Code, Count, Day, Key, Ref, Short, Wire
from contracts.situation import Situation
from contracts.vocabulary import Sex, Status


class Event(Wire):
    """Something that has happened in one situation; `type` is its name and version on the wire. Instants are aware, UTC."""

    type: ClassVar[str]
    situation: Code


class IncidentReported(Event):
    """A monitor's first report, as accepted at the door."""

    type = "incident.reported.v1"
    incident: UUID
    revision: Annotated[int, Field(ge=1, le=1)] = 1
    submitted_by: Short
    received_at: datetime
    report: IncidentReport


class IncidentRevised(Event):
    """A monitor's later version of a report; it replaces the one before from then on."""

    type = "incident.revised.v1"
    incident: UUID
    revision: Annotated[int, Field(ge=2)]
    submitted_by: Short
    received_at: datetime
    report: IncidentReport


class CodedVictim(Wire):
    """A child by a keyed pseudonym that is the same for the same victim record in every revision."""

    child: Key
    sex: Sex
    age: Annotated[int, Field(ge=0, le=17)] | None = None
    violations: list[Key]


class CodedGroup(Group):
    """A group of children; its key is a keyed pseudonym."""


class IncidentCoded(Event):
    """The coded facts of an incident as first recorded or as revised: no narrative, name, exact place or monitor."""

    type = "incident.coded.v1"
    incident: UUID
    revision: Annotated[int, Field(ge=1)]
    recorded_at: datetime
    occurred_from: Day
    occurred_to: Day | None = None
    ongoing: bool = False
    place: Code | None = None
    violations: list[Violation]
    victims: list[CodedVictim] = []
    groups: list[CodedGroup] = []
    perpetrators: list[Perpetrator] = []


class ViolationDecided(Event):
    """A decision of the task force stage on one violation (C1). `attribution` None leaves what was reported; an empty list clears it."""

    type = "violation.decided.v1"
    incident: UUID
    violation: Key
    decision: UUID
    outcome: Status
    decided_on: Day | None = None
    attribution: list[AttributionEntry] | None = None
    recorded_at: datetime


class ViolationLinked(Event):
    """The violation is a duplicate of another and counts nowhere while this link stands."""

    type = "violation.linked.v1"
    link: UUID
    violation: Ref
    of: Ref
    recorded_at: datetime


class ViolationUnlinked(Event):
    """A duplicate link is undone."""

    type = "violation.unlinked.v1"
    link: UUID
    violation: Ref
    of: Ref
    recorded_at: datetime


class ChildrenLinked(Event):
    """Two victim records, by their pseudonyms, are the same child."""

    type = "children.linked.v1"
    link: UUID
    child: Key
    of: Key
    recorded_at: datetime


class ChildrenUnlinked(Event):
    """A same-child link is undone."""

    type = "children.unlinked.v1"
    link: UUID
    child: Key
    of: Key
    recorded_at: datetime


class IncidentProgressed(Event):
    """What the submitting monitor may know of a report: a status and the codes of what is needed. Signed, not sealed."""

    type = "incident.progressed.v1"
    incident: UUID
    status: Annotated[str, Field(pattern=r"^(received|under_review|needs_information|closed)$")]
    needs: list[Short] = []
    at: datetime


class SituationRegistered(Event):
    """A version of a situation's register entry. Signed, not sealed."""

    type = "situation.registered.v1"
    document: Situation


class SnapshotFrozen(Event):
    """Every table that the products of one window need, as known at one position; it never changes (C12)."""

    type = "snapshot.frozen.v1"
    snapshot: UUID
    position: Count
    as_of: datetime
    window_from: Day
    window_to: Day
    rules: Short
    params: dict[str, str]
    tables: dict[str, Any]
    frozen_by: Short
    frozen_at: datetime


class SubmissionSigned(Event):
    """A signed submission for its recipient: the bundle as base64 of the canonical zip."""

    type = "submission.signed.v1"
    submission: UUID
    product: Short
    signed_at: datetime
    bundle_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bundle: str


class EventsConfirmed(Event):
    """A reader has committed these events (applied or parked). Signed, not sealed, itself never confirmed. `situation` is `all`."""

    type = "events.confirmed.v1"
    reader: Short
    events: Annotated[list[UUID], Field(max_length=2_000)]


EVENTS: Final[dict[str, type[Event]]] = {
    event.type: event
    for event in (
        IncidentReported,
        IncidentRevised,
        IncidentCoded,
        ViolationDecided,
        ViolationLinked,
        ViolationUnlinked,
        ChildrenLinked,
        ChildrenUnlinked,
        IncidentProgressed,
        SituationRegistered,
        SnapshotFrozen,
        SubmissionSigned,
        EventsConfirmed,
    )
}
"""Every event by its wire type."""
