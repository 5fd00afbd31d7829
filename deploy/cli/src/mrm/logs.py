"""`mrm logs`: what the parts of the local stack wrote."""

import contextlib
import time
from collections import deque
from pathlib import Path
from typing import Annotated

import typer

from local_stack.layout import PARTS, StackFolder
from mrm.console import DEFAULT_DATA, MISUSED, CommandError, DataOption

NAMES = ("supervisor", *PARTS)
PAUSE = 0.25


def logs(
    service: Annotated[str | None, typer.Argument(metavar="[SERVICE]", help=f"One of {', '.join(NAMES)}; all when left out.")] = None,
    data: DataOption = DEFAULT_DATA,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines of each log.")] = 100,
) -> None:
    """Print the last lines of the logs. They hold ids and codes, never what was reported."""
    if service is not None and service not in NAMES:
        raise CommandError(f"There is no part called {service!r}.", remedy=f"The parts: {', '.join(NAMES)}.", code=MISUSED)
    folder = StackFolder.at(data)
    wanted = {name: folder.log(name) for name in ([service] if service else NAMES)}
    if not any(path.exists() for path in wanted.values()):
        raise CommandError(f"There are no logs in {folder.logs}.", remedy="`mrm up` starts a stack; --data names another folder.")
    tails = {name: Tail(path, prefix=f"{name}: " if service is None else "") for name, path in wanted.items()}
    for tail in tails.values():
        tail.print_last(lines)
    with contextlib.suppress(KeyboardInterrupt):
        while follow:
            printed = [tail.print_new() for tail in tails.values()]  # all of them, not only until the first
            if not any(printed):
                time.sleep(PAUSE)


class Tail:
    """The end of one growing file; what is cut short or replaced is read from its beginning."""

    def __init__(self, path: Path, *, prefix: str) -> None:
        self._path = path
        self._prefix = prefix
        self._position = 0
        self._inode = 0

    def print_last(self, lines: int) -> None:
        """Print the last lines."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            for line in deque(file, maxlen=lines):
                self._print(line)
            self._position = file.tell()
            self._inode = self._path.stat().st_ino

    def print_new(self) -> bool:
        """Print the whole lines written since; tells whether there were any."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            status = self._path.stat()
            if status.st_ino != self._inode or status.st_size < self._position:
                self._position, self._inode = 0, status.st_ino
            file.seek(self._position)
            new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._position += len(whole)
            for line in whole.splitlines():
                self._print(line)
            return bool(whole)
        return False

    def _print(self, line: bytes) -> None:
        typer.echo(f"{self._prefix}{line.decode(errors='replace').rstrip()}")
