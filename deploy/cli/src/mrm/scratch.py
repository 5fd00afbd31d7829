"""The scratch situations that checks of a local stack have made: a file for each, which its check keeps locked as long as it lives.

The system lets go of a lock when a process ends, however it ends: what is not locked was left by a check that was killed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_stack.layout import StackFolder
from local_stack.private_files import private_folder

_UNNAMED: Final = ".new-"


@dataclass(frozen=True, slots=True)
class ScratchMarks:
    """The files; each is named by the code of its scratch situation."""

    folder: Path

    @classmethod
    def of(cls, stack: StackFolder) -> "ScratchMarks":
        """Name the folder of a stack's marks and make it."""
        folder = stack.data / "checks"
        private_folder(folder)
        return cls(folder)

    @contextmanager
    def held(self, code: str) -> Iterator[None]:
        """Mark a situation as in use; whoever has removed it forgets the mark before the end."""
        unnamed = self.folder / f"{_UNNAMED}{code}"
        file = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            unnamed.rename(self.folder / code)  # nobody sees it under this name without its lock
            yield
        finally:
            os.close(file)

    @contextmanager
    def left(self) -> Iterator[list[str]]:
        """Hold what no living check holds, and nobody else is just taking away."""
        with ExitStack() as locks:
            yield [file.name for file in sorted(self.folder.iterdir()) if not file.name.startswith(_UNNAMED) and _taken(file, locks)]

    def forget(self, code: str) -> None:
        """Drop the mark of a situation that is no longer there."""
        (self.folder / code).unlink(missing_ok=True)


def _taken(path: Path, locks: ExitStack) -> bool:
    """Lock a mark if nobody holds it; not one that was dropped meanwhile."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    locks.callback(os.close, file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(file).st_nlink > 0
