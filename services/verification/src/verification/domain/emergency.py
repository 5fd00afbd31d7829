"""Emergency access: a short right to one whole case, taken with a reason, and whose acknowledgement it then needs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from verification.domain.dockets import CO_CHAIRS
from verification.domain.refusals import Refusal, state

SHORTEST_REASON: Final = 20
LONGEST_REASON: Final = 1_000
MINUTES: Final = 30
LONGEST_MINUTES: Final = 60
"""The database refuses a longer one as well."""
TAKERS: Final = (*CO_CHAIRS, "officer")
"""In which role one is taken by somebody who holds several, the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """A co-chair's statement that they know of an access."""

    role: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenAccess:
    """An emergency access as the rules of its acknowledgement need it."""

    access: UUID
    incident: UUID
    holder: str
    role: str
    given: Sequence[Acknowledgement]


def taking_role(roles: Collection[str]) -> str | None:
    """Return the role in which a person takes an access: a co-chair's before the officer's, so that their office knows."""
    return next((role for role in TAKERS if role in roles), None)


def awaited(taken: TakenAccess) -> list[str]:
    """Return the co-chairs' offices that have yet to acknowledge; the one that took the access is not asked."""
    known = {taken.role, *(one.role for one in taken.given)}
    return [office for office in CO_CHAIRS if office not in known]


def next_acknowledgement(taken: TakenAccess, *, roles: Collection[str], subject: str) -> tuple[Acknowledgement | None, Refusal | None]:
    """Return the acknowledgement a co-chair gives by acting now, or why there is none to give. The holder is refused before."""
    if any(one.subject == subject for one in taken.given):
        return None, state("access", "already_acknowledged", "You have acknowledged this emergency access; nothing is left to do.")
    missing = [office for office in awaited(taken) if office in roles]
    if not missing:
        return None, state("access", "office_knows", "Your office has acknowledged this emergency access, or took it itself.")
    return Acknowledgement(role=missing[0], subject=subject), None
