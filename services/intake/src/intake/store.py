"""Every SQL statement of intake. No clear text of a report and no name of a monitor passes through here: marks only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.storage import Tx
from intake.domain import StoredRevision


@dataclass(frozen=True, slots=True)
class StoredIncident:
    """What a monitor may know of a report of theirs."""

    situation: str
    incident: UUID
    status: str
    needs: Sequence[str]
    revision: int
    received_at: datetime


async def add_incident(tx: Tx, *, situation: str, incident: UUID, submitter: bytes, device: UUID | None, content: bytes) -> bool:
    """Keep a first report, received now, through a device or (None) from the monitor in person.

    Returns False if the situation has an incident of this key (waits for one on its way).
    """
    added = await tx.fetchval(
        """
        with added as (
            insert into incidents (situation, incident, submitter, device, revision, received_at) values ($1, $2, $3, $6, 1, $5)
            on conflict (situation, incident) do nothing
            returning situation
        )
        insert into revisions (situation, incident, revision, content, received_at) select $1, $2, 1, $4, $5 from added
        returning true
        """,
        situation,
        incident,
        submitter,
        content,
        tx.now,
        device,
    )
    return added is not None


async def find_first_report(tx: Tx, *, situation: str, incident: UUID, submitter: bytes, device: UUID | None) -> StoredRevision | None:
    """Return the first revision of a monitor's own incident, None if it does not exist or is another's.

    With a device it must have come through that one.
    """
    row = await tx.fetchrow(
        """
        select revisions.revision, revisions.content, revisions.received_at from incidents join revisions using (situation, incident)
        where situation = $1 and incident = $2 and submitter = $3 and ($4::uuid is null or device = $4) and revisions.revision = 1
        """,
        situation,
        incident,
        submitter,
        device,
    )
    return None if row is None else StoredRevision(row["revision"], row["content"], row["received_at"])


async def lock_incident(tx: Tx, *, situation: str, incident: UUID, submitter: bytes, device: UUID | None) -> int | None:
    """Return the latest revision number of a monitor's own incident and hold it until the commit; None if there is none.

    With a device it must have come through that one.
    """
    latest: int | None = await tx.fetchval(
        """
        select revision from incidents
        where situation = $1 and incident = $2 and submitter = $3 and ($4::uuid is null or device = $4) for update
        """,
        situation,
        incident,
        submitter,
        device,
    )
    return latest


async def list_revisions(tx: Tx, *, situation: str, incident: UUID, numbers: Collection[int]) -> dict[int, StoredRevision]:
    """Return those of the named revisions that exist."""
    rows = await tx.fetch(
        "select revision, content, received_at from revisions where situation = $1 and incident = $2 and revision = any($3::integer[])",
        situation,
        incident,
        list(numbers),
    )
    return {row["revision"]: StoredRevision(row["revision"], row["content"], row["received_at"]) for row in rows}


async def add_revision(tx: Tx, *, situation: str, incident: UUID, revision: int, content: bytes) -> None:
    """Keep a further revision, received now, of an incident that this transaction holds."""
    await tx.execute(
        """
        with numbered as (
            update incidents set revision = $3 where situation = $1 and incident = $2 returning situation
        )
        insert into revisions (situation, incident, revision, content, received_at) select $1, $2, $3, $4, $5 from numbered
        """,
        situation,
        incident,
        revision,
        content,
        tx.now,
    )


async def find_incident(
    tx: Tx, *, situations: Collection[str], incident: UUID, submitter: bytes, device: UUID | None
) -> StoredIncident | None:
    """Return a monitor's own incident in one of the situations; of the same key in two of them, the one received last.

    With a device it must have come through that one.
    """
    row = await tx.fetchrow(
        """
        select situation, incident, status, needs, revision, received_at from incidents
        where situation = any($1::text[]) and incident = $2 and submitter = $3 and ($4::uuid is null or device = $4)
        order by received_at desc, situation limit 1
        """,
        list(situations),
        incident,
        submitter,
        device,
    )
    return None if row is None else StoredIncident(**row)


async def list_incidents(
    tx: Tx, *, situations: Collection[str], submitter: bytes, after: tuple[datetime, str, UUID] | None, limit: int
) -> list[StoredIncident]:
    """Return a monitor's own incidents, the newest first, those after a position (received_at, situation, incident)."""
    before_at, before_situation, before_incident = after or (None, None, None)
    rows = await tx.fetch(
        """
        select situation, incident, status, needs, revision, received_at from incidents
        where situation = any($1::text[]) and submitter = $2
            and ($3::timestamptz is null or (received_at, situation, incident) < ($3, $4::text, $5::uuid))
        order by received_at desc, situation desc, incident desc limit $6
        """,
        list(situations),
        submitter,
        before_at,
        before_situation,
        before_incident,
        limit,
    )
    return [StoredIncident(**row) for row in rows]


async def save_progress(tx: Tx, *, situation: str, incident: UUID, status: str, needs: Sequence[str], at: datetime) -> bool:
    """Keep the newest progress of an incident; an older one changes nothing. Returns False if there is no such incident."""
    known = await tx.fetchval(
        """
        with moved as (
            update incidents set status = $3, needs = $4::text[], progressed_at = $5
            where situation = $1 and incident = $2 and (progressed_at is null or progressed_at <= $5)
        )
        select true from incidents where situation = $1 and incident = $2
        """,
        situation,
        incident,
        status,
        list(needs),
        at,
    )
    return known is not None


async def delete_situation(tx: Tx, situation: str) -> None:
    """Delete every row of a removed situation."""
    await tx.execute("delete from revisions where situation = $1", situation)
    await tx.execute("delete from incidents where situation = $1", situation)
