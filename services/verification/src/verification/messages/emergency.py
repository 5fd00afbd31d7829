"""Emergency access over HTTP: how it is taken, announced to the co-chairs, and acknowledged by them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from contracts.model import Wire
from verification.domain.emergency import LONGEST_MINUTES, LONGEST_REASON, MINUTES, SHORTEST_REASON


class EmergencyBody(Wire):
    """Why the whole case must be seen now, and for how many minutes. The reason is kept sealed and shown to the co-chairs."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=SHORTEST_REASON, max_length=LONGEST_REASON)]
    minutes: Annotated[int, Field(ge=1, le=LONGEST_MINUTES)] = MINUTES


class EmergencyAccessTaken(BaseModel):
    """An emergency access that stands from now on."""

    access: UUID
    incident: UUID
    taken_at: datetime
    ends_at: datetime


class AcknowledgementShown(BaseModel):
    """A co-chair's acknowledgement."""

    role: str
    subject: str
    acknowledged_at: datetime


class EmergencyAccessShown(BaseModel):
    """Who took an emergency access to which case, when and why. `awaits` names the offices that have yet to acknowledge it.

    `ended_at` is there if its holder gave it back before its end. `seen`: nothing is left to acknowledge for whoever asks.
    """

    access: UUID
    incident: UUID
    holder: str
    holder_name: str
    role: str
    reason: str
    taken_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    stands: bool
    acknowledged: list[AcknowledgementShown]
    awaits: list[str]
    seen: bool


class EmergencyAccessList(BaseModel):
    """A page of emergency accesses, unseen ones first, then the newest; `unseen` counts over all pages."""

    items: list[EmergencyAccessShown]
    unseen: int
    next: str | None


class EmergencyAccessAcknowledged(BaseModel):
    """The offices that have acknowledged an access, and those that have yet to."""

    access: UUID
    acknowledged: list[str]
    awaits: list[str]
