"""What export does with the events it reads."""

import hashlib
import re
from typing import Final

from chassis.errors import Rejected
from chassis.storage import Handler, Tx
from contracts.envelope import canonical_json
from contracts.events import Event, SnapshotFrozen
from export import store
from export.domain.drafting import Snapshot

_TABLE: Final = re.compile(r"[a-z][a-z0-9_.-]{0,80}")


async def snapshot_frozen(event: SnapshotFrozen, tx: Tx) -> None:
    """Keep a frozen snapshot; the same one again changes nothing, another one under its id is rejected (C12)."""
    if event.window_from > event.window_to or not all(_TABLE.fullmatch(name) for name in event.tables):
        raise Rejected("snapshot_malformed")
    digest = hashlib.sha256(canonical_json(event.model_dump(mode="json"))).digest()
    snapshot = Snapshot(
        situation=event.situation,
        snapshot=event.snapshot,
        position=event.position,
        as_of=event.as_of,
        window_from=event.window_from,
        window_to=event.window_to,
        rules=event.rules,
        params=event.params,
        tables=event.tables,
        frozen_by=event.frozen_by,
        frozen_at=event.frozen_at,
    )
    if await store.add_snapshot(tx, snapshot, digest=digest):
        return
    if await store.get_snapshot_digest(tx, situation=event.situation, snapshot=event.snapshot) != digest:
        raise Rejected("snapshot_differs")


async def situation_removed(situation: str, tx: Tx) -> None:
    """Forget a removed (scratch) situation."""
    await store.delete_situation(tx, situation)


HANDLERS: Final[dict[type[Event], Handler]] = {SnapshotFrozen: snapshot_frozen}
"""The handlers by the event they handle."""
