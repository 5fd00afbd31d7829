"""Which action a route is: every route names one of the permission table or says that it is open to all."""

from typing import Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from chassis.http.sessions import TwoCredentials, brings_session, check_made_here, session_of
from chassis.identity import DEVICE_TOKEN_PREFIX, DeviceTokens, Principal, Unauthenticated
from chassis.permissions import Caller
from chassis.service import Service

CALLER_KEY = "mrm_caller"
"""Where the caller of a request lies in its ASGI scope's state."""


class Allowed:
    """The dependency behind `allowed`."""

    def __init__(self, action: str) -> None:
        self.action = action

    async def __call__(self, request: Request) -> Caller:
        """Return the caller at this action; raises Unauthenticated, and TooFast for whoever asks or fails too often."""
        state = request.app.state
        try:
            principal = await _principal(request)
        except Unauthenticated:
            if "authorization" in request.headers or brings_session(request):
                state.rates.failed(request.scope)
            raise
        state.rates.known(principal)
        caller = Caller(principal, service=state.service.name, action=self.action)
        request.scope["state"][CALLER_KEY] = caller
        return caller


async def _principal(request: Request) -> Principal:
    """Return who the one credential of a request speaks for, a bearer token or a session; raises Unauthenticated, TwoCredentials, Csrf."""
    if brings_session(request):
        if "authorization" in request.headers:
            raise TwoCredentials
        session = await session_of(request)
        if session is None:
            raise Unauthenticated
        await check_made_here(request, session)
        return session.principal
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or len(request.headers.getlist("authorization")) != 1:
        raise Unauthenticated
    service: Service = request.app.state.service
    devices: DeviceTokens | None = request.app.state.devices
    token = token.strip()
    if devices is not None and token.startswith(DEVICE_TOKEN_PREFIX):
        return await devices.verify(token)
    return await service.identity.verify(token)


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
