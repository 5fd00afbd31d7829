"""Who is calling: access tokens of one OpenID Connect issuer, checked here and nowhere else (RFC 9068, RFC 7515, RFC 8725).

What the caller may do with it is the permission table's business (`chassis.permissions`).
"""

import base64
import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeGuard
from uuid import UUID

from chassis.errors import Problem, Unavailable
from chassis.issuer_keys import ALGORITHMS, IssuerKeys, IssuerUnreachableError, verifies

ISSUED_ROLES: Final = frozenset({"monitor", "focal_point", "technical", "cochair_un", "cochair_unicef", "officer", "auditor", "operator"})
"""The roles that an issuer's claim can give; a group that names another gives nothing."""
DEVICE: Final = "device"
"""The role of a monitor's field device: it comes with a device token alone."""
ROLES: Final = ISSUED_ROLES | {DEVICE}
"""The closed list of roles."""
DEVICE_TOKEN_PREFIX: Final = "mrmd_"  # noqa: S105 - how a device token is told from an access token
EVERYWHERE: Final = "_all"
"""The place of a situation in the group of an installation-wide operator."""
GRANTS_CLAIM: Final = "groups"
UNTYPED: Final = ""
"""The type of a token whose header names none."""
MAX_TOKEN_BYTES: Final = 16 * 1024
LEEWAY_SECONDS: Final = 30
MAX_CLAIM_LENGTH: Final = 255
_CACHED_TOKENS: Final = 1024
_SEGMENTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Unauthenticated(Problem):
    """There is no access token, or it does not hold (401). Why is never told to the caller."""

    def __init__(self) -> None:
        super().__init__(
            "unauthenticated",
            status=401,
            title="Not signed in",
            remedy="Send a valid access token as `Authorization: Bearer`; fetch a new one if yours has expired.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )


class TooWeak(Unauthenticated):
    """The person signed in, but not in a way that this installation accepts (401, RFC 9470)."""

    def __init__(self, accepted: Sequence[str]) -> None:
        Problem.__init__(
            self,
            "sign_in_too_weak",
            status=401,
            title="Signed in too weakly",
            remedy="Sign in in one of the ways that `acr_values` of the header WWW-Authenticate names, and send the new token.",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_user_authentication", acr_values="{" ".join(accepted)}"'},
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in person, or a device of theirs: the issuer's subject, a name to show, and (situation, role) pairs."""

    subject: str
    name: str
    grants: frozenset[tuple[str, str]]
    device: UUID | None = None
    """The field device that speaks for the person; None where the person speaks."""

    def roles_in(self, situation: str) -> frozenset[str]:
        """Return the roles held in a situation, those held everywhere included."""
        return frozenset(role for place, role in self.grants if place in (situation, EVERYWHERE))

    def situations(self) -> frozenset[str]:
        """Return the situations in which any role is held; roles held everywhere name none."""
        return frozenset(place for place, _ in self.grants if place != EVERYWHERE)


class DeviceTokens(Protocol):
    """Knows the device tokens of a service; only a service that gave some has one."""

    async def verify(self, token: str) -> Principal:
        """Return the device's principal, of the role `device` alone; raises Unauthenticated."""


class TokenVerifier:
    """Turns an access token into a principal. Keys of the issuer are fetched when first needed and again when one is unknown."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        types: Collection[str] = ("at+jwt",),
        grants_claim: str = GRANTS_CLAIM,
        accepted_acr: Sequence[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Accept tokens of `issuer` for `audience` whose header type is one of `types` (issuers before RFC 9068 say `jwt`).

        `grants_claim` is where the issuer puts the groups; `accepted_acr` are the strengths of sign-in that `verify` accepts, all if none.
        """
        self._issuer = issuer
        self._audience = audience
        self._types = frozenset(types)
        self._grants_claim = grants_claim
        self._accepted_acr = tuple(accepted_acr)
        self._clock = clock
        self._keys = IssuerKeys(self._issuer)
        self._known: OrderedDict[bytes, tuple[Principal, float, int]] = OrderedDict()

    async def warm(self) -> None:
        """Fetch the issuer's keys ahead of the first token; raises IssuerUnreachableError."""
        await self._keys.ensure()

    async def close(self) -> None:
        """Stop fetching keys."""
        await self._keys.close()

    async def verify(self, token: str) -> Principal:
        """Return who the token speaks for; raises Unauthenticated, its kind TooWeak, or Unavailable if no key was ever reached."""
        _check_form(token)
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known[2] == self._keys.generation and self._clock() < known[1] + LEEWAY_SECONDS:
            self._keys.refresh_if_old()
            return known[0]
        claims = await self.claims(token)
        if self._accepted_acr and claims.get("acr") not in self._accepted_acr:
            raise TooWeak(self._accepted_acr)
        principal = principal_of(claims, self._grants_claim)
        self._remember(digest, principal, float(claims["exp"]))
        return principal

    async def claims(self, token: str) -> Mapping[str, Any]:
        """Return what a token says once its signature, times, issuer and audience hold; raises as `verify`."""
        _check_form(token)
        claims = await self._signed_claims(token)
        self._check_times(claims)
        self._check_source(claims)
        return claims

    async def _signed_claims(self, token: str) -> Mapping[str, Any]:
        encoded_header, encoded_claims, encoded_signature = token.split(".")
        header = _json_object(encoded_header)
        algorithm, key_id = header.get("alg"), header.get("kid")
        kind = header.get("typ", UNTYPED)
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in self._types:
            raise Unauthenticated
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or "crit" in header or "b64" in header:
            raise Unauthenticated
        if key_id is not None and not isinstance(key_id, str):
            raise Unauthenticated
        signature = _decoded(encoded_signature)
        try:
            key = await self._keys.find(key_id, algorithm)
        except IssuerUnreachableError:
            raise Unavailable(retry_after=5) from None
        if key is None or not verifies(key, algorithm, signature, f"{encoded_header}.{encoded_claims}".encode()):
            raise Unauthenticated
        return _json_object(encoded_claims)

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        expires, issued, not_before = claims.get("exp"), claims.get("iat"), claims.get("nbf")
        if not _is_instant(expires) or not _is_instant(issued) or not (not_before is None or _is_instant(not_before)):
            raise Unauthenticated
        if now >= expires + LEEWAY_SECONDS or issued > now + LEEWAY_SECONDS:
            raise Unauthenticated
        if not_before is not None and not_before > now + LEEWAY_SECONDS:
            raise Unauthenticated

    def _check_source(self, claims: Mapping[str, Any]) -> None:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if claims.get("iss") != self._issuer or self._audience not in audiences:
            raise Unauthenticated

    def _remember(self, digest: bytes, principal: Principal, expires: float) -> None:
        self._known[digest] = principal, expires, self._keys.generation
        if len(self._known) > _CACHED_TOKENS:
            self._known.popitem(last=False)


def _check_form(token: str) -> None:
    if len(token) > MAX_TOKEN_BYTES or _SEGMENTS.fullmatch(token) is None:
        raise Unauthenticated


def _is_instant(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


def _decoded(segment: str) -> bytes:
    """Decode unpadded base64url in its one canonical form."""
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise Unauthenticated from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != segment:
        raise Unauthenticated
    return raw


def _json_object(segment: str) -> dict[str, Any]:
    try:
        document = json.loads(_decoded(segment))
    except (ValueError, RecursionError):
        raise Unauthenticated from None
    if not isinstance(document, dict):
        raise Unauthenticated
    return document


def principal_of(claims: Mapping[str, Any], grants_claim: str = GRANTS_CLAIM) -> Principal:
    """Return who an issuer's claims speak of; raises Unauthenticated if they do not have the form they must have."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_CLAIM_LENGTH or _CONTROL.search(subject):
        raise Unauthenticated
    groups = claims.get(grants_claim, [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise Unauthenticated
    grants = frozenset(grant for group in groups if (grant := _grant(group)) is not None)
    return Principal(subject, _display_name(claims, subject), grants)


def _grant(group: str) -> tuple[str, str] | None:
    """Read the group `/<situation>/<role>`; any other group is somebody else's business."""
    before, _, rest = group.partition("/")
    situation, _, role = rest.partition("/")
    if before or role not in ISSUED_ROLES or not situation or len(situation) > MAX_CLAIM_LENGTH or _CONTROL.search(situation):
        return None
    if situation.startswith("_") and (situation, role) != (EVERYWHERE, "operator"):
        return None
    return situation, role


def _display_name(claims: Mapping[str, Any], subject: str) -> str:
    for claim in ("name", "preferred_username"):
        value = claims.get(claim)
        if isinstance(value, str) and value.strip():
            return _CONTROL.sub(" ", value)[:MAX_CLAIM_LENGTH]
    return subject
