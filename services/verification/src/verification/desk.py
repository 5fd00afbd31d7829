"""The parts that verification's routes and handlers work with."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from chassis.delivery.outbox import EventSealer
from chassis.errors import NotFound, Unavailable
from chassis.register import Register
from chassis.sealing.trust import Trust
from chassis.storage import Database, Tx
from contracts.situation import Situation
from verification.domain.pseudonyms import Pseudonyms
from verification.messages.safe import KeptText, Safe
from verification.store import incidents, ledgers


@dataclass(slots=True, kw_only=True)
class Desk:
    """Database, register, pseudonyms and the safe of one process."""

    database: Database
    register: Register
    pseudonyms: Pseudonyms
    safe: Safe
    sealer: EventSealer
    trust: Trust
    _secret_checked: bool = field(default=False, init=False)

    async def check_secret(self, tx: Tx) -> None:
        """Raise Unavailable while the pseudonym secret is not the one this database was filled with: children would be doubled."""
        if self._secret_checked:
            return
        if not await ledgers.claim_pseudonym_secret(tx, self.pseudonyms.fingerprint()):
            raise Unavailable
        self._secret_checked = True

    async def enter(self, tx: Tx, situation: str) -> None:
        """Make this transaction the situation's only writer until its end, so that rules are checked on what will stand.

        Raises NotFound if the situation has just been removed, Unavailable with another pseudonym secret than the database's.
        """
        await self.check_secret(tx)
        if await ledgers.lock_ledger(tx, situation) is None:
            raise NotFound

    def mark_of(self, situation: str, subject: str) -> bytes:
        """Return the mark by which a person is recognised inside a situation."""
        return self.pseudonyms.person(situation=situation, subject=subject)

    async def keep_texts(self, tx: Tx, situation: Situation, lines: Sequence[KeptText]) -> UUID:
        """Seal the free texts of one request and keep them; returns where they lie."""
        text = tx.derived_id("text")
        envelope = self.safe.seal_texts(lines, situation=situation, text=text, at=tx.now, signer=self.sealer.signer)
        await incidents.add_texts(tx, situation.code, text=text, envelope=envelope)
        return text

    async def read_texts(self, tx: Tx, situation: str, texts: Sequence[UUID]) -> dict[UUID, Sequence[KeptText]]:
        """Open kept free texts in memory."""
        kept = await incidents.list_texts(tx, situation, list(dict.fromkeys(texts)))
        return {text: self.safe.open_texts(envelope, situation=situation, text=text) for text, envelope in kept.items()}

    async def remove_situation(self, situation: str, tx: Tx) -> None:
        """Delete every row of a removed scratch situation; its audit entries stay."""
        await ledgers.remove_scratch_situation(tx, situation)


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


DeskPart = Annotated[Desk, Depends(_desk)]
"""The parameter by which a route gets its parts: `desk: DeskPart`."""
