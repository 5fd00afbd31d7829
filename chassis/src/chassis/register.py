"""A service's copy of the situation register: which situations there are, and their newest documents."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Final

from chassis import register_store as store
from chassis.errors import NotFound
from chassis.storage import Database, Tx
from contracts.events import SituationRegistered
from contracts.situation import Situation

FRESH_SECONDS: Final = 1.0
"""How long another process's change of the register may go unseen."""

Removal = Callable[[str, Tx], Awaitable[None]]
"""Deletes every row that a service has of a removed situation."""


class Register:
    """The documents in memory, refreshed when the table has newer ones. What was removed is as if it had never been."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._documents: dict[str, Situation] = {}
        self._stamps: dict[str, store.Stamp] = {}
        self._checked_at = -FRESH_SECONDS
        self._refreshing = asyncio.Lock()
        self.on_removed: Removal | None = None
        """Set by `chassis.service.run`: what the service does when a situation is removed."""

    async def get(self, code: str) -> Situation:
        """Return the newest document of a situation; raises NotFound."""
        document = await self.find(code)
        if document is None:
            raise NotFound
        return document

    async def find(self, code: str) -> Situation | None:
        """Return the newest document of a situation, None if it is unknown here or removed."""
        await self._refresh()
        if code not in self._documents:  # perhaps registered a moment ago
            await self._refresh(at_once=True)
        return self._documents.get(code)

    async def all(self) -> list[Situation]:
        """Return the newest document of every situation, by code; scratch situations are among them."""
        await self._refresh()
        return [self._documents[code] for code in sorted(self._documents)]

    async def find_in(self, tx: Tx, code: str) -> Situation | None:
        """Return the document as this transaction sees it, its own uncommitted changes included."""
        document = await store.find_document(tx, code)
        return None if document is None else _parsed(document)

    async def newest_version(self, tx: Tx, code: str) -> int:
        """Return the newest version there ever was under a code, 0 for none; removed situations count."""
        return await store.newest_version(tx, code)

    async def save(self, tx: Tx, document: Situation, *, whatever_is_kept: bool = False) -> bool:
        """Keep a document if it is the newest of its situation and say so; a removed one takes every row of the situation along.

        With `whatever_is_kept` the version of the kept one does not matter.
        """
        saved = await store.save_document(
            tx,
            code=document.code,
            version=document.version,
            document=json.loads(document.model_dump_json()),
            removed=document.removed,
            over_any=whatever_is_kept,
        )
        if not saved:
            return False
        if document.removed:
            await store.delete_delivery_rows(tx, document.code)
            if self.on_removed is not None:
                await self.on_removed(document.code, tx)
        tx.after_commit(self.expire)
        return True

    async def situation_registered(self, event: SituationRegistered, tx: Tx) -> None:
        """Keep the newest document of a situation.

        That it is the newest was settled by the number that verification signed. What stands in the kept copy is not asked: a copy
        changed behind our back, its version raised, would otherwise outlive the genuine entry that mends it.
        """
        await self.save(tx, event.document, whatever_is_kept=True)

    def expire(self) -> None:
        """Look at the table again before the next answer."""
        self._checked_at = -FRESH_SECONDS

    async def _refresh(self, *, at_once: bool = False) -> None:
        if not at_once and time.monotonic() - self._checked_at < FRESH_SECONDS:
            return
        asked_at = time.monotonic()
        async with self._refreshing:
            if self._checked_at > asked_at:
                return  # somebody else looked while this waited
            started_at = time.monotonic()
            async with self._database.reading_apart("refresh_register") as tx:
                stamps = await store.list_stamps(tx)
                changed = [code for code, stamp in stamps.items() if self._stamps.get(code) != stamp]
                documents = await store.list_documents(tx, changed) if changed else {}
            fresh = {code: self._documents[code] for code in stamps if code not in documents and code in self._documents}
            self._documents = fresh | {code: _parsed(document) for code, document in documents.items()}
            self._stamps = stamps
            self._checked_at = started_at


def _parsed(document: str) -> Situation:
    return Situation.model_validate_json(document)
