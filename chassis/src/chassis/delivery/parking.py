"""What an operator asks of delivery: what is parked, putting it through again, and the account that must balance."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.delivery import account_store, inbox_store
from chassis.delivery.batch import Result
from chassis.delivery.receiver import Receiver
from chassis.errors import NotFound
from chassis.storage import Acting, Database
from contracts.topics import TOPICS, topics_read_by


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedMessage:
    """A parked message as an operator sees it. What failed authentication has no situation, subject, sequence, event or type."""

    id: int
    topic: str
    situation: str | None
    subject: str | None
    sequence: int | None
    event_id: UUID | None
    event_type: str | None
    reason: str
    parked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What became of a replay: messages tried, of these applied, of these parked still (with the present reason)."""

    tried: int
    applied: int
    parked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """How many events of each topic are where. Written side: published = confirmed + in_flight. Read side: applied, parked, waiting.

    At rest the published of a writer are the applied + parked + waiting of each reader, and nothing is in flight. `forged` counts
    messages that failed authentication; they are on no other side of any balance.
    """

    service: str
    published: Mapping[str, int]
    confirmed: Mapping[str, int]
    in_flight: Mapping[str, int]
    applied: Mapping[str, int]
    parked: Mapping[str, int]
    waiting: Mapping[str, int]
    forged: Mapping[str, int]


async def list_parked(database: Database, *, by: Acting, limit: int, after: int = 0) -> list[ParkedMessage]:
    """Return parked messages whose id is above `after`, oldest first."""
    async with database.reading("list_parked", by=by) as tx:
        return [ParkedMessage(**row) for row in await inbox_store.list_page(tx, after=after, limit=limit)]


async def replay(receiver: Receiver, *, by: Acting, parked_id: int | None = None) -> Replay:
    """Put one parked message, or all in order, through the normal path again; raises NotFound for an id that is not parked.

    Waiting messages follow by themselves when what they wait for has been applied.
    """
    async with receiver.database.transaction("begin_replay", by=by) as tx:
        wanted = [parked_id] if parked_id is not None else await inbox_store.list_replayable(tx)
        if parked_id is not None and await inbox_store.find_message(tx, parked_id) is None:
            raise NotFound
        tx.audit("delivery.replay", situation=None, detail={"messages": len(wanted)})
    results = [await receiver.replay(wanted_id) for wanted_id in wanted]
    tried = [result for result in results if result is not None]
    applied = tried.count(Result.APPLIED)
    return Replay(
        tried=len(tried), applied=applied, parked=sum(result in (Result.PARKED, Result.WAITING, Result.REFUSED) for result in tried)
    )


async def account(database: Database, service: str, *, by: Acting) -> Account:
    """Return the account of a service as of one moment; every topic it writes or reads is in it."""
    written = [topic.name for topic in TOPICS if topic.writer == service and topic.events != ("events.confirmed.v1",)]
    read = [topic.name for topic in topics_read_by(service) if topic.events != ("events.confirmed.v1",)]
    async with database.reading("account", by=by) as tx:
        published = await account_store.count_published(tx)
        in_flight = await account_store.count_in_flight(tx)
        applied = await account_store.count_applied(tx)
        parked, waiting = await account_store.count_parked(tx)
        forged = await account_store.count_refused(tx)
    heard = [topic.name for topic in topics_read_by(service)]
    return Account(
        service=service,
        published=_filled(written, published),
        confirmed={topic: published.get(topic, 0) - in_flight.get(topic, 0) for topic in written},
        in_flight=_filled(written, in_flight),
        applied=_filled(read, applied),
        parked=_filled(read, parked),
        waiting=_filled(read, waiting),
        forged=_filled(heard, forged),
    )


def _filled(topics: list[str], counts: Mapping[str, int]) -> dict[str, Any]:
    return {topic: counts.get(topic, 0) for topic in topics}
