"""Row-level security of a service's database: set up after its revisions, and looked at again by whoever serves from it.

The policies follow from the permission table, which the database holds as rows; `sql/row_security.sql` says how. They are no
revision, for they hold for every table there is and change with the table: `migrate` sets them up anew whenever anything differs.
What else keeps rows whole (`chassis.catalog`) must be what the migrations left, or nothing is served.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterable
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import asyncpg

from chassis import catalog
from chassis.storage import SYSTEM_ACTION
from contracts.permissions import table

ROLE: Final = "its database role could bypass row security"
CHANGED: Final = "row security is not as the migrations left it; run the migrations"
TRIGGERS_OFF: Final = "triggers are switched off for its sessions (session_replication_role)"
OUTDATED: Final = "its permission table is not the database's; run the migrations"
_TRIES: Final = 5
Row = tuple[str, str, str, str]


def permission_rows(service: str) -> list[Row]:
    """Return action, role, relation and state of every row of a service."""
    return sorted({(row.action, row.role, row.relation, row.state) for row in table() if row.service == service})


def source_of(service: str, app_role: str) -> str:
    """Return the SQL text that sets row-level security up: what all services share, then the service's own lines."""
    shared = (files("chassis") / "sql" / "row_security.sql").read_text(encoding="utf-8")
    return re.sub(r"(?<![:\w]):app\b", f'"{app_role}"', shared) + _own_lines(service)


def digest_of(service: str) -> str:
    """Return the digest of everything that the policies follow from."""
    rows = "\n".join("\t".join(row) for row in permission_rows(service))
    return hashlib.sha256(f"{source_of(service, 'app')}\0{rows}".encode()).hexdigest()


def altered(kinds: Iterable[str]) -> str:
    """Return why a database is refused in which more has changed than the migrations restore: by kinds, which are our own words."""
    what = ", ".join(sorted({kind.removesuffix(" on").removesuffix(" of") for kind in kinds}))
    return f"the database is not as the migrations left it ({what}); run the migrations, they name what differs"


async def set_up(connection: asyncpg.Connection, service: str, app_role: str, *, accept_changes: bool = False) -> None:
    """Set row-level security up for every table there is, all or nothing; harmless if it stands already. Needs the tables' owner.

    Raises ChangedDatabaseError, and does nothing, if more has changed than it sets up, unless that is accepted.
    """
    for left in reversed(range(_TRIES)):
        try:
            async with connection.transaction():
                await _set_up(connection, service, app_role, accept_changes=accept_changes)
        except asyncpg.DeadlockDetectedError:
            if not left:
                raise
            await asyncio.sleep(1)
        else:
            return


async def refuse_changes(connection: asyncpg.Connection, service: str) -> None:
    """Raise ChangedDatabaseError if more has changed since the last migration than `set_up` restores; asked before any revision runs."""
    async with connection.transaction():
        await _speak_as_system(connection)
        await _refuse_changes(connection, service)


async def keep_revision(connection: asyncpg.Connection) -> None:
    """Keep what a revision made of the database, in the revision's own transaction; `set_up` has its work to do from then on."""
    await _speak_as_system(connection)
    if await _is_set_up(connection):
        now = await connection.fetchval(catalog.LISTING)
        await connection.execute("update row_security_state set source = '', catalog = $1", now)


async def _set_up(connection: asyncpg.Connection, service: str, app_role: str, *, accept_changes: bool) -> None:
    await _speak_as_system(connection)
    digest = digest_of(service)
    if await _is_set_up(connection):
        state = await connection.fetchrow("select source, catalog from row_security_state")
        if state is not None and tuple(state) == (digest, await connection.fetchval(catalog.LISTING)):
            return
        if not accept_changes:
            await _refuse_changes(connection, service)
    await connection.execute(source_of(service, app_role))
    await connection.execute("delete from permission_rows")
    await connection.executemany(
        "insert into permission_rows (action, role, relation, state) values ($1, $2, $3, $4)", permission_rows(service)
    )
    await connection.execute(
        "insert into row_security_state (source, catalog) values ($1, $2)"
        " on conflict (singleton) do update set source = excluded.source, catalog = excluded.catalog",
        digest,
        await connection.fetchval(catalog.LISTING),
    )


async def _refuse_changes(connection: asyncpg.Connection, service: str) -> None:
    kept = await connection.fetchval("select catalog from row_security_state") if await _is_set_up(connection) else None
    if kept is None:
        return
    now = await connection.fetchval(catalog.LISTING)
    changes = catalog.beyond_restoring(catalog.changes_of(kept, now), source_of(service, "app"))
    if changes:
        raise catalog.ChangedDatabaseError(changes)


async def _is_set_up(connection: asyncpg.Connection) -> bool:
    return await connection.fetchval("select to_regclass('row_security_state')") is not None


async def find_hole(connection: asyncpg.Connection, service: str) -> str | None:
    """Return why rows would not be kept apart for this connection's role, None if they are. Runs in a transaction of the caller's."""
    await _speak_as_system(connection)
    if await connection.fetchval(_CAN_BYPASS):
        return ROLE
    if await connection.fetchval("select current_setting('session_replication_role') <> 'origin'"):
        return TRIGGERS_OFF
    hole = await _find_change(connection, service)
    if hole is None:
        kept = await connection.fetch("select action, role, relation, state from permission_rows")
        source = await connection.fetchval("select source from row_security_state")
        if sorted(tuple(row) for row in kept) != permission_rows(service) or source != digest_of(service):
            return OUTDATED
    return hole


async def _find_change(connection: asyncpg.Connection, service: str) -> str | None:
    """Return why the database is not as the migrations left it, None if it is."""
    if not await _is_set_up(connection):
        return CHANGED
    try:
        state = await connection.fetchrow(_STATE)
    except asyncpg.InternalServerError:  # a thing went while it was looked at; the next look tells
        return CHANGED
    if state is not None and state["now"] is None:
        return CHANGED if await connection.fetchval(_UNPROTECTED) else None
    changes = catalog.changes_of(state["catalog"], state["now"]) if state is not None else {}
    beyond = catalog.beyond_restoring(changes, source_of(service, "app"))
    return altered(kind for kind, _ in beyond) if beyond else CHANGED


async def _speak_as_system(connection: asyncpg.Connection) -> None:
    await connection.execute("select set_config('mrm.action', $1, true), set_config('search_path', 'public', true)", SYSTEM_ACTION)


def _own_lines(service: str) -> str:
    spec: Any = find_spec(service)
    if spec is None or spec.origin is None:
        return ""
    path = Path(spec.origin).parent / "migrations" / "row_security.sql"
    return path.read_text(encoding="utf-8") if path.exists() else ""


_OURS: Final = "nspname not like 'pg\\_%' and nspname <> 'information_schema'"
_CAN_BYPASS: Final = f"""
    select exists (
        select from pg_roles r where pg_has_role(current_user, r.oid, 'member') and (
            r.rolsuper or r.rolbypassrls or r.rolreplication
            or r.rolname in ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_write_all_data')
            or exists (select from pg_database d where d.datname = current_database() and d.datdba = r.oid)
            or exists (select from pg_namespace where nspowner = r.oid and {_OURS})
            or exists (select from pg_class c join pg_namespace n on n.oid = relnamespace where relowner = r.oid and {_OURS})
            or exists (select from pg_proc p join pg_namespace n on n.oid = pronamespace where proowner = r.oid and {_OURS})
        )
    )
"""  # noqa: S608 - our own words
_UNPROTECTED: Final = f"""
    select exists (
        select from pg_class c join pg_namespace n on n.oid = relnamespace
        where relkind in ('r', 'p') and {_OURS} and not (relrowsecurity and relforcerowsecurity)
    )
"""  # noqa: S608
_STATE: Final = f"""
    select case when now <> catalog then catalog end as catalog, case when now <> catalog then now end as now
    from row_security_state, (
        {catalog.LISTING}
    ) as listed (now)
"""  # noqa: S608
