"""SQL of emergency accesses and their acknowledgements: added, ended early, never otherwise changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from chassis.storage import Tx
from verification.domain.emergency import Acknowledgement, TakenAccess

_ANNOUNCED: Final = """
    from emergency_accesses a
    cross join lateral (
        select coalesce(array_agg(office order by office), '{}') as awaits
        from unnest(array['cochair_un', 'cochair_unicef']) as offices (office)
        where office <> a.role and not exists (
            select from emergency_acknowledgements k where k.situation = a.situation and k.access = a.access and k.role = office
        )
    ) as open
    cross join lateral (select not (open.awaits && $2::text[] and a.holder <> $3) as seen) as told
    where a.situation = $1
"""
"""Accesses with the offices they await, and whether those of the one who asks ($2, $3) have seen them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccess:
    """An emergency access to keep; `mark` is the holder's, `submitter` that of whoever reported the incident."""

    access: UUID
    incident: UUID
    role: str
    mark: bytes
    submitter: bytes
    ends_at: datetime
    text: UUID


async def add_access(tx: Tx, situation: str, new: NewAccess) -> None:
    """Keep an access that begins now; the database refuses one on the holder's own report and one of more than an hour."""
    await tx.execute(
        """
        insert into emergency_accesses (situation, access, incident, holder, role, mark, submitter, taken_at, ends_at, text)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        situation,
        new.access,
        new.incident,
        tx.actor,
        new.role,
        new.mark,
        new.submitter,
        tx.now,
        new.ends_at,
        new.text,
    )


async def find_standing(tx: Tx, situation: str, incident: UUID) -> Record | None:
    """Return id and end of the actor's access to a case, if one stands now."""
    return await tx.fetchrow(
        """
        select access, ends_at from emergency_accesses
        where situation = $1 and incident = $2 and holder = $3 and taken_at <= $4 and ends_at > $4 and ended_at is null
        order by ends_at desc limit 1
        """,
        situation,
        incident,
        tx.actor,
        tx.now,
    )


async def end_access(tx: Tx, situation: str, access: UUID) -> None:
    """Let an access end now."""
    await tx.execute("update emergency_accesses set ended_at = $3 where situation = $1 and access = $2", situation, access, tx.now)


async def find_access(tx: Tx, situation: str, access: UUID) -> TakenAccess | None:
    """Return an access with its acknowledgements."""
    row = await tx.fetchrow(
        "select access, incident, holder, role from emergency_accesses where situation = $1 and access = $2", situation, access
    )
    if row is None:
        return None
    given = await tx.fetch(
        "select role, subject from emergency_acknowledgements where situation = $1 and access = $2 order by role", situation, access
    )
    return TakenAccess(**dict(row), given=[Acknowledgement(**dict(one)) for one in given])


async def add_acknowledgement(tx: Tx, situation: str, taken: TakenAccess, given: Acknowledgement) -> None:
    """Keep a co-chair's acknowledgement; the database refuses the holder's own and a second one of an office or a person."""
    await tx.execute(
        """
        insert into emergency_acknowledgements (situation, access, role, subject, holder, holder_role, acknowledged_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        """,
        situation,
        taken.access,
        given.role,
        given.subject,
        taken.holder,
        taken.role,
        tx.now,
    )


async def list_announced(
    tx: Tx, situation: str, *, offices: Sequence[str], after: tuple[int, datetime, UUID] | None, limit: int
) -> list[Record]:
    """Return accesses, those first that wait for one of these offices (the actor's own aside), the newest first among equals."""
    seen, taken_at, access = after or (None, None, None)
    return await tx.fetch(
        f"""
        select a.access, a.incident, a.holder, a.role, a.taken_at, a.ends_at, a.ended_at, a.text, open.awaits, told.seen,
            (select coalesce(jsonb_agg(jsonb_build_object('role', k.role, 'subject', k.subject, 'acknowledged_at', k.acknowledged_at)
                order by k.acknowledged_at, k.role), '[]')
             from emergency_acknowledgements k where k.situation = a.situation and k.access = a.access) as acknowledged
        {_ANNOUNCED}
            and ($4::integer is null or told.seen::integer > $4 or (told.seen::integer = $4 and (a.taken_at, a.access) < ($5, $6::uuid)))
        order by told.seen, a.taken_at desc, a.access desc limit $7
        """,  # noqa: S608 - our own text
        situation,
        list(offices),
        tx.actor,
        seen,
        taken_at,
        access,
        limit,
    )


async def count_unseen(tx: Tx, situation: str, *, offices: Sequence[str]) -> int:
    """Return how many accesses wait for one of these offices, the actor's own aside."""
    return int(await tx.fetchval(f"select count(*) {_ANNOUNCED} and not told.seen", situation, list(offices), tx.actor))
