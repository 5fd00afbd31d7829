"""Live and ready: `/healthz` answers while the process turns, `/readyz` says part by part what it waits for."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from chassis.http.access import open_to_all
from chassis.service import Service


class Live(BaseModel):
    """The process turns."""

    live: bool = True


class Ready(BaseModel):
    """Whether the service can do its work; `checks` holds `ok` or why not, by part."""

    ready: bool
    checks: dict[str, str]


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceOf = Annotated[Service, Depends(_service)]
"""The parts of the service that answers: `service: ServiceOf`."""
router = APIRouter(tags=["health"], dependencies=[open_to_all()])


@router.get("/healthz", summary="Is the process alive?")
async def live() -> Live:
    """Answer while the process turns."""
    return Live()


@router.get("/readyz", summary="Can the service do its work?", responses={503: {"model": Ready, "description": "Not ready, and why."}})
async def ready(service: ServiceOf, response: Response) -> Ready:
    """Answer 200 when every part works, otherwise 503 with the same document."""
    checks = dict(sorted(service.health.items()))
    if not service.ready:
        response.status_code = 503
        response.headers["Retry-After"] = "5"
    return Ready(ready=service.ready, checks=checks)
