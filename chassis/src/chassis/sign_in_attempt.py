"""What a browser keeps between leaving for the issuer and coming back: one secret, from which everything else is derived."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

LASTS_SECONDS: Final = 600
HOME: Final = "/account"
"""Where somebody lands who did not say where to."""
MAX_PATH: Final = 1024
_SECRET_BYTES: Final = 32
_COOKIE: Final = re.compile(r"([A-Za-z0-9_-]{43})\.([0-9]{1,12})\.([A-Za-z0-9_-]{0,1400})")
_LOCAL: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def local_path(path: str | None) -> str:
    """Return a path of ours to go on to, or `HOME` for everything that is none: no scheme, host, backslash, space or control character."""
    if path is None or len(path) > MAX_PATH or _LOCAL.fullmatch(path) is None:
        return HOME
    return path


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in. State, nonce and PKCE verifier are marks of `goal` and start under `secret`, so neither can be exchanged."""

    secret: bytes
    started_at: int
    """Seconds since 1970, UTC."""
    goal: str

    @classmethod
    def begin(cls, goal: str | None, *, now: float) -> Self:
        """Begin anew, for a path that may be anything."""
        return cls(secrets.token_bytes(_SECRET_BYTES), int(now), local_path(goal))

    @classmethod
    def read(cls, cookie: str, *, now: float) -> Self | None:
        """Return the attempt that a cookie holds, None if it is none or too old."""
        found = _COOKIE.fullmatch(cookie)
        if found is None:
            return None
        try:
            secret, goal = _bytes_of(found[1]), _bytes_of(found[3]).decode("ascii")
        except ValueError:
            return None
        started = int(found[2])
        if not started <= now < started + LASTS_SECONDS:
            return None
        return cls(secret, started, local_path(goal))

    @property
    def cookie(self) -> str:
        """The attempt as a cookie's value."""
        return f"{_text_of(self.secret)}.{self.started_at}.{_text_of(self.goal.encode('ascii'))}"

    @property
    def state(self) -> str:
        """What must come back with the answer."""
        return self._mark(b"state")

    @property
    def nonce(self) -> str:
        """What must stand in the identity token."""
        return self._mark(b"nonce")

    @property
    def verifier(self) -> str:
        """The secret of PKCE (RFC 7636)."""
        return self._mark(b"verifier")

    @property
    def challenge(self) -> str:
        """Its S256 challenge."""
        return _text_of(hashlib.sha256(self.verifier.encode()).digest())

    def _mark(self, kind: bytes) -> str:
        message = b"\0".join((b"mrm-sign-in/1", kind, str(self.started_at).encode(), self.goal.encode("ascii")))
        return _text_of(hmac.digest(self.secret, message, "sha256"))


def _text_of(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes_of(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
