"""The documents of export's HTTP API."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.bundle.manifest import Digest, Role, Section
from contracts.model import Short, Wire


class SubmissionForm(Wire):
    """A draft as written. Without `narrative` the product's default narrative is made; placeholders are filled from the snapshot."""

    snapshot: UUID
    product: Short
    narrative: Annotated[list[Section], Field(max_length=50)] | None = None
    previous: UUID | None = None


class ApprovalForm(Wire):
    """An approval of exactly the content with this digest. `role` only where a person is both co-chairs."""

    digest: Digest
    role: Role | None = None


class Answer(BaseModel):
    """The base of what is answered."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class WindowAnswer(Answer):
    """Half-open days [from, to)."""

    from_: date = Field(alias="from")
    to: date


class SnapshotItem(Answer):
    """A frozen snapshot."""

    snapshot: UUID
    window: WindowAnswer
    position: int
    as_of: datetime
    rules: str
    params: dict[str, str]
    frozen_by: str
    frozen_at: datetime


class SnapshotDocument(SnapshotItem):
    """A frozen snapshot with its tables."""

    situation: str
    tables: dict[str, Any]


class Snapshots(Answer):
    """A page of snapshots, the newest first."""

    items: list[SnapshotItem]
    next: str | None


class ApprovalAnswer(Answer):
    """An approval of the present content."""

    role: Role
    name: str
    approved_at: datetime
    digest: str


class SectionAnswer(Answer):
    """A section of the narrative."""

    section: str
    text: str


class ContradictionAnswer(Answer):
    """A figure that does not add up."""

    table: str
    cell: str
    message: str


class BundleAnswer(Answer):
    """The signed bundle, to be taken from `…/bundle`."""

    sha256: str
    manifest_sha256: str
    size: int


class SubmissionItem(Answer):
    """A submission in a list."""

    submission: UUID
    product: Literal["annual"]
    state: Literal["draft", "signing", "signed"]
    snapshot: UUID
    revision: int
    digest: str
    drafted_at: datetime
    edited_at: datetime
    signed_at: datetime | None


class Drafted(Answer):
    """What is remembered of the answer to a draft: narrative and figures stay where they are."""

    submission: UUID


class Submissions(Answer):
    """A page of submissions, the newest first."""

    items: list[SubmissionItem]
    next: str | None


class SubmissionDocument(SubmissionItem):
    """A submission with all that a co-chair approves: `digest` is what an approval names."""

    situation: str
    window: WindowAnswer
    position: int
    previous: UUID | None
    narrative: list[SectionAnswer]
    filled: list[SectionAnswer]
    tables: dict[str, Any]
    contradictions: list[ContradictionAnswer]
    approvals: list[ApprovalAnswer]
    bundle: BundleAnswer | None
