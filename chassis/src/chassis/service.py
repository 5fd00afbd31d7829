"""What a service's `app` wires: `assemble` makes the parts, `run` serves, consumes, relays and does jobs until it is told to stop."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fastapi import FastAPI

from chassis import answered_store, sessions_store
from chassis.audit.recorder import Recorder
from chassis.audit.sequencer import GROW_SECONDS, Sequencer
from chassis.delivery.outbox import EventSealer
from chassis.delivery.receiver import Receiver
from chassis.identity import TokenVerifier
from chassis.recipients import UNVOUCHED_KEY, is_vouched
from chassis.register import Register, Removal
from chassis.sealing.keys import KeyFolder
from chassis.sealing.signed import Opener
from chassis.sealing.trust import Trust
from chassis.settings import ServiceSettings
from chassis.storage import SYSTEM, Database, Handler
from chassis.telemetry import add_name, get_logger
from contracts.events import Event

AUDIT: Final = "audit"
"""The check that says whether the record of acts is whole; alone it makes no service unready."""
FORGET_SECONDS: Final = 3600.0
LOOK_AT_KEYS_SECONDS: Final = 5.0
FORGET_SESSIONS_SECONDS: Final = 300.0
log = get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something to be done again and again in every process of the service; it must be harmless to do it twice at once."""

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[None]]

    def __post_init__(self) -> None:
        """Let the log name the job."""
        add_name(self.name)
        add_name(f"job_{self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts of one service process."""

    name: str
    settings: ServiceSettings
    database: Database
    keys: KeyFolder
    """This service's private key files, as far as they are needed for signing; opening keys come with an `Opener`."""
    trust: Trust
    register: Register
    identity: TokenVerifier
    events: EventSealer
    receiver: Receiver
    record: Sequencer
    """The record of acts: what `tx.audit` wrote gets its place in the tree here."""
    health: dict[str, str] = field(default_factory=dict)
    """What readiness depends on: name of the check → "ok" or why not."""

    @property
    def ready(self) -> bool:
        """Whether every check is ok that the work depends on.

        A record of acts that somebody changed is told among the checks and stops nothing: acts go on being recorded behind what was
        changed, and whoever could edit one row could otherwise keep every report out.
        """
        return all(state == "ok" for name, state in self.health.items() if name != AUDIT)


def assemble(name: str, settings: ServiceSettings) -> Service:
    """Make the parts of a service; nothing is connected yet. Raises UnusableKeyError or OSError without a sound trust file."""
    database = Database(settings.database_url.get_secret_value())
    keys = KeyFolder(settings.keys_dir)
    trust = Trust.load(settings.trust_file)
    register = Register(database)
    events = EventSealer(name, keys=keys, register=register, trust=trust)
    database.outbox = events
    database.recorder = Recorder(name, lambda: events.signer)
    return Service(
        name=name,
        settings=settings,
        database=database,
        keys=keys,
        trust=trust,
        register=register,
        identity=TokenVerifier(settings.issuer, settings.audience, grants_claim=settings.grants_claim, accepted_acr=settings.accepted_acr),
        events=events,
        receiver=Receiver(name, database=database, register=register, trust=trust, stop_after_parked=settings.stop_after_parked),
        record=Sequencer(name, database=database, trust=trust, signer=lambda: events.signer),
        health={
            "process": "starting",
            "database": "not connected yet",
            "row_security": "not looked at yet",
            "opening_keys": "not looked at yet",
            "kafka": "not connected yet",
            "relay": "not started yet",
            "consumer": "not started yet",
        },
    )


def run(
    service: Service,
    *,
    app: FastAPI,
    handlers: Mapping[type[Event], Handler],
    jobs: Sequence[Job] = (),
    opener: Opener | None = None,
    on_situation_removed: Removal | None = None,
) -> None:
    """Run the process until SIGTERM or SIGINT, then drain. Exits with status 1 if one of its parts ends by itself.

    `opener` opens the sealed topics that the service reads (`chassis.sealing.opening.SealedOpener`); one that reads none has none.
    """
    from chassis.process import run_process

    service.register.on_removed = on_situation_removed
    service.receiver.configure(handlers, opener)
    run_process(service, app, (*jobs, growing(service), looking_at_keys(service), _forgetting(service), _forgetting_sessions(service)))


def growing(service: Service) -> Job:
    """Return the job that lets the record of acts grow and has readiness say whether it is still what was signed."""

    async def grow() -> None:
        await service.record.run()
        if service.record.state is not None:
            service.health[AUDIT] = service.record.state

    return Job(name="audit_record", every_seconds=GROW_SECONDS, run=grow)


def looking_at_keys(service: Service) -> Job:
    """Return the job that keeps readiness true to whether this service's copy of the register lists only keys that are vouched for."""

    async def look() -> None:
        bad = [document.code for document in await service.register.all() if not is_vouched(document, service.trust)]
        for situation in bad:
            log.error("unvouched_key_listed", situation=situation, code=UNVOUCHED_KEY)
        service.health["opening_keys"] = UNVOUCHED_KEY if bad else "ok"

    return Job(name="look_at_keys", every_seconds=LOOK_AT_KEYS_SECONDS, run=look)


def _forgetting(service: Service) -> Job:
    async def forget() -> None:
        async with service.database.transaction("forget_answers", by=SYSTEM) as tx:
            await answered_store.delete_old(tx)

    return Job(name="forget_answers", every_seconds=FORGET_SECONDS, run=forget)


def _forgetting_sessions(service: Service) -> Job:
    async def forget() -> None:
        async with service.database.transaction("forget_sessions", by=SYSTEM) as tx:
            await sessions_store.delete_expired(tx, at=tx.now)

    return Job(name="forget_sessions", every_seconds=FORGET_SESSIONS_SECONDS, run=forget)
