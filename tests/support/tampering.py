"""Random edits of a record's tables by one who may do anything in the database but holds no key of the service."""

# ruff: noqa: S608 - names of tables and columns come from the lists below

import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from chassis.audit.leaf import Entry, sign_leaf
from chassis.audit.merkle import GrowingTree
from chassis.sealing.keys import generate_signing_key

TABLES = ("audit_log", "audit_entries", "audit_pending", "audit_leaves", "audit_nodes", "audit_checkpoints")
COLUMNS = {
    "audit_log": ("id",),
    "audit_entries": (
        "id",
        "at",
        "actor",
        "action",
        "situation",
        "subject_ref",
        "detail",
        "cause",
        "salt",
        "signed_by",
        "signature",
    ),
    "audit_pending": ("entry",),  # their order is nobody's statement: it is made when they get their places
    "audit_leaves": ("position", "entry", "hash"),
    "audit_nodes": ("level", "position", "hash"),
    "audit_checkpoints": ("number", "size", "note", "at", "signature"),
}
Edit = Callable[[asyncpg.Connection, Random], Awaitable[str]]


async def picture(connection: asyncpg.Connection) -> str:
    """Return a digest of everything in the tables, for knowing whether an edit changed anything."""
    parts = [
        await connection.fetchval(f"select coalesce(string_agg(t::text, ';' order by t::text), '') from {table} t") for table in TABLES
    ]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


async def rows_of(connection: asyncpg.Connection, table: str, random: Random, count: int) -> list[asyncpg.Record]:
    rows = await connection.fetch(f"select ctid::text, * from {table} order by 1")
    return random.sample(rows, min(count, len(rows)))


def another(value: Any, random: Random) -> Any:  # noqa: PLR0911 - one for each kind
    """Return a value of the same kind that is (nearly always) another."""
    match value:
        case None:
            return "X"
        case bool():
            return not value
        case int():
            return random.choice([value + 1, max(value - 1, 0), value + random.randrange(1, 50), 2**40 + value])
        case str() if value.startswith("{"):
            document = json.loads(value)
            return random.choice(
                [json.dumps({**document, "n": 99}), json.dumps({**document, "n": 1.5}), "{}", "[]", json.dumps({**document, "x": None})]
            )
        case str():
            place = random.randrange(len(value) + 1)
            return random.choice([value[:place] + "x" + value[place:], value[:-1], "", value.swapcase(), value + "\n"])
        case bytes():
            flipped = bytearray(value)
            flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
            return random.choice([bytes(flipped), bytes(len(value)), value[:-1]])
        case UUID():
            return uuid4()
        case _:
            return value + timedelta(microseconds=random.choice([-1, 1, 10**6, -(10**12)]))


async def edit_value(connection: asyncpg.Connection, random: Random) -> str:
    table = random.choice(TABLES)
    column = random.choice(COLUMNS[table])
    rows = await rows_of(connection, table, random, 1)
    for row in rows:
        nullable = table == "audit_entries" and column in ("situation", "subject_ref")
        value = None if nullable and random.random() < 0.3 else another(row[column], random)
        await connection.execute(f"update {table} set {column} = $1 where ctid = $2::text::tid", value, row["ctid"])
    return f"edit {table}.{column}"


async def delete_rows(connection: asyncpg.Connection, random: Random) -> str:
    table = random.choice(TABLES)
    rows = await rows_of(connection, table, random, random.choice([1, 1, 1, 3]))
    await connection.execute(f"delete from {table} where ctid = any($1::text[]::tid[])", [row["ctid"] for row in rows])
    return f"delete {len(rows)} of {table}"


async def truncate(connection: asyncpg.Connection, random: Random) -> str:
    table = random.choice(TABLES)
    await connection.execute(f"truncate {table} cascade")
    return f"truncate {table}"


async def insert_copy(connection: asyncpg.Connection, random: Random) -> str:
    table = random.choice(["audit_entries", "audit_entries", "audit_leaves", "audit_nodes", "audit_checkpoints", "audit_pending"])
    rows = await rows_of(connection, table, random, 1)
    fresh: dict[str, Any] = {
        "audit_entries": {"id": uuid4()},
        "audit_leaves": {"position": await connection.fetchval("select max(position) + 1 from audit_leaves"), "entry": uuid4()},
        "audit_nodes": {"position": random.randrange(1000)},
        "audit_checkpoints": {"number": random.randrange(1, 20), "size": random.randrange(1, 200)},
        "audit_pending": {"place": random.randrange(10**6), "entry": uuid4()},
    }[table]
    names = [name for name in rows[0].keys() if name != "ctid"]  # noqa: SIM118 - a record iterates over its values
    values = [fresh.get(name, rows[0][name]) for name in names]
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    await connection.execute(f"insert into {table} ({', '.join(names)}) overriding system value values ({places})", *values)
    if table == "audit_entries" and random.random() < 0.5:
        await connection.execute("insert into audit_pending (entry) values ($1)", fresh["id"])
    return f"insert into {table}"


async def swap_values(connection: asyncpg.Connection, random: Random) -> str:
    """Exchange some or all columns of two rows: the same acts in another order, or each other's persons."""
    table = random.choice([table for table in TABLES if table not in ("audit_log", "audit_pending")])
    rows = await rows_of(connection, table, random, 2)
    if len(rows) < 2:
        return "nothing to swap"
    columns = COLUMNS[table][1:] if random.random() < 0.5 else (random.choice(COLUMNS[table]),)
    await connection.execute(f"delete from {table} where ctid = any($1::text[]::tid[])", [row["ctid"] for row in rows])
    names = [name for name in rows[0].keys() if name != "ctid"]  # noqa: SIM118
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    for row, giver in ((rows[0], rows[1]), (rows[1], rows[0])):
        values = [giver[name] if name in columns else row[name] for name in names]
        await connection.execute(f"insert into {table} ({', '.join(names)}) overriding system value values ({places})", *values)
    return f"swap {', '.join(columns)} of {table}"


async def set_back(connection: asyncpg.Connection, random: Random) -> str:
    """Restore the whole database as it was when the record was shorter, leaving nothing that contradicts itself."""
    size = await connection.fetchval("select max(position) + 1 from audit_leaves")
    kept = random.randrange(size)
    await connection.execute(
        "delete from audit_entries e where not exists (select from audit_leaves l where l.entry = e.id and position < $1)", kept
    )
    await connection.execute("truncate audit_pending")
    await connection.execute("delete from audit_leaves where position >= $1", kept)
    await connection.execute("delete from audit_nodes where ((position + 1) << level) > $1", kept)
    await connection.execute("delete from audit_checkpoints where size > $1", kept)
    return f"set back to {kept}"


async def rewrite(connection: asyncpg.Connection, random: Random) -> str:
    """Change an act, or put a new one among the old, and build the tree over it anew: all that can be done without a key."""
    stranger = generate_signing_key("intake")
    leaves = await connection.fetch("select position, entry, hash from audit_leaves order by position")
    target = random.choice(leaves)
    row = dict(await connection.fetchrow("select * from audit_entries where id = $1", target["entry"]))
    row |= {"actor": "somebody else", "detail": json.loads(row["detail"]), "service": "intake"}
    signature, signed_by = row.pop("signature"), row.pop("signed_by")
    hashed = Entry(**row).leaf_hash()
    if random.random() < 0.5:
        signature, signed_by = sign_leaf(hashed, stranger), random.choice([stranger.id, signed_by])
    await connection.execute(
        "update audit_entries set actor = 'somebody else', signature = $2, signed_by = $3 where id = $1", row["id"], signature, signed_by
    )
    await connection.execute("update audit_leaves set hash = $2 where entry = $1", row["id"], hashed)
    await connection.execute("truncate audit_nodes")
    if random.random() < 0.5:
        await connection.execute("delete from audit_checkpoints where size > $1", target["position"])
    tree = GrowingTree()
    for leaf in leaves:
        for node, made in tree.append(hashed if leaf["entry"] == target["entry"] else leaf["hash"]):
            await connection.execute("insert into audit_nodes values ($1, $2, $3)", node.level, node.position, made)
    return f"rewrite position {target['position']}"


EDITS: tuple[Edit, ...] = (
    edit_value,
    edit_value,
    edit_value,
    delete_rows,
    truncate,
    insert_copy,
    swap_values,
    swap_values,
    set_back,
    rewrite,
)
