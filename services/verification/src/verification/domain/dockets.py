"""A docket: violations the two co-chairs decide in one sitting, each with an approval of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from verification.domain.refusals import Refusal, state

CO_CHAIRS = ("cochair_un", "cochair_unicef")
"""The two roles whose approval a docket needs, given by two different people."""


class DocketKind(StrEnum):
    """`import` holds records that another system decided: they lack earlier stages, criteria and perhaps the day.

    It is for a situation that the operator has opened for importing, and for scratch ones; elsewhere the co-chairs would verify
    a live report without source, criteria or an earlier stage.
    """

    DECISIONS = "decisions"
    IMPORT = "import"


class DocketState(StrEnum):
    """A docket is open until both have approved it or somebody has withdrawn it."""

    OPEN = "open"
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One co-chair's own approval. `mark` recognises the person where submitters are kept as marks only."""

    role: str
    subject: str
    mark: bytes


def next_approval(
    *, docket: DocketState, given: Sequence[Approval], roles: frozenset[str], subject: str, mark: bytes
) -> tuple[Approval | None, Refusal | None]:
    """Return the approval a person gives by acting now, or why they cannot.

    A person who holds both roles gives the one still missing, yet never both: two eyes are not four.
    """
    if docket is not DocketState.OPEN:
        return None, state("docket", "docket_not_open", "The docket is decided or withdrawn; propose a new one.")
    if any(approval.subject == subject for approval in given):
        return None, state("docket", "already_approved", "You have approved this docket; the other co-chair must now.")
    missing = [role for role in CO_CHAIRS if role in roles and all(approval.role != role for approval in given)]
    if not missing:
        return None, state("docket", "role_has_approved", "This co-chair's office has approved; the other one must now.")
    return Approval(role=missing[0], subject=subject, mark=mark), None


def is_complete(given: Sequence[Approval]) -> bool:
    """Tell whether both co-chairs, two different people, have approved."""
    return {approval.role for approval in given} == set(CO_CHAIRS) and len({approval.subject for approval in given}) == len(CO_CHAIRS)
