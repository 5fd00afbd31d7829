"""SQL of a situation's ledger: its lock, its recording order and its counters."""

from dataclasses import dataclass

from chassis.storage import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """How much a situation has recorded. `facts` is the position that aggregation reaches when it has counted everything."""

    incidents: int
    revisions: int
    refused: int
    facts: int


async def add_ledger(tx: Tx, situation: str, *, scratch: bool) -> None:
    """Open the ledger of a new situation."""
    await tx.execute("insert into ledgers (situation, scratch) values ($1, $2)", situation, scratch)


async def lock_ledger(tx: Tx, situation: str) -> bool | None:
    """Make this transaction the situation's only writer; returns whether it is a scratch one, None if there is no such ledger."""
    scratch: bool | None = await tx.fetchval("select scratch from ledgers where situation = $1 for update", situation)
    return scratch


async def lock_new(tx: Tx, situation: str) -> None:
    """Make this transaction the only one that registers this situation, whether it exists or not."""
    await tx.execute("select pg_advisory_xact_lock(hashtextextended('situation/' || $1, 0))", situation)


async def advance(
    tx: Tx, situation: str, *, recorded: int = 0, facts: int = 0, incidents: int = 0, revisions: int = 0, refused: int = 0
) -> int | None:
    """Count what is about to be recorded and return the first number of the recording order given for it.

    Locks the ledger until the commit, so numbers are in the order of commits. None if there is no such ledger.
    """
    last: int | None = await tx.fetchval(
        """
        update ledgers set recorded = recorded + $2, facts = facts + $3, incidents = incidents + $4, revisions = revisions + $5,
            refused = refused + $6
        where situation = $1 returning recorded
        """,
        situation,
        recorded,
        facts,
        incidents,
        revisions,
        refused,
    )
    return None if last is None else last - recorded + 1


async def get_counters(tx: Tx, situation: str) -> Counters:
    """Return the counters; all 0 without a ledger."""
    row = await tx.fetchrow("select incidents, revisions, refused, facts from ledgers where situation = $1", situation)
    if row is None:
        return Counters(incidents=0, revisions=0, refused=0, facts=0)
    return Counters(incidents=row["incidents"], revisions=row["revisions"], refused=row["refused"], facts=row["facts"])


async def remove_scratch_situation(tx: Tx, situation: str) -> None:
    """Delete every row of a scratch situation; the database refuses it for any other."""
    await tx.execute("select remove_scratch_situation($1)", situation)


async def claim_pseudonym_secret(tx: Tx, fingerprint: bytes) -> bool:
    """Tell whether this database is filled under this secret; the first one to claim an empty database has it."""
    await tx.execute("insert into pseudonym_secret (fingerprint) values ($1) on conflict do nothing", fingerprint)
    kept: bytes = await tx.fetchval("select fingerprint from pseudonym_secret")
    return kept == fingerprint
