"""Need to know: whether somebody who may open a case sees the whole of it, and every search as an entry in the record of acts."""

from typing import Final, Literal
from uuid import UUID

from chassis.http import Caller
from chassis.storage import Tx
from verification.domain.dockets import CO_CHAIRS
from verification.messages.cases import StandingAccess
from verification.store import emergency

SERVICE: Final = "verification"
READ_CONFIDENTIAL: Final = "case.read_confidential"
ACKNOWLEDGE: Final = "emergency.acknowledge"
EMERGENCY: Final = "emergency_access"
"""The state in which a case may be read by those who have taken an emergency access to it."""
Found = str | int | bool | None


def sees_everything(caller: Caller, situation: str) -> bool:
    """Tell whether a role of the caller has a row for the confidential part of every case."""
    return _at(caller, READ_CONFIDENTIAL).may(situation)


def withheld(caller: Caller, situation: str) -> Literal["role"] | None:
    """Return why a list shows months for days, None if it does not."""
    return None if sees_everything(caller, situation) else "role"


async def find_emergency_access(tx: Tx, caller: Caller, situation: str, incident: UUID) -> StandingAccess | None:
    """Return the caller's emergency access to a case, if one stands and their role may still have one."""
    if not _at(caller, READ_CONFIDENTIAL).may(situation, relation="not_own", state=EMERGENCY):
        return None
    row = await emergency.find_standing(tx, situation, incident)
    return None if row is None else StandingAccess(**dict(row))


async def count_unseen(tx: Tx, caller: Caller, situation: str) -> int | None:
    """Return how many emergency accesses the caller's office has yet to acknowledge, None for whoever acknowledges none."""
    if not _at(caller, ACKNOWLEDGE).may(situation, relation="not_own"):
        return None
    return await emergency.count_unseen(tx, situation, offices=offices_of(caller, situation))


def offices_of(caller: Caller, situation: str) -> list[str]:
    """Return the co-chairs' offices that the caller holds."""
    return [office for office in CO_CHAIRS if office in caller.roles_in(situation)]


def record_search(tx: Tx, caller: Caller, situation: str, route: str, *, found: int, page: bool = False, **asked: Found) -> None:
    """Record a search: the route, how many it found, and what was asked for in codes. One entry per page; `page`: not the first.

    Never a word of the caller's own: of a filter without a closed list only that it was given.
    """
    given = {name: value for name, value in asked.items() if value is not None and value is not False}
    detail = {"route": route, "found": found, **({"page": "next"} if page else {}), **given}
    tx.audit(caller.action, situation=situation, detail=detail)


def _at(caller: Caller, action: str) -> Caller:
    return Caller(caller.principal, service=SERVICE, action=action)
