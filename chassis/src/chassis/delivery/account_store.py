"""SQL of the conservation account."""

from chassis.delivery.messages import WAITING
from chassis.storage import Tx


async def count_published(tx: Tx) -> dict[str, int]:
    """Return how many events were ever published, by topic."""
    return await _by_topic(tx, "select topic, sum(last)::bigint as n from outbox_sequences group by topic")


async def count_in_flight(tx: Tx) -> dict[str, int]:
    """Return how many published events are not yet confirmed (or, where nobody confirms, acknowledged), by topic."""
    return await _by_topic(tx, "select topic, count(*) as n from outbox where done_at is null group by topic")


async def count_applied(tx: Tx) -> dict[str, int]:
    """Return how many events were ever applied, by topic; on a compacted topic the newest stands for those before it."""
    return await _by_topic(tx, "select topic, sum(last)::bigint as n from inbox_sequences group by topic")


async def count_parked(tx: Tx) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many authentic events are parked for a reason of their own, and how many wait, by topic."""
    parked = await _by_topic(
        tx, "select topic, count(*) as n from parked where event_id is not null and reason <> $1 group by topic", WAITING
    )
    waiting = await _by_topic(tx, "select topic, count(*) as n from parked where reason = $1 group by topic", WAITING)
    return parked, waiting


async def count_refused(tx: Tx) -> dict[str, int]:
    """Return how many messages failed authentication, by topic."""
    return await _by_topic(tx, "select topic, seen as n from refused_messages")


async def _by_topic(tx: Tx, sql: str, *args: str) -> dict[str, int]:
    return {row["topic"]: row["n"] for row in await tx.fetch(sql, *args)}
