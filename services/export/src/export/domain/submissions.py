"""The life of a submission, `draft → signing → signed`, and the four eyes that approve it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from chassis.errors import Conflict, Forbidden
from contracts.bundle.manifest import APPROVING_ROLES, Approval, NarrativeSource, Previous, Product, Role, pseudonym
from export.bundle import Content

PRODUCTS: Final = ("annual",)


class State(StrEnum):
    """A draft can be edited and approved; with both approvals it is frozen (`signing`) and then signed, for good."""

    DRAFT = "draft"
    SIGNING = "signing"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenApproval:
    """One co-chair's approval of one revision of a submission."""

    revision: int
    digest: str
    role: Role
    approved_by: str
    name: str
    approved_at: datetime

    def printed(self, submission: UUID) -> Approval:
        """Return the approval as the bundle carries it."""
        return Approval(
            role=self.role,
            name=self.name,
            person=pseudonym(submission=submission, subject=self.approved_by),
            approved_at=self.approved_at,
            digest=self.digest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submission as it stands. `revision` rises with every edit, and approvals are of one revision."""

    situation: str
    submission: UUID
    product: Product
    snapshot: UUID
    state: State
    revision: int
    digest: str
    figures: bytes
    narrative: NarrativeSource
    previous: Previous | None
    drafted_by: str
    drafted_at: datetime
    edited_at: datetime
    signed_at: datetime | None = None

    @property
    def content(self) -> Content:
        """What a co-chair approves."""
        return Content(
            submission=self.submission,
            product=self.product,
            figures=self.figures,
            narrative=self.narrative,
            previous=self.previous,
        )


def require_draft(submission: Submission) -> None:
    """Raise Conflict unless the submission can still be edited."""
    if submission.state is not State.DRAFT:
        raise Conflict(
            "submission.not_draft", "Both co-chairs have approved it, so it never changes; draft a new one that names it as previous."
        )


def standing(approvals: Sequence[GivenApproval], submission: Submission) -> list[GivenApproval]:
    """Return the approvals that count: those of the present revision. An edit has made the others void."""
    return [given for given in approvals if given.revision == submission.revision and given.digest == submission.digest]


def approving_role(*, roles: frozenset[str], asked: Role | None, given: Sequence[GivenApproval], subject: str) -> Role:
    """Decide as which co-chair a person approves; raises Forbidden or Conflict. One person never stands for both."""
    if any(approval.approved_by == subject for approval in given):
        raise Conflict("approval.same_person", "You have approved this already; the other co-chair, another person, must approve it too.")
    held = [role for role in APPROVING_ROLES if role in roles and asked in (None, role)]
    if not held:
        raise Forbidden
    taken = {approval.role for approval in given}
    free = [role for role in held if role not in taken]
    if not free:
        raise Conflict("approval.already_given", "This co-chair has approved it already; the other one must approve it.")
    return free[0]


def is_approved(given: Sequence[GivenApproval]) -> bool:
    """Tell whether both co-chairs, two different people, have approved."""
    return {approval.role for approval in given} == set(APPROVING_ROLES) and len({approval.approved_by for approval in given}) == len(
        APPROVING_ROLES
    )
