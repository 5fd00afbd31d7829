"""Why an act is refused: the field, and whether its content or the present state of things is the reason."""

from collections.abc import Callable
from dataclasses import dataclass

from contracts.model import FieldError


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason. `by_state` tells that the same act could be right at another moment."""

    error: FieldError
    by_state: bool = False


def content(field: str, code: str, message: str) -> Refusal:
    """Refuse what is written in a field."""
    return Refusal(FieldError(field, code, message))


def state(field: str, code: str, message: str) -> Refusal:
    """Refuse what the present state does not allow."""
    return Refusal(FieldError(field, code, message), by_state=True)


def unknown_reference(field: str, *, thing: str) -> Refusal:
    """Refuse a reference that names nothing this situation holds now: foreign and absent are one answer."""
    return content(field, "unknown_reference", f"No report of this situation holds this {thing} now; correct the reference.")


Refuse = Callable[[Refusal], None]
"""Where a rule puts what it refuses."""
