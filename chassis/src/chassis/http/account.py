"""What a signed-in person has of their own at a service: who they are to it, their sessions, and the ways out."""

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel

from chassis.errors import Unavailable
from chassis.http.access import open_to_all
from chassis.http.pages import LANGUAGE_PARAMETER, LANGUAGES, STYLE_SHEET, language_of, message, page, style_sheet
from chassis.http.problems import problem_responses
from chassis.http.rates import Rates
from chassis.http.sessions import brings_session, check_made_here, drop_cookie, session_cookie, session_of
from chassis.http.sign_in import service_away, sign_in_link
from chassis.identity import Unauthenticated
from chassis.service import Service
from chassis.sessions import Session, Sessions
from chassis.sign_in_attempt import HOME

DONE: Final = {"here": "signed_out", "everywhere": "signed_out_everywhere"}
"""What a page says to somebody who has just left, by the parameter `done`."""
router = APIRouter(dependencies=[open_to_all()])


class RoleAnswer(BaseModel):
    """A role somebody holds in a situation; `_all` is the whole installation."""

    situation: str
    role: str


class SessionTimesAnswer(BaseModel):
    """One of the sessions a person has at this service."""

    started_at: datetime
    last_seen_at: datetime
    current: bool


class SessionAnswer(BaseModel):
    """The session a request came with. `csrf` goes along with every unsafe request, as header `X-CSRF-Token`."""

    subject: str
    name: str
    roles: list[RoleAnswer]
    csrf: str
    idle_expires_at: datetime
    expires_at: datetime
    sessions: list[SessionTimesAnswer]


async def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


SessionsOf = Annotated[Sessions, Depends(_sessions)]


@router.get("/v1/session", tags=["session"], summary="Who am I, and until when?", responses=problem_responses(401))
async def read_session(request: Request, sessions: SessionsOf) -> SessionAnswer:
    """Tell the browser of a signed-in person, and nobody else, whose session its cookie is."""
    session = await session_of(request)
    if session is None:
        if brings_session(request):
            rates: Rates = request.app.state.rates
            rates.failed(request.scope)
        raise Unauthenticated
    others = await sessions.list_of(session)
    return SessionAnswer(
        subject=session.principal.subject,
        name=session.principal.name,
        roles=[RoleAnswer(situation=situation, role=role) for situation, role in sorted(session.principal.grants)],
        csrf=session.secret.csrf,
        idle_expires_at=session.idle_expires_at,
        expires_at=session.expires_at,
        sessions=[
            SessionTimesAnswer(started_at=other.started_at, last_seen_at=other.seen_at, current=other.id == session.secret.id)
            for other in others
        ],
    )


@router.get(HOME, include_in_schema=False)
async def account(request: Request, sessions: SessionsOf) -> Response:
    """Show somebody their account, or the way in."""
    try:
        session = await session_of(request)
        if session is not None:
            others = await sessions.list_of(session)
            service: Service = request.app.state.service
            issuer_account = service.settings.issuer_account_url
            values = {"session": session, "grants": sorted(session.principal.grants), "sessions": others, "issuer_account": issuer_account}
            return page(request, "account.html", values=values)
    except Unavailable:
        return service_away(request)
    title = DONE.get(request.query_params.get("done", ""), "not_signed_in")
    goal = f"{HOME}?{LANGUAGE_PARAMETER}={language_of(request)}" if request.query_params.get(LANGUAGE_PARAMETER) in LANGUAGES else HOME
    return message(request, title, link=sign_in_link(request, goal), link_text="sign_in")


@router.post("/sign-out", include_in_schema=False)
async def sign_out(request: Request, sessions: SessionsOf) -> Response:
    """End the session a request came with; without one there is nothing to end."""
    session = await _leaving(request)
    if session is not None:
        await sessions.end(session)
    return _left(request, RedirectResponse(_done(request, "here"), status_code=303))


@router.post("/sign-out/everywhere", include_in_schema=False)
async def sign_out_everywhere(request: Request, sessions: SessionsOf) -> Response:
    """End every session of the person at this service, then lead the browser to the issuer to end the one there."""
    session = await _leaving(request)
    if session is None:
        return _left(request, RedirectResponse(_done(request, "here"), status_code=303))
    await sessions.end_all(session)
    service: Service = request.app.state.service
    back_to = f"{service.settings.origin}{HOME}?done=everywhere"
    away = await sessions.relying_party.end_session_url(session.id_token, back_to=back_to)
    if away is None:
        return _left(request, message(request, "issuer_not_told", link=HOME, link_text="back"))
    # a page that goes on by itself, not a redirect: browsers apply `form-action` to where a form's answer redirects
    headers = {"Refresh": f"0; url={away}", "Referrer-Policy": "no-referrer"}
    return _left(request, message(request, "ending", link=away, link_text="go_on", headers=headers))


@router.get(STYLE_SHEET, include_in_schema=False)
async def styles() -> Response:
    """Answer with the style sheet of all pages."""
    return Response(style_sheet(), media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})


async def _leaving(request: Request) -> Session | None:
    """Return the session that somebody asks to leave; raises Csrf if it was not they who asked."""
    session = await session_of(request)
    if session is not None:
        await check_made_here(request, session)
    return session


def _left(request: Request, response: Response) -> Response:
    drop_cookie(response, session_cookie(request.app.state.service.name))
    return response


def _done(request: Request, how: str) -> str:
    return f"{HOME}?done={how}&{LANGUAGE_PARAMETER}={language_of(request)}"
