"""Letting the record's tree grow: entries get their places after their acts have committed, and checkpoints of the tree are signed.

No act waits for this. Whoever asks for a checkpoint gets one that covers everything committed before.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from chassis.audit import store
from chassis.audit.checkpoint import Checkpoint, kept_message, origin_of, sign_checkpoint
from chassis.audit.leaf import is_signed
from chassis.audit.merkle import GrowingTree, Head, Range, range_hash
from chassis.audit.note import NoteError
from chassis.errors import Problem
from chassis.sealing.keys import Signer
from chassis.sealing.trust import Trust
from chassis.storage import SYSTEM, Database, Tx
from chassis.telemetry import get_logger
from contracts.model import FieldError

GROW_SECONDS: Final = 1.0
SIGN_SECONDS: Final = 60.0
"""A checkpoint is signed unasked when the newest is older than this and the tree has grown."""
ENTRIES_AT_ONCE: Final = 1000
ENTRIES_PER_BREATH: Final = 64
MAX_REFUSED: Final = 10_000
log = get_logger()


BREAKS: Final = {
    "cut_off": "Stored parts of the tree speak of leaves that are not there: the end of the record was cut off.",
    "part_missing": "Stored parts of the tree that belong to its leaves are missing.",
    "shorter": "The record is shorter than what the service has signed: it was set back, or its newest entries were taken away.",
    "differs": "The record is not the one of which the service signed a checkpoint: its past has been rewritten.",
    "checkpoint_changed": "The newest kept checkpoint is not what the service signed.",
}
"""What is wrong with a record that its service does not sign, by code."""
UNTOLD: Final = "changed from outside; run `mrm audit verify`"


class RecordBroken(Problem):
    """The stored tree contradicts itself or what was signed before: no checkpoint is signed of it (500)."""

    def __init__(self, code: str, where: str) -> None:
        """`code` is one of `BREAKS`; `where` is a position, a size or a checkpoint's number."""
        super().__init__(
            "record_broken",
            status=500,
            title="The record of acts is broken",
            remedy="The record of acts has been changed from outside; run `mrm audit verify` to see where.",
            errors=[FieldError(where, code, BREAKS[code])],
        )


class Sequencer:
    """Lets the tree of one service grow. Any number may run at once; one at a time works."""

    def __init__(self, service: str, *, database: Database, trust: Trust, signer: Callable[[], Signer]) -> None:
        self.service = service
        self._database = database
        self._trust = trust
        self._signer = signer
        self._signed: Head | None = None
        """The newest head that this process knows to be signed; a database set back below it is seen."""
        self._refused: set[UUID] = set()
        self._looked_at: float | None = None
        self.state: str | None = None
        """Whether the record continues what was signed: "ok", or what readiness says; None before it was looked at."""

    async def run(self) -> None:
        """Do what is due: give entries their places, and sign a checkpoint now and then. Meant to be called every second."""
        try:
            while await self._grow_once(wait=False):
                pass
            async with self._database.transaction("sign_checkpoint_in_turn", by=SYSTEM) as tx:
                if await self._is_sign_due(tx) and await store.try_lock(tx):
                    await self._checkpoint(tx)
                elif self._is_look_due() and await store.try_lock(tx):
                    await self._continued(tx)
                    self._looked_at = time.monotonic()
        except RecordBroken as error:
            self._tell(error)

    async def grow(self) -> None:
        """Give a place to every entry committed before; raises RecordBroken."""
        try:
            while await self._grow_once(wait=True):
                pass
        except RecordBroken as error:
            self._tell(error)
            raise

    async def checkpoint(self) -> Checkpoint:
        """Return a signed checkpoint that covers every entry committed before; raises RecordBroken."""
        await self.grow()
        async with self._database.transaction("sign_checkpoint", by=SYSTEM) as tx:
            await store.lock(tx)
            try:
                return await self._checkpoint(tx)
            except RecordBroken as error:
                self._tell(error)
                raise

    async def _grow_once(self, *, wait: bool) -> bool:
        """Give places to at most ENTRIES_AT_ONCE entries; returns whether there may be more."""
        async with self._database.transaction("grow_record", by=SYSTEM) as tx:
            if not wait and not await store.try_lock(tx):
                return False
            if wait:
                await store.lock(tx)
            waiting = await store.list_pending(tx, self.service, without=self._refused, limit=ENTRIES_AT_ONCE)
            refused = len(self._refused)
            genuine = []
            for index, row in enumerate(waiting):
                hashed = self._checked(row)
                if hashed is not None:
                    genuine.append((row.entry.id, hashed))
                if index % ENTRIES_PER_BREATH == ENTRIES_PER_BREATH - 1:
                    await asyncio.sleep(0)
            if genuine:
                await self._append(tx, genuine)
        return len(waiting) == ENTRIES_AT_ONCE and (bool(genuine) or len(self._refused) > refused)

    async def _append(self, tx: Tx, leaves: list[tuple[UUID, bytes]]) -> None:
        size = await store.get_size(tx)
        wanted = Range(0, size).nodes()
        stored = await store.get_nodes(tx, wanted)
        if len(stored) != len(wanted):
            raise RecordBroken("part_missing", f"size {size}")
        tree = GrowingTree(size, [stored[node] for node in wanted])
        full = [node for _, hashed in leaves for node in tree.append(hashed)]
        if len(await store.get_nodes(tx, [node for node, _ in full])) > 0:
            raise RecordBroken("cut_off", f"size {size}")
        await store.add_leaves(tx, size, leaves)
        await store.add_nodes(tx, full)

    def _checked(self, row: store.SignedEntry) -> bytes | None:
        """Return the leaf's hash of an entry that this service wrote; None, and a line in the log, for any other."""
        hashed = row.entry.find_leaf_hash()
        if hashed is not None and is_signed(
            hashed, service=self.service, signed_by=row.signed_by, signature=row.signature, trust=self._trust
        ):
            return hashed
        if len(self._refused) < MAX_REFUSED:
            self._refused.add(row.entry.id)
        log.error("audit_entry_refused", event_id=row.entry.id)
        return None

    def _is_look_due(self) -> bool:
        """Tell whether the record should be held against what was signed: now and then, and always while it is broken."""
        return self.state != "ok" or self._looked_at is None or time.monotonic() - self._looked_at > SIGN_SECONDS

    async def _is_sign_due(self, tx: Tx) -> bool:
        newest = await store.find_checkpoint(tx)
        if newest is None:
            return await store.get_size(tx) > 0
        return datetime.now(UTC) - newest.at > timedelta(seconds=SIGN_SECONDS) and await store.get_size(tx) != newest.size

    async def _checkpoint(self, tx: Tx) -> Checkpoint:
        """Return the newest checkpoint, a new one if the tree has grown. The lock must be held."""
        size, kept, newest = await self._continued(tx)
        if newest is not None and newest.head.size == size:
            self._signed = newest.head
            return newest
        origin = newest.origin if newest else origin_of(self.service, await store.get_log_id(tx))
        head = Head(size, await self._root_at(tx, size, of=size))
        signer = self._signer()
        made = sign_checkpoint(origin, head, signer=signer, trust=self._trust)
        number, note = (kept.number + 1 if kept else 1), made.note.encode()
        signature = signer.sign(kept_message(number, tx.now, note))
        await store.add_checkpoint(tx, store.KeptCheckpoint(number, size, note, tx.now, signature))
        self._signed = head
        return made

    async def _continued(self, tx: Tx) -> tuple[int, store.KeptCheckpoint | None, Checkpoint | None]:
        """Return the tree's size and the newest checkpoint; raises RecordBroken unless the tree continues what was signed before."""
        size = await store.get_size(tx)
        kept = await store.find_checkpoint(tx)
        newest = self._genuine(kept) if kept is not None else None
        for earlier in (self._signed, newest.head if newest else None):
            if earlier is not None and await self._root_at(tx, earlier.size, of=size) != earlier.root:
                raise RecordBroken("differs", f"checkpoint of size {earlier.size}")
        self._tell(None)
        return size, kept, newest

    def _tell(self, broken: RecordBroken | None) -> None:
        """Say in the log, and to readiness, when the record turns out to be broken and when it is whole again; once each."""
        state = "ok" if broken is None else UNTOLD
        if self.state != state and (broken is not None or self.state == UNTOLD):
            if broken is None:
                log.info("audit_record_whole")
            else:
                log.failure("audit_record_broken", broken)
        self.state = state

    async def _root_at(self, tx: Tx, size: int, *, of: int) -> bytes:
        if size > of:
            raise RecordBroken("shorter", f"signed size {size}, size {of}")
        wanted = Range(0, size).nodes()
        try:
            return range_hash(Range(0, size), await store.get_nodes(tx, wanted))
        except KeyError:
            raise RecordBroken("part_missing", f"size {size}") from None

    def _genuine(self, kept: store.KeptCheckpoint) -> Checkpoint:
        where = f"checkpoint {kept.number}"
        try:
            checkpoint = Checkpoint.decode(kept.note)
            checkpoint.require_signature(self._trust)
        except NoteError:
            raise RecordBroken("checkpoint_changed", where) from None
        if checkpoint.service != self.service:
            raise RecordBroken("checkpoint_changed", where)
        return checkpoint
