"""Denied attempts are acts too: whoever was known and asked for what their roles do not cover is in the record."""

from collections.abc import Callable
from typing import Final
from uuid import UUID

from fastapi import Request

from chassis.audit.recorder import record
from chassis.errors import Problem, Unavailable
from chassis.http.access import CALLER_KEY, SITUATION
from chassis.http.sessions import FORGED_KEY, Csrf
from chassis.identity import EVERYWHERE, Principal
from chassis.permissions import Caller
from chassis.service import Service

DENIED: Final = "access.denied"
ActorOf = Callable[[Principal], str]
"""How a service names a person in its record."""


async def record_denial(request: Request, problem: Problem) -> None:
    """Record a refusal by the permission table, or of a forged request, before it is answered; it never fails the answer.

    Of what was asked only the action, the route's template, a situation that exists and an id are kept. A stranger to a situation and
    one to a situation that does not exist are recorded alike, so that neither the answer nor its time tells them apart.
    """
    state = request.scope.get("state", {})
    caller, forged = state.get(CALLER_KEY), state.get(FORGED_KEY)
    if isinstance(caller, Caller) and (problem.status == 403 or (problem.status == 404 and caller.denied is not None)):
        principal, asked, action = caller.principal, caller.denied, {"action": caller.action}
    elif isinstance(forged, Principal):
        principal, asked, action = forged, None, {}  # a way out of a session, which is no action of the table
    else:
        return
    code = {"code": problem.code} if isinstance(problem, Csrf) else {}
    service: Service = request.app.state.service
    actor_of: ActorOf = request.app.state.actor_of
    await record(
        service.database,
        DENIED,
        actor=actor_of(principal),
        situation=await _known(service, asked or request.path_params.get(SITUATION)),
        subject_ref=_object(request),
        detail={**action, "route": _route(request), "status": problem.status, **code},
    )


async def _known(service: Service, situation: str | None) -> str | None:
    if situation in (None, EVERYWHERE):
        return None
    try:
        known = {document.code for document in await service.register.all()}  # `find` would look longer for what is not there
    except Unavailable:
        return None
    return situation if situation in known else None


def _route(request: Request) -> str:
    """Return method and template of the route asked for; nothing in it is the caller's own words."""
    route = request.scope.get("route")
    return f"{request.method} {getattr(route, 'path', '')}".rstrip()


def _object(request: Request) -> str | None:
    """Return the first id in the address; anything else in it is the caller's own words."""
    for value in request.path_params.values():
        try:
            return str(UUID(str(value)))
        except ValueError:
            continue
    return None
