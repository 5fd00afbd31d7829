"""One service process: its parts run side by side on one event loop; if one ends by itself, the process ends and says so."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
from collections.abc import Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import uvicorn
import uvloop
from fastapi import FastAPI

from chassis import row_security, telemetry, tracing
from chassis.delivery.broker_tls import UnusableAuthoritiesError, broker_tls, is_in_the_clear
from chassis.delivery.bus import ClusterWatch
from chassis.delivery.consumer import Consumer
from chassis.delivery.relay import Relay
from chassis.http.server import server_config
from chassis.http.tls import Certificate, UnusableCertificateError, certificate_of
from chassis.storage import is_transient

if TYPE_CHECKING:
    from chassis.service import Job, Service

OPEN_FILES: Final = 8_192
DRAIN_REQUESTS_SECONDS: Final = 10
DRAIN_RELAY_SECONDS: Final = 3.0
DRAIN_ALL_SECONDS: Final = 25.0
RETRY_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 2.0
log = telemetry.get_logger()


def run_process(service: "Service", app: FastAPI, jobs: Sequence["Job"]) -> None:
    """Run until SIGTERM or SIGINT; raises SystemExit, with status 1 if a part ended by itself."""
    telemetry.configure(service.name, level=service.settings.log_level)
    tracing.configure_from_environment(service.name)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # every step of every client otherwise
    try:
        certificate = certificate_of(service.settings)
        broker_tls(service.settings)
    except (UnusableCertificateError, UnusableAuthoritiesError) as error:
        log.failure("certificate_unusable", error)
        raise SystemExit(str(error)) from None
    if is_in_the_clear(service.settings):
        log.warning("kafka_without_tls")
    _allow_open_files()
    raise SystemExit(uvloop.run(_Process(service, app, jobs, certificate).run()))


def _allow_open_files() -> None:
    """Let the process have the connections that the edge allows: many systems begin with 1,024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: the process drains all its parts in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Process:
    def __init__(self, service: "Service", app: FastAPI, jobs: Sequence["Job"], certificate: Certificate | None) -> None:
        settings, health = service.settings, service.health
        self._service = service
        self._jobs = jobs
        self._database_open = asyncio.Event()
        self._told_to_stop = asyncio.Event()
        self._cluster = ClusterWatch(settings, health)
        self._relay = Relay(database=service.database, events=service.events, settings=settings, cluster=self._cluster, health=health)
        self._consumer = Consumer(service.receiver, settings=settings, cluster=self._cluster, health=health)
        self._certificate = certificate
        self._server = _Server(
            server_config(
                app,
                host=settings.host,
                port=settings.port,
                certificate=certificate,
                timeout_graceful_shutdown=DRAIN_REQUESTS_SECONDS,
            )
        )

    async def run(self) -> int:
        """Run all parts; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_certificate)
        parts = {
            "http": self._server.serve(),
            "database": self._keep_database(),
            "cluster": self._cluster.run(),
            "relay": self._when_database_is_open(self._relay.run()),
            "consumer": self._when_database_is_open(self._consumer.run()),
            **{f"job {job.name}": self._when_database_is_open(self._repeat(job)) for job in self._jobs},
        }
        tasks = {asyncio.create_task(part, name=name) for name, part in parts.items()}
        stop = asyncio.create_task(self._told_to_stop.wait(), name="stop")
        starting = asyncio.create_task(self._note_start(), name="start")
        await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in tasks if task.done()]
        for task in failed:
            log.error("part_ended", name=task.get_name().replace(" ", "_"))
            if (error := task.exception()) is not None:
                log.failure("part_failed", error)
        self._service.health["process"] = "stopping"
        for helper in (stop, starting):
            helper.cancel()
        await self._drain({task.get_name(): task for task in tasks})
        return 1 if failed else 0

    def _reload_certificate(self) -> None:
        """Serve new connections with what the certificate's files hold now; if they cannot be used, go on with what was read before."""
        if self._certificate is None:
            return
        try:
            self._certificate.reload()
            log.info("certificate_reloaded")
        except UnusableCertificateError as error:
            log.failure("certificate_not_reloaded", error)

    async def _note_start(self) -> None:
        """Call the process started when it serves and has a database, and take what lives from then on out of garbage collection."""
        await self._database_open.wait()
        while not self._server.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.02)
        gc.collect()
        gc.freeze()
        self._service.health["process"] = "ok"
        log.info("process_started", port=self._service.settings.port)

    async def _drain(self, tasks: dict[str, asyncio.Task[Any]]) -> None:
        """Finish what is under way: requests and the batch first, then what they left for the relay."""
        self._server.should_exit = True
        self._consumer.stop()
        work = [task for name, task in tasks.items() if name in ("http", "consumer")]
        if not self._database_open.is_set():
            tasks["consumer"].cancel()
            tasks["relay"].cancel()
        await asyncio.wait(work, timeout=DRAIN_ALL_SECONDS - DRAIN_RELAY_SECONDS)
        self._relay.stop(within=DRAIN_RELAY_SECONDS)
        await asyncio.wait([tasks["relay"]], timeout=DRAIN_RELAY_SECONDS * 3)
        for task in tasks.values():
            task.cancel()
        await asyncio.wait(tasks.values(), timeout=DRAIN_RELAY_SECONDS)
        with contextlib.suppress(TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.wait_for(self._service.database.close(), DRAIN_RELAY_SECONDS)
        await self._service.identity.close()
        log.info("process_stopped")

    async def _keep_database(self) -> None:
        """Connect, however long it takes, and keep readiness true to whether the database answers and has its tables."""
        database, health = self._service.database, self._service.health
        while not self._database_open.is_set():
            try:
                await database.open(self._look_at_rows)
                self._database_open.set()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                health["database"] = "does not answer"
                log.warning("database_unreachable", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
        while True:
            try:
                await database.examine(self._look_at_database)
                health["database"] = "ok"
            except asyncpg.UndefinedTableError:
                health["database"] = "its tables are missing; run the migrations"
            except Exception as error:
                if not is_transient(error):
                    raise
                health["database"] = "does not answer"
                log.warning("database_unreachable", error=type(error.__cause__ or error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_at_database(self, connection: asyncpg.Connection) -> str | None:
        """Raise UndefinedTableError before the migrations have run; otherwise look at how rows are kept apart."""
        await connection.execute("select from relay_state limit 1")
        return await self._look_at_rows(connection)

    async def _look_at_rows(self, connection: asyncpg.Connection) -> str | None:
        """Return why rows would not be kept apart, for readiness as well; nothing is served then."""
        hole = await row_security.find_hole(connection, self._service.name)
        if hole is not None:
            log.error("row_security_refused")
        self._service.health["row_security"] = hole or "ok"
        return hole

    async def _when_database_is_open(self, part: Coroutine[Any, Any, None]) -> None:
        try:
            await self._database_open.wait()
        except asyncio.CancelledError:
            part.close()
            raise
        await part

    async def _repeat(self, job: "Job") -> None:
        """Do a job again and again; a failure is logged and the job done again in its time."""
        while True:
            try:
                await job.run()
            except Exception as error:
                log.failure("job_failed", error, name=job.name)
            await asyncio.sleep(job.every_seconds)
