"""Rows for tables that a service has not filled: of the right types, past the constraints, and with no other sense."""

from typing import Final

import asyncpg

_DESCRIBED: Final = """
    select attname as name, format_type(atttypid, null) as type, attnotnull and not atthasdef and attgenerated = '' as needed
    from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum
"""
_VALUES: Final = {
    "bigint": "1", "boolean": "true", "bytea": "sha256('x')", "bytea[]": "'{}'", "character varying": "'x'", "date": "current_date",
    "integer": "1", "jsonb": "'{}'", "smallint": "1", "text": "'x'", "text[]": "'{}'", "timestamp with time zone": "now()",
    "uuid": "gen_random_uuid()",
}  # fmt: skip
"""What a made-up row holds, by the type of the column."""
_MADE_UP: Final[dict[str, dict[str, str]]] = {
    "approvals": {"role": "'cochair_un'"},
    "child_links": {"other": "'y'"},
    "emergency_acknowledgements": {"role": "'cochair_un'", "holder_role": "'officer'", "subject": "$subject"},
    "ledgers": {"side": "'counts_a'"},
    "links": {"kind": "'duplicate'", "of_item": "'y'", "undone_by": "null"},
    "memberships": {"kind": "'victim'", "standing": "'verified'"},
    "net_postings": {"standing": "'verified'"},
    "parked": {"subject": "'x'", "event_id": "gen_random_uuid()", "event_type": "'x'"},
    "postings": {"standing": "'verified'"},
    "rebuilds": {"state": "'clearing'"},
    "submissions": {"product": "'annual'", "digest": "repeat('0', 64)"},
}
"""What it holds where the type is not enough."""


async def make_up(superuser: asyncpg.Connection, table: str, *, place: str | None, own: str, subject: str) -> None:
    """Give a table without a row of the own situation one, by `subject` where a column names somebody; `place` is its situation column."""
    where = "true" if place is None else f"{place} = '{own}'"
    if await superuser.fetchval(f"select exists (select from {table} where {where})"):  # noqa: S608
        return
    given: dict[str, str] = {}
    words = _MADE_UP.get(table.rpartition(".")[2], {})
    for column in await superuser.fetch(_DESCRIBED, table):
        name = column["name"]
        if name == place:
            given[name] = f"'{own}'"
        elif name in words:
            given[name] = words[name].replace("$subject", f"'{subject}'")
        elif name.endswith("_by") and column["type"] == "text":
            given[name] = f"'{subject}'"
        elif column["needed"]:
            given[name] = _VALUES[column["type"]]
    values = f"({', '.join(given)}) overriding system value values ({', '.join(given.values())})" if given else "default values"
    await superuser.execute("set session_replication_role = replica")  # no foreign keys, no triggers
    await superuser.execute(f"insert into {table} {values}")
    await superuser.execute("set session_replication_role = origin")
