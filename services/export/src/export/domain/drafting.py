"""Makes the content of a draft from a frozen snapshot: its figures as one text, and a narrative whose placeholders all have a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from chassis.errors import Conflict, Invalid
from contracts.bundle.manifest import Figures, NarrativeSource, Section, SituationName, Window
from contracts.bundle.narrative import UnknownPlaceholderError, fill
from contracts.bundle.shapes import misshapen
from contracts.model import FieldError
from contracts.situation import Situation
from export.bundle import data_files
from export.report import annual

MAX_DATA_BYTES: Final = 2 * 1024 * 1024
"""Figures, tables and narrative together: with the report, the bundle still fits into one sealed event."""
_POSITIONS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Every table of one window, frozen at one position (C12)."""

    situation: str
    snapshot: UUID
    position: int
    as_of: datetime
    window_from: date
    window_to: date
    rules: str
    params: Mapping[str, str]
    tables: Mapping[str, Any]
    frozen_by: str
    frozen_at: datetime


def figures_of(snapshot: Snapshot, register: Situation) -> Figures:
    """Return a snapshot's figures with the names that the register has now; raises Conflict if no product can be made of it."""
    if "summary" not in snapshot.tables or misshapen(dict(snapshot.tables)):
        raise Conflict("snapshot.unusable", "A table that the product needs is missing or not in its form; freeze a new snapshot.")
    return Figures(
        situation=SituationName(code=register.code, name=register.name, time_zone=register.time_zone),
        window=Window(from_=snapshot.window_from, to=snapshot.window_to),
        rules=snapshot.rules,
        params=dict(snapshot.params),
        as_of=snapshot.as_of,
        position=snapshot.position,
        snapshot=snapshot.snapshot,
        parties={party.code: party.name for party in register.parties},
        places={place.code: place.name for place in register.places if place.level == 1},
        tables=dict(snapshot.tables),
    )


def narrative_of(figures: Figures, sections: Sequence[Section] | None) -> NarrativeSource:
    """Return the narrative as written, or the default one; raises Invalid naming every section and position of what has no figure."""
    if sections is None:
        return NarrativeSource(sections=annual.narrative(figures))
    errors: list[FieldError] = []
    titles: set[str] = set()
    for index, section in enumerate(sections):
        if section.section in titles:
            errors.append(FieldError(f"narrative[{index}].section", "twice", "Another section has this title; give each its own."))
        titles.add(section.section)
        try:
            fill(section.text, figures.tables)
        except UnknownPlaceholderError as error:
            errors += [
                FieldError(
                    f"narrative[{index}].text",
                    "unknown_placeholder",
                    f"The placeholder at line {position.line}, character {position.character} of section {index + 1} names no figure "
                    "of the snapshot; write a table and the path of a cell, such as {{summary.violations}}.",
                )
                for position in error.positions[:_POSITIONS]
            ]
    if errors:
        raise Invalid(errors)
    return NarrativeSource(sections=list(sections))


def check_size(figures: Figures, narrative: NarrativeSource) -> None:
    """Raise Conflict if the bundle would be larger than what can be sent."""
    if sum(len(raw) for raw in data_files(figures, narrative, created_at=figures.as_of).values()) > MAX_DATA_BYTES:
        raise Conflict(
            "submission.too_large", "Figures and narrative are more than one bundle may hold; shorten the narrative or the window."
        )
