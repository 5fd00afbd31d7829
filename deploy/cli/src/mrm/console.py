"""What all commands share: the options `--data` and `--json`, progress on standard error, exit codes, and how errors read.

With `--json` the last line on standard output is one JSON object, also when the command fails; everything else goes to
standard error.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console, RenderableType

from local_stack.errors import StackError
from local_stack.layout import StackFolder
from local_stack.running import RunningStack, require_running

OK: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
STOPPED: Final = 128 + signal.SIGINT
"""Ended by Ctrl-C."""

DataOption = Annotated[Path, typer.Option("--data", metavar="DIR", help="The data folder that names the stack.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output.")]
DEFAULT_DATA: Final = Path("var")
T = TypeVar("T")


class CommandError(Exception):
    """A command cannot do what was asked: a sentence, what to do about it, and the exit code."""

    def __init__(self, sentence: str, *, remedy: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.code = code


class Output:
    """Where a command speaks: `note` while it works, `result` once at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.progress = Console(stderr=True, highlight=False, soft_wrap=True)
        self.console = Console(highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say on standard error what happens."""
        self.progress.print(text, style="dim", markup=False)

    def result(self, document: Mapping[str, Any], for_people: RenderableType) -> None:
        """Print the outcome: the document with `--json`, otherwise what a person reads."""
        if self.as_json:
            print_json(document)
        else:
            self.console.print(for_people)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def run_until_stopped(work: Coroutine[Any, Any, T], *, stopped: Callable[[], tuple[str, str]]) -> T:
    """Run a command's work; on Ctrl-C raise CommandError with the sentence and the remedy of `stopped`, asked for at that moment."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sentence, remedy = stopped()
        raise CommandError(sentence, remedy=remedy, code=STOPPED) from None


def running_stack(data: Path) -> RunningStack:
    """Return the addresses of the running local stack of a data folder. Raises StackError when there is none."""
    return require_running(StackFolder.at(data))


def report_error(error: StackError | CommandError, *, as_json: bool) -> int:
    """Print an error as a sentence and a remedy; returns the exit code."""
    code = error.code if isinstance(error, CommandError) else FAILED
    print_error(error.sentence, error.remedy)
    if as_json:
        print_json({"error": {"sentence": error.sentence, "remedy": error.remedy}})
    return code


def print_error(sentence: str, remedy: str) -> None:
    """Print a sentence and a remedy on standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(sentence, style="bold red", markup=False)
    if remedy:
        console.print(remedy, markup=False)


def wants_traceback() -> bool:
    """Tell whether a developer asked to see where an unexpected error came from."""
    return os.environ.get("MRM_TRACEBACK", "") not in {"", "0"}
