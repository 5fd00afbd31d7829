"""SQL of the writing side: the outbox, its numbers, and what readers confirm."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

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


async def confirm(tx: Tx, reader: str, event_ids: Collection[UUID]) -> None:
    """Note that a reader has committed events; an event is done when nobody is awaited. Another reader's events are left alone."""
    await tx.execute(
        """
        with confirmed as (
            select id from outbox where event_id = any($1::uuid[]) and $2 = any(awaiting) order by id for update
        )
        update outbox set
            awaiting = array_remove(awaiting, $2),
            done_at = case when array_remove(awaiting, $2) = '{}' then $3::timestamptz end,
            sent_at = coalesce(sent_at, $3::timestamptz)
        from confirmed where outbox.id = confirmed.id
        """,
        list(event_ids),
        reader,
        tx.now,
    )


async def list_unsent(connection: Connection, topic: str, *, limit: int, limit_bytes: int) -> list[asyncpg.Record]:
    """Return a topic's oldest rows that the broker has not acknowledged, by state and never by "id above the last seen".

    A lower id may commit later than a higher one.
    """
    return await _list_sendable(connection, "sent_at is null", [topic], limit=limit, limit_bytes=limit_bytes)


async def list_unconfirmed(connection: Connection, topic: str, *, now: datetime, limit: int, limit_bytes: int) -> list[asyncpg.Record]:
    """Return a topic's oldest acknowledged rows that ought to be confirmed by now."""
    return await _list_sendable(connection, "resend_at <= $4", [topic, now], limit=limit, limit_bytes=limit_bytes)


async def list_newest(connection: Connection, topics: Sequence[str]) -> list[asyncpg.Record]:
    """Return the newest event of every subject of compacted topics, done or not."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        select distinct on (topic, situation, subject) id, event_id, event_type, topic, subject, value, attempts from outbox
        where topic = any($1::text[]) order by topic, situation, subject, sequence desc
        """,
        list(topics),
    )
    return rows


async def mark_sent(connection: Connection, row_ids: Sequence[int], *, now: datetime, resend_after: timedelta, most: timedelta) -> None:
    """Note the broker's acknowledgement; where nobody confirms that is the end, otherwise it is sent again after a growing while."""
    await connection.execute(
        """
        with acknowledged as (select id from outbox where id = any($1::bigint[]) order by id for update)
        update outbox set
            sent_at = $2::timestamptz,
            attempts = attempts + 1,
            resend_at = $2::timestamptz + least($3::interval * power(2, least(attempts, 20)), $4::interval),
            done_at = case when awaiting = '{}' then coalesce(done_at, $2::timestamptz) end
        from acknowledged where outbox.id = acknowledged.id
        """,
        list(row_ids),
        now,
        resend_after,
        most,
    )


async def forget_sending(connection: Connection) -> None:
    """Let everything that is not confirmed leave anew, as if it had never been sent."""
    await connection.execute(
        "update outbox set sent_at = null, attempts = 0, resend_at = null where done_at is null and sent_at is not null"
    )


async def list_confirmations_due(connection: Connection, *, limit: int) -> list[asyncpg.Record]:
    """Return the oldest confirmations that are due: writer and event."""
    rows: list[asyncpg.Record] = await connection.fetch(
        "select writer, event_id from confirmations_due order by due_at, writer, event_id limit $1", limit
    )
    return rows


async def delete_confirmations_due(connection: Connection, writer: str, event_ids: Sequence[UUID]) -> None:
    """Delete confirmations that the broker has acknowledged."""
    await connection.execute("delete from confirmations_due where writer = $1 and event_id = any($2::uuid[])", writer, list(event_ids))


async def delete_done(connection: Connection, *, before: datetime, keep_newest_of: Sequence[str], limit: int) -> int:
    """Delete rows that were done before an instant, but never the newest of a subject of these topics; returns how many."""
    deleted = await connection.fetchval(
        """
        with old as (
            select id from outbox as row where done_at < $1 and not (
                topic = any($2::text[]) and not exists (
                    select from outbox as newer
                    where (newer.topic, newer.situation, newer.subject) = (row.topic, row.situation, row.subject)
                        and newer.sequence > row.sequence
                )
            )
            limit $3
        ), deleted as (delete from outbox using old where outbox.id = old.id returning 1)
        select count(*) from deleted
        """,
        before,
        list(keep_newest_of),
        limit,
    )
    return int(deleted)


async def find_cluster(connection: Connection) -> str | None:
    """Return the id of the Kafka cluster that was last sent to, None before the first."""
    cluster: str | None = await connection.fetchval("select cluster_id from relay_state")
    return cluster


async def save_cluster(connection: Connection, cluster_id: str) -> None:
    """Remember the Kafka cluster."""
    await connection.execute(
        "insert into relay_state (cluster_id) values ($1) on conflict (singleton) do update set cluster_id = excluded.cluster_id",
        cluster_id,
    )


async def try_relay_lock(connection: Connection, key: int) -> bool:
    """Take the lock of the one active relay if it is free; it ends with the connection."""
    taken: bool = await connection.fetchval("select pg_try_advisory_lock($1)", key)
    return taken


async def _list_sendable(
    connection: Connection, condition: str, args: Sequence[Any], *, limit: int, limit_bytes: int
) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await connection.fetch(
        f"""
        select id, event_id, event_type, topic, subject, value, attempts
        from (
            select *, sum(octet_length(value)) over (order by id) - octet_length(value) as bytes_before
            from (select * from outbox where topic = $3 and done_at is null and {condition} order by id limit $1) as oldest
        ) as measured
        where bytes_before < $2 order by id
        """,  # noqa: S608 - the condition is one of the two above
        limit,
        limit_bytes,
        *args,
    )
    return rows


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[index] for row in rows] for index in range(width)]
