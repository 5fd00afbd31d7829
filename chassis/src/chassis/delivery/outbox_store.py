"""SQL of the writing side: the outbox, its numbers, and what readers confirm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.storage import Tx

Subject = tuple[str, str, str]
"""Topic, situation and subject: the scope of one order."""
Connection = Any
"""The relay's own connection: asyncpg's, dedicated because it holds the lock of the only active relay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A new row: the event as it will lie on the broker, and the readers whose confirmation it awaits."""

    event_id: UUID
    event_type: str
    topic: str
    situation: str
    subject: str
    sequence: int
    value: bytes
    awaiting: Sequence[str]


async def list_present(tx: Tx, event_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these events are in the outbox."""
    rows = await tx.fetch("select event_id from outbox where event_id = any($1::uuid[])", event_ids)
    return {row["event_id"] for row in rows}


async def take_numbers(tx: Tx, counts: Mapping[Subject, int]) -> dict[Subject, int]:
    """Raise the last number of every subject by its count and return the new last ones; rows are locked in one order for all."""
    subjects = sorted(counts)
    rows = await tx.fetch(
        """
        insert into outbox_sequences as taken (topic, situation, subject, last)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
        on conflict (topic, situation, subject) do update set last = taken.last + excluded.last
        returning topic, situation, subject, last
        """,
        *_columns(subjects, 3),
        [counts[subject] for subject in subjects],
    )
    return {(row["topic"], row["situation"], row["subject"]): row["last"] for row in rows}


async def add_rows(tx: Tx, rows: Sequence[OutboxRow]) -> None:
    """Insert rows in the order given."""
    await tx.execute(
        """
        insert into outbox (event_id, event_type, topic, situation, subject, sequence, value, created_at, awaiting)
        select event_id, event_type, topic, situation, subject, sequence, value, $8, string_to_array(awaiting, ',')
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bytea[], $9::text[])
            with ordinality as new (event_id, event_type, topic, situation, subject, sequence, value, awaiting, place)
        order by place
        """,
        [row.event_id for row in rows],
        [row.event_type for row in rows],
        [row.topic for row in rows],
        [row.situation for row in rows],
        [row.subject for row in rows],
        [row.sequence for row in rows],
        [row.value for row in rows],
        tx.now,
        [",".join(row.awaiting) for row in rows],
    )


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[index] for row in rows] for index in range(width)]
