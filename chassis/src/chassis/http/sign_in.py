"""Signing in for pages: out to the issuer, back with its answer, and a new session (OpenID Connect, code flow with PKCE).

Whatever goes wrong ends on a page that says so; why exactly is in the record and the log only.
"""

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from chassis.audit.recorder import record
from chassis.errors import Unavailable
from chassis.http.access import open_to_all
from chassis.http.pages import LANGUAGE_PARAMETER, language_of, message
from chassis.http.rates import Rates
from chassis.http.sessions import (
    CALLBACK,
    attempt_cookie,
    cookies_named,
    drop_cookie,
    session_cookie,
    set_cookie,
)
from chassis.relying_party import RETRY_AFTER_SECONDS, SignInRefusedError
from chassis.service import Service
from chassis.sessions import Secret, Sessions
from chassis.sign_in_attempt import HOME, LASTS_SECONDS, Attempt, local_path
from chassis.telemetry import get_logger

SIGN_IN: Final = "/sign-in"
FAILED: Final = "session.sign_in_failed"
NOBODY: Final = "nobody"
"""Stands in the record where it is not known who tried."""
_TOLD: Final = {"cancelled": "cancelled", "acr": "too_weak"}
"""What a page says of a refusal; of all others it says the same."""
_ANSWER: Final = ("state", "code", "iss", "error")
router = APIRouter(dependencies=[open_to_all()], include_in_schema=False)
log = get_logger()


@router.get(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """Send the browser to the issuer; `next` names the path to come back to."""
    rates: Rates = request.app.state.rates
    rates.sign_in(request.scope)
    service: Service = request.app.state.service
    sessions: Sessions = request.app.state.sessions
    if not service.settings.origin:
        log.error("public_url_missing")
        return service_away(request)
    attempt = Attempt.begin(request.query_params.get("next"), now=sessions.clock().timestamp())
    try:
        away = await sessions.relying_party.authorization_url(attempt, language=language_of(request))
    except Unavailable:
        return _issuer_away(request, attempt.goal)
    response = RedirectResponse(away, status_code=303)
    set_cookie(response, attempt_cookie(service.name), attempt.cookie, seconds=LASTS_SECONDS)
    return response


@router.get(CALLBACK)
async def callback(request: Request) -> Response:
    """Take the issuer's answer, once, from the browser that asked for it; a new session begins, whatever the browser had before ends."""
    service: Service = request.app.state.service
    sessions: Sessions = request.app.state.sessions
    attempts = cookies_named(request, attempt_cookie(service.name))
    attempt = Attempt.read(attempts[0], now=sessions.clock().timestamp()) if len(attempts) == 1 else None
    try:
        if attempt is None:
            raise SignInRefusedError("no_attempt")
        signed_in = await sessions.relying_party.complete(attempt, _answer(request))
        before = [secret for value in cookies_named(request, session_cookie(service.name)) if (secret := Secret.read(value))]
        session = await sessions.open(signed_in, replacing=before)
    except SignInRefusedError as refusal:
        response: Response = await _refused(request, refusal, attempt)
    except Unavailable:
        response = _issuer_away(request, HOME if attempt is None else attempt.goal)
    else:
        response = RedirectResponse(f"{service.settings.origin}{local_path(attempt.goal)}", status_code=303)
        set_cookie(response, session_cookie(service.name), session.secret.cookie)
    drop_cookie(response, attempt_cookie(service.name))
    return response


def service_away(request: Request) -> HTMLResponse:
    """Say on a page that this service cannot answer now."""
    return message(request, "service_away", status=503, link=HOME, link_text="try_again", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def sign_in_link(request: Request, goal: str) -> str:
    """Return the address at which somebody signs in and then goes on to a path of ours."""
    return f"{SIGN_IN}?{urlencode({'next': local_path(goal), LANGUAGE_PARAMETER: language_of(request)})}"


async def _refused(request: Request, refusal: SignInRefusedError, attempt: Attempt | None) -> Response:
    rates: Rates = request.app.state.rates
    rates.sign_in(request.scope)
    service: Service = request.app.state.service
    log.warning("sign_in_failed", code=refusal.code)
    await record(service.database, FAILED, actor=NOBODY, situation=None, detail={"code": refusal.code})
    link = sign_in_link(request, HOME if attempt is None else attempt.goal)
    return message(request, _TOLD.get(refusal.code, "failed"), status=400, link=link, link_text="try_again")


def _issuer_away(request: Request, goal: str) -> HTMLResponse:
    link = sign_in_link(request, goal)
    return message(request, "issuer_away", status=503, link=link, link_text="try_again", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _answer(request: Request) -> dict[str, str]:
    """Return the issuer's parameters; one that comes twice is refused (RFC 6749, 4.1.2)."""
    given = request.query_params
    if any(len(given.getlist(name)) > 1 for name in _ANSWER):
        raise SignInRefusedError("twice")
    return {name: given[name] for name in _ANSWER if name in given}
