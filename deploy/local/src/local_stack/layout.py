"""Where the parts of one stack lie below its data folder, and what is remembered of it between commands."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts.topics import SERVICES
from local_stack.children import ProcessMark
from local_stack.errors import StackError
from local_stack.ports import free_ports, is_free
from local_stack.private_files import private_folder, read_json, write_private_json

SERVERS: Final = ("postgres", "kafka", "identity")
PARTS: Final = (*SERVERS, *SERVICES)
PORT_NAMES: Final = ("kafka", "kafka_controller", "identity", *SERVICES)
KIND: Final = "local stack"


@dataclass(frozen=True)
class StackFolder:
    """The data folder of a stack; every path is absolute."""

    data: Path

    @classmethod
    def at(cls, data: Path) -> "StackFolder":
        """Name a data folder, which need not exist yet."""
        return cls(Path(os.path.normpath(data.expanduser().absolute())))

    @property
    def secrets(self) -> Path:
        """Return the folder of generated secrets."""
        return self.data / "secrets"

    @property
    def keys(self) -> Path:
        """Return the folder that has one folder of private keys per holder."""
        return self.data / "keys"

    @property
    def trust(self) -> Path:
        """Return the file of pinned public keys."""
        return self.keys / "trust.json"

    @property
    def logs(self) -> Path:
        """Return the folder of logs."""
        return self.data / "logs"

    def log(self, part: str) -> Path:
        """Return the log of a part, or of the `supervisor`."""
        return self.logs / f"{part}.log"

    @property
    def running(self) -> Path:
        """Return the file that tells other commands how to reach the stack; it exists while all parts are up."""
        return self.data / "stack.json"

    @property
    def processes(self) -> Path:
        """Return the file of process marks."""
        return self.data / "processes.json"

    @property
    def progress(self) -> Path:
        """Return the file in which a starting stack says how far it is."""
        return self.data / "progress.json"

    @property
    def lock(self) -> Path:
        """Return the file that a supervisor holds locked while it lives."""
        return self.data / "supervisor.lock"

    def make(self) -> None:
        """Make the data folder, closed to others. Raises StackError."""
        try:
            for folder in (self.data, self.secrets, self.logs):
                private_folder(folder)
        except OSError as error:
            raise StackError(
                f"The data folder {self.data} cannot be used ({error.strerror}).", remedy="Name another folder with --data."
            ) from None

    def ports(self) -> dict[str, int]:
        """Return the stack's ports: those of last time as long as they are free, so that addresses stay the same."""
        file = self.data / "ports.json"
        kept = read_json(file) or {}
        ports: dict[str, int] = {name: int(kept[name]) for name in PORT_NAMES if name in kept and is_free(int(kept[name]))}
        missing = [name for name in PORT_NAMES if name not in ports]
        ports |= dict(zip(missing, free_ports(len(missing), besides=ports.values()), strict=True))
        write_private_json(file, ports)
        return ports

    def read_marks(self) -> dict[str, ProcessMark]:
        """Return what was last written about the stack's processes, the `supervisor` among them."""
        document = read_json(self.processes) or {}
        return {name: ProcessMark.parse(mark) for name, mark in document.items()}

    def write_marks(self, marks: Mapping[str, ProcessMark]) -> None:
        """Remember the stack's processes."""
        write_private_json(self.processes, {name: mark.document() for name, mark in marks.items()})

    def write_progress(self, stage: str, *, failure: Mapping[str, str] | None = None) -> None:
        """Say how far the start is; `failure` holds a sentence and a remedy."""
        write_private_json(self.progress, {"stage": stage, "failure": dict(failure) if failure else None})

    def read_progress(self) -> dict[str, Any]:
        """Return what `write_progress` wrote, or an empty object."""
        return read_json(self.progress) or {}
