"""What intake answers with."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from contracts.model import Code, Wire
from contracts.situation import Party, Place

DeviceLabel = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")]


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


class NewDevice(Wire):
    """A field device that a monitor wants to send reports with."""

    situation: Code
    label: DeviceLabel | None = None
    """What the monitor calls it; kept sealed."""
    days: Annotated[int, Field(ge=1, le=180)] = 90
    """How long its token is good."""


class OwnDevice(BaseModel):
    """A device in its monitor's own list."""

    device: UUID
    situation: str
    label: str | None
    created_at: datetime
    expires_at: datetime
    last_used_on: date | None
    """The last day (UTC) it was used on."""
    revoked_at: datetime | None


class NewDeviceToken(OwnDevice):
    """A new device. `token` is shown this once."""

    token: str


class OwnDevices(BaseModel):
    """A page of the monitor's own devices, the newest first."""

    items: list[OwnDevice]
    next: str | None


class DeviceCounted(BaseModel):
    """How many devices a situation has; one that ended is forgotten after 90 days."""

    situation: str
    active: int
    expired: int
    revoked: int


class DeviceCounts(BaseModel):
    """The counts of the situations that have any."""

    items: list[DeviceCounted]


class DeviceRevocation(Wire):
    """Whose devices end: everybody's in a situation, or one person's there."""

    situation: Code
    person: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    """The issuer's subject of the monitor."""


class DevicesRevoked(BaseModel):
    """How many devices were ended now."""

    revoked: int


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
