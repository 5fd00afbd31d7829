"""Who speaks when a field device calls: its token against what is kept of it, looked up anew every time: a revocation is at once."""

import hmac
from typing import Final

from chassis.identity import DEVICE, Principal, Unauthenticated
from chassis.storage import SYSTEM, Database, Tx
from intake import device_store
from intake.device_tokens import DeviceToken
from intake.domain import Marks

NAME: Final = "Field device"


class Devices:
    """The device tokens of intake: implements `chassis.identity.DeviceTokens`."""

    def __init__(self, database: Database, marks: Marks) -> None:
        self._database = database
        self._marks = marks

    async def verify(self, token: str) -> Principal:
        """Return the device's principal, the monitor as its subject; raises Unauthenticated, the same for every reason."""
        held = DeviceToken.parse(token)
        if held is None:
            raise Unauthenticated
        mark = self._marks.of_device(held.device, held.secret)
        async with self._database.reading("find_device", by=SYSTEM) as tx:
            known = await device_store.find_device(tx, held.device)
            now = tx.now
        if known is None or known.token is None or not hmac.compare_digest(known.token, mark):
            raise Unauthenticated
        subject = held.open_subject(known.subject) if known.subject is not None else None
        if subject is None or known.revoked_at is not None or known.expires_at <= now:
            raise Unauthenticated
        if not hmac.compare_digest(self._marks.of_monitor(subject), known.submitter):
            raise Unauthenticated
        if known.last_used_on != now.date():
            async with self._database.transaction("note_device_use", by=SYSTEM) as tx:
                await device_store.save_use(tx, held.device)
        return Principal(subject, NAME, frozenset({(known.situation, DEVICE)}), device=held.device)

    async def forget(self) -> None:
        """Do the hourly job: what has ended loses its token and its owner."""
        async with self._database.transaction("forget_devices", by=SYSTEM) as tx:
            await device_store.forget_devices(tx)


async def hold(tx: Tx, caller: Principal) -> None:
    """Keep a device from being revoked until this transaction ends; raises Unauthenticated if it has been since it was known."""
    if caller.device is not None and not await device_store.hold_device(tx, caller.device):
        raise Unauthenticated
