"""Makes the signed bundle from what was approved; the same content, approvals and moment give the same files."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.sealing.submission import SubmissionSigner
from contracts.bundle.archive import write_archive
from contracts.bundle.dsse import SignedManifest, signing_input
from contracts.bundle.manifest import (
    FIGURES,
    MANIFEST,
    NARRATIVE,
    NARRATIVE_SOURCE,
    REPORT,
    SIGNATURES,
    WORKBOOK,
    Approval,
    Basis,
    Figures,
    FileEntry,
    Manifest,
    NarrativeSource,
    Previous,
    Product,
    content_digest,
    read_figures,
    table_file,
)
from contracts.bundle.narrative import fill, markdown
from contracts.bundle.sheets import csv_bytes, sheet_of
from export.report.pdf import Report, pdf
from export.report.workbook import workbook


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a co-chair approves: the figures as their one text, the narrative as written, and what it follows."""

    submission: UUID
    product: Product
    figures: bytes
    narrative: NarrativeSource
    previous: Previous | None

    @property
    def digest(self) -> str:
        """The digest that an approval is of."""
        return content_digest(
            submission=self.submission, product=self.product, figures=self.figures, narrative=self.narrative, previous=self.previous
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A signed bundle and the digests by which it is known."""

    raw: bytes
    sha256: str
    manifest_sha256: str


Signers = tuple[SubmissionSigner, SubmissionSigner]
"""The Ed25519 key and the ML-DSA-65 key."""


def sign_bundle(content: Content, *, approvals: Sequence[Approval], created_at: datetime, signers: Signers) -> Bundle:
    """Make and sign the bundle of an approved content."""
    files = bundle_files(content, approvals=approvals, created_at=created_at)
    return seal_files(files, content=content, approvals=approvals, created_at=created_at, signers=signers)


def bundle_files(content: Content, *, approvals: Sequence[Approval], created_at: datetime) -> dict[str, bytes]:
    """Return every file of the bundle but the manifest and its signatures, in their order."""
    figures = read_figures(content.figures)
    files = data_files(figures, content.narrative, created_at=created_at)
    files[REPORT] = pdf(
        Report(
            submission=str(content.submission),
            product=content.product,
            figures=figures,
            narrative=[(section.section, fill(section.text, figures.tables)) for section in content.narrative.sections],
            digest=content.digest,
            approvals=approvals,
            created_at=created_at,
        )
    )
    return dict(sorted(files.items()))


def data_files(figures: Figures, narrative: NarrativeSource, *, created_at: datetime) -> dict[str, bytes]:
    """Return the figures and the narrative in every form but print; raises UnknownPlaceholderError."""
    return {
        FIGURES: figures.encode(),
        NARRATIVE: markdown(figures, narrative),
        NARRATIVE_SOURCE: narrative.encode(),
        WORKBOOK: workbook(figures, created_at=created_at),
        **{table_file(table): csv_bytes(sheet_of(table, figures)) for table in figures.tables},
    }


def seal_files(
    files: dict[str, bytes], *, content: Content, approvals: Sequence[Approval], created_at: datetime, signers: Signers
) -> Bundle:
    """Put a manifest over files, sign it with both keys and zip all of it in canonical form."""
    figures = read_figures(content.figures)
    manifest = Manifest(
        **{name: getattr(figures, name) for name in Basis.model_fields},
        submission=content.submission,
        product=content.product,
        approvals=list(approvals),
        previous=content.previous,
        files=[FileEntry.of(name, raw) for name, raw in files.items()],
        created_at=created_at,
    ).encode()
    message = signing_input(manifest)
    signatures = SignedManifest.of(manifest, [(signer.id, signer.sign(message)) for signer in signers]).encode()
    raw = write_archive([(MANIFEST, manifest), (SIGNATURES, signatures), *files.items()])
    return Bundle(raw=raw, sha256=hashlib.sha256(raw).hexdigest(), manifest_sha256=hashlib.sha256(manifest).hexdigest())
