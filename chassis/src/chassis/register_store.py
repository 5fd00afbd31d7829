"""SQL of the register's copy."""

from datetime import datetime
from typing import Any

from chassis.storage import Tx

Stamp = tuple[int, datetime]
"""Version of a document and when it was written here: what tells it from the one that stood there before."""


async def list_stamps(tx: Tx) -> dict[str, Stamp]:
    """Return the stamp of every situation that is not removed, by code."""
    rows = await tx.fetch("select code, version, received_at from situations where not removed")
    return {row["code"]: (row["version"], row["received_at"]) for row in rows}


async def list_documents(tx: Tx, codes: list[str]) -> dict[str, str]:
    """Return documents as JSON texts by code."""
    rows = await tx.fetch("select code, document::text from situations where code = any($1::text[]) and not removed", codes)
    return {row["code"]: row["document"] for row in rows}


async def find_document(tx: Tx, code: str) -> str | None:
    """Return one document as JSON text, None if it is unknown or removed."""
    document: str | None = await tx.fetchval("select document::text from situations where code = $1 and not removed", code)
    return document


async def newest_version(tx: Tx, code: str) -> int:
    """Return the newest version under a code, removed ones included, 0 for none."""
    version: int | None = await tx.fetchval("select version from situations where code = $1", code)
    return version or 0


async def save_document(tx: Tx, *, code: str, version: int, document: dict[str, Any], removed: bool, over_any: bool) -> bool:
    """Keep the document if no newer one is there, with `over_any` in any case; returns whether it was kept."""
    saved = await tx.fetchval(
        """
        insert into situations as kept (code, version, document, removed, received_at) values ($1, $2, $3, $4, $5)
        on conflict (code) do update
        set version = excluded.version, document = excluded.document, removed = excluded.removed, received_at = excluded.received_at
        where $6 or kept.version < excluded.version
        returning true
        """,
        code,
        version,
        document,
        removed,
        tx.now,
        over_any,
    )
    return saved is not None


async def delete_delivery_rows(tx: Tx, situation: str) -> None:
    """Delete what delivery holds of a removed situation; its register events stay, others still have to learn of the removal."""
    for table in ("outbox", "outbox_sequences", "inbox", "inbox_sequences", "parked"):
        await tx.execute(
            f"delete from {table} where situation = $1 and topic <> 'verification.situations'",  # noqa: S608 - our own names
            situation,
        )
    await tx.execute("delete from answered_requests where situation = $1", situation)
