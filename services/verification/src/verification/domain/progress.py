"""What the monitor may know of a report: one of four words and the codes of what is needed."""

from dataclasses import dataclass
from enum import StrEnum

REVISION_BEFORE_DECISION = "revision_before_decision"
"""Needed after a revision that moved an incident behind a decision already recorded."""
NEEDS = frozenset({"question", "dates", "place", "children", "perpetrators", "sources", "details", "consent"})
"""What a reviewer may ask a monitor for; the wording of the question itself stays sealed."""


class CaseStatus(StrEnum):
    """The status of a case as its monitor sees it."""

    RECEIVED = "received"
    UNDER_REVIEW = "under_review"
    NEEDS_INFORMATION = "needs_information"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Progress:
    """The status of a case and what is needed; `needs` is empty unless the status is `needs_information`."""

    status: CaseStatus
    needs: tuple[str, ...] = ()

    def opened(self) -> "Progress":
        """Return the progress after somebody has opened the case."""
        return Progress(CaseStatus.UNDER_REVIEW) if self.status is CaseStatus.RECEIVED else self

    def decided(self, *, settled: bool) -> "Progress":
        """Return the progress after a decision. `settled`: every violation the case holds is."""
        return Progress(CaseStatus.CLOSED if settled else CaseStatus.UNDER_REVIEW)

    def revised(self, *, settled: bool) -> "Progress":
        """Return the progress after a revision that was accepted; a case nobody has looked at stays received."""
        return self if self.status is CaseStatus.RECEIVED else self.decided(settled=settled)

    def revision_refused(self) -> "Progress":
        """Return the progress after a revision that verification had to refuse."""
        return Progress(CaseStatus.NEEDS_INFORMATION, (REVISION_BEFORE_DECISION,))

    def asked(self, needs: tuple[str, ...]) -> "Progress":
        """Return the progress after a question to the monitor."""
        return Progress(CaseStatus.NEEDS_INFORMATION, needs)
