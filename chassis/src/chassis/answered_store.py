"""SQL of the answers that are remembered for callers who lose them (`chassis.http.once`)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chassis.storage import Tx

REMEMBERED: Final = timedelta(days=14)
"""How long an answer can be had again; a client has long given up by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRequest:
    """A request that was answered: the digest of what was sent, and the answer as it went out."""

    digest: bytes
    status: int
    answer: str


async def claim(tx: Tx, *, request: bytes, digest: bytes, situation: str | None) -> bool:
    """Take a request for this transaction; waits for another one that has taken it and returns False if that one committed."""
    taken = await tx.fetchval(
        """
        insert into answered_requests (request, digest, situation, at) values ($1, $2, $3, $4)
        on conflict (request) do nothing
        returning true
        """,
        request,
        digest,
        situation,
        tx.now,
    )
    return taken is not None


async def find_answer(tx: Tx, request: bytes) -> AnsweredRequest | None:
    """Return the remembered answer to a request."""
    row = await tx.fetchrow("select digest, status, answer from answered_requests where request = $1", request)
    return None if row is None else AnsweredRequest(**dict(row))


async def save_answer(tx: Tx, *, request: bytes, status: int, answer: str) -> None:
    """Write the answer to a request that this transaction has claimed."""
    await tx.execute("update answered_requests set status = $2, answer = $3 where request = $1", request, status, answer)


async def delete_old(tx: Tx) -> None:
    """Forget answers whose time is over."""
    await tx.execute("delete from answered_requests where at < $1", tx.now - REMEMBERED)
