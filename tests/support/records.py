"""Records of acts for tests: a service's database with its signing key, some acts, and a superuser who may do anything."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from chassis.audit.recorder import Recorder
from chassis.audit.sequencer import Sequencer
from chassis.migrations import delivery_tables
from chassis.sealing.keys import SigningKey, generate_signing_key
from chassis.sealing.trust import Trust
from chassis.storage import Database, System
from local_stack.postgres import PostgresServer, ServiceDatabase


@dataclass
class Keeper:
    """One service that keeps a record."""

    service: str
    database: Database
    sequencer: Sequencer
    key: SigningKey
    trust: Trust

    async def act(self, count: int = 1, *, name: str = "act", actor: str = "person-1", situation: str | None = "AFG-2024") -> None:
        """Do so many acts in one transaction."""
        async with self.database.transaction(name, by=System(actor)) as tx:
            for number in range(count):
                tx.audit(
                    "decision.record", situation=situation, subject_ref=f"case-{number}/v1", detail={"outcome": "verified", "n": number}
                )

    def another_process(self) -> Sequencer:
        """The sequencer of a second process of the same service."""
        return Sequencer(self.service, database=self.database, trust=self.trust, signer=lambda: self.key)


async def open_keeper(service_database: ServiceDatabase, *, key: SigningKey | None = None, tables: bool = True) -> Keeper:
    """Make the tables in an empty database and open the service's view of it."""
    service = service_database.service
    if tables:
        owner = await asyncpg.connect(service_database.owner_url)
        await owner.execute(delivery_tables().replace(":app", f'"{service}_app"'))
        await owner.close()
    signing = key or generate_signing_key(service)
    trust = Trust().with_signing(signing.public)
    database = Database(service_database.app_url)
    await database.open()
    database.recorder = Recorder(service, lambda: signing)
    return Keeper(service, database, Sequencer(service, database=database, trust=trust, signer=lambda: signing), signing, trust)


async def as_superuser(server: PostgresServer, service_database: ServiceDatabase) -> Any:
    """Connect as one who may do anything, with every trigger and constraint between tables out of the way."""
    connection = await asyncpg.connect(server.superuser_url(service_database.name))
    for table in ("audit_log", "audit_entries", "audit_pending", "audit_leaves", "audit_nodes", "audit_checkpoints"):
        await connection.execute(f"alter table {table} disable trigger all")
    return connection
