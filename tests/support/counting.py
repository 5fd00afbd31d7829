"""The counting part of aggregation on a real database: coded events in, answers out, without transport and edge."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from aggregation import answers
from aggregation.domain.contributors import Drill
from aggregation.domain.questions import question_for
from aggregation.domain.tables import TABLES
from aggregation.handlers import Handlers
from aggregation.store import ledger
from aggregation.store.ledger import Reading
from chassis.register import Register
from chassis.storage import SYSTEM, Database
from contracts.events import Event
from contracts.situation import Situation
from local_stack.postgres import PostgresServer
from support.databases import migrated_database
from support.exchange_events import Coder, coder_for, in_situation


@dataclass
class House:
    """Handlers and tables on one database. Every loaded file gets a situation of its own."""

    database: Database
    register: Register
    handlers: Handlers
    loaded: int = 0
    positions: dict[str, list[int]] = field(default_factory=dict)

    async def add_situation(self, draft: dict[str, Any], *, version: int = 1) -> str:
        document = Situation.model_validate({**draft, "recipients": {}, "version": version}, strict=False)
        async with self.database.transaction("register", by=SYSTEM) as tx:
            await self.register.save(tx, document)
        return document.code

    async def new_situation(self, draft: dict[str, Any]) -> Coder:
        code = f"X{uuid4().hex[:10]}"
        await self.add_situation({**draft, "code": code})
        return coder_for(code)

    async def apply(self, events: Iterable[Event], *, ids: Callable[[Event], UUID] = lambda _: uuid4()) -> None:
        """Apply events in one transaction, a savepoint each, as the consumer does with a batch in which one was rejected."""
        by_event = self.handlers.by_event()
        async with self.database.transaction("apply", by=SYSTEM) as tx:
            for event in events:
                async with tx.caused_by(ids(event)), tx.savepoint():
                    await by_event[type(event)](event, tx)

    async def apply_together(self, events: Iterable[Event], *, ids: Callable[[Event], UUID] = lambda _: uuid4()) -> None:
        """Apply events in one transaction and as one batch, as the consumer does."""
        by_event = self.handlers.by_event()
        async with self.database.transaction("apply_together", by=SYSTEM) as tx:
            for event in events:
                async with tx.caused_by(ids(event)):
                    await by_event[type(event)](event, tx)

    async def load(self, document: dict[str, Any]) -> tuple[Coder, list[int]]:
        """Put a file through; returns its coder and the position after each step."""
        coder = await self.new_situation(in_situation(document, "unused"))
        reached = []
        for step in document["steps"]:
            await self.apply(coder.step(step))
            reached.append((await self.now(coder.names.situation)).position)
        return coder, reached

    async def now(self, situation: str) -> ledger.Moment:
        async with self.database.reading("now", by=SYSTEM) as tx:
            return await ledger.get_now(tx, situation)

    async def ask(
        self,
        situation: str,
        table: str,
        start: str,
        end: str,
        *,
        params: dict[str, str] | None = None,
        position: int | None = None,
        reading: Reading | None = None,
    ) -> Any:
        """Ask one table, now or as of a position; read in the way that suits, or in a certain one."""
        question = question_for(TABLES[table], {"from": start, "to": end, **(params or {})})
        async with self.database.reading("ask", by=SYSTEM) as tx:
            moment = await ledger.get_now(tx, situation)
            if position is not None:
                moment = moment.at(position)
            if reading is not None:
                moment = replace(moment, reading=reading)
            return await answers.answer(tx, TABLES[table], question, moment)

    async def drill(self, situation: str, table: str, *, params: dict[str, str], position: int | None = None) -> Drill:
        """Ask for everything behind the numbers of one table."""
        question = question_for(TABLES[table], params)
        async with self.database.reading("drill", by=SYSTEM) as tx:
            moment = await ledger.get_now(tx, situation)
            if position is not None:
                moment = moment.at(position)
            return await answers.drill(tx, TABLES[table], question, moment)


@contextlib.asynccontextmanager
async def counting_house(server: PostgresServer) -> AsyncIterator[House]:
    """Open the counting part on a fresh database, dropped afterwards."""
    made = await migrated_database(server, "aggregation")
    database = Database(made.app_url)
    await database.open()
    register = Register(database)
    handlers = Handlers(register)
    register.on_removed = handlers.situation_removed
    try:
        yield House(database=database, register=register, handlers=handlers)
    finally:
        await database.close()
        await server.drop_database(made.name)
