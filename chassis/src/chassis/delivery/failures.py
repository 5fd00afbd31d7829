"""Which failures pass by themselves, and the one that says whose fault a batch's failure is."""

from chassis.sealing.errors import UnusableKeyError
from chassis.storage import is_transient


class HandlerFailedError(Exception):
    """A handler failed in a way that no rule foresees; its cause is chained."""


def is_passing(error: BaseException) -> bool:
    """Say whether the same message may be applied later: the database is away or busy, or an operator must mend a key file."""
    return is_transient(error) or isinstance(error, UnusableKeyError | OSError)
