"""SQL of the record: entries, the tree over them, and the checkpoints signed of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from asyncpg import Record

from chassis.audit.leaf import Entry
from chassis.audit.merkle import Node
from chassis.storage import Tx

_SEQUENCER_LOCK: Final = 0x6D726D5F61756474
"""Advisory lock of the database under which the tree grows."""
_ENTRY: Final = "e.id, e.at, e.actor, e.action, e.situation, e.subject_ref, e.detail, e.cause, e.salt, e.signed_by, e.signature"


@dataclass(frozen=True, slots=True)
class SignedEntry:
    """An entry as its row holds it."""

    entry: Entry
    signed_by: str
    signature: bytes


class Leaf(NamedTuple):
    """A leaf of the tree, with the row it stands for if there is one."""

    position: int
    entry_id: UUID
    hash: bytes
    signed: SignedEntry | None


class KeptCheckpoint(NamedTuple):
    """A signed checkpoint as its row holds it; `signature` is the service's over the row."""

    number: int
    size: int
    note: str
    at: datetime
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What of the record is wanted. `situations` holds codes; `installation` asks for the acts on the installation as well.

    `people` holds the names under which the record may know one person.
    """

    situations: Collection[str]
    installation: bool
    people: Collection[str] | None = None
    case: str | None = None
    since: datetime | None = None


async def add_entries(tx: Tx, rows: Sequence[SignedEntry]) -> None:
    """Insert entries in the order given and note that they have no place in the tree yet."""
    entries = [row.entry for row in rows]
    await tx.execute(
        """
        with written as (
            insert into audit_entries (id, at, actor, action, situation, subject_ref, detail, cause, salt, signed_by, signature)
            select * from unnest(
                $1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::uuid[], $9::bytea[],
                $10::text[], $11::bytea[]
            )
        )
        insert into audit_pending (entry) select * from unnest($1::uuid[])
        """,
        [entry.id for entry in entries],
        [entry.at for entry in entries],
        [entry.actor for entry in entries],
        [entry.action for entry in entries],
        [entry.situation for entry in entries],
        [entry.subject_ref for entry in entries],
        [entry.detail for entry in entries],
        [entry.cause for entry in entries],
        [entry.salt for entry in entries],
        [row.signed_by for row in rows],
        [row.signature for row in rows],
    )


async def try_lock(tx: Tx) -> bool:
    """Become the one who lets the tree grow until the transaction ends; False if somebody else is."""
    return bool(await tx.fetchval("select pg_try_advisory_xact_lock($1)", _SEQUENCER_LOCK))


async def lock(tx: Tx) -> None:
    """Wait to become the one who lets the tree grow until the transaction ends."""
    await tx.execute("select pg_advisory_xact_lock($1)", _SEQUENCER_LOCK)


async def get_log_id(tx: Tx) -> UUID:
    """Return the record's own name."""
    found: UUID = await tx.fetchval("select id from audit_log")
    return found


async def get_size(tx: Tx) -> int:
    """Return how many leaves the tree has."""
    return int(await tx.fetchval("select coalesce(max(position) + 1, 0) from audit_leaves"))


async def list_pending(tx: Tx, service: str, *, without: Collection[UUID], limit: int) -> list[SignedEntry]:
    """Return entries that have no place in the tree yet, in the order of their writing."""
    rows = await tx.fetch(
        f"""
        select {_ENTRY} from audit_pending p join audit_entries e on e.id = p.entry
        where e.id <> all($1::uuid[]) order by p.place limit $2
        """,  # noqa: S608 - a constant list of columns
        list(without),
        limit,
    )
    return [_signed(row, service) for row in rows]


async def add_leaves(tx: Tx, first: int, leaves: Sequence[tuple[UUID, bytes]]) -> None:
    """Give entries their places from `first` on; they are pending no more."""
    ids = [entry for entry, _ in leaves]
    await tx.execute(
        """
        insert into audit_leaves (position, entry, hash)
        select $1::bigint + place - 1, entry, hash from unnest($2::uuid[], $3::bytea[]) with ordinality as new (entry, hash, place)
        """,
        first,
        ids,
        [hashed for _, hashed in leaves],
    )
    await tx.execute("delete from audit_pending where entry = any($1::uuid[])", ids)


async def add_nodes(tx: Tx, nodes: Sequence[tuple[Node, bytes]]) -> None:
    """Insert subtrees that have become full."""
    await tx.execute(
        "insert into audit_nodes (level, position, hash) select * from unnest($1::smallint[], $2::bigint[], $3::bytea[])",
        [node.level for node, _ in nodes],
        [node.position for node, _ in nodes],
        [hashed for _, hashed in nodes],
    )


async def get_nodes(tx: Tx, nodes: Collection[Node]) -> dict[Node, bytes]:
    """Return the hashes of full subtrees, leaves among them; what is not there is left out."""
    leaves = [node.position for node in nodes if node.level == 0]
    inner = [node for node in nodes if node.level > 0]
    rows = await tx.fetch(
        """
        select 0::smallint as level, position, hash from audit_leaves where position = any($1::bigint[])
        union all
        select level, position, hash from audit_nodes join unnest($2::smallint[], $3::bigint[]) as wanted (level, position)
            using (level, position)
        """,
        leaves,
        [node.level for node in inner],
        [node.position for node in inner],
    )
    return {Node(row["level"], row["position"]): row["hash"] for row in rows}


async def find_checkpoint(tx: Tx) -> KeptCheckpoint | None:
    """Return the newest checkpoint."""
    row = await tx.fetchrow("select number, size, note, at, signature from audit_checkpoints order by number desc limit 1")
    return None if row is None else KeptCheckpoint(*row)


async def add_checkpoint(tx: Tx, kept: KeptCheckpoint) -> None:
    """Keep a signed checkpoint."""
    await tx.execute("insert into audit_checkpoints (number, size, note, at, signature) values ($1, $2, $3, $4, $5)", *kept)


async def list_checkpoints(tx: Tx, *, after: int, limit: int) -> list[KeptCheckpoint]:
    """Return checkpoints with numbers above `after`, in order."""
    rows = await tx.fetch(
        "select number, size, note, at, signature from audit_checkpoints where number > $1 order by number limit $2", after, limit
    )
    return [KeptCheckpoint(*row) for row in rows]


async def list_leaves(tx: Tx, service: str, *, first: int, limit: int) -> list[Leaf]:
    """Return leaves from a position on, each with its row."""
    rows = await tx.fetch(
        f"""
        select l.position, l.entry, l.hash, {_ENTRY} from audit_leaves l left join audit_entries e on e.id = l.entry
        where l.position >= $1 order by l.position limit $2
        """,  # noqa: S608 - a constant list of columns
        first,
        limit,
    )
    return [Leaf(row["position"], row["entry"], row["hash"], None if row["id"] is None else _signed(row, service)) for row in rows]


async def list_nodes(tx: Tx, *, first: int, end: int) -> dict[Node, bytes]:
    """Return the subtrees above the leaves that became full with the leaves of `first` up to, but not including, `end`."""
    rows = await tx.fetch(
        """
        select n.level, n.position, n.hash from generate_series(1, 62) as of_level (level)
        join audit_nodes n on n.level = of_level.level
            and n.position >= ($1::bigint >> of_level.level) and n.position < ($2::bigint >> of_level.level)
        """,
        first,
        end,
    )
    return {Node(row["level"], row["position"]): row["hash"] for row in rows}


async def count_astray(tx: Tx) -> int:
    """Return how many notes of entries without a place name no entry, or one that has its place."""
    return int(
        await tx.fetchval(
            """
            select count(*) from audit_pending p
            where not exists (select from audit_entries e where e.id = p.entry)
                or exists (select from audit_leaves l where l.entry = p.entry)
            """
        )
    )


async def count_nodes(tx: Tx) -> int:
    """Return how many subtrees above the leaves are stored."""
    return int(await tx.fetchval("select count(*) from audit_nodes"))


async def list_outside(tx: Tx, service: str) -> list[tuple[SignedEntry, bool]]:
    """Return the entries that have no leaf, each with whether it is waiting for one."""
    rows = await tx.fetch(
        f"""
        select {_ENTRY}, exists (select from audit_pending p where p.entry = e.id) as pending
        from audit_entries e where not exists (select from audit_leaves l where l.entry = e.id)
        """  # noqa: S608 - a constant list of columns
    )
    return [(_signed(row, service), row["pending"]) for row in rows]


async def find_position(tx: Tx, entry_id: UUID) -> int | None:
    """Return where an entry stands in the tree."""
    return await tx.fetchval("select position from audit_leaves where entry = $1", entry_id)  # type: ignore[no-any-return]


async def search(tx: Tx, service: str, wanted: Search, *, before: int | None, limit: int) -> list[tuple[int, Entry]]:
    """Return entries that have a place in the tree below `before`, newest first."""
    rows = await tx.fetch(
        f"""
        select l.position, {_ENTRY} from audit_leaves l join audit_entries e on e.id = l.entry
        where (e.situation = any($1::text[]) or ($2 and e.situation is null))
            and ($3::text[] is null or e.actor = any($3))
            and ($4::text is null or e.subject_ref = $4 or starts_with(e.subject_ref, $4 || '/'))
            and ($5::timestamptz is null or e.at >= $5)
            and ($6::bigint is null or l.position < $6)
        order by l.position desc limit $7
        """,  # noqa: S608 - a constant list of columns
        list(wanted.situations),
        wanted.installation,
        None if wanted.people is None else list(wanted.people),
        wanted.case,
        wanted.since,
        before,
        limit,
    )
    return [(row["position"], _signed(row, service).entry) for row in rows]


def _signed(row: Record, service: str) -> SignedEntry:
    entry = Entry(
        service=service,
        id=row["id"],
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        situation=row["situation"],
        subject_ref=row["subject_ref"],
        detail=row["detail"],
        cause=row["cause"],
        salt=row["salt"],
    )
    return SignedEntry(entry, row["signed_by"], row["signature"])
