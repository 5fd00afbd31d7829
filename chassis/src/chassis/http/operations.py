"""What the operator sees of a service's deliveries: the account of conservation, what is parked, and putting it through again."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel

from chassis.delivery import parking
from chassis.http.access import allowed
from chassis.http.health import ServiceOf
from chassis.http.paging import PageQuery, next_cursor
from chassis.permissions import Caller

router = APIRouter(tags=["operations"])
ParkedId = Annotated[int, Path(ge=1, lt=2**63)]


class AccountAnswer(BaseModel):
    """Events by topic and by where they are. Written: published = confirmed + in flight. Read: applied, parked, waiting."""

    service: str
    published: dict[str, int]
    confirmed: dict[str, int]
    in_flight: dict[str, int]
    applied: dict[str, int]
    parked: dict[str, int]
    waiting: dict[str, int]
    forged: dict[str, int]


class ParkedItem(BaseModel):
    """A parked message; one that failed authentication says nothing reliable about itself."""

    id: int
    topic: str
    situation: str | None
    subject: str | None
    sequence: int | None
    event_id: UUID | None
    event_type: str | None
    reason: str
    parked_at: datetime


class ParkedItems(BaseModel):
    """A page of parked messages, oldest first."""

    items: list[ParkedItem]
    next: str | None


class ReplayAnswer(BaseModel):
    """Messages tried, of these applied, of these parked still."""

    tried: int
    applied: int
    parked: int


@router.get("/v1/account", summary="Is anything lost?")
async def account(service: ServiceOf, caller: Annotated[Caller, allowed("account.read")]) -> AccountAnswer:
    """Return the account of conservation as of one moment."""
    caller.require_everywhere()
    return AccountAnswer.model_validate(await parking.account(service.database, service.name, by=caller), from_attributes=True)


@router.get("/v1/parked", summary="List parked messages")
async def list_parked(page: PageQuery, service: ServiceOf, caller: Annotated[Caller, allowed("parked.read")]) -> ParkedItems:
    """Return what could not be applied and why, oldest first."""
    caller.require_everywhere()
    position = page.after(int)
    found = await parking.list_parked(service.database, by=caller, limit=page.limit + 1, after=position[0] if position else 0)
    items = [ParkedItem.model_validate(message, from_attributes=True) for message in found[: page.limit]]
    last = [items[-1].id] if items else []
    return ParkedItems(items=items, next=next_cursor(page, len(found), last=last))


@router.post("/v1/parked/replay", summary="Put everything parked through again")
async def replay_all(service: ServiceOf, caller: Annotated[Caller, allowed("parked.replay")]) -> ReplayAnswer:
    """Put every parked message through the normal path again, in order."""
    caller.require_everywhere()
    return ReplayAnswer.model_validate(await parking.replay(service.receiver, by=caller), from_attributes=True)


@router.post("/v1/parked/{parked}/replay", summary="Put one parked message through again")
async def replay_one(parked: ParkedId, service: ServiceOf, caller: Annotated[Caller, allowed("parked.replay")]) -> ReplayAnswer:
    """Put one parked message through the normal path again."""
    caller.require_everywhere()
    replayed = await parking.replay(service.receiver, by=caller, parked_id=parked)
    return ReplayAnswer.model_validate(replayed, from_attributes=True)
