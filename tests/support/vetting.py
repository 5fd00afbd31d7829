"""A running verification: reports come in through the real receiver, people act over real HTTP, a real database stands behind."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from chassis.delivery.messages import Message
from chassis.delivery.receiver import Received
from chassis.sealing.keys import SigningKey, generate_signing_key
from chassis.sealing.opening import open_sealed
from chassis.sealing.opening_keys import OpeningKey, generate_opening_key
from chassis.sealing.seal import seal
from chassis.sealing.signed import Expectation, open_signed
from chassis.sealing.trust import Trust
from chassis.service import Service
from contracts.envelope import Header
from contracts.events import EVENTS, Event, IncidentReported, IncidentRevised
from contracts.incident import IncidentReport
from contracts.topics import topic_named
from support.edge import report, served
from support.issuer import Issuer
from support.rates import UNHURRIED
from support.sealing import KeysInMemory
from support.stack import NewDatabase
from support.vouched import PINNED, entry
from verification.app import build
from verification.desk import Desk
from verification.handlers import Handlers
from verification.settings import VerificationSettings

SITUATION = "XAA"
PEOPLE: Mapping[str, tuple[str, ...]] = {
    "amina": ("/XAA/monitor",),
    "farid": ("/XAA/focal_point",),
    "tomas": ("/XAA/technical",),
    "ursula": ("/XAA/cochair_un",),
    "imani": ("/XAA/cochair_unicef",),
    "otto": ("/XAA/officer",),
    "ada": ("/XAA/auditor",),
    "root": ("/_all/operator",),
    "stranger": ("/XBB/focal_point", "/XBB/technical", "/XBB/cochair_un", "/XBB/officer"),
}
"""Who holds which roles; `farid` decides first, `tomas` second, `ursula` and `imani` are the co-chairs."""
CRITERIA = {
    "primary_source": True,
    "source_reliability": "high",
    "information_credibility": "medium",
    "nexus": True,
    "under_18": True,
    "party": True,
}


@dataclass
class RunningVerification:
    """Verification as it answers over HTTP, with intake's key at hand and ways to look behind it."""

    client: httpx.AsyncClient
    service: Service
    desk: Desk
    issuer: Issuer
    owner: asyncpg.Connection
    app_url: str
    intake: SigningKey
    keys: dict[str, dict[str, OpeningKey]]
    folder: Path
    sequences: dict[str, int] = field(default_factory=dict)

    async def send(self, method: str, path: str, person: str, body: Any = None) -> httpx.Response:
        """Send a request as a person."""
        headers = {"Authorization": f"Bearer {self.issuer.token(person, *PEOPLE[person])}"}
        if body is None:
            return await self.client.request(method, path, headers=headers)
        headers["Content-Type"] = "application/json"
        return await self.client.request(method, path, content=json.dumps(body, ensure_ascii=False).encode(), headers=headers)

    async def get(self, path: str, person: str = "tomas") -> httpx.Response:
        return await self.send("GET", f"/v1/situations/{SITUATION}{path}", person)

    async def post(self, path: str, body: Any, person: str) -> httpx.Response:
        return await self.send("POST", f"/v1/situations/{SITUATION}{path}", person, body)

    def document(self, code: str = SITUATION, **changes: Any) -> dict[str, Any]:
        """A register entry with fresh or known recipients' keys, open for import dockets."""
        keys = self.keys.setdefault(
            code, {holder: generate_opening_key(holder, code) for holder in ("verification", "aggregation", "export", "recipient")}
        )
        path = self.folder / "keys"
        if not list(path.glob(f"verification__{code}__*")):
            keys["verification"].save(path)
        return {
            "code": code,
            "name": "Example",
            "time_zone": "Asia/Kabul",
            "parties": [
                {"code": "force_1", "type": "armed_force", "name": "Armed force 1"},
                {"code": "group_1", "type": "armed_group", "name": "Armed group 1"},
            ],
            "places": [{"code": "XA01", "name": "North", "level": 1}, {"code": "XA0102", "name": "Town", "level": 2, "parent": "XA01"}],
            "recipients": {holder: [entry(key)] for holder, key in keys.items()},
            "importing": True,
            **changes,
        }

    def sealed(self, event: IncidentReported | IncidentRevised, *, sequence: int | None = None) -> Message:
        """Seal a report the way intake does, as the next event of its incident."""
        incident = str(event.incident)
        number = sequence or self.sequences.get(incident, 0) + 1
        self.sequences[incident] = number
        recipient = self.keys[event.situation]["verification"].public
        header = Header.of(
            event_type=event.type,
            situation=event.situation,
            subject=incident,
            event=uuid5(event.incident, str(number)),
            sequence=number,
            writer="intake",
            at=event.received_at,
            signing=self.intake.id,
            recipients=[recipient.id],
        )
        value = seal(header=header, payload=event.model_dump_json().encode(), recipients=[recipient], signer=self.intake)
        return Message(topic="intake.incidents", key=incident.encode(), value=value)

    async def receive(self, *events: IncidentReported | IncidentRevised) -> Received:
        """Let reports arrive, in one batch."""
        return await self.service.receiver.receive([self.sealed(event) for event in events])

    async def report(self, *, by: str = "amina", **changes: Any) -> str:
        """Let one report arrive and return its incident."""
        event = reported(by=by, **changes)
        await self.receive(event)
        return str(event.incident)

    async def revise(self, incident: str, revision: int, *, by: str = "amina", **changes: Any) -> None:
        """Let a revision arrive."""
        await self.receive(revised(incident, revision, by=by, **changes))

    async def decide(self, *violations: str, stage: str = "focal_point", person: str | None = None, **changes: Any) -> httpx.Response:
        """Record the same decision on violations."""
        actor = person or {"focal_point": "farid", "technical": "tomas"}[stage]
        return await self.post("/decisions", {"decisions": [decision(one, stage=stage, **changes) for one in violations]}, actor)

    async def docket(self, *violations: str, kind: str = "decisions", **changes: Any) -> str:
        """Propose a docket with the same line for violations and return it."""
        lines = [line(one, **changes) for one in violations]
        answer = await self.post("/dockets", {"kind": kind, "lines": lines}, "tomas")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["docket"])

    async def approve(self, docket: str, person: str) -> httpx.Response:
        return await self.post(f"/dockets/{docket}/approvals", {}, person)

    async def verify(self, *violations: str, **changes: Any) -> list[dict[str, Any]]:
        """Take violations through all three stages; returns the task force's decisions."""
        for stage in ("focal_point", "technical"):
            answer = await self.decide(*violations, stage=stage)
            assert answer.status_code == 201, answer.text
        return await self.approved(await self.docket(*violations, **changes))

    async def approved(self, docket: str) -> list[dict[str, Any]]:
        """Have both co-chairs approve a docket; returns its decisions."""
        for person in ("ursula", "imani"):
            answer = await self.approve(docket, person)
            assert answer.status_code == 201, answer.text
        decisions: list[dict[str, Any]] = answer.json()["decisions"]
        return decisions

    async def published(self, topic: str = "verification.decisions") -> list[Event]:
        """Open what is in the outbox of a topic as its reader would, in the order in which it leaves."""
        events: list[Event] = []
        trust = self.service.trust
        for row in await self.owner.fetch("select * from outbox where topic = $1 order by id", topic):
            expect = Expectation(
                types=frozenset({row["event_type"]}), writer="verification", subject=row["subject"], situation=row["situation"]
            )
            if topic_named(topic).signed_only:
                _, payload = open_signed(row["value"], trust=trust, expect=expect)
            else:
                keys = KeysInMemory(*[held["aggregation"] for held in self.keys.values()])
                _, payload = open_sealed(row["value"], keys=keys, trust=trust, expect=expect)
            events.append(EVENTS[row["event_type"]].model_validate_json(payload))
        return events

    async def progress(self, incident: str) -> list[tuple[str, list[str]]]:
        """Return what the monitor of an incident was told, in order."""
        events = await self.published("verification.progress")
        return [(event.status, event.needs) for event in events if str(event.incident) == incident]  # type: ignore[attr-defined]

    async def parked(self) -> list[str]:
        """Return why messages are parked."""
        return [row["reason"] for row in await self.owner.fetch("select reason from parked order by id")]

    async def counters(self) -> dict[str, int]:
        answer = await self.get("")
        return {name: answer.json()[name] for name in ("incidents", "revisions", "refused", "facts")}

    async def dump(self) -> bytes:
        """Return everything in every table, as text and as the bytes of the columns."""
        tables = await self.owner.fetch("select tablename from pg_tables where schemaname = 'public'")
        parts: list[bytes] = []
        for table in tables:
            for row in await self.owner.fetch(f'select * from "{table["tablename"]}"'):  # noqa: S608
                parts += [value if isinstance(value, bytes) else str(value).encode() for value in row.values()]
        return b"\n".join(parts)


def reported(*, by: str = "amina", **changes: Any) -> IncidentReported:
    """A report as intake publishes it."""
    document = report(**{"narrative": "What happened.", **changes})
    return IncidentReported(
        situation=document["situation"],
        incident=UUID(document["key"]),
        submitted_by=by,
        received_at=datetime.now(UTC),
        report=IncidentReport.model_validate_json(json.dumps(document)),
    )


def revised(incident: str, revision: int, *, by: str = "amina", **changes: Any) -> IncidentRevised:
    """A revision as intake publishes it."""
    document = report(key=incident, revision=revision, **changes)
    return IncidentRevised(
        situation=document["situation"],
        incident=UUID(incident),
        revision=revision,
        submitted_by=by,
        received_at=datetime.now(UTC),
        report=IncidentReport.model_validate_json(json.dumps(document)),
    )


def line(violation: str, **changes: Any) -> dict[str, Any]:
    """A complete line of a docket; a field given as None is left out."""
    document = {
        "violation": violation,
        "outcome": "verified",
        "decided_on": "2024-02-03",
        "reason": "Two sources agree.",
        "criteria": CRITERIA,
        **changes,
    }
    return {name: value for name, value in document.items() if value is not None}


def decision(violation: str, *, stage: str = "focal_point", **changes: Any) -> dict[str, Any]:
    """A complete decision of an earlier stage."""
    return {**line(violation, **changes), "stage": stage}


def attack(**changes: Any) -> dict[str, Any]:
    """A report of an attack on a school with nobody hurt."""
    return {
        "violations": [{"key": "a1", "type": "attack_on_schools"}],
        "victims": None,
        "groups": None,
        "perpetrators": [{"attribution": "unidentified", "violations": ["a1"]}],
        "sources": [{"category": "primary_witness", "type": "oral_testimony", "violations": ["a1"]}],
        **changes,
    }


def new_incident() -> str:
    """An incident id that nobody has used."""
    return str(uuid4())


@pytest.fixture
async def vetting(new_migrated_database: NewDatabase, issuer: Issuer, tmp_path: Path) -> AsyncIterator[RunningVerification]:
    """Verification with situation XAA on a fresh database; events stay in the outbox, no broker is there."""
    database = await new_migrated_database("verification")
    signing, intake = generate_signing_key("verification"), generate_signing_key("intake")
    signing.save(tmp_path / "keys")
    Trust().with_signing(signing.public, intake.public, *PINNED).save(tmp_path / "trust.json")
    service, desk, app, opener = build(
        VerificationSettings(
            database_url=SecretStr(database.app_url),
            kafka_bootstrap="127.0.0.1:1",
            kafka_username="verification",
            kafka_password=SecretStr("unused"),
            keys_dir=tmp_path / "keys",
            trust_file=tmp_path / "trust.json",
            issuer=issuer.url,
            **UNHURRIED,
        )
    )
    service.register.on_removed = desk.remove_situation
    service.receiver.configure(Handlers(desk).by_event(), opener)
    await service.database.open()
    owner = await asyncpg.connect(database.owner_url)
    try:
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
            running = RunningVerification(client, service, desk, issuer, owner, database.app_url, intake, {}, tmp_path)
            answer = await running.send("PUT", f"/v1/situations/{SITUATION}", "root", running.document())
            assert answer.status_code == 201, answer.text
            yield running
    finally:
        await owner.close()
        await service.database.close()
