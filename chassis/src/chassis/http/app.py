"""A service's FastAPI app: its own routers within the edge that all services share."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig

from chassis.http import account, health, operations, record, sign_in, signed_out
from chassis.http.access import action_of, is_open, open_to_all
from chassis.http.bodies import MAX_BODY_BYTES
from chassis.http.denials import ActorOf
from chassis.http.guard import Guard, Limits
from chassis.http.once import AnsweredBefore, answer_again
from chassis.http.openapi import describe, routes_of
from chassis.http.problems import install
from chassis.http.rates import Rates
from chassis.http.sessions import sessions_of
from chassis.identity import DeviceTokens
from chassis.service import Service
from chassis.sessions import Sessions
from contracts.permissions import rows_for

MAX_IN_FLIGHT: Final = 256
BODY_SECONDS: Final = 20.0
_NOTHING: Final[TelemetryConfig] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own telemetry would record messages of errors and refused values; ours is `chassis.tracing`."""


def create_app(
    service: Service,
    *,
    title: str,
    routers: Sequence[APIRouter],
    body_limit: int = MAX_BODY_BYTES,
    body_seconds: float = BODY_SECONDS,
    max_in_flight: int = MAX_IN_FLIGHT,
    actor_of: ActorOf = lambda principal: principal.subject,
    devices: DeviceTokens | None = None,
    rates: Rates | None = None,
) -> FastAPI:
    """Return the app; raises RuntimeError if a route names no action of the permission table and is not open to all.

    A route finds the service's parts in `request.app.state.service`. `actor_of` names whoever was denied something in the record.
    `devices` knows the device tokens that the service gave, `rates` how fast others may ask (without it, what the settings say).
    """
    sessions = sessions_of(service, actor_of)
    app = FastAPI(
        title=title,
        version=version(f"mrm-{service.name}"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NOTHING,
        lifespan=_lifespan(service, sessions),
    )
    app.state.service = service
    app.state.sessions = sessions
    app.state.actor_of = actor_of
    app.state.devices = devices
    app.state.rates = rates = rates or Rates.of(service.settings)
    install(app)
    app.add_exception_handler(AnsweredBefore, answer_again)
    limits = Limits(body_bytes=body_limit, body_seconds=body_seconds, in_flight=max_in_flight)
    app.add_middleware(Guard, limits=limits, rates=rates)
    own = (health.router, operations.router, record.router, sign_in.router, account.router, signed_out.router, _self_description(app))
    for router in (*routers, *own):
        app.include_router(router)
    check_actions(app, service.name)
    return app


def check_actions(app: FastAPI, service: str) -> None:
    """Raise RuntimeError for a route without an action that has rows in the permission table."""
    for context, route in routes_of(app):
        action = action_of(route.dependant)
        if is_open(route.dependant) == (action is not None):
            raise RuntimeError(f"{context.path} names no action, or is open to all and names one")
        if action is not None and not rows_for(service, action):
            raise RuntimeError(f"nobody may do {action} at {service}: the permission table has no row for it")


def _self_description(app: FastAPI) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    made: dict[str, Any] = {}

    @router.get("/openapi.json", dependencies=[open_to_all()])
    async def openapi() -> JSONResponse:
        """Answer with the service's own description."""
        if not made:
            made.update(describe(app))
        return JSONResponse(made)

    return router


def _lifespan(service: Service, sessions: Sessions) -> Any:  # noqa: ANN401 - what Starlette's lifespan is
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.identity.close()
        await sessions.relying_party.close()

    return lifespan
