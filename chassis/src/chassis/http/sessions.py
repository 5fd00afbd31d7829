"""Sessions as a browser carries them: their cookies, and the proof that an unsafe request was made by a page of ours."""

import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request, Response

from chassis.errors import BadRequest, Forbidden
from chassis.http.raw_bodies import body_of
from chassis.identity import Principal
from chassis.relying_party import Registration, RelyingParty
from chassis.service import Service
from chassis.sessions import Session, Sessions

CALLBACK: Final = "/sign-in/callback"
CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 200
FORGED_KEY: Final = "mrm_forged"
"""Where, in a request's scope, lies in whose name it was made by another page; the attempt is recorded under it."""
_SESSION: Final = "mrm_session"
"""Where the session of a request lies in its ASGI scope's state once it has been looked for."""


class Csrf(Forbidden):
    """An unsafe request with a session did not come from a page of this service (403)."""

    def __init__(self) -> None:
        super().__init__("csrf", "Nothing was stored. Load the page again and send from there.")


class TwoCredentials(BadRequest):
    """A request brings a session and a token (400)."""

    def __init__(self) -> None:
        super().__init__("two_credentials", "Send either an access token or the session's cookie, not both.")


def sessions_of(service: Service, actor_of: Callable[[Principal], str]) -> Sessions:
    """Make the sessions of a service as its settings say; nothing is asked yet."""
    settings = service.settings
    secret = settings.client_secret
    registration = Registration(
        issuer=settings.issuer,
        client_id=settings.client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
        redirect_uri=f"{settings.origin}{CALLBACK}",
        scopes=settings.sign_in_scopes,
        grants_claim=settings.grants_claim,
        accepted_acr=settings.accepted_acr,
    )
    return Sessions(
        service.name,
        database=service.database,
        relying_party=RelyingParty(registration),
        actor_of=actor_of,
        idle=timedelta(seconds=settings.session_idle_seconds),
        lifetime=timedelta(seconds=settings.session_seconds),
    )


def session_cookie(service: str) -> str:
    """Return the name of a service's session cookie. Hosts may be shared by services, and cookies do not know ports."""
    return f"__Host-mrm-{service}"


def attempt_cookie(service: str) -> str:
    """Return the name of the cookie that lives between leaving for the issuer and coming back."""
    return f"__Host-mrm-{service}-sign-in"


def cookies_named(request: Request, name: str) -> list[str]:
    """Return every value a request brings under a cookie's name."""
    pairs = (pair.partition("=") for line in request.headers.getlist("cookie") for pair in line.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def brings_session(request: Request) -> bool:
    """Tell whether a request brings a session cookie of this service, sound or not."""
    return bool(cookies_named(request, session_cookie(request.app.state.service.name)))


async def session_of(request: Request) -> Session | None:
    """Return the living session of a request; one with two cookies of the name has none."""
    state = request.scope["state"]
    if _SESSION not in state:
        values = cookies_named(request, session_cookie(request.app.state.service.name))
        sessions: Sessions = request.app.state.sessions
        state[_SESSION] = await sessions.find(values[0]) if len(values) == 1 else None
    session: Session | None = state[_SESSION]
    return session


async def check_made_here(request: Request, session: Session) -> None:
    """Raise Csrf unless a request changes nothing, or a page of this very session made it: its origin and its token say so."""
    if request.method not in SAFE_METHODS and not await _is_made_here(request, session):
        request.scope["state"][FORGED_KEY] = session.principal
        raise Csrf


async def _is_made_here(request: Request, session: Session) -> bool:
    origins, site = request.headers.getlist("origin"), request.headers.get("sec-fetch-site")
    own = request.app.state.service.settings.origin
    if not (origins == [own] or (not origins and site == "same-origin")) or site not in (None, "same-origin"):
        return False
    return hmac.compare_digest((await _token_of(request)).encode(), session.secret.csrf.encode())


def set_cookie(response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """Give a browser a cookie: for this host and this browser run alone (or for `seconds`), and unseen by scripts.

    SameSite is Lax, not Strict: both cookies must come along when the browser is led back here from the issuer or follows a link in a
    message. Lax keeps them off every request by which another site could change anything; those need the CSRF token besides.
    """
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def drop_cookie(response: Response, name: str) -> None:
    """Take a cookie back."""
    set_cookie(response, name, "", seconds=0)


async def _token_of(request: Request) -> str:
    """Return the CSRF token a request brings in its header or, if it is a form, in a field."""
    given = request.headers.getlist(CSRF_HEADER)
    if given:
        return given[0] if len(given) == 1 else ""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return ""
    try:
        fields = parse_qsl((await body_of(request)).decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return ""
    tokens = [value for name, value in fields if name == CSRF_FIELD]
    return tokens[0] if len(tokens) == 1 else ""
