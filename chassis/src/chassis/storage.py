"""The service's ledger: a pool of connections and the one kind of transaction in which anything is changed."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar, cast
from uuid import UUID, uuid4, uuid5

import asyncpg

from chassis.errors import Unavailable
from contracts.events import Event

RETRY_AFTER_SECONDS: Final = 5
ACQUIRE_SECONDS: Final = 10.0
_TRANSIENT: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,  # a closed connection; but see is_transient
    asyncpg.InternalClientError,  # a connection that the server is just ending
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,  # serialization failures and deadlocks
    asyncpg.LockNotAvailableError,
    ConnectionError,
    TimeoutError,
)


def is_transient(error: BaseException) -> bool:
    """Say whether the same may succeed later without anything being changed: the server is away, busy or gave up for others' sake."""
    wrong_argument = isinstance(error, ValueError)  # asyncpg makes it an InterfaceError too
    return isinstance(error, (*_TRANSIENT, Unavailable)) and not wrong_argument


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act: who did what to which object. `detail` holds codes and ids only, never personal data."""

    actor: str
    action: str
    situation: str | None
    subject_ref: str | None
    detail: dict[str, Any]
    cause: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """An event that leaves with the transaction. `subject` is its key on the topic and the scope of its sequence."""

    event_id: UUID
    event: Event
    subject: str
    new: bool = False
    """Whether nobody can have made this event before: its cause was made with its transaction."""


@dataclass(frozen=True, slots=True)
class RowScope:
    """What row-level security knows of a transaction: who acts (as the service's rows name them), at which action, with which roles."""

    action: str
    subject: str
    grants: frozenset[tuple[str, str]] = frozenset()
    """(situation, role) pairs."""
    device: UUID | None = None
    """The field device that acts for the subject; None where the subject acts."""


class Acting(Protocol):
    """For whom a transaction runs: a person at one action of the permission table, or the service itself."""

    @property
    def subject(self) -> str:
        """The name in the record of acts."""

    @property
    def row_scope(self) -> RowScope:
        """Which rows the transaction may see and change."""


@dataclass(frozen=True, slots=True)
class System:
    """The service acting by itself, on all rows: handlers, jobs, start-up. `subject` names it in the record."""

    subject: str = "system"

    @property
    def row_scope(self) -> RowScope:
        """All rows."""
        return RowScope(action=SYSTEM_ACTION, subject=self.subject)


SYSTEM_ACTION: Final = "system"
"""Stands where a person's action stands; the permission table's actions have a dot, so it is none of them."""
SYSTEM: Final = System()


class Outbox(Protocol):
    """Puts a transaction's events, sealed, into the outbox table; `wake` is called after the commit."""

    async def enqueue(self, tx: "Tx", pending: Sequence[PendingEvent]) -> None:
        """Number, seal and insert the events, all in one go."""

    def wake(self) -> None:
        """Tell the relay that there is something to send."""


class Recorder(Protocol):
    """Writes a transaction's audit entries into the record of acts."""

    async def record(self, tx: "Tx", entries: Sequence[AuditEntry]) -> None:
        """Sign and insert the entries, all in one go; raises rather than leave one out."""


class Unit(Protocol):
    """What a service collects in a transaction, to be written all at once: before the commit and at both ends of a savepoint."""

    async def write(self, tx: "Tx") -> None:
        """Write what was collected since the last time; raises what a handler would (Rejected)."""


U = TypeVar("U", bound=Unit)


class Tx:
    """A named transaction. Audit entries, events and units are buffered and written, batched, just before the commit."""

    def __init__(
        self, connection: asyncpg.Connection, *, name: str, actor: str, cause: UUID | None = None, recorder: Recorder | None = None
    ) -> None:
        self.connection = connection
        self._recorder = recorder
        self.name = name
        self.cause = cause or uuid4()
        """The event or request that made this transaction; ids of consequences are UUIDv5 of it."""
        self._own_cause = self.cause if cause is None else None
        self.actor = actor
        self.received: bytes | None = None
        """The message that is being handled, as it came: still sealed; None outside a handler."""
        self.now = datetime.now(UTC)
        """The one instant of this transaction (UTC)."""
        self._pending: list[PendingEvent] = []
        self._audit: list[AuditEntry] = []
        self._units: dict[type[Unit], Unit] = {}
        self._ordinal = 0
        self._leaves = False
        self._after_commit: list[Callable[[], None]] = []

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:  # noqa: ANN401 - whatever Postgres takes
        """Return all rows."""
        rows: list[asyncpg.Record] = await self.connection.fetch(sql, *args)
        return rows

    async def fetchrow(self, sql: str, *args: Any) -> asyncpg.Record | None:  # noqa: ANN401
        """Return the first row or None."""
        return await self.connection.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:  # noqa: ANN401
        """Return the first column of the first row or None."""
        return await self.connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:  # noqa: ANN401
        """Run one statement and return its command tag."""
        return await self.connection.execute(sql, *args)

    async def executemany(self, sql: str, args: Sequence[Sequence[Any]]) -> None:
        """Run one statement for every row of arguments."""
        await self.connection.executemany(sql, args)

    def derived_id(self, name: str) -> UUID:
        """Return an id that is the same whenever the same cause is handled again."""
        return uuid5(self.cause, name)

    def publish(self, event: Event, *, subject: str) -> UUID:
        """Let an event leave with this transaction; returns its id, derived from the cause and its place among the cause's events."""
        self._ordinal += 1
        event_id = self.derived_id(f"{event.type}/{subject}/{self._ordinal}")
        self._pending.append(PendingEvent(event_id=event_id, event=event, subject=subject, new=self.cause == self._own_cause))
        return event_id

    def audit(
        self,
        action: str,
        *,
        situation: str | None,
        subject_ref: str | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Record the act in the same transaction: no entry, no act. Without a situation it is an act on the installation.

        `subject_ref` is the object's id, below its case where it belongs to one (`<incident>/<key>`); `detail` holds texts, whole
        numbers, booleans and nulls, in lists and objects: codes and ids, never personal data.
        """
        entry = AuditEntry(
            actor=self.actor, action=action, situation=situation, subject_ref=subject_ref, detail=detail or {}, cause=self.cause
        )
        self._audit.append(entry)

    def unit(self, kind: type[U]) -> U:
        """Return this transaction's one unit of a kind, made without arguments when it is first asked for."""
        unit = self._units.setdefault(kind, kind())
        return cast("U", unit)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call something once the transaction has committed (never if it has not)."""
        self._after_commit.append(call)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo everything since here, buffers included, if the block raises; the error goes on."""
        await self._write_units()
        marks = len(self._pending), len(self._audit), len(self._after_commit), self._ordinal
        try:
            async with self.connection.transaction():
                yield
                await self._write_units()
        except BaseException:
            self._units.clear()
            del self._pending[marks[0] :], self._audit[marks[1] :], self._after_commit[marks[2] :]
            self._ordinal = marks[3]
            raise

    @asynccontextmanager
    async def caused_by(self, cause: UUID, *, received: bytes | None = None) -> AsyncIterator[None]:
        """Run a part of a batch on behalf of one event, given with its message as it came: derived ids start from it."""
        before = self.cause, self._ordinal, self.received
        self.cause, self._ordinal, self.received = cause, 0, received
        try:
            yield
        finally:
            self.cause, self._ordinal, self.received = before

    async def flush(self, outbox: Outbox | None) -> bool:
        """Write the units, then the buffered audit entries and events; returns whether any event has left in this transaction.

        `Database.transaction` calls it before the commit; delivery also calls it earlier, to know whose events cannot leave.
        """
        await self._write_units()
        audit, self._audit = self._audit, []
        pending, self._pending = self._pending, []
        if audit:
            if self._recorder is None:
                raise RuntimeError("this process has no record of acts")
            await self._recorder.record(self, audit)
        if pending:
            if outbox is None:
                raise RuntimeError("this process has no outbox")
            await outbox.enqueue(self, pending)
        self._leaves = self._leaves or bool(pending)
        return self._leaves

    async def _write_units(self) -> None:
        for unit in list(self._units.values()):
            await unit.write(self)

    def committed(self) -> None:
        """Run what waited for the commit."""
        for call in self._after_commit:
            call()


class Database:
    """A pool on one service's own database. jsonb travels as Python objects. A server that is away raises Unavailable."""

    def __init__(self, url: str, *, min_size: int = 1, max_size: int = 8) -> None:
        self._url = url
        self._sizes = min_size, max_size
        self._pool: asyncpg.Pool | None = None
        self._apart: asyncpg.Pool | None = None
        self._refusal: str | None = None
        self.outbox: Outbox | None = None
        self.recorder: Recorder | None = None

    async def open(self, look: "Look | None" = None) -> None:
        """Connect, and have somebody look before anybody else gets a connection; raises asyncpg's or OS errors if the server is away."""
        pool = await asyncpg.create_pool(
            self._url, min_size=self._sizes[0], max_size=self._sizes[1], init=_speak_json, command_timeout=60, timeout=10
        )
        if look is not None:
            async with pool.acquire() as connection, connection.transaction(readonly=True):
                self._refusal = await look(cast("asyncpg.Connection", connection))
        self._pool = pool
        self._apart = await asyncpg.create_pool(self._url, min_size=0, max_size=1, init=_speak_json, command_timeout=60, timeout=10)

    async def close(self) -> None:
        """Wait for running statements, then close the pools."""
        pools, self._pool, self._apart = (self._pool, self._apart), None, None
        for pool in pools:
            if pool is not None:
                await pool.close()

    async def connect(self) -> asyncpg.Connection:
        """Open a connection outside the pool for the service itself, for a lock that lives as long as it; the caller closes it."""
        if self._refusal is not None:
            raise Unavailable(RETRY_AFTER_SECONDS)
        connection: asyncpg.Connection = await asyncpg.connect(
            self._url, command_timeout=60, timeout=10, server_settings={"mrm.action": SYSTEM_ACTION}
        )
        await _speak_json(connection)
        return connection

    async def examine(self, look: "Look") -> str | None:
        """Have somebody look at the database; while they find a reason against it, it is unavailable to everybody else."""
        async with self._connection(examining=True) as connection, connection.transaction(readonly=True):
            self._refusal = await look(connection)
        return self._refusal

    @property
    def pool(self) -> asyncpg.Pool:
        """The open pool; raises Unavailable while there is none."""
        if self._pool is None:
            raise Unavailable(RETRY_AFTER_SECONDS)
        return self._pool

    @asynccontextmanager
    async def transaction(self, name: str, *, by: Acting, cause: UUID | None = None) -> AsyncIterator[Tx]:
        """Run a named read-committed transaction: commit with its audit entries and outbox rows together, or nothing at all."""
        async with self._connection() as connection:
            tx = Tx(connection, name=name, cause=cause, actor=by.subject, recorder=self.recorder)
            async with connection.transaction():
                await _limit_rows(connection, by.row_scope)
                yield tx
                leaves = await tx.flush(self.outbox)
        tx.committed()
        if leaves and self.outbox is not None:
            self.outbox.wake()

    @asynccontextmanager
    async def reading(self, name: str, *, by: Acting) -> AsyncIterator[Tx]:
        """Run a read-only, repeatable-read transaction: one consistent picture for a whole answer."""
        async with self._connection() as connection:
            tx = Tx(connection, name=name, actor=by.subject)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await _limit_rows(connection, by.row_scope)
                yield tx

    @asynccontextmanager
    async def reading_apart(self, name: str) -> AsyncIterator[Tx]:
        """Run the service's own reading transaction on a connection kept for such readings, one at a time.

        This is for what is read while another transaction is open: if that took a second connection of the pool, as many transactions
        as the pool has connections would wait for one another.
        """
        async with self._connection(apart=True) as connection:
            tx = Tx(connection, name=name, actor=SYSTEM.subject)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await _limit_rows(connection, SYSTEM.row_scope)
                yield tx

    @asynccontextmanager
    async def _connection(self, *, apart: bool = False, examining: bool = False) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection of the pool and say Unavailable for every sign that the server is away."""
        pool = self._apart if apart else self.pool
        if pool is None or (self._refusal is not None and not examining):
            raise Unavailable(RETRY_AFTER_SECONDS)
        try:
            connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
        except (*_TRANSIENT, OSError):
            raise Unavailable(RETRY_AFTER_SECONDS) from None
        try:
            yield cast("asyncpg.Connection", connection)  # what a pool lends is a proxy with the same interface
        except Exception as error:
            if is_transient(error) and not isinstance(error, Unavailable):
                raise Unavailable(RETRY_AFTER_SECONDS) from error
            raise
        finally:
            with suppress(*_TRANSIENT, OSError):
                await pool.release(connection, timeout=ACQUIRE_SECONDS)


Look = Callable[[asyncpg.Connection], Awaitable[str | None]]
"""Looks at a database in a transaction of its own and returns a reason not to work on it."""
Handler = Callable[[Any, Tx], Awaitable[None]]
"""What a service does with one event inside the batch's transaction."""


async def _limit_rows(connection: asyncpg.Connection, scope: RowScope) -> None:
    """Tell row-level security for whom this transaction runs; the settings end with it."""
    grants = _encode(sorted(scope.grants))
    await connection.execute(
        "select set_config('mrm.action', $1, true), set_config('mrm.subject', $2, true), set_config('mrm.grants', $3, true), "
        "set_config('mrm.device', $4, true)",
        scope.action,
        scope.subject,
        grants,
        "" if scope.device is None else str(scope.device),
    )


async def _speak_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=_encode, decoder=json.loads, schema="pg_catalog")


_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
