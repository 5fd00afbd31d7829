"""The identity provider of the local stack: a real Keycloak, so that nothing signs in another way than on an installation.

The unpacked and built program is shared through the cache; each stack has its own configuration, database and keys.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from local_stack.artifacts import java, keycloak_distribution
from local_stack.children import run_to_end, spawn
from local_stack.errors import StackError
from local_stack.loopback import is_answered
from local_stack.people import ADMIN, REALM, Directory, access_token
from local_stack.private_files import generated_secret, private_folder, write_private

REALM_FILE = Path(__file__).parent / "realm" / "mrm-realm.json"
SHARED_PARTS = ("bin", "lib", "providers", "themes", "version.txt")
START_SECONDS = 240.0
PROGRAM = "io.quarkus.bootstrap.runner.QuarkusEntryPoint"
OPENED = ("java.lang", "java.util", "java.util.concurrent", "java.security")
JAVA_OPTIONS = [
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxMetaspaceSize=224m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dquarkus-log-max-startup-records=10000",
    "-Dpicocli.disable.closures=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED),
]
# WRITE_DELAY=0: what the provider has answered for is on disk, also when it is killed in the next moment
CONFIGURATION = """\
hostname=http://127.0.0.1:{port}
http-enabled=true
http-host=127.0.0.1
http-port={port}
cache=local
db-url=jdbc:h2:file:{database};NON_KEYWORDS=VALUE;DB_CLOSE_DELAY=-1;WRITE_DELAY=0
bootstrap-admin-username={admin}
bootstrap-admin-password={password}
spi-brute-force-protector--default-brute-force-detector--allow-concurrent-requests=true
log-level=warn
"""
"""Without `allow-concurrent-requests`, guarding passwords keeps out a person who signs in twice at the same moment."""


class IdentityServer:
    """The provider below one folder: `prepare`, then `start`/`stop` or `command()`; `provision` after every start."""

    def __init__(self, home: Path, *, secrets: Path, log: Path, cache: Path, port: int, services: Mapping[str, str] | None = None) -> None:
        """Name the folders, the loopback port, and the addresses of services with pages; nothing is fetched or started."""
        self._home = home.absolute()
        self._secrets = secrets.absolute()
        self._log = log
        self._cache = cache
        self._port = port
        self._services = services or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Return the provider's address without a path."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def issuer(self) -> str:
        """Return the issuer of the access tokens."""
        return f"{self.address}/realms/{REALM}"

    def directory(self) -> Directory:
        """Return the administrator's view of people and groups."""
        return Directory(self.address, self._secrets)

    def access_token(self, username: str) -> str:
        """Return an access token of a person of this stack."""
        return access_token(self.issuer, self._secrets, username)

    def prepare(self) -> None:
        """Fetch and build the program on first use, and lay out this stack's own folder beside it."""
        program = keycloak_distribution(self._cache, self._build)
        private_folder(self._home)
        for part in SHARED_PARTS:
            link = self._home / part
            if not (link.is_symlink() and link.readlink() == program / part):
                link.unlink(missing_ok=True)
                link.symlink_to(program / part)
        write_private(self._home / "conf" / "keycloak.conf", self._configuration())
        imports = private_folder(self._home / "data" / "import")
        shutil.copyfile(REALM_FILE, imports / REALM_FILE.name)

    def command(self) -> list[str]:
        """Return the command line of the provider; no secret is in it."""
        return [*_program(self._home), "start", "--optimized", "--import-realm"]

    def environment(self) -> dict[str, str]:
        """Return the environment of the provider: only what it needs."""
        return {"LC_ALL": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._home)}

    def ready(self) -> bool:
        """Tell whether the realm answers."""
        return is_answered(f"{self.issuer}/.well-known/openid-configuration")

    def start(self) -> None:
        """Start the provider as a child of this process, wait until it answers, and make the local people."""
        self.prepare()
        self._process = spawn(self.command(), log=self._log, env=self.environment(), cwd=self._home)
        try:
            self.wait_until_ready(lambda: self._process is not None and self._process.poll() is None)
            self.provision()
        except BaseException:
            self.stop()
            raise

    def wait_until_ready(self, alive: Callable[[], bool]) -> None:
        """Wait until the realm answers. Raises StackError when the process ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if not alive() or time.monotonic() > deadline:
                raise StackError("The identity provider did not start.", remedy=f"Its log {self._log} says why.")
            time.sleep(0.1)

    def provision(self) -> None:
        """Make the local people, and name the services that hear of sign-outs; doing it twice changes nothing."""
        with self.directory() as directory:
            directory.ensure_people()
            directory.tell_of_sign_outs(self._services)

    def stop(self) -> None:
        """Stop the provider that `start` started, and wait for it."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _configuration(self) -> str:
        return CONFIGURATION.format(
            port=self._port,
            database=private_folder(self._home / "data" / "h2") / "keycloakdb",
            admin=ADMIN,
            password=generated_secret(self._secrets / "identity-admin"),
        )

    def _build(self, folder: Path) -> None:
        command = [*_program(folder), "build", "--db=dev-file", "--features-disabled=organization"]
        result = run_to_end(command, env=self.environment(), cwd=folder)
        if result.returncode != 0:
            write_private(self._log, result.stdout + result.stderr)
            raise StackError("The identity provider could not be built.", remedy=f"{self._log} says why.")


def _program(home: Path) -> list[str]:
    folders = [f"-Dkc.home.dir={home}", f"-Djboss.server.config.dir={home / 'conf'}", f"-Djava.io.tmpdir={_tmp(home)}"]
    return [java(), *JAVA_OPTIONS, *folders, "-cp", str(home / "lib" / "quarkus-run.jar"), PROGRAM]


def _tmp(home: Path) -> Path:
    return private_folder(home / "data" / "tmp")
