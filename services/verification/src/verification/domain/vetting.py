"""The stages of one violation: which have spoken, which one it waits for, when its vetting is settled or reopened."""

from dataclasses import dataclass, replace

from contracts.vocabulary import Stage, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Vetting:
    """The newest outcome of every stage, and the stage of the newest decision of all."""

    focal_point: Status | None = None
    technical: Status | None = None
    ctfmr: Status | None = None
    latest: Stage | None = None

    @property
    def status(self) -> Status:
        """The status in force: that of the newest CTFMR decision, pending without one (C1)."""
        return self.ctfmr or Status.PENDING

    @property
    def reopened(self) -> bool:
        """Whether an earlier stage has spoken again since the task force decided; its decision stays in force."""
        return self.ctfmr is not None and self.latest is not Stage.CTFMR

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do: the task force decided, not as pending, and nobody has reopened it since."""
        return self.ctfmr is not None and self.ctfmr is not Status.PENDING and not self.reopened

    @property
    def waits_for(self) -> Stage | None:
        """The stage whose turn it is, None if the violation is settled."""
        if self.settled:
            return None
        match self.latest:
            case None:
                return Stage.FOCAL_POINT
            case Stage.FOCAL_POINT:
                return Stage.TECHNICAL
            case Stage.TECHNICAL | Stage.CTFMR:
                return Stage.CTFMR

    def missing_before(self, stage: Stage) -> Stage | None:
        """Return the earlier stage that must have spoken at least once before this one and has not, None if all have."""
        match stage:
            case Stage.FOCAL_POINT:
                return None
            case Stage.TECHNICAL:
                return None if self.focal_point else Stage.FOCAL_POINT
            case Stage.CTFMR:
                return None if self.technical else Stage.TECHNICAL

    def after(self, stage: Stage, outcome: Status) -> "Vetting":
        """Return the vetting with one more decision; it supersedes the stage's decision before it."""
        match stage:
            case Stage.FOCAL_POINT:
                return replace(self, focal_point=outcome, latest=stage)
            case Stage.TECHNICAL:
                return replace(self, technical=outcome, latest=stage)
            case Stage.CTFMR:
                return replace(self, ctfmr=outcome, latest=stage)
