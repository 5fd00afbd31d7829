"""The two error families of sealing: an envelope that is refused, and a key that cannot be used."""

from __future__ import annotations

from enum import StrEnum


class SealCode(StrEnum):
    """Why an envelope is refused. The words are stable: parked messages and test vectors carry them."""

    MALFORMED = "malformed"
    UNKNOWN_VERSION = "unknown_version"
    FORGED = "forged"
    UNKNOWN_KEY = "unknown_key"
    WRONG_WRITER = "wrong_writer"
    WRONG_TOPIC = "wrong_topic"
    WRONG_RECIPIENT = "wrong_recipient"
    CANNOT_OPEN = "cannot_open"


class SealError(Exception):
    """An envelope is refused; the code is all that is said, so that a refusal teaches an attacker nothing more.

    `authentic` is true when the service that the reader expects had signed these bytes: the fault lies then with
    that service or with this one, and not with someone who can merely write to the topic.
    """

    def __init__(self, code: SealCode, *, authentic: bool) -> None:
        super().__init__(f"envelope refused: {code.value}")
        self.code = code
        self.authentic = authentic


class UnusableKeyError(Exception):
    """A key or key file cannot be used as it is. The text is fixed and names at most a key id, never key material.

    Not a `SealError`: nothing is wrong with the message at hand, so it must wait until an operator has mended this.
    """
