"""Whom this service seals to: the keys that a situation's register entry lists, each with its voucher checked again at that moment."""

from collections.abc import Sequence
from typing import Final

from chassis.errors import Problem
from chassis.sealing.keys import PublicKey
from chassis.sealing.trust import Trust
from chassis.sealing.vouchers import find_vouched
from chassis.telemetry import get_logger
from contracts.situation import RecipientKey, Situation

UNVOUCHED_KEY: Final = "situation.unvouched_key"
RETRY_AFTER_SECONDS: Final = 60
log = get_logger()


class UnvouchedKey(Problem):
    """A situation lists a key for which its holder does not vouch (503): somebody has put it there, so nothing is sealed at all.

    Not `Unavailable`: it does not pass by itself, and a message that meets it is parked, not taken again and again.
    """

    def __init__(self) -> None:
        super().__init__(
            UNVOUCHED_KEY,
            status=503,
            title="A key is not vouched for",
            remedy="Nothing was stored: let the operator look at the keys of the situation, then send the same again.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )


def keys_of(document: Situation, holders: Sequence[str], trust: Trust) -> Sequence[PublicKey]:
    """Return all keys of all holders, none if a holder has none; raises UnvouchedKey unless every one is vouched for."""
    listed = [document.recipients.get(holder, []) for holder in holders]
    if not all(listed):
        return ()
    keys = [
        find_key(entry, holder=holder, situation=document.code, trust=trust) for holder in holders for entry in document.recipients[holder]
    ]
    if not all(keys):
        log.error("unvouched_key_refused", situation=document.code, code=UNVOUCHED_KEY)
        raise UnvouchedKey
    return [key for key in keys if key is not None]


def find_key(entry: RecipientKey, *, holder: str, situation: str, trust: Trust) -> PublicKey | None:
    """Return the key of an entry under a holder if it is that holder's, for that situation and vouched for, otherwise None."""
    key = find_vouched(entry, trust)
    return key if key is not None and (key.holder, key.situation) == (holder, situation) else None


def is_vouched(document: Situation, trust: Trust) -> bool:
    """Say whether every key that a register entry lists is vouched for."""
    return all(
        find_key(entry, holder=holder, situation=document.code, trust=trust) is not None
        for holder, entries in document.recipients.items()
        for entry in entries
    )
