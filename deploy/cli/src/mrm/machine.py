"""What is looked at on a machine before a local stack is started: one function per subject, each with its remedy."""

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import psutil

from local_stack.artifacts import KAFKA_LOCK, KEYCLOAK, cache_folder, fetch, java, missing_programs, read_lock
from local_stack.children import run_to_end
from local_stack.errors import StackError
from local_stack.layout import StackFolder
from local_stack.ports import LOOPBACK, free_ports
from local_stack.postgres import LONGEST_SOCKET_FOLDER, binaries, choose_identity
from local_stack.running import is_held

OLDEST_PYTHON: Final = (3, 11)
GIB: Final = 1 << 30
MEMORY_WANTED: Final = 2 * GIB
MEMORY_NEEDED: Final = GIB
DISK_NEEDED: Final = 2 * GIB
MACHINES: Final = {"x86_64", "amd64", "aarch64", "arm64"}
DISTRIBUTIONS: Final = ("mrm-intake", "mrm-verification", "mrm-aggregation", "mrm-export", "mrm-local-stack")
INSTALL: Final = "Run `make install`."


class State(Enum):
    """How a finding is to be taken."""

    FINE = "ok"
    NOTE = "note"
    LACKING = "lacking"


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `remedy` is empty when there is nothing to mend."""

    what: str
    state: State
    found: str
    remedy: str = ""

    def document(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return {"what": self.what, "state": self.state.value, "found": self.found, "remedy": self.remedy}


def python_version(folder: StackFolder) -> Finding:
    """Look at the interpreter."""
    del folder
    found = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", State.LACKING, found, "Install Python 3.11 or newer and run `make install` with PYTHON=python3.11.")
    return Finding("Python", State.FINE, found)


def machine_kind(folder: StackFolder) -> Finding:
    """Look at the system and processor: the programs come as wheels for some of them."""
    del folder
    found = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    if platform.system() not in {"Linux", "Darwin"} or platform.machine().lower() not in MACHINES:
        return Finding("System", State.LACKING, found, "Use Linux or macOS on a 64-bit Intel, AMD or ARM processor.")
    return Finding("System", State.FINE, found)


def packages(folder: StackFolder) -> Finding:
    """Look for this project's packages and whatever they require."""
    del folder
    lacking = []
    for name in DISTRIBUTIONS:
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            lacking.append(name)
            continue
        lacking += [wanted for wanted in map(_distribution_name, requirements) if not _installed(wanted)]
    if lacking:
        return Finding("Packages", State.LACKING, f"not installed: {', '.join(sorted(set(lacking)))}", INSTALL)
    return Finding("Packages", State.FINE, "all installed")


def postgres_programs(folder: StackFolder) -> Finding:
    """Try the PostgreSQL programs, under the identity that they would get."""
    del folder
    try:
        identity = choose_identity()
        answer = run_to_end([str(binaries() / "postgres"), "--version"], identity=identity)
    except StackError as error:
        return Finding("PostgreSQL", State.LACKING, error.sentence, error.remedy)
    if answer.returncode != 0:
        return Finding("PostgreSQL", State.LACKING, "its programs do not run here", INSTALL)
    return Finding("PostgreSQL", State.FINE, answer.stdout.strip())


def java_runtime(folder: StackFolder) -> Finding:
    """Try the Java runtime."""
    del folder
    try:
        answer = run_to_end([java(), "-version"])
    except StackError as error:
        return Finding("Java", State.LACKING, error.sentence, error.remedy)
    if answer.returncode != 0:
        return Finding("Java", State.LACKING, "the installed runtime does not run here", INSTALL)
    return Finding("Java", State.FINE, answer.stderr.splitlines()[0] if answer.stderr else "runs")


def java_programs(folder: StackFolder) -> Finding:
    """Look for Kafka and Keycloak in the cache; when they are not there, try to fetch the smallest piece."""
    cache = cache_folder(folder.data / "cache") if folder.data.is_dir() else cache_folder(Path(tempfile.gettempdir()) / "mrm-cache")
    missing = missing_programs(cache)
    if not missing:
        return Finding("Kafka, Keycloak", State.FINE, f"in {cache}")
    smallest = next((artifact for artifact in read_lock(KAFKA_LOCK) if artifact.name == "jspecify"), KEYCLOAK)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            target = Path(temporary) / "probe"
            target.mkdir()
            fetch(smallest, target)
    except StackError as error:
        return Finding("Kafka, Keycloak", State.LACKING, error.sentence, "Give this machine access to Maven Central for the first start.")
    return Finding("Kafka, Keycloak", State.NOTE, f"the first start fetches {' and '.join(missing)} (about 200 MB)")


def memory(folder: StackFolder) -> Finding:
    """Look at the free memory."""
    del folder
    available = psutil.virtual_memory().available
    found = f"{available / GIB:.1f} GiB available"
    if available < MEMORY_NEEDED:
        return Finding("Memory", State.LACKING, found, "Close other programs: a stack takes up to 2 GiB.")
    if available < MEMORY_WANTED:
        return Finding("Memory", State.NOTE, found, "A stack takes up to 2 GiB; close other programs if it becomes slow.")
    return Finding("Memory", State.FINE, found)


def disk(folder: StackFolder) -> Finding:
    """Look at the free disk space where the data will lie."""
    free = shutil.disk_usage(_nearest_existing(folder.data)).free
    found = f"{free / GIB:.1f} GiB free"
    if free < DISK_NEEDED:
        return Finding("Disk", State.LACKING, found, "Make room or name another folder with --data: 2 GiB are needed.")
    return Finding("Disk", State.FINE, found)


def data_folder(folder: StackFolder) -> Finding:
    """Try to write where the data will lie."""
    place = _nearest_existing(folder.data)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError:
        return Finding("Data folder", State.LACKING, f"{place} cannot be written", "Name another folder with --data.")
    if len(os.fsencode(folder.data / "postgres" / "socket")) > LONGEST_SOCKET_FOLDER:
        return Finding(
            "Data folder", State.NOTE, f"{folder.data} is a long path; the database's socket will lie in a short folder elsewhere"
        )
    return Finding("Data folder", State.FINE, str(folder.data))


def loopback(folder: StackFolder) -> Finding:
    """Try to listen and connect on the loopback interface."""
    del folder
    try:
        with socket.create_server((LOOPBACK, free_ports(1)[0])) as server, socket.create_connection(server.getsockname(), timeout=5):
            return Finding("Loopback", State.FINE, f"{LOOPBACK} works")
    except OSError:
        return Finding("Loopback", State.LACKING, f"nothing can listen on {LOOPBACK}", "Bring the loopback interface up.")


def account_of_operator(folder: StackFolder) -> Finding:
    """Say what running as root means."""
    del folder
    if os.geteuid() == 0:
        return Finding("User", State.NOTE, "root; PostgreSQL will run without its powers", "An ordinary user is enough.")
    return Finding("User", State.FINE, f"user {os.geteuid()}")


def leftovers(folder: StackFolder) -> Finding:
    """Look for processes of a stack whose supervisor was killed."""
    if is_held(folder):
        return Finding("Stack", State.FINE, "running")
    alive = [name for name, mark in folder.read_marks().items() if mark.process() is not None]
    if alive:
        return Finding("Stack", State.NOTE, f"left by a crash: {', '.join(alive)}", "`mrm down` ends them; `mrm up` does so too.")
    return Finding("Stack", State.FINE, "not running")


CHECKS: Final[tuple[Callable[[StackFolder], Finding], ...]] = (
    python_version,
    machine_kind,
    account_of_operator,
    packages,
    postgres_programs,
    java_runtime,
    java_programs,
    memory,
    disk,
    data_folder,
    loopback,
    leftovers,
)


def _nearest_existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.is_dir())


def _distribution_name(requirement: str) -> str:
    for position, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:position]
    return requirement


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
