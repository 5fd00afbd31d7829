"""Our side of OpenID Connect for pages: the authorization code flow with PKCE, refreshing, and signing out from either side, at any issuer.

Everything about the issuer comes from its discovery document. Identity tokens are checked by `chassis.identity`.
"""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx

from chassis.errors import Unavailable
from chassis.identity import GRANTS_CLAIM, MAX_CLAIM_LENGTH, UNTYPED, Principal, TokenVerifier, Unauthenticated, principal_of
from chassis.issuer_keys import MAX_DOCUMENT_BYTES, get_json
from chassis.sign_in_attempt import Attempt
from chassis.telemetry import get_logger

SECONDS_PER_ANSWER: Final = 5.0
LOOK_AGAIN_SECONDS: Final = 10.0
"""So old may the discovery document be: whether the issuer is there is known anew at almost every sign-in."""
LEAVE_ALONE_SECONDS: Final = 2.0
"""So long is an issuer that did not answer not asked: nobody has to wait in a line for the same silence."""
RETRY_AFTER_SECONDS: Final = 10
DEFAULT_LIFE_SECONDS: Final = 300.0
MAX_TOKEN_LENGTH: Final = 32 * 1024
MAX_HINT_LENGTH: Final = 6 * 1024
"""A longer identity token does not fit into an address that every server takes."""
SIGNED_OUT: Final = "http://schemas.openid.net/event/backchannel-logout"
"""The event that makes a token a logout token."""
_TROUBLES: Final = (httpx.HTTPError, OSError, ValueError, LookupError, TypeError, RecursionError)
_PASSING: Final = frozenset({408, 425, 429})
log = get_logger()


class SignInRefusedError(Exception):
    """Nobody is signed in. `code` says why, for the log and the record; it holds nothing of the person."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class LogoutRefusedError(Exception):
    """A logout token does not hold. `code` says why, for the log; it holds nothing of the person."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody the issuer vouched for just now."""

    principal: Principal
    refresh_token: str | None
    id_token: str | None
    """The last one known; the issuer asks for it when somebody signs out."""
    lasts_seconds: float
    """How long the issuer's word holds when it cannot be renewed."""
    sid: str | None = None
    """What the issuer calls its own session, for the day that it ends it."""


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Whose sessions the issuer says are over: those that hang on its session `sid`; without one, all of `subject`. One is there."""

    subject: str | None
    sid: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What was agreed with the issuer about this service's pages."""

    issuer: str
    client_id: str
    client_secret: str | None
    """None: a public client, which PKCE alone protects."""
    redirect_uri: str
    scopes: str
    grants_claim: str = GRANTS_CLAIM
    accepted_acr: tuple[str, ...] = ()
    """Strengths of sign-in that are accepted, the preferred one first; none: every one is."""


class RelyingParty:
    """One service's pages at one issuer."""

    def __init__(self, registration: Registration, *, clock: Callable[[], float] = time.time) -> None:
        """Ask nothing yet."""
        self._to = registration
        self._tokens = TokenVerifier(registration.issuer, registration.client_id, types=("jwt", UNTYPED), clock=clock)
        # the type `logout+jwt` is only recommended; that a token is one for signing out, and none for signing in, its claims say
        self._logout_tokens = TokenVerifier(registration.issuer, registration.client_id, types=("logout+jwt", "jwt", UNTYPED), clock=clock)
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._metadata: Mapping[str, Any] | None = None
        self._metadata_at = float("-inf")
        self._away_at = float("-inf")
        self._looking = asyncio.Lock()

    async def close(self) -> None:
        """Let go of connections to the issuer."""
        await self._tokens.close()
        await self._logout_tokens.close()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def authorization_url(self, attempt: Attempt, *, language: str) -> str:
        """Return where to send the browser; raises Unavailable while the issuer does not answer."""
        endpoint = await self._endpoint("authorization_endpoint")
        question = {
            "response_type": "code",
            "client_id": self._to.client_id,
            "redirect_uri": self._to.redirect_uri,
            "scope": self._to.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
            "ui_locales": language,
        }
        if self._to.accepted_acr:
            question["acr_values"] = " ".join(self._to.accepted_acr)
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(question)}"

    async def complete(self, attempt: Attempt, answer: Mapping[str, str]) -> SignedIn:
        """Turn the issuer's answer, as the browser brought it, into a person; raises SignInRefusedError and Unavailable."""
        if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            raise SignInRefusedError("state")
        await self._check_origin_of(answer)
        if "error" in answer:
            raise SignInRefusedError("cancelled" if answer["error"] == "access_denied" else "issuer_error")
        if not 0 < len(answer.get("code", "")) <= MAX_TOKEN_LENGTH:
            raise SignInRefusedError("code")
        tokens = await self._ask_for_tokens(
            {
                "grant_type": "authorization_code",
                "code": answer["code"],
                "redirect_uri": self._to.redirect_uri,
                "code_verifier": attempt.verifier,
            }
        )
        id_token = _text(tokens, "id_token")
        if id_token is None:
            raise SignInRefusedError("id_token")
        claims = await self._claims(id_token)
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
            raise SignInRefusedError("nonce")
        self._check_strength(claims)
        return await self._signed_in(claims, tokens, id_token)

    async def refresh(self, refresh_token: str, *, subject: str, id_token: str | None) -> SignedIn:
        """Hear from the issuer again about a person; raises SignInRefusedError if it no longer vouches, Unavailable if it is away."""
        tokens = await self._ask_for_tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})
        fresh = _text(tokens, "id_token")
        claims: Mapping[str, Any] = {"sub": subject} if fresh is None else await self._claims(fresh)
        if "acr" in claims:  # without one the word given at sign-in stands
            self._check_strength(claims)
        signed_in = await self._signed_in(claims, {"refresh_token": refresh_token, **tokens}, fresh or id_token)
        if signed_in.principal.subject != subject:
            raise SignInRefusedError("subject")
        return signed_in

    async def revoke(self, refresh_token: str) -> bool:
        """Tell the issuer to forget a refresh token (RFC 7009); says whether it was told."""
        try:
            endpoint = await self._endpoint("revocation_endpoint")
            await self._post(endpoint, {"token": refresh_token, "token_type_hint": "refresh_token"})
        except (SignInRefusedError, Unavailable):
            return False
        return True

    async def signed_out(self, logout_token: str) -> SignedOut:
        """Return whose sessions the issuer ends (OpenID Connect Back-Channel Logout 1.0); raises LogoutRefusedError, and Unavailable.

        That a token comes twice is not looked for: ending what has ended changes nothing, and a token does not live long.
        """
        try:
            claims = await self._logout_tokens.claims(logout_token)
        except Unauthenticated:
            raise LogoutRefusedError("token") from None
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(SIGNED_OUT), dict):
            raise LogoutRefusedError("events")
        if "nonce" in claims:
            raise LogoutRefusedError("nonce")
        if not isinstance(claims.get("jti"), str) or not claims["jti"]:
            raise LogoutRefusedError("jti")
        try:
            subject = principal_of({"sub": claims["sub"]}).subject if "sub" in claims else None
        except Unauthenticated:
            raise LogoutRefusedError("sub") from None
        sid = _sid_of(claims)
        if (sid is None) != ("sid" not in claims) or (sid is None and subject is None):
            raise LogoutRefusedError("sid")
        return SignedOut(subject, sid)

    async def end_session_url(self, id_token: str | None, *, back_to: str) -> str | None:
        """Return where the browser ends the person's session at the issuer, None if the issuer offers nothing or is away."""
        try:
            endpoint = await self._endpoint("end_session_endpoint")
        except Unavailable:
            return None
        question = {"client_id": self._to.client_id, "post_logout_redirect_uri": back_to}
        if id_token is not None and len(id_token) <= MAX_HINT_LENGTH:
            question["id_token_hint"] = id_token
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(question)}"

    async def _check_origin_of(self, answer: Mapping[str, str]) -> None:
        """Refuse an answer of another issuer (RFC 9207); one that announces to name itself must."""
        named = answer.get("iss")
        announced = (await self._discovered()).get("authorization_response_iss_parameter_supported") is True
        if named is None and not announced:
            return
        if named != self._to.issuer:
            raise SignInRefusedError("issuer")

    async def _claims(self, id_token: str) -> Mapping[str, Any]:
        try:
            claims = await self._tokens.claims(id_token)
        except Unauthenticated:
            raise SignInRefusedError("id_token") from None
        several = isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else self._to.client_id) != self._to.client_id:
            raise SignInRefusedError("id_token")
        return claims

    def _check_strength(self, claims: Mapping[str, Any]) -> None:
        if self._to.accepted_acr and claims.get("acr") not in self._to.accepted_acr:
            raise SignInRefusedError("acr")

    async def _signed_in(self, claims: Mapping[str, Any], tokens: Mapping[str, Any], id_token: str | None) -> SignedIn:
        """Complete what the identity token says of roles and name by what the issuer tells about the person."""
        access_token = _text(tokens, "access_token")
        if not {self._to.grants_claim, "name"} <= claims.keys() and access_token is not None:
            told = await self._told_of_person(access_token)
            if told and told.get("sub") != claims.get("sub"):
                raise SignInRefusedError("subject")
            claims = {**told, **claims}
        try:
            principal = principal_of(claims, self._to.grants_claim)
        except Unauthenticated:
            raise SignInRefusedError("claims") from None
        life = tokens.get("expires_in")
        known = isinstance(life, int | float) and not isinstance(life, bool) and life > 0
        lasts_seconds = float(life) if known else DEFAULT_LIFE_SECONDS  # type: ignore[arg-type]
        return SignedIn(principal, _text(tokens, "refresh_token"), id_token, lasts_seconds, _sid_of(claims))

    async def _told_of_person(self, access_token: str) -> dict[str, Any]:
        """Read the userinfo endpoint; an issuer without one tells nothing more."""
        endpoint = (await self._discovered()).get("userinfo_endpoint")
        if endpoint is None:
            return {}
        try:
            return await get_json(self._http, self._sound(endpoint), token=access_token)
        except _TROUBLES as error:
            raise _away("userinfo", error) from None

    async def _ask_for_tokens(self, form: dict[str, str]) -> dict[str, Any]:
        return await self._post(await self._endpoint("token_endpoint"), form)

    async def _post(self, endpoint: str, form: dict[str, str]) -> dict[str, Any]:
        """Send a form as this client; raises SignInRefusedError for a refusal, Unavailable for everything that may pass."""
        headers = {"Accept": "application/json"}
        secret, methods = self._to.client_secret, (await self._discovered()).get("token_endpoint_auth_methods_supported")
        if secret is not None and (not isinstance(methods, list) or "client_secret_basic" in methods):
            pair = f"{quote_plus(self._to.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form = {**form, "client_id": self._to.client_id, **({} if secret is None else {"client_secret": secret})}
        raw = bytearray()
        try:
            async with self._http.stream("POST", endpoint, data=form, headers=headers) as response:
                status = response.status_code
                async for chunk in response.aiter_bytes():
                    raw += chunk
                    if len(raw) > MAX_DOCUMENT_BYTES:
                        raise ValueError("the issuer's answer is too long")
            if 400 <= status < 500 and status not in _PASSING:
                raise SignInRefusedError("issuer_refused")
            if status != httpx.codes.OK:
                raise ValueError("the issuer did not answer")
            document = json.loads(bytes(raw) or b"{}")
            if not isinstance(document, dict):
                raise TypeError("the issuer's answer is not an object")
        except _TROUBLES as error:
            raise _away("tokens", error) from None
        return document

    async def _endpoint(self, name: str) -> str:
        """Return an endpoint; raises Unavailable if the issuer is away or has none."""
        endpoint = (await self._discovered()).get(name)
        if endpoint is None:
            raise Unavailable(RETRY_AFTER_SECONDS)
        return self._sound(endpoint)

    def _sound(self, endpoint: object) -> str:
        """Return an endpoint that may be used: with TLS wherever the issuer has it."""
        kinds = ("https",) if urlsplit(self._to.issuer).scheme == "https" else ("https", "http")
        if not isinstance(endpoint, str) or urlsplit(endpoint).scheme not in kinds:
            log.warning("issuer_endpoint_unusable")
            raise Unavailable(RETRY_AFTER_SECONDS)
        return endpoint

    async def _discovered(self) -> Mapping[str, Any]:
        """Return the issuer's discovery document, not older than a few seconds; raises Unavailable."""
        async with self._looking:
            if self._metadata is not None and 0 <= self._clock() - self._metadata_at < LOOK_AGAIN_SECONDS:
                return self._metadata
            if 0 <= self._clock() - self._away_at < LEAVE_ALONE_SECONDS:
                raise Unavailable(RETRY_AFTER_SECONDS)
            try:
                document = await get_json(self._http, f"{self._to.issuer.rstrip('/')}/.well-known/openid-configuration")
                if document.get("issuer") != self._to.issuer:
                    raise ValueError("the issuer's metadata speaks of another issuer")
            except _TROUBLES as error:
                self._away_at = self._clock()
                raise _away("discovery", error) from None
            self._metadata, self._metadata_at = document, self._clock()
            return document

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=SECONDS_PER_ANSWER, follow_redirects=False, trust_env=False)
        return self._client


def _away(where: str, error: Exception) -> Unavailable:
    log.warning("issuer_away", where=where, error=type(error).__name__)
    return Unavailable(RETRY_AFTER_SECONDS)


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TOKEN_LENGTH else None


def _sid_of(claims: Mapping[str, Any]) -> str | None:
    """Return what the issuer calls its session, None if it names none in a form that can be kept."""
    sid = claims.get("sid")
    return sid if isinstance(sid, str) and 0 < len(sid) <= MAX_CLAIM_LENGTH else None
