"""One process that holds a stack together: starts all parts, restarts what dies, and ends them in order."""

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO

from contracts.topics import SERVICES
from local_stack.artifacts import cache_folder
from local_stack.children import ProcessMark
from local_stack.errors import StackError
from local_stack.identity import IdentityServer
from local_stack.kafka import KafkaServer
from local_stack.keys import ensure_service_keys
from local_stack.layout import KIND, StackFolder
from local_stack.parts import IdentityPart, KafkaPart, Part, PostgresPart, ServicePart, service_url
from local_stack.postgres import PostgresServer
from local_stack.private_files import write_private_json
from local_stack.runner import PartRunner
from local_stack.running import end_leftovers

Note = Callable[[str], None]
STOP_ORDER_SLACK = 15.0  # seconds on top of a part's own time to stop


class AlreadyRunningError(StackError):
    """Another supervisor holds this data folder."""


class Supervisor:
    """The parts of one stack. `start` returns when all are ready; `stop` when all have ended."""

    def __init__(self, folder: StackFolder, *, note: Note) -> None:
        """Supervise the stack of a data folder; `note` is told what happens, in words for the operator."""
        self._folder = folder
        self._note = note
        self._runners: dict[str, PartRunner] = {}
        self._marks: dict[str, ProcessMark] = {}
        self._marks_lock = threading.Lock()
        self._postgres: PostgresServer | None = None

    @property
    def runners(self) -> dict[str, PartRunner]:
        """Return the parts under supervision by name."""
        return self._runners

    def start(self, stopped: threading.Event) -> None:
        """Start everything and wait until all parts are ready, or `stopped` is set. Raises StackError."""
        self._remember("supervisor", ProcessMark.of("supervisor", os.getpid()))
        addresses = self._arrange()
        for runner in self._runners.values():
            runner.start()
        self._wait_for_all(stopped)
        if stopped.is_set():
            return
        own = self._marks["supervisor"].document()
        started = datetime.now(UTC).isoformat(timespec="seconds")
        write_private_json(
            self._folder.running,
            {**addresses, "data": str(self._folder.data), "kind": KIND, "supervisor": own, "started_at": started},
        )
        self._folder.write_progress("ready")

    def stop(self) -> None:
        """End all parts: services first, so that they can still finish what they hold."""
        self._folder.running.unlink(missing_ok=True)
        for names in (SERVICES, ("identity",), ("kafka",), ("postgres",)):
            group = [self._runners[name] for name in names if name in self._runners]
            for runner in group:
                runner.stop()
            for runner in group:
                if runner.is_alive():
                    runner.join(runner.part.stop_seconds + STOP_ORDER_SLACK)
        if self._postgres is not None:
            self._postgres.remove_socket_folder()
        self._folder.processes.unlink(missing_ok=True)
        self._folder.progress.unlink(missing_ok=True)

    def _arrange(self) -> dict[str, str]:
        """Make keys, pick ports, and arrange who waits for whom. Returns the addresses."""
        folder, ports = self._folder, self._folder.ports()
        ensure_service_keys(folder.keys, folder.trust)
        cache = cache_folder(folder.data / "cache")
        postgres = PostgresServer(folder.data / "postgres", secrets=folder.secrets, log=folder.log("postgres"))
        kafka = KafkaServer(
            folder.data / "kafka",
            secrets=folder.secrets,
            log=folder.log("kafka"),
            cache=cache,
            port=ports["kafka"],
            controller_port=ports["kafka_controller"],
        )
        identity = IdentityServer(
            folder.data / "identity",
            secrets=folder.secrets,
            log=folder.log("identity"),
            cache=cache,
            port=ports["identity"],
            services={name: service_url(ports[name]) for name in SERVICES},
        )
        self._postgres = postgres
        before = [
            self._add(PostgresPart(postgres, folder.log("postgres"))),
            self._add(KafkaPart(kafka)),
        ]
        self._add(IdentityPart(identity))
        addresses = {"issuer": identity.issuer, "identity": identity.address, "kafka": kafka.bootstrap}
        for name in SERVICES:
            service = ServicePart(name, folder=folder, port=ports[name], postgres=postgres, kafka=kafka, issuer=identity.issuer)
            self._add(service, after=before)
            addresses[name] = service.url
        return addresses

    def _add(self, part: Part, *, after: Sequence[PartRunner] = ()) -> PartRunner:
        runner = PartRunner(
            part,
            after=after,
            log=self._folder.log(part.name),
            cwd=self._folder.data,
            note=self._note,
            remember=self._remember,
        )
        self._runners[part.name] = runner
        return runner

    def _wait_for_all(self, stopped: threading.Event) -> None:
        told = ""
        while not stopped.is_set():
            for runner in self._runners.values():
                if runner.failure is not None:
                    raise runner.failure
            waiting = [name for name, runner in self._runners.items() if not runner.ready.is_set()]
            if not waiting:
                return
            stage = "waiting for " + ", ".join(waiting)
            if stage != told:
                self._note(stage)
                self._folder.write_progress(stage)
                told = stage
            time.sleep(0.05)

    def _remember(self, name: str, mark: ProcessMark | None) -> None:
        with self._marks_lock:
            if mark is None:
                self._marks.pop(name, None)
            else:
                self._marks[name] = mark
            self._folder.write_marks(self._marks)


@contextlib.contextmanager
def locked(folder: StackFolder) -> Iterator[IO[bytes]]:
    """Hold the data folder for one supervisor; the system lets go of it even when the supervisor is killed."""
    with folder.lock.open("ab") as file:
        folder.lock.chmod(0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunningError("This stack is running already.", remedy="`mrm status` shows it, `mrm down` ends it.") from None
        yield file


def supervise(folder: StackFolder, *, note: Note, when_ready: Callable[[], None]) -> None:
    """Run a stack until SIGINT, SIGTERM or SIGHUP. Raises StackError when it cannot start, having ended what it began."""
    stopped = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    folder.make()
    with locked(folder):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_signal)
        folder.running.unlink(missing_ok=True)
        folder.write_progress("starting")
        end_leftovers(folder)
        supervisor = Supervisor(folder, note=note)
        try:
            supervisor.start(stopped)
            if not stopped.is_set():
                when_ready()
            stopped.wait()
            note("stopping")
        finally:
            supervisor.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a stack in the background: what happens goes to standard output, how far it is to the progress file."""
    parser = argparse.ArgumentParser(prog="python -m local_stack.supervisor")
    parser.add_argument("--data", type=Path, required=True)
    folder = StackFolder.at(parser.parse_args(arguments).data)

    def note(text: str) -> None:
        sys.stdout.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n")
        sys.stdout.flush()

    try:
        supervise(folder, note=note, when_ready=lambda: note("ready"))
    except StackError as error:
        note(f"{error.sentence} {error.remedy}")
        if not isinstance(error, AlreadyRunningError):
            folder.write_progress("failed", failure={"sentence": error.sentence, "remedy": error.remedy})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
