"""What the supervisor needs to know of a part, and the parts of a stack in these words.

A part is prepared before every start (so a wiped data folder is made anew), started as one process, waited for, and
provisioned after every start.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from contracts.topics import SERVICES
from local_stack.children import Identity, run_to_end
from local_stack.errors import StackError
from local_stack.identity import IdentityServer
from local_stack.kafka import KafkaServer
from local_stack.layout import StackFolder
from local_stack.loopback import is_answered
from local_stack.people import pages_client
from local_stack.ports import LOOPBACK
from local_stack.postgres import START_SECONDS, STOP_SIGNAL, PostgresServer
from local_stack.private_files import private_folder, write_private

SERVICE_START_SECONDS = 180.0  # seconds of one core are enough; a busy machine takes its time
PASSED_ON = ("MRM_LOG_LEVEL", "MRM_RESEND_AFTER_SECONDS", "PATH", "LANG", "TMPDIR", "HOME")
"""Variables of the operator that a service sees; everything else it gets is set here."""
UNHURRIED = {
    f"MRM_{kind}": "100000"
    for limit in ("PER_PERSON", "PER_ADDRESS", "OF_FAILURES", "OF_SIGN_INS")
    for kind in (f"RATE_{limit}", f"BURST_{limit}")
}
"""A local stack's few people, all at one address, send thousands of reports in a demonstration."""

Alive = Callable[[], bool]


class Part(Protocol):
    """One supervised process. Every method may raise StackError; all may be called again after a crash."""

    name: str
    stop_signal: int
    stop_seconds: float

    def prepare(self) -> None:
        """Make everything ready for a start."""

    def command(self) -> Sequence[str]:
        """Return the command line; it holds no secret."""

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the process."""

    def identity(self) -> Identity:
        """Return as whom the process runs."""

    def wait_until_ready(self, alive: Alive) -> None:
        """Return when the part does its work; `alive` tells whether its process still runs."""

    def intact(self) -> bool:
        """Tell whether the files under the running process are still there."""


class PostgresPart:
    """PostgreSQL with a database and two roles per service."""

    name: str = "postgres"
    stop_signal: int = STOP_SIGNAL
    stop_seconds = 30.0

    def __init__(self, server: PostgresServer, log: Path, services: Sequence[str] = SERVICES) -> None:
        """Supervise this server."""
        self.server = server
        self._log = log
        self._services = services

    def prepare(self) -> None:
        """Make or mend the cluster."""
        self.server.prepare()

    def command(self) -> Sequence[str]:
        """Return the server in the foreground."""
        return self.server.command()

    def environment(self) -> dict[str, str]:
        """Return only what it needs."""
        return self.server.environment()

    def identity(self) -> Identity:
        """Return an unprivileged identity."""
        return self.server.identity

    def wait_until_ready(self, alive: Alive) -> None:
        """Return when every service's database is there."""
        _wait(self.server.ready, alive, START_SECONDS, f"PostgreSQL did not start. {self._log} says why.")
        asyncio.run(self._create_databases())

    def intact(self) -> bool:
        """Tell whether the cluster is there."""
        return (self.server.cluster / "PG_VERSION").exists()

    async def _create_databases(self) -> None:
        for service in self._services:
            await self.server.create_service_database(service)


class KafkaPart:
    """Kafka with the users, rights and topics of the topic table."""

    name: str = "kafka"
    stop_signal: int = signal.SIGTERM
    stop_seconds = 20.0

    def __init__(self, server: KafkaServer) -> None:
        """Supervise this broker."""
        self.server = server

    def prepare(self) -> None:
        """Format the data folder when it is new or was wiped."""
        self.server.prepare()

    def command(self) -> Sequence[str]:
        """Return the broker in the foreground."""
        return self.server.command()

    def environment(self) -> dict[str, str]:
        """Return only what it needs."""
        return self.server.environment()

    def identity(self) -> Identity:
        """Return the operator's own identity."""
        return "keep"

    def wait_until_ready(self, alive: Alive) -> None:
        """Return when users, rights and topics are those of the table."""
        self.server.wait_until_listening(alive)
        self.server.provision()

    def intact(self) -> bool:
        """Tell whether the data folder is whole."""
        return self.server.intact()


class IdentityPart:
    """The identity provider with the local people."""

    name: str = "identity"
    stop_signal: int = signal.SIGTERM
    stop_seconds = 15.0

    def __init__(self, server: IdentityServer) -> None:
        """Supervise this provider."""
        self.server = server

    def prepare(self) -> None:
        """Build it on first use."""
        self.server.prepare()

    def command(self) -> Sequence[str]:
        """Return the provider in the foreground."""
        return self.server.command()

    def environment(self) -> dict[str, str]:
        """Return only what it needs."""
        return self.server.environment()

    def identity(self) -> Identity:
        """Return the operator's own identity."""
        return "keep"

    def wait_until_ready(self, alive: Alive) -> None:
        """Return when the local people can log in."""
        self.server.wait_until_ready(alive)
        self.server.provision()

    def intact(self) -> bool:
        """Its files are not watched: a wiped provider would forget the people's ids while services know them."""
        return True


class ServicePart:
    """One of our services, as its own process under its least-privilege database role."""

    stop_signal: int = signal.SIGTERM
    stop_seconds = 20.0

    def __init__(
        self,
        name: str,
        *,
        folder: StackFolder,
        port: int,
        postgres: PostgresServer,
        kafka: KafkaServer,
        issuer: str,
    ) -> None:
        """Name the service and what it is connected to."""
        self.name = name
        self._folder = folder
        self._port = port
        self._postgres = postgres
        self._kafka = kafka
        self._issuer = issuer
        self._migrated = False

    @property
    def url(self) -> str:
        """Return the service's address."""
        return service_url(self._port)

    def prepare(self) -> None:
        """Write the service's secrets and, the first time, migrate its database with the owner's role."""
        database = self._postgres.service_database(self.name)
        user = self._kafka.user(self.name)
        write_private(self._secrets / "mrm_database_url", database.app_url)
        write_private(self._secrets / "mrm_kafka_password", user.password)
        if self._migrated:
            return
        owner = self._folder.secrets / f"{self.name}-migrations"
        write_private(owner / "mrm_migrations_database_url", database.owner_url)
        settings = {"MRM_SECRETS_DIR": str(owner), "MRM_APP_ROLE": f"{self.name}_app"}
        result = run_to_end(
            [sys.executable, "-m", self.name, "migrate"],
            env=_passed_on() | settings,
            cwd=self._folder.data,
        )
        if result.returncode != 0:
            log = self._folder.log(f"{self.name}-migrations")
            write_private(log, result.stdout + result.stderr)
            raise StackError(f"The database of {self.name} could not be migrated.", remedy=f"{log} says why.")
        self._migrated = True

    def command(self) -> Sequence[str]:
        """Return the service with all its roles in one process."""
        return [sys.executable, "-m", self.name]

    def environment(self) -> dict[str, str]:
        """Return the service's settings; secrets are in files, named by the folder."""
        user = self._kafka.user(self.name)
        return _passed_on() | {
            "PYTHONUNBUFFERED": "1",
            "MRM_SECRETS_DIR": str(self._secrets),
            "MRM_HOST": LOOPBACK,
            "MRM_PORT": str(self._port),
            "MRM_KAFKA_BOOTSTRAP": user.bootstrap,
            "MRM_KAFKA_USERNAME": user.username,
            "MRM_KEYS_DIR": str(private_folder(self._folder.keys / self.name)),
            "MRM_TRUST_FILE": str(self._folder.trust),
            "MRM_ISSUER": self._issuer,
            "MRM_ISSUER_ACCOUNT_URL": f"{self._issuer}/account",
            "MRM_CLIENT_ID": pages_client(self.name),
            **UNHURRIED,
        }

    def identity(self) -> Identity:
        """Return the operator's own identity."""
        return "keep"

    def wait_until_ready(self, alive: Alive) -> None:
        """Return when the service calls itself ready."""
        log = self._folder.log(self.name)
        _wait(self._ready, alive, SERVICE_START_SECONDS, f"The service {self.name} did not become ready. {log} says why.")

    def intact(self) -> bool:
        """A service keeps nothing on disk."""
        return True

    @property
    def _secrets(self) -> Path:
        return self._folder.secrets / self.name

    def _ready(self) -> bool:
        return is_answered(f"{self.url}/readyz")


def service_url(port: int) -> str:
    """Return the address of a service at a port."""
    return f"http://{LOOPBACK}:{port}"


def _passed_on() -> dict[str, str]:
    return {name: value for name in PASSED_ON if (value := os.environ.get(name))}


def _wait(ready: Callable[[], bool], alive: Alive, within: float, failure: str) -> None:
    deadline = time.monotonic() + within
    while not ready():
        if not alive() or time.monotonic() > deadline:
            raise StackError(failure, remedy="`mrm doctor` tells what this machine lacks.")
        time.sleep(0.1)
