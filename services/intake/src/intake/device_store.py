"""Every SQL statement about field devices. Neither a token nor a monitor's name passes through here: marks and sealed bytes only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from chassis.storage import Tx

KEPT: Final = timedelta(days=90)
"""So long is a device that has ended still listed."""
_COLUMNS: Final = "device, situation, submitter, token, subject, label, created_at, expires_at, last_used_on, revoked_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDevice:
    """What is kept of a device."""

    device: UUID
    situation: str
    submitter: bytes
    """The mark of its monitor."""
    token: bytes | None
    """The mark of its token; gone when it has ended."""
    subject: bytes | None
    """The monitor's subject, sealed under the token; gone when it has ended."""
    label: bytes | None
    created_at: datetime
    expires_at: datetime
    last_used_on: date | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceCount:
    """How many devices a situation has."""

    situation: str
    active: int
    expired: int
    revoked: int


async def count_active(tx: Tx, submitter: bytes) -> int:
    """Return how many devices of a monitor can send now, and let nobody else add one for them until the commit."""
    await tx.execute("select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))", submitter)
    count: int = await tx.fetchval(
        "select count(*) from devices where submitter = $1 and revoked_at is null and expires_at > $2", submitter, tx.now
    )
    return count


async def add_device(tx: Tx, device: StoredDevice) -> None:
    """Keep a new device."""
    await tx.execute(
        """
        insert into devices (device, situation, submitter, token, subject, label, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        device.device,
        device.situation,
        device.submitter,
        device.token,
        device.subject,
        device.label,
        device.created_at,
        device.expires_at,
    )


async def find_device(tx: Tx, device: UUID) -> StoredDevice | None:
    """Return a device, None if there is none."""
    row = await tx.fetchrow(f"select {_COLUMNS} from devices where device = $1", device)  # noqa: S608 - our own names
    return None if row is None else StoredDevice(**row)


async def hold_device(tx: Tx, device: UUID) -> bool:
    """Tell whether a device may send, and let nobody revoke it until the commit."""
    return bool(
        await tx.fetchval("select true from devices where device = $1 and revoked_at is null and expires_at > $2 for share", device, tx.now)
    )


async def list_devices(
    tx: Tx, *, situations: Collection[str], submitter: bytes, after: tuple[datetime, UUID] | None, limit: int
) -> list[StoredDevice]:
    """Return a monitor's own devices, the newest first, those after a position (created_at, device)."""
    before_at, before = after or (None, None)
    rows = await tx.fetch(
        f"""
        select {_COLUMNS} from devices
        where situation = any($1::text[]) and submitter = $2 and ($3::timestamptz is null or (created_at, device) < ($3, $4::uuid))
        order by created_at desc, device desc limit $5
        """,  # noqa: S608 - our own names
        list(situations),
        submitter,
        before_at,
        before,
        limit,
    )
    return [StoredDevice(**row) for row in rows]


async def count_devices(tx: Tx, situations: Collection[str] | None) -> list[DeviceCount]:
    """Count the devices of the situations, of all of them if None."""
    rows = await tx.fetch(
        """
        select situation,
            count(*) filter (where revoked_at is null and expires_at > $2)::int as active,
            count(*) filter (where revoked_at is null and expires_at <= $2)::int as expired,
            count(*) filter (where revoked_at is not null)::int as revoked
        from devices where $1::text[] is null or situation = any($1) group by situation order by situation
        """,
        None if situations is None else list(situations),
        tx.now,
    )
    return [DeviceCount(**row) for row in rows]


async def revoke_device(tx: Tx, device: UUID) -> bool:
    """End a device from this commit on, and forget its token and whose it was; returns False if it had been revoked before."""
    revoked = await tx.fetchval(
        """
        update devices set revoked_at = $2, token = null, subject = null where device = $1 and revoked_at is null
        returning true
        """,
        device,
        tx.now,
    )
    return revoked is not None


async def revoke_devices(tx: Tx, *, situation: str, submitter: bytes | None) -> Sequence[UUID]:
    """End every device of a situation that has not ended, or those of one monitor; returns which."""
    rows = await tx.fetch(
        """
        update devices set revoked_at = $3, token = null, subject = null
        where situation = $1 and ($2::bytea is null or submitter = $2) and revoked_at is null and expires_at > $3
        returning device
        """,
        situation,
        submitter,
        tx.now,
    )
    return sorted(row["device"] for row in rows)


async def save_use(tx: Tx, device: UUID) -> None:
    """Note that a device was used today (UTC); the time of day is not kept."""
    await tx.execute("update devices set last_used_on = $2 where device = $1 and revoked_at is null", device, tx.now.date())


async def forget_devices(tx: Tx) -> None:
    """Forget the token and the owner of what has expired, and, after a while, that it was there."""
    await tx.execute("update devices set token = null, subject = null where expires_at <= $1 and token is not null", tx.now)
    await tx.execute("delete from devices where least(revoked_at, expires_at) < $1", tx.now - KEPT)


async def delete_situation(tx: Tx, situation: str) -> None:
    """Delete every device of a removed situation."""
    await tx.execute("delete from devices where situation = $1", situation)
