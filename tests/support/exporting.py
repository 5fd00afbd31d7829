"""A running export with a real database: events stay in the outbox, no broker is there."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from chassis.sealing.keys import generate_signing_key
from chassis.sealing.opening import open_sealed
from chassis.sealing.opening_keys import OpeningKey, generate_opening_key
from chassis.sealing.signed import Expectation
from chassis.sealing.submission import generate_submission_keys
from chassis.sealing.trust import Trust
from chassis.service import Service
from chassis.settings import ServiceSettings
from chassis.storage import SYSTEM
from contracts.events import SnapshotFrozen, SubmissionSigned
from contracts.situation import Situation
from export.app import build
from export.handlers import situation_removed, snapshot_frozen
from local_stack.postgres import ServiceDatabase
from support.bundles import AFGHANISTAN, PARTIES
from support.edge import served
from support.issuer import Issuer
from support.rates import UNHURRIED
from support.sealing import KeysInMemory
from support.stack import NewDatabase
from support.vouched import PINNED, entry

OFFICER = ("olga", "/AFG/officer")
UN = ("una", "/AFG/cochair_un")
UNICEF = ("unni", "/AFG/cochair_unicef")
AUDITOR = ("aude", "/AFG/auditor")
BOTH = ("boris", "/AFG/cochair_un", "/AFG/cochair_unicef")
STRANGER = ("stella", "/XBB/officer", "/XBB/cochair_un")


def afghanistan(key: OpeningKey, **changes: Any) -> Situation:
    document: dict[str, Any] = {
        "code": "AFG",
        "name": "Afghanistan",
        "time_zone": "Asia/Kabul",
        "parties": [{"code": code, "type": "armed_group", "name": name} for code, name in PARTIES.items()],
        "places": [{"code": "AF01", "name": "Kabul", "level": 1}],
        "recipients": {"recipient": [entry(key)]},
        "version": 1,
    }
    return Situation.model_validate(document | changes, strict=False)


def snapshot(**changes: Any) -> SnapshotFrozen:
    known: dict[str, Any] = {
        "situation": "AFG",
        "snapshot": uuid4(),
        "position": 3201,
        "as_of": datetime(2025, 2, 1, 12, tzinfo=UTC),
        "window_from": date(2024, 1, 1),
        "window_to": date(2025, 1, 1),
        "rules": "counts/1",
        "params": {"late": "beside", "late_rule": "window"},
        "tables": AFGHANISTAN,
        "frozen_by": "olga",
        "frozen_at": datetime(2025, 2, 1, 12, tzinfo=UTC),
    }
    return SnapshotFrozen(**known | changes)


@dataclass
class RunningExport:
    """Export as it answers over HTTP, and ways to look behind it."""

    client: httpx.AsyncClient
    service: Service
    issuer: Issuer
    recipient: OpeningKey
    owner: asyncpg.Connection
    database: ServiceDatabase
    keys_dir: Path
    trust: Trust

    def headers(self, person: tuple[str, ...]) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token(*person)}", "Content-Type": "application/json"}

    async def send(self, method: str, path: str, body: Any, person: tuple[str, ...]) -> httpx.Response:
        content = json.dumps(body, ensure_ascii=False).encode()
        return await self.client.request(method, f"/v1/situations/AFG/{path}", content=content, headers=self.headers(person))

    async def get(self, path: str, person: tuple[str, ...] = OFFICER) -> httpx.Response:
        return await self.client.get(f"/v1/situations/AFG/{path}", headers=self.headers(person))

    async def freeze(self, event: SnapshotFrozen | None = None) -> UUID:
        """Let a snapshot arrive."""
        event = event or snapshot()
        async with self.service.database.transaction("snapshot_frozen", by=SYSTEM) as tx:
            await snapshot_frozen(event, tx)
        return event.snapshot

    async def draft(self, **changes: Any) -> dict[str, Any]:
        """Draft a submission of a new snapshot."""
        form = {"snapshot": str(await self.freeze()), "product": "annual"} | changes
        answer = await self.send("POST", "submissions", form, OFFICER)
        assert answer.status_code == 201, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def approve(self, document: dict[str, Any], person: tuple[str, ...], **changes: Any) -> httpx.Response:
        form = {"digest": document["digest"]} | changes
        return await self.send("POST", f"submissions/{document['submission']}/approvals", form, person)

    async def signed(self, **changes: Any) -> dict[str, Any]:
        """Draft and have both co-chairs approve."""
        document = await self.draft(**changes)
        await self.approve(document, UN)
        answer = await self.approve(document, UNICEF)
        assert answer.json()["state"] == "signed", answer.text
        signed: dict[str, Any] = answer.json()
        return signed

    async def acts(self) -> list[tuple[str, str]]:
        """Return who did what, in order."""
        return [
            (row["actor"], row["action"]) for row in await self.owner.fetch("select actor, action from audit_entries order by at, action")
        ]


def settings(database: ServiceDatabase, *, keys_dir: Path, trust_file: Path, issuer: str) -> ServiceSettings:
    return ServiceSettings(
        database_url=SecretStr(database.app_url),
        kafka_bootstrap="127.0.0.1:1",
        kafka_username="export",
        kafka_password=SecretStr("unused"),
        keys_dir=keys_dir,
        trust_file=trust_file,
        issuer=issuer,
        **UNHURRIED,
    )


@pytest.fixture
async def export(new_migrated_database: NewDatabase, issuer: Issuer, tmp_path: Path) -> AsyncIterator[RunningExport]:
    """Export with the situation AFG on a fresh database."""
    database = await new_migrated_database("export")
    keys = tmp_path / "keys"
    signing, submission = generate_signing_key("export"), generate_submission_keys()
    signing.save(keys)
    for signer in submission:
        signer.save(keys)
    trust = Trust().with_signing(signing.public, *PINNED).with_submission(*(signer.public for signer in submission))
    trust_file = tmp_path / "trust.json"
    trust.save(trust_file)
    service, app = build(settings(database, keys_dir=keys, trust_file=trust_file, issuer=issuer.url))
    service.register.on_removed = situation_removed
    await service.database.open()
    recipient = generate_opening_key("recipient", "AFG")
    async with service.database.transaction("register", by=SYSTEM) as tx:
        await service.register.save(tx, afghanistan(recipient))
    owner = await asyncpg.connect(database.owner_url)
    try:
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
            yield RunningExport(client, service, issuer, recipient, owner, database, keys, trust)
    finally:
        await owner.close()
        await service.database.close()


async def published(export: RunningExport) -> list[SubmissionSigned]:
    """Open what is in the outbox as the recipient would."""
    events = []
    for row in await export.owner.fetch("select * from outbox order by id"):
        expect = Expectation(types=frozenset({"submission.signed.v1"}), writer="export", subject=row["subject"], situation="AFG")
        _, payload = open_sealed(row["value"], keys=KeysInMemory(export.recipient), trust=export.service.trust, expect=expect)
        events.append(SubmissionSigned.model_validate_json(payload))
    return events


async def state_of(export: RunningExport, submission: str) -> str:
    """Return the state of a submission as the database has it."""
    state: str = await export.owner.fetchval("select state from submissions where submission = $1", UUID(submission))
    return state
