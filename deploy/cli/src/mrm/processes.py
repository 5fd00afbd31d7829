"""`mrm up` and `mrm down`: the local stack as a whole."""

from typing import Annotated

import typer
from rich.table import Table

from local_stack.layout import StackFolder
from local_stack.running import RunningStack, find_running, is_held, start_detached, stop, wait_until_up
from local_stack.supervisor import AlreadyRunningError, supervise
from mrm.console import DEFAULT_DATA, CommandError, DataOption, JsonOption, Output


def up(
    data: DataOption = DEFAULT_DATA,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave it running in the background and return.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start PostgreSQL, Kafka, the identity provider and the four services; Ctrl-C drains and stops them.

    Starting a stack that runs already only prints its addresses.
    """
    output = Output(as_json=as_json)
    folder = StackFolder.at(data)
    if find_running(folder) or is_held(folder):
        _print_stack(output, wait_until_up(folder, note=output.note), "is running already")
        return
    if detach:
        _print_stack(output, start_detached(folder, note=output.note), "is up; `mrm down` ends it")
        return
    _run_in_foreground(output, folder)


def down(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """End the stack, or what a crash left of one. Data, keys and people stay."""
    output = Output(as_json=as_json)
    folder = StackFolder.at(data)
    ended = folder.data.is_dir() and stop(folder)
    if is_held(folder):
        raise CommandError("The stack did not stop.", remedy=f"{folder.log('supervisor')} may say why.")
    text = "The stack has stopped." if ended else f"No stack was running in {folder.data}."
    output.result({"data": str(folder.data), "stopped": ended}, text)


def _run_in_foreground(output: Output, folder: StackFolder) -> None:
    became_ready = False

    def when_ready() -> None:
        nonlocal became_ready
        stack = find_running(folder)
        if stack is not None:
            became_ready = True
            _print_stack(output, stack, "is up; Ctrl-C drains and stops it")

    try:
        supervise(folder, note=output.note, when_ready=when_ready)
    except AlreadyRunningError:  # somebody else was a moment faster
        _print_stack(output, wait_until_up(folder, note=output.note), "is running already")
        return
    if not became_ready:
        raise CommandError("Stopped before the stack was up.", remedy="")
    output.note("stopped")


def _print_stack(output: Output, stack: RunningStack, state: str) -> None:
    document = stack.document()
    table = Table(title=f"The stack {state}.", title_justify="left", show_header=False, box=None)
    for name, value in document.items():
        table.add_row(name, str(value))
    output.result(document, table)
