"""How far a rebuild has come."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """A rebuild empties the shadow, replays the ledger, compares and swaps; or it refuses to swap."""

    CLEARING = "clearing"
    REPLAYING = "replaying"
    COMPARING = "comparing"
    SWAPPED = "swapped"
    REFUSED = "refused"


RUNNING = (State.CLEARING, State.REPLAYING, State.COMPARING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """One situation's newest rebuild. `difference` is the first one, of a refused rebuild."""

    situation: str
    state: State
    side: str
    replayed: int
    compared: int
    target: int
    difference: dict[str, Any] | None
    started_at: datetime
    ended_at: datetime | None

    @property
    def running(self) -> bool:
        """Whether there is still something to do."""
        return self.state in RUNNING

    def document(self) -> dict[str, Any]:
        """Write the progress as an answer has it."""
        return {
            "situation": self.situation,
            "state": self.state.value,
            "replayed": self.replayed,
            "compared": self.compared,
            "target": self.target,
            "difference": self.difference,
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }
