"""The part of intake's API about field devices: a monitor adds, lists and revokes theirs; others may only end them and count them."""

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from chassis.errors import Conflict
from chassis.http import Caller, PageQuery, allowed, json_body, next_cursor, read_json
from chassis.storage import Acting
from intake import device_store as store
from intake.desk import Desk, DeskOf
from intake.device_store import StoredDevice
from intake.device_tokens import DeviceToken, open_label, seal_label
from intake.documents import (
    DeviceCounted,
    DeviceCounts,
    DeviceRevocation,
    DevicesRevoked,
    NewDevice,
    NewDeviceToken,
    OwnDevice,
    OwnDevices,
)

router = APIRouter(tags=["devices"])
_LIST_ORDER: Final = (datetime, UUID)
"""Kinds of the sort key of a monitor's own list: created_at, device."""


@router.post(
    "/v1/devices",
    status_code=201,
    response_model=NewDeviceToken,
    openapi_extra=json_body(NewDevice),
    summary="Add a field device",
)
async def add_device(request: Request, desk: DeskOf, caller: Annotated[Caller, allowed("device.add")]) -> NewDeviceToken:
    """Make a token with which a device sends reports in one situation. It is shown here and never again.

    If the answer is lost, revoke the device, which is in the list, and add another.
    """
    wanted = await read_json(request, NewDevice)
    caller.require(wanted.situation)
    request.app.state.rates.new_credentials(caller.principal)
    situation = await desk.register.get(wanted.situation)
    token, submitter = DeviceToken.new(), desk.marks.of_monitor(caller.subject)
    async with desk.database.transaction("add_device", by=_acting(desk, caller)) as tx:
        if await store.count_active(tx, submitter) >= desk.devices_per_monitor:
            raise Conflict("device.too_many", "You have as many devices as one monitor may have; revoke one that you no longer use.")
        label = _sealed_label(desk, caller, token.device, wanted.label)
        device = StoredDevice(
            device=token.device,
            situation=situation.code,
            submitter=submitter,
            token=desk.marks.of_device(token.device, token.secret),
            subject=token.seal_subject(caller.subject),
            label=label,
            created_at=tx.now,
            expires_at=tx.now + timedelta(days=wanted.days),
            last_used_on=None,
            revoked_at=None,
        )
        await store.add_device(tx, device)
        tx.audit(caller.action, situation=situation.code, subject_ref=str(token.device), detail={"days": wanted.days})
    return NewDeviceToken(token=token.text(), **_shown(desk, caller, device).model_dump())


@router.get("/v1/devices", summary="List one's own field devices")
async def list_devices(page: PageQuery, desk: DeskOf, caller: Annotated[Caller, allowed("device.list")]) -> OwnDevices:
    """Return the caller's own devices, the newest first; of their use only the day."""
    situations, after = caller.require_somewhere(), page.after(*_LIST_ORDER)
    async with desk.database.reading("list_devices", by=_acting(desk, caller)) as tx:
        submitter = desk.marks.of_monitor(caller.subject)
        found = await store.list_devices(tx, situations=situations, submitter=submitter, after=after, limit=page.limit + 1)
    items = [_shown(desk, caller, device) for device in found[: page.limit]]
    return OwnDevices(items=items, next=next_cursor(page, len(found), last=(items[-1].created_at, items[-1].device) if items else ()))


@router.get("/v1/devices/counts", summary="How many field devices are there?")
async def count_devices(desk: DeskOf, caller: Annotated[Caller, allowed("device.count")]) -> DeviceCounts:
    """Count the devices of each situation; nothing tells whose they are."""
    situations = None if caller.everywhere else caller.require_somewhere()
    async with desk.database.reading("count_devices", by=_acting(desk, caller)) as tx:
        found = await store.count_devices(tx, situations)
    return DeviceCounts(items=[DeviceCounted.model_validate(count, from_attributes=True) for count in found])


@router.delete("/v1/devices/{device}", status_code=204, summary="Revoke a field device")
async def revoke_device(device: UUID, desk: DeskOf, caller: Annotated[Caller, allowed("device.revoke")]) -> Response:
    """End a device at once: once this is answered, nothing that it sends is accepted. Doing it again changes nothing."""
    situations = frozenset[str]() if caller.everywhere else caller.require_somewhere()
    async with desk.database.transaction("revoke_device", by=_acting(desk, caller)) as tx:
        known = await store.find_device(tx, device)
        if known is None or not caller.may(known.situation, relation=_relation(desk, caller, known)):
            caller.refuse(situations)
        if await store.revoke_device(tx, device):
            tx.audit(caller.action, situation=known.situation, subject_ref=str(device))
    return Response(status_code=204)


@router.post(
    "/v1/devices/revocations",
    response_model=DevicesRevoked,
    openapi_extra=json_body(DeviceRevocation),
    summary="Revoke every field device of a situation, or of a person in it",
)
async def revoke_devices(request: Request, desk: DeskOf, caller: Annotated[Caller, allowed("device.revoke_all")]) -> DevicesRevoked:
    """End them at once. Needed when a monitor's role is taken away: a device's token goes on until it expires or is revoked."""
    wanted = await read_json(request, DeviceRevocation)
    caller.require(wanted.situation)
    situation = await desk.register.get(wanted.situation)
    submitter = None if wanted.person is None else desk.marks.of_monitor(wanted.person)
    async with desk.database.transaction("revoke_devices", by=_acting(desk, caller)) as tx:
        ended = await store.revoke_devices(tx, situation=situation.code, submitter=submitter)
        for device in ended:
            tx.audit(caller.action, situation=situation.code, subject_ref=str(device))
    return DevicesRevoked(revoked=len(ended))


def _acting(desk: Desk, caller: Caller) -> Acting:
    return caller.known_as(desk.actor_of(caller.principal))


def _relation(desk: Desk, caller: Caller, device: StoredDevice) -> str:
    return "own" if desk.marks.of_monitor(caller.subject) == device.submitter else "not_own"


def _sealed_label(desk: Desk, caller: Caller, device: UUID, label: str | None) -> bytes | None:
    return None if label is None else seal_label(desk.marks.label_key(caller.subject, device), label, device=device)


def _shown(desk: Desk, caller: Caller, known: StoredDevice) -> OwnDevice:
    key = desk.marks.label_key(caller.subject, known.device)
    return OwnDevice(
        device=known.device,
        situation=known.situation,
        label=None if known.label is None else open_label(key, known.label, device=known.device),
        created_at=known.created_at,
        expires_at=known.expires_at,
        last_used_on=known.last_used_on,
        revoked_at=known.revoked_at,
    )
