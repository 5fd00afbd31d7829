"""What a bundle says of itself: the manifest that is signed, and the figures it is about."""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, ValidationError

from contracts.envelope import canonical_json
from contracts.model import Code, Count, Day, Name, Short, Wire

MANIFEST: Final = "manifest.json"
SIGNATURES: Final = "signature.dsse.json"
FIGURES: Final = "figures.json"
WORKBOOK: Final = "figures.xlsx"
NARRATIVE: Final = "narrative.md"
NARRATIVE_SOURCE: Final = "narrative.json"
REPORT: Final = "report.pdf"
PAYLOAD_TYPE: Final = "application/vnd.mrm.manifest+json"
APPROVING_ROLES: Final = ("cochair_un", "cochair_unicef")
"""Both must approve, two different people."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
TableName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,80}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^(tables/)?[a-z][a-z0-9_.-]{0,90}$")]
Product = Literal["annual"]
Role = Literal["cochair_un", "cochair_unicef"]
SectionText = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+$")]
SectionTitle = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class BundleError(ValueError):
    """The bundle is not in its one form. The text is fixed and holds no value of the bundle."""


class _Document(Wire):
    model_config = ConfigDict(populate_by_name=True)

    def encode(self) -> bytes:
        """Return the one canonical form of this document."""
        return canonical_json(self.model_dump(mode="json", by_alias=True))


class Window(_Document):
    """Half-open days [from, to) in the situation's time zone (C3)."""

    from_: Day = Field(alias="from")
    to: Day


class SituationName(Wire):
    """Which situation, and the time zone in which its days are meant."""

    code: Code
    name: Name
    time_zone: Name


class Basis(_Document):
    """What the figures are: of which situation and window, by which rules, as known at which position."""

    situation: SituationName
    window: Window
    rules: Short
    params: dict[str, str]
    as_of: datetime
    position: Count
    snapshot: UUID


class Figures(Basis):
    """`figures.json`: every table of the frozen snapshot, with the names of the parties and places it speaks of."""

    format: Literal["mrm-figures/1"] = "mrm-figures/1"
    parties: dict[str, Name]
    places: dict[str, Name]
    tables: dict[TableName, Any]


class Section(Wire):
    """A section of the narrative as written; figures inside the text are placeholders such as `{{summary.violations}}`."""

    section: SectionTitle
    text: SectionText


class NarrativeSource(_Document):
    """`narrative.json`: the narrative before its placeholders are filled."""

    sections: Annotated[list[Section], Field(max_length=50)]


class Previous(Wire):
    """The signed submission that this one follows or amends."""

    submission: UUID
    manifest_sha256: Digest


class Approval(Wire):
    """One co-chair's approval of exactly the content with this digest. `person` is a pseudonym that differs between people."""

    role: Role
    name: Name
    person: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    approved_at: datetime
    digest: Digest


class FileEntry(Wire):
    """A file of the bundle other than the manifest and the signatures."""

    name: FileName
    size: Annotated[int, Field(ge=0, le=2**32 - 1)]
    sha256: Digest

    @classmethod
    def of(cls, name: str, content: bytes) -> "FileEntry":
        """Describe a file by its content."""
        return cls(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


class Manifest(Basis):
    """`manifest.json`: what both signatures are over."""

    format: Literal["mrm-bundle/1"] = "mrm-bundle/1"
    submission: UUID
    product: Product
    approvals: Annotated[list[Approval], Field(max_length=8)]
    previous: Previous | None
    files: Annotated[list[FileEntry], Field(max_length=200)]
    created_at: datetime


Document = TypeVar("Document", bound=_Document)


def read_manifest(raw: bytes) -> Manifest:
    """Read a manifest and refuse every text but its canonical one; raises BundleError."""
    return _read(Manifest, raw)


def read_figures(raw: bytes) -> Figures:
    """Read `figures.json` and refuse every text but its canonical one; raises BundleError."""
    return _read(Figures, raw)


def read_narrative(raw: bytes) -> NarrativeSource:
    """Read `narrative.json` and refuse every text but its canonical one; raises BundleError."""
    return _read(NarrativeSource, raw)


def _read(kind: type[Document], raw: bytes) -> Document:
    try:
        document = kind.model_validate_json(raw)
        again = document.encode()
    except ValidationError:
        raise BundleError("It does not have the fields that this version of the form has.") from None
    except (ValueError, RecursionError):
        raise BundleError("It holds a number or a nesting that the form does not allow.") from None
    if again != raw:
        raise BundleError("It is not in canonical form.")
    return document


def content_digest(*, submission: UUID, product: str, figures: bytes, narrative: NarrativeSource, previous: Previous | None) -> str:
    """Return the digest of what a co-chair approves: the figures, the narrative as written, and what it follows."""
    return hashlib.sha256(
        canonical_json(
            {
                "format": "mrm-submission/1",
                "submission": str(submission),
                "product": product,
                "figures": hashlib.sha256(figures).hexdigest(),
                "narrative": narrative.model_dump(mode="json"),
                "previous": previous.model_dump(mode="json") if previous is not None else None,
            }
        )
    ).hexdigest()


def pseudonym(*, submission: UUID, subject: str) -> str:
    """Return a person's pseudonym within one submission: the same for the same account, telling nothing across submissions."""
    return hashlib.sha256(canonical_json(["mrm-approval/1", str(submission), subject])).hexdigest()[:16]


def table_file(table: str) -> str:
    """Return the name of a table's CSV file in the bundle."""
    return f"tables/{table}.csv"
