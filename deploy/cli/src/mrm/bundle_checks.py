"""The checks of a signed bundle, each with what it found: offline, from the bundle's bytes and the pinned keys alone."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chassis.sealing.submission import verify_submission_signature
from chassis.sealing.trust import Trust
from contracts.bundle.archive import MAX_BUNDLE_BYTES, read_archive
from contracts.bundle.dsse import ALGORITHMS, SignedManifest, decode, read_signatures, signing_input
from contracts.bundle.manifest import (
    APPROVING_ROLES,
    FIGURES,
    MANIFEST,
    NARRATIVE,
    NARRATIVE_SOURCE,
    REPORT,
    SIGNATURES,
    WORKBOOK,
    Basis,
    BundleError,
    Figures,
    Manifest,
    NarrativeSource,
    content_digest,
    read_figures,
    read_manifest,
    read_narrative,
    table_file,
)
from contracts.bundle.narrative import UnknownPlaceholderError, markdown
from contracts.bundle.sheets import ABOUT_SHEET, about_rows, csv_bytes, sheet_names, sheet_of
from contracts.bundle.sums import contradictions
from mrm.workbook import cells_of, read_workbook

_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `detail` says what was found."""

    check: str
    ok: bool
    detail: str


class _Failed(Exception):  # noqa: N818 - the finding of a check, not an error of the program
    """A check has found something wrong; the sentence says what."""


def check_bundle(raw: bytes, trust: Trust) -> list[Check]:
    """Check a bundle; it is valid if every check is ok. What cannot be checked any more after a failure is left out."""
    return _Inspection(raw, trust).run()


class _Inspection:
    """One pass over one bundle; each step may rely on those before it."""

    _manifest: Manifest
    _figures: Figures
    _narrative: NarrativeSource
    _signed: SignedManifest

    def __init__(self, raw: bytes, trust: Trust) -> None:
        self._raw = raw
        self._trust = trust
        self._files: dict[str, bytes] = {}
        self._order: list[str] = []

    def run(self) -> list[Check]:
        """Run the steps in order; a step without which the next mean nothing ends the pass when it fails."""
        steps: tuple[tuple[str, bool, Callable[[], str]], ...] = (
            ("canonical zip", True, self._zip),
            ("manifest", True, self._read_manifest),
            ("signature file", True, self._read_signatures),
            ("Ed25519 signature", False, lambda: self._signature(0)),
            ("ML-DSA-65 signature", False, lambda: self._signature(1)),
            ("files", True, self._complete),
            ("checksums", True, self._checksums),
            ("figures", True, self._read_figures),
            ("sums", True, self._sums),
            ("tables", False, self._tables),
            ("workbook", False, self._workbook),
            ("narrative", True, self._filled),
            ("approvals", False, self._approvals),
        )
        checks: list[Check] = []
        for name, needed, step in steps:
            check = _checked(name, step)
            checks.append(check)
            if needed and not all(done.ok for done in checks):
                break
        return checks

    def _zip(self) -> str:
        files = read_archive(self._raw)
        self._files = dict(files)
        self._order = [name for name, _ in files]
        return f"{len(files)} files, byte for byte in the one canonical form"

    def _read_manifest(self) -> str:
        self._manifest = read_manifest(self._file(MANIFEST))
        manifest = self._manifest
        return (
            f"submission {manifest.submission} ({manifest.product}), {_printable(manifest.situation.name)}, "
            f"{manifest.window.from_} to {manifest.window.to} (exclusive), rules {_printable(manifest.rules)}"
        )

    def _read_signatures(self) -> str:
        self._signed = read_signatures(self._file(SIGNATURES))
        if self._signed.manifest != self._file(MANIFEST):
            raise _Failed("The signatures are over another manifest than the bundle's.")
        if len(self._signed.signatures) != len(ALGORITHMS):
            raise _Failed("It does not hold exactly the two signatures that a submission needs.")
        return "two signatures over the bundle's manifest"

    def _signature(self, index: int) -> str:
        signature, algorithm = self._signed.signatures[index], ALGORITHMS[index]
        key = self._trust.submission.get(signature.keyid)
        if key is None or key.algorithm != algorithm:
            raise _Failed(f"The {algorithm} signature is not by a key that is trusted here.")
        message = signing_input(self._file(MANIFEST))
        if not verify_submission_signature(key, signature=decode(signature.sig), message=message):
            raise _Failed(f"The {algorithm} signature is not over this manifest.")
        return f"by {signature.keyid}"

    def _complete(self) -> str:
        listed = [entry.name for entry in self._manifest.files]
        if self._order != [MANIFEST, SIGNATURES, *listed]:
            missing = sorted(set(listed) - set(self._order))
            extra = sorted(set(self._order) - {MANIFEST, SIGNATURES, *listed})
            if missing or extra:
                raise _Failed(f"Missing: {', '.join(missing) or 'none'}; not in the manifest: {', '.join(extra) or 'none'}.")
            raise _Failed("The files are not in the order of the manifest.")
        if listed != sorted(listed):
            raise _Failed("The manifest does not list its files in order.")
        return f"none missing, none extra, of {len(self._order)}"

    def _checksums(self) -> str:
        wrong = [
            entry.name
            for entry in self._manifest.files
            if len(self._files[entry.name]) != entry.size or hashlib.sha256(self._files[entry.name]).hexdigest() != entry.sha256
        ]
        if wrong:
            raise _Failed(f"Not what was signed: {', '.join(wrong)}.")
        return f"size and SHA-256 of {len(self._manifest.files)} files"

    def _read_figures(self) -> str:
        self._figures = read_figures(self._file(FIGURES))
        if any(getattr(self._figures, field) != getattr(self._manifest, field) for field in Basis.model_fields):
            raise _Failed("The figures are of another situation, window, rules or snapshot than the manifest says.")
        needed = {FIGURES, WORKBOOK, NARRATIVE, NARRATIVE_SOURCE, REPORT} | {table_file(table) for table in self._figures.tables}
        listed = {entry.name for entry in self._manifest.files}
        if needed != listed:
            raise _Failed("The bundle does not hold exactly the files that belong to its figures.")
        return f"{len(self._figures.tables)} tables, as of position {self._figures.position}"

    def _sums(self) -> str:
        found = contradictions(self._figures.tables, params=self._figures.params)
        if found:
            shown = "; ".join(_printable(str(one)) for one in found[:_SHOWN])
            raise _Failed(f"Figures do not add up ({len(found)}): {shown}")
        return "every figure adds up inside its table and with the others"

    def _tables(self) -> str:
        tables = self._figures.tables
        wrong = [table for table in tables if csv_bytes(sheet_of(table, self._figures)) != self._file(table_file(table))]
        if wrong:
            raise _Failed(f"Not the figures: {', '.join(table_file(table) for table in wrong)}.")
        return f"{len(tables)} CSV files, made again from the figures, are the same"

    def _workbook(self) -> str:
        sheets = read_workbook(self._file(WORKBOOK))
        names = sheet_names(self._figures.tables)
        expected = {ABOUT_SHEET: cells_of([*about_rows(self._figures)])}
        for table, name in names.items():
            sheet = sheet_of(table, self._figures)
            expected[name] = cells_of([sheet.header, sheet.tags, *sheet.rows])
        if list(sheets) != list(expected):
            raise _Failed("The workbook does not hold exactly one sheet for each table.")
        wrong = [name for name, cells in expected.items() if sheets[name] != cells]
        if wrong:
            raise _Failed(f"Not the figures: sheet {', '.join(wrong)}.")
        return f"every cell of {len(sheets)} sheets is the figure"

    def _filled(self) -> str:
        self._narrative = read_narrative(self._file(NARRATIVE_SOURCE))
        if markdown(self._figures, self._narrative) != self._file(NARRATIVE):
            raise _Failed("The narrative is not the one that was approved, filled with the figures.")
        return f"{len(self._narrative.sections)} sections, figures filled from the tables"

    def _approvals(self) -> str:
        manifest = self._manifest
        if sorted(approval.role for approval in manifest.approvals) != sorted(APPROVING_ROLES):
            raise _Failed("It does not hold one approval of each co-chair.")
        if len({approval.person for approval in manifest.approvals}) != len(APPROVING_ROLES):
            raise _Failed("One person has approved as both co-chairs.")
        digest = content_digest(
            submission=manifest.submission,
            product=manifest.product,
            figures=self._file(FIGURES),
            narrative=self._narrative,
            previous=manifest.previous,
        )
        if any(approval.digest != digest for approval in manifest.approvals):
            raise _Failed("What was approved is not what the bundle holds.")
        names = ", ".join(f"{_printable(approval.name)} ({approval.role})" for approval in manifest.approvals)
        return f"both co-chairs, two people, approved exactly this content: {names}"

    def _file(self, name: str) -> bytes:
        content = self._files.get(name)
        if content is None:
            raise _Failed(f"Missing: {name}.")
        return content


def _checked(name: str, step: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, detail=step())
    except _Failed as finding:
        return Check(name, ok=False, detail=str(finding))
    except BundleError as error:
        return Check(name, ok=False, detail=str(error))
    except UnknownPlaceholderError:
        return Check(name, ok=False, detail="It holds a placeholder that names no figure.")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError):
        return Check(name, ok=False, detail="It cannot be read.")


def too_large() -> Check:
    """Return the finding about a file that is too large to be read at all."""
    return Check("canonical zip", ok=False, detail=f"It is larger than {MAX_BUNDLE_BYTES:,} bytes, more than a bundle may be.")


def _printable(text: str) -> str:
    """Keep a text that others wrote from steering the terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
