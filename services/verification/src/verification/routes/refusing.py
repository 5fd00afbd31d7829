"""How a refusal of the domain leaves: 422 for content, 409 for state, 403 for an own report; fields named, values never."""

from collections.abc import Iterable, Sequence

from chassis.errors import Conflict, Invalid, Problem
from chassis.permissions import Caller
from contracts.model import FieldError
from verification.domain.refusals import Refusal


class OwnReport(Problem):
    """Somebody wants to decide on a report that they submitted (403)."""

    def __init__(self, fields: Iterable[str]) -> None:
        message = "You submitted this report; somebody else must decide on it."
        super().__init__(
            "own_report",
            status=403,
            title="Not allowed",
            remedy="Nobody decides on their own report; leave out the lines named in `errors`.",
            errors=[FieldError(field, "own_report", message) for field in fields],
        )


def refuse(refused: Sequence[Refusal]) -> None:
    """Raise Invalid if any content is refused, else Conflict with the first code; return if nothing is refused."""
    if not refused:
        return
    errors = [refusal.error for refusal in refused]
    if all(refusal.by_state for refusal in refused):
        raise Conflict(errors[0].code, errors[0].message, errors=errors)
    raise Invalid(errors)


def refuse_own(caller: Caller, situation: str, *, state: str, fields: Sequence[str]) -> None:
    """Raise OwnReport for the fields that concern the caller's own reports, unless the permission table allows it."""
    if fields and not caller.may(situation, relation="own", state=state):
        raise OwnReport(fields)
