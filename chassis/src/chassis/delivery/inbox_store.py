"""SQL of the reading side: what was applied, up to which number, what is parked, and what is to be confirmed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.delivery.messages import WAITING, Message, Subject
from chassis.storage import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRow:
    """A parked message without its bytes."""

    id: int
    topic: str
    situation: str | None
    subject: str | None
    sequence: int | None
    event_id: UUID | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewParked:
    """A message to be parked; without `event_id` it is evidence only."""

    message: Message
    reason: str
    situation: str | None = None
    subject: str | None = None
    sequence: int | None = None
    event_id: UUID | None = None
    event_type: str | None = None


async def lock_subjects(tx: Tx, subjects: Collection[Subject]) -> dict[Subject, int]:
    """Lock the order of every subject, in one order for all, and return the last number applied to each (0 for none)."""
    ordered = sorted(subjects)
    rows = await tx.fetch(
        """
        insert into inbox_sequences as kept (topic, situation, subject, last)
        select topic, situation, subject, 0 from unnest($1::text[], $2::text[], $3::text[]) as new (topic, situation, subject)
        on conflict (topic, situation, subject) do update set last = kept.last
        returning topic, situation, subject, last
        """,
        *_columns(ordered, 3),
    )
    return {(row["topic"], row["situation"], row["subject"]): row["last"] for row in rows}


async def save_lasts(tx: Tx, lasts: Mapping[Subject, int]) -> None:
    """Keep the last number applied to each subject; the rows are locked already."""
    ordered = sorted(lasts)
    await tx.execute(
        """
        update inbox_sequences as kept set last = new.last
        from unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as new (topic, situation, subject, last)
        where (kept.topic, kept.situation, kept.subject) = (new.topic, new.situation, new.subject)
        """,
        *_columns(ordered, 3),
        [lasts[subject] for subject in ordered],
    )


async def list_applied(tx: Tx, reader: str, event_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these events the reader has applied."""
    rows = await tx.fetch("select event_id from inbox where reader = $1 and event_id = any($2::uuid[])", reader, event_ids)
    return {row["event_id"] for row in rows}


async def add_applied(tx: Tx, reader: str, applied: Sequence[tuple[UUID, str, str]]) -> None:
    """Mark events (id, topic, situation) as applied."""
    await tx.execute(
        """
        insert into inbox (reader, event_id, topic, situation, applied_at)
        select $1, event_id, topic, situation, $2 from unnest($3::uuid[], $4::text[], $5::text[]) as new (event_id, topic, situation)
        """,
        reader,
        tx.now,
        *_columns(applied, 3),
    )


async def list_parked_of(tx: Tx, subjects: Collection[Subject]) -> list[ParkedRow]:
    """Return what is parked of these subjects."""
    rows = await tx.fetch(
        """
        select id, topic, situation, subject, sequence, event_id, reason from parked
        join unnest($1::text[], $2::text[], $3::text[]) as wanted (topic, situation, subject) using (topic, situation, subject)
        """,
        *_columns(sorted(subjects), 3),
    )
    return [ParkedRow(**row) for row in rows]


async def lock_situations(tx: Tx, codes: Collection[str]) -> dict[str, bool]:
    """Return, of the situations known here among `codes`, whether each was removed; none is removed before this transaction ends."""
    rows = await tx.fetch("select code, removed from situations where code = any($1::text[]) order by code for share", sorted(codes))
    return {row["code"]: row["removed"] for row in rows}


async def get_message(tx: Tx, parked_id: int) -> Message:
    """Return the bytes of a parked message."""
    row = await tx.fetchrow("select topic, message_key, value from parked where id = $1", parked_id)
    if row is None:
        raise LookupError(parked_id)
    return Message(topic=row["topic"], key=row["message_key"], value=row["value"])


async def lock_parked(tx: Tx, parked_id: int) -> ParkedRow | None:
    """Lock one parked message, None if it is parked no longer."""
    row = await tx.fetchrow(
        "select id, topic, situation, subject, sequence, event_id, reason from parked where id = $1 for update", parked_id
    )
    return None if row is None else ParkedRow(**row)


async def find_message(tx: Tx, parked_id: int) -> Message | None:
    """Return the bytes of a parked message without locking it, None if it is parked no longer."""
    row = await tx.fetchrow("select topic, message_key, value from parked where id = $1", parked_id)
    return None if row is None else Message(topic=row["topic"], key=row["message_key"], value=row["value"])


async def add_parked(tx: Tx, parked: Sequence[NewParked]) -> None:
    """Park messages; evidence that is kept already is not kept twice."""
    await tx.execute(
        """
        insert into parked (topic, message_key, value, reason, situation, subject, sequence, event_id, event_type, parked_at)
        select *, $10
        from unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::uuid[], $9::text[])
        on conflict (topic, sha256(value)) where event_id is null do nothing
        """,
        [row.message.topic for row in parked],
        [row.message.key for row in parked],
        [row.message.value for row in parked],
        [row.reason for row in parked],
        [row.situation for row in parked],
        [row.subject for row in parked],
        [row.sequence for row in parked],
        [row.event_id for row in parked],
        [row.event_type for row in parked],
        tx.now,
    )


async def save_reasons(tx: Tx, reasons: Mapping[int, str]) -> None:
    """Say anew why messages stay parked."""
    await tx.execute(
        "update parked set reason = new.reason from unnest($1::bigint[], $2::text[]) as new (id, reason) where parked.id = new.id",
        list(reasons),
        list(reasons.values()),
    )


async def delete_parked(tx: Tx, parked_ids: Collection[int]) -> None:
    """Delete messages that are parked no longer."""
    await tx.execute("delete from parked where id = any($1::bigint[])", list(parked_ids))


async def count_refused(tx: Tx, counts: Mapping[str, int]) -> None:
    """Add to what failed authentication, by topic."""
    topics = sorted(counts)
    await tx.execute(
        """
        insert into refused_messages as kept (topic, seen, last_at)
        select topic, seen, $3 from unnest($1::text[], $2::bigint[]) as new (topic, seen)
        on conflict (topic) do update set seen = kept.seen + excluded.seen, last_at = excluded.last_at
        """,
        topics,
        [counts[topic] for topic in topics],
        tx.now,
    )


async def count_evidence(tx: Tx, topics: Collection[str]) -> dict[str, int]:
    """Return how many refused messages are kept, by topic."""
    rows = await tx.fetch(
        "select topic, count(*) as kept from parked where event_id is null and topic = any($1::text[]) group by topic", list(topics)
    )
    return {row["topic"]: row["kept"] for row in rows}


async def add_confirmations(tx: Tx, due: Collection[tuple[str, UUID]]) -> None:
    """Note that these events (writer, id) are to be confirmed to their writers."""
    await tx.execute(
        """
        insert into confirmations_due (writer, event_id, due_at)
        select writer, event_id, $3 from unnest($1::text[], $2::uuid[]) as new (writer, event_id)
        on conflict (writer, event_id) do nothing
        """,
        *_columns(sorted(due), 2),
        tx.now,
    )


async def list_releasable(tx: Tx, situation: str | None) -> list[int]:
    """Return the waiting messages whose turn it is, of one situation or of all."""
    rows = await tx.fetch(
        """
        select parked.id from parked
        join situations on situations.code = parked.situation
        left join inbox_sequences as kept using (topic, situation, subject)
        where parked.reason = $1 and parked.sequence = coalesce(kept.last, 0) + 1 and ($2::text is null or parked.situation = $2)
        order by parked.id
        """,
        WAITING,
        situation,
    )
    return [row["id"] for row in rows]


async def list_replayable(tx: Tx) -> list[int]:
    """Return what replay tries: everything parked that does not merely wait, in each subject's order, then what is evidence."""
    rows = await tx.fetch(
        "select id from parked where reason <> $1 order by topic, situation nulls last, subject, sequence nulls last, id", WAITING
    )
    return [row["id"] for row in rows]


async def list_page(tx: Tx, *, after: int, limit: int) -> list[dict[str, Any]]:
    """Return parked messages with an id above `after`, oldest first, without their bytes."""
    rows = await tx.fetch(
        """
        select id, topic, situation, subject, sequence, event_id, event_type, reason, parked_at from parked
        where id > $1 order by id limit $2
        """,
        after,
        limit,
    )
    return [dict(row) for row in rows]


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[index] for row in rows] for index in range(width)]
