"""What intake's routes work with, made once per process."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from chassis.identity import DEVICE, Principal
from chassis.register import Register
from chassis.sealing.keys import SIGNING_SCOPE, Signer
from chassis.service import Service
from chassis.storage import Database
from intake.domain import Marks

MONITOR: Final = "monitor"


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts of the service that a report passes through."""

    service: Service
    marks: Marks
    devices_per_monitor: int

    @property
    def database(self) -> Database:
        """The ledger."""
        return self.service.database

    @property
    def register(self) -> Register:
        """The situations."""
        return self.service.register

    @property
    def signer(self) -> Signer:
        """The key that receipts are signed with; raises UnusableKeyError."""
        return self.service.events.signer

    def receipt_keys(self) -> Iterator[tuple[str, bytes]]:
        """Yield id and raw public part of every signing key in the key folder, retired ones too: old receipts stay checkable."""
        for key_id in self.service.keys.ids():
            if key_id.startswith(f"{self.service.name}/{SIGNING_SCOPE}/"):
                yield key_id, self.service.keys.public(key_id)

    @staticmethod
    def actor(submitter: bytes) -> str:
        """Return the name of a monitor in intake's record of acts: the mark, so that a seized server names nobody."""
        return f"monitor:{submitter.hex()}"

    def actor_of(self, principal: Principal) -> str:
        """Return the name in the record of somebody who was denied something: the mark, unless they surely are no monitor."""
        roles = {role for _, role in principal.grants}
        may_be_monitor = not roles or not roles.isdisjoint((MONITOR, DEVICE))
        return self.actor(self.marks.of_monitor(principal.subject)) if may_be_monitor else principal.subject


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


DeskOf = Annotated[Desk, Depends(_desk)]
"""The parameter of a route that works with them: `desk: DeskOf`."""
