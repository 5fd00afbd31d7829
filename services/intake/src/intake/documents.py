"""What intake answers with."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from contracts.situation import Party, Place


class Hint(BaseModel):
    """Something missing for verification though the report is accepted."""

    field: str
    code: str
    message: str


class Accepted(BaseModel):
    """A report is safe. `receipt` is a JWS (EdDSA) over situation, incident, revision, received_at and content_sha256."""

    situation: str
    incident: UUID
    revision: int
    status: str = "received"
    receipt: str
    hints: list[Hint]


class IncidentStatus(BaseModel):
    """How far a report has come; `needs` holds codes of what reviewers ask for."""

    situation: str
    incident: UUID
    status: str
    revision: int
    needs: list[str]


class OwnIncident(IncidentStatus):
    """A line in the monitor's own list."""

    received_at: datetime


class OwnIncidents(BaseModel):
    """A page of the monitor's own list, the newest first."""

    items: list[OwnIncident]
    next: str | None


class ReportForm(BaseModel):
    """What a field app needs to offer the right choices."""

    code: str
    name: str
    time_zone: str
    version: int
    parties: list[Party]
    places: list[Place]


class ReceiptKey(BaseModel):
    """A public key (RFC 8037) that receipts are checked with."""

    kty: str
    crv: str
    alg: str
    use: str
    kid: str
    x: str


class ReceiptKeys(BaseModel):
    """The keys that receipts were ever signed with and that still lie in the key folder."""

    keys: list[ReceiptKey]
