"""Which action a route is: every route names one of the permission table or says that it is open to all."""

import re
from typing import Any, Final

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from chassis.http.sessions import TwoCredentials, brings_session, check_made_here, session_of
from chassis.identity import DEVICE_TOKEN_PREFIX, DeviceTokens, Principal, Unauthenticated
from chassis.permissions import Caller
from chassis.service import Service
from chassis.sessions import Session

SITUATION: Final = "situation"
_CODE: Final = re.compile(r"[^_/\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,63}")
CALLER_KEY = "mrm_caller"
"""Where the caller of a request lies in its ASGI scope's state."""


class Allowed:
    """The dependency behind `allowed`."""

    def __init__(self, action: str) -> None:
        self.action = action

    async def __call__(self, request: Request) -> Caller:
        """Return the caller at this action; raises Unauthenticated, and TooFast for whoever asks or fails too often.

        Raises NotFound or Forbidden for whoever may do it to nothing in the situation that the address names: before any parameter is
        judged and before a body is read, so that a stranger learns nothing of their forms and the attempt is recorded.
        """
        state = request.app.state
        try:
            principal, session = await _principal(request)
        except Unauthenticated:
            if "authorization" in request.headers or brings_session(request):
                state.rates.failed(request.scope)
            raise
        state.rates.known(principal)
        caller = Caller(principal, service=state.service.name, action=self.action)
        request.scope["state"][CALLER_KEY] = caller
        if session is not None:
            await check_made_here(request, session)
        for situation in _situations_asked(request):
            caller.admit(situation)
        return caller


def _situations_asked(request: Request) -> list[str]:
    """Return the situations that a request's address names, in its path or in a parameter `situation` of its route."""
    found = [request.path_params[SITUATION]] if SITUATION in request.path_params else []
    route = request.scope.get("route")
    if isinstance(route, APIRoute) and any(parameter.alias == SITUATION for parameter in route.dependant.query_params):
        found += [value for value in request.query_params.getlist(SITUATION) if may_be_code(value)]
    return found


def may_be_code(value: str) -> bool:
    """Tell whether a text may be a situation's code; what may not is refused by its form, for there is nothing to ask about."""
    return _CODE.fullmatch(value) is not None


async def _principal(request: Request) -> tuple[Principal, Session | None]:
    """Return who the one credential of a request speaks for, a bearer token or a session; raises Unauthenticated, TwoCredentials."""
    if brings_session(request):
        if "authorization" in request.headers:
            raise TwoCredentials
        session = await session_of(request)
        if session is None:
            raise Unauthenticated
        return session.principal, session
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or len(request.headers.getlist("authorization")) != 1:
        raise Unauthenticated
    service: Service = request.app.state.service
    devices: DeviceTokens | None = request.app.state.devices
    token = token.strip()
    if devices is not None and token.startswith(DEVICE_TOKEN_PREFIX):
        return await devices.verify(token), None
    return await service.identity.verify(token), None


class OpenToAll:
    """The dependency behind `open_to_all`."""

    async def __call__(self) -> None:
        """Let everybody through."""


def allowed(action: str) -> Any:  # noqa: ANN401 - what FastAPI's Depends is
    """Mark a route with its action; a parameter annotated `Annotated[Caller, <this>]` receives the caller."""
    return Depends(Allowed(action))


def open_to_all() -> Any:  # noqa: ANN401
    """Mark a route that needs no permission and tells nothing of anybody but whose session it came with: `dependencies=[open_to_all()]`."""
    return Depends(OpenToAll())


def action_of(dependant: Dependant) -> str | None:
    """Return the action that a route names, None if none; raises RuntimeError if it names several."""
    calls = [dependency.call for dependency in dependant.dependencies]
    actions = [call.action for call in calls if isinstance(call, Allowed)]
    if len(actions) > 1:
        raise RuntimeError("a route names more than one action")
    return actions[0] if actions else None


def is_open(dependant: Dependant) -> bool:
    """Tell whether a route is open to all."""
    return any(isinstance(dependency.call, OpenToAll) for dependency in dependant.dependencies)
