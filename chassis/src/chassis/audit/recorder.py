"""Writing the record: the entries of an act, signed and inserted in the act's own transaction."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from chassis.audit import store
from chassis.audit.leaf import Entry, new_salt, sign_leaf
from chassis.sealing.keys import Signer
from chassis.storage import AuditEntry, Database, System, Tx
from chassis.telemetry import get_logger

ENTRIES_PER_BREATH: Final = 64
"""Signing holds the interpreter; after so many entries others get their turn."""
ATTEMPT_SECONDS: Final = 3.0
"""So long may the record of an attempt hold up its refusal."""
log = get_logger()


class Recorder:
    """The record of one service: implements `chassis.storage.Recorder`."""

    def __init__(self, service: str, signer: Callable[[], Signer]) -> None:
        self.service = service
        self._signer = signer

    async def record(self, tx: Tx, entries: Sequence[AuditEntry]) -> None:
        """Sign and insert the entries in order. Whatever fails here fails the act: no entry, no act."""
        signer = self._signer()
        rows = []
        for index, act in enumerate(entries):
            entry = Entry(
                service=self.service,
                id=uuid4(),
                at=tx.now,
                actor=act.actor,
                action=act.action,
                situation=act.situation,
                subject_ref=act.subject_ref,
                detail=act.detail,
                cause=act.cause,
                salt=new_salt(),
            )
            rows.append(store.SignedEntry(entry, signer.id, sign_leaf(entry.leaf_hash(), signer)))
            if index % ENTRIES_PER_BREATH == ENTRIES_PER_BREATH - 1:
                await asyncio.sleep(0)
        await store.add_entries(tx, rows)


async def record(
    database: Database,
    action: str,
    *,
    actor: str,
    situation: str | None,
    subject_ref: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record what changes nothing but must be known, such as a denied attempt, in a transaction of its own.

    It never fails the answer that is given anyway: if the record cannot be written, the log says so.
    """
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS), database.transaction("record_attempt", by=System(actor)) as tx:
            tx.audit(action, situation=situation, subject_ref=subject_ref, detail=dict(detail or {}))
    except Exception as error:
        log.failure("audit_entry_lost", error)
