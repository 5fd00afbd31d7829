"""The difference of two moments: which violations entered, left or moved in a window's figures, and what made them (C12)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from aggregation.domain.sexes import Sexes


class Kind(StrEnum):
    """How a violation's place in the figures changed. `children`: the same amounts, other children behind them."""

    ENTERED = "entered"
    LEFT = "left"
    MOVED = "moved"
    CHILDREN = "children"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a violation stands in the figures of a window."""

    standing: str
    type: str
    late: bool
    decided_on: date | None
    amount: int
    tally: Sexes
    lines: tuple[str, ...]
    region: str | None
    details: tuple[tuple[str, tuple[str, ...]], ...]

    def document(self) -> dict[str, Any]:
        """Write a place as an answer has it."""
        return {
            "set": self.standing,
            "type": self.type,
            "late": self.late,
            "decided_on": self.decided_on.isoformat() if self.decided_on else None,
            "amount": self.amount,
            **self.tally.figures(),
            "lines": list(self.lines),
            "region": self.region,
            "details": {name: list(codes) for name, codes in self.details},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """An entry of the ledger that changed something: a report, revision, decision, link or undoing. `id` names it at verification."""

    position: int
    kind: str
    id: str
    recorded_at: datetime

    def document(self) -> dict[str, Any]:
        """Write a cause as an answer has it."""
        return {"position": self.position, "kind": self.kind, "id": self.id, "recorded_at": self.recorded_at.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One violation's change between two moments, with all that touched it between them, in order."""

    violation: str
    kind: Kind
    before: Place | None
    after: Place | None
    causes: tuple[Cause, ...]

    def document(self) -> dict[str, Any]:
        """Write a change as an answer has it."""
        return {
            "violation": self.violation,
            "change": self.kind.value,
            "before": self.before.document() if self.before else None,
            "after": self.after.document() if self.after else None,
            "causes": [cause.document() for cause in self.causes],
        }


def changes(
    *,
    places: Mapping[str, tuple[Place | None, Place | None]],
    children: Mapping[str, Place],
    causes: Mapping[str, Iterable[int]],
    entries: Mapping[int, Cause],
) -> list[Change]:
    """Name every change, in the order of the violations.

    `places` holds before and after of violations whose place differs; `children` the places of those whose children alone may.
    """
    found = [_change(violation, before, after, _causes(causes, violation, entries)) for violation, (before, after) in places.items()]
    found += [
        Change(violation=violation, kind=Kind.CHILDREN, before=place, after=place, causes=_causes(causes, violation, entries))
        for violation, place in children.items()
        if violation not in places
    ]
    return sorted(found, key=lambda change: change.violation)


def _change(violation: str, before: Place | None, after: Place | None, causes: Sequence[Cause]) -> Change:
    kind = Kind.ENTERED if before is None else Kind.LEFT if after is None else Kind.MOVED
    return Change(violation=violation, kind=kind, before=before, after=after, causes=tuple(causes))


def _causes(causes: Mapping[str, Iterable[int]], violation: str, entries: Mapping[int, Cause]) -> tuple[Cause, ...]:
    return tuple(entries[position] for position in sorted(set(causes.get(violation, ()))))
