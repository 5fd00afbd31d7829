"""SQL of the sessions of people who signed in for pages (`chassis.sessions`)."""

from dataclasses import dataclass
from datetime import datetime

from chassis.storage import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session as it is stored: who it is of, and what is sealed in it, only its cookie opens."""

    id: bytes
    person: str
    issuer_session: bytes | None
    contents: bytes
    started_at: datetime
    seen_at: datetime
    refresh_at: datetime | None
    idle_expires_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimes:
    """When a session of a person began and was last used."""

    id: bytes
    started_at: datetime
    seen_at: datetime


async def add_session(tx: Tx, row: SessionRow) -> None:
    """Write a new session."""
    await tx.execute(
        """
        insert into sessions (id, person, issuer_session, contents, started_at, seen_at, refresh_at, idle_expires_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        row.id,
        row.person,
        row.issuer_session,
        row.contents,
        row.started_at,
        row.seen_at,
        row.refresh_at,
        row.idle_expires_at,
        row.expires_at,
    )


async def find_session(tx: Tx, session: bytes, *, at: datetime) -> SessionRow | None:
    """Return a session that has not expired."""
    row = await tx.fetchrow(
        """
        select id, person, issuer_session, contents, started_at, seen_at, refresh_at, idle_expires_at, expires_at
        from sessions where id = $1 and idle_expires_at > $2 and expires_at > $2
        """,
        session,
        at,
    )
    return None if row is None else SessionRow(**dict(row))


async def list_sessions(tx: Tx, person: str, *, at: datetime) -> list[SessionTimes]:
    """Return the sessions of a person that have not expired, the last used first."""
    rows = await tx.fetch(
        """
        select id, started_at, seen_at from sessions
        where person = $1 and idle_expires_at > $2 and expires_at > $2
        order by seen_at desc, id
        """,
        person,
        at,
    )
    return [SessionTimes(**dict(row)) for row in rows]


async def mark_seen(tx: Tx, session: bytes, *, at: datetime, idle_expires_at: datetime) -> None:
    """Note that a session is used."""
    sql = "update sessions set seen_at = greatest(seen_at, $2), idle_expires_at = greatest(idle_expires_at, $3) where id = $1"
    await tx.execute(sql, session, at, idle_expires_at)


async def claim_refresh(tx: Tx, session: bytes, *, at: datetime, until: datetime) -> bool:
    """Take it on oneself to ask the issuer again; whoever comes second before `until` gets False."""
    sql = "update sessions set refresh_at = $3 where id = $1 and refresh_at <= $2 returning true"
    return await tx.fetchval(sql, session, at, until) is not None


async def save_contents(tx: Tx, session: bytes, *, contents: bytes, refresh_at: datetime) -> bool:
    """Write what the issuer said anew; False if the session has ended meanwhile."""
    sql = "update sessions set contents = $2, refresh_at = $3 where id = $1 returning true"
    return await tx.fetchval(sql, session, contents, refresh_at) is not None


async def delete_session(tx: Tx, session: bytes) -> bool:
    """End one session; False if there was none."""
    return await tx.fetchval("delete from sessions where id = $1 returning true", session) is not None


async def delete_sessions(tx: Tx, person: str) -> int:
    """End every session of a person; returns how many there were."""
    rows = await tx.fetch("delete from sessions where person = $1 returning id", person)
    return len(rows)


async def people_of_issuer_session(tx: Tx, issuer_session: bytes) -> list[str]:
    """Return whose sessions hang on one of the issuer's; it is one person, if the issuer does what it must."""
    rows = await tx.fetch("select distinct person from sessions where issuer_session = $1 order by person", issuer_session)
    return [row["person"] for row in rows]


async def delete_issuer_session(tx: Tx, person: str, issuer_session: bytes) -> int:
    """End the sessions of a person that hang on one of the issuer's, or may; returns how many there were."""
    sql = "delete from sessions where person = $1 and (issuer_session = $2 or issuer_session is null) returning id"
    return len(await tx.fetch(sql, person, issuer_session))


async def delete_surplus(tx: Tx, person: str, *, keep: int) -> None:
    """End the sessions of a person beyond the `keep` used last."""
    await tx.execute(
        """
        delete from sessions where person = $1 and id not in (
            select id from sessions where person = $1 order by seen_at desc, id limit $2
        )
        """,
        person,
        keep,
    )


async def delete_expired(tx: Tx, *, at: datetime) -> None:
    """Forget sessions whose time is over."""
    await tx.execute("delete from sessions where idle_expires_at <= $1 or expires_at <= $1", at)
