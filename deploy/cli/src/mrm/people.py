"""Who acts, and with which access token: the local stack's people, or tokens that somebody was given on an installation."""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from local_stack.people import access_token
from local_stack.running import RunningStack
from mrm.console import MISUSED, CommandError

MONITOR: Final = "monitor"
FOCAL: Final = "focal"
TECHNICAL: Final = "technical"
COCHAIR_UN: Final = "cochair_un"
COCHAIR_UNICEF: Final = "cochair_unicef"
OFFICER: Final = "officer"
OPERATOR: Final = "operator"
EVERYBODY: Final = (MONITOR, FOCAL, TECHNICAL, COCHAIR_UN, COCHAIR_UNICEF, OFFICER, OPERATOR)
_MARGIN_SECONDS: Final = 60.0


class People(Protocol):
    """Gives out access tokens by a person's local name."""

    async def token(self, person: str) -> str:
        """Return a token that is good for a while."""

    def forget(self, person: str) -> None:
        """Ask for a new token next time, because rights have changed or the old one was refused."""


@dataclass(slots=True)
class LocalPeople:
    """The people of a running local stack; a token is asked for when the last one is about to expire."""

    stack: RunningStack
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    _asking: dict[str, asyncio.Lock] = field(default_factory=dict)
    _forgotten: dict[str, int] = field(default_factory=dict)

    async def token(self, person: str) -> str:
        """Return a token with at least a minute to live; several who ask at once share one request."""
        async with self._asking.setdefault(person, asyncio.Lock()):
            known = self._tokens.get(person)
            while known is None or known[1] < time.time() + _MARGIN_SECONDS:
                before = self._forgotten.get(person, 0)
                text = await asyncio.to_thread(access_token, self.stack.issuer, self.stack.folder.secrets, person)
                known = text, expiry_of(text)
                if self._forgotten.get(person, 0) != before:
                    known = None  # rights changed while this token was on its way
            self._tokens[person] = known
        return known[0]

    def forget(self, person: str) -> None:
        """Drop a person's token, one that is on its way too."""
        self._tokens.pop(person, None)
        self._forgotten[person] = self._forgotten.get(person, 0) + 1


@dataclass(frozen=True, slots=True)
class GivenTokens:
    """Tokens by person, from a file or the environment; they cannot be renewed here."""

    tokens: Mapping[str, str]

    async def token(self, person: str) -> str:
        """Return the person's token. Raises CommandError for a person without one."""
        text = self.tokens.get(person)
        if text is None:
            raise CommandError(f"There is no access token for `{person}`.", remedy="Add it to the file of tokens.", code=MISUSED)
        return text

    def forget(self, person: str) -> None:
        """Keep the token: there is no other."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What `--tokens FILE` holds: tokens by person, service addresses, and the keys that a scratch situation is sealed to."""

    tokens: Mapping[str, str]
    services: Mapping[str, str]
    recipients: Mapping[str, Any] | None = None
    scratch: str | None = None


def read_access(path: Path) -> Access:
    """Read a file of tokens: `{"tokens": {person: token}, "services": {name: address}, "recipients": …, "scratch": code}`."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise CommandError(f"{path} is not a readable JSON file of tokens.", remedy="See `mrm check --help`.", code=MISUSED) from None
    if not isinstance(document, dict):
        document = {}
    tokens, services = _texts(document.get("tokens")), _texts(document.get("services", {}))
    if tokens is None or services is None:
        raise CommandError(
            f"{path} must hold `tokens`, an object of access tokens by person.",
            remedy=f"The people: {', '.join(EVERYBODY)}.",
            code=MISUSED,
        )
    return Access(tokens=tokens, services=services, recipients=document.get("recipients"), scratch=document.get("scratch"))


def expiry_of(token: str) -> float:
    """Return when a token ends, in seconds since 1970; 0 if it does not say."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        return 0.0


def _texts(value: object) -> dict[str, str] | None:
    """Return an object of texts, None if it is not one."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        return None
    return {str(name): str(text) for name, text in value.items()}
