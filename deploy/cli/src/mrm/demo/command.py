"""`mrm demo`: the command around the main job."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from local_stack.layout import StackFolder
from local_stack.running import find_running, is_held, start_detached, stop
from mrm.console import DEFAULT_DATA, FAILED, MISUSED, CommandError, DataOption, JsonOption, Output
from mrm.demo.figures import Figures, UnreadableFiguresError, load_figures
from mrm.demo.run import Outcome, run
from mrm.demo.solver import Assignment, ContradictionError, solve
from mrm.installation import opened


def demo(
    situation: Annotated[
        Path | None, typer.Option("--situation", metavar="FILE", help="Published figures; by default those that come with the product.")
    ] = None,
    situation_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="A situation of the file; by default AFG-2024.")] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Make incidents from published figures, put them through the whole system, and compare what is counted with what was published.

    Starts the stack if it is not running and stops only what it started. Exit 0 only when every figure agrees and the signed bundle
    verifies.
    """
    output = Output(as_json=as_json)
    figures = _figures(situation, situation_id)
    assignment = _assignment(figures)
    folder = StackFolder.at(data)
    was_running = find_running(folder) is not None or is_held(folder)
    try:
        start_detached(folder, note=output.note)
        outcome = asyncio.run(_run(figures, assignment, folder, output))
    finally:
        if not was_running:
            output.note("stopping the stack that was started for this")
            stop(folder)
    output.result(outcome.document(), _report(outcome, figures, data, was_running=was_running))
    if outcome.differences or not outcome.genuine:
        raise typer.Exit(FAILED)


def _figures(file: Path | None, wanted: str | None) -> Figures:
    try:
        return load_figures(file, wanted)
    except UnreadableFiguresError as error:
        raise CommandError(str(error), remedy="The page on published figures describes the file.", code=MISUSED) from None


def _assignment(figures: Figures) -> Assignment:
    try:
        return solve(figures)
    except ContradictionError as error:
        raise CommandError(
            f"{figures.id} cannot be made. {error}", remedy="Nothing was sent. Correct one of these figures, or leave one of them out."
        ) from None


async def _run(figures: Figures, assignment: Assignment, folder: StackFolder, output: Output) -> Outcome:
    async with opened(folder.data) as installation:
        return await run(installation, figures, assignment, data=folder.data, trust=folder.trust, output=output)


def _report(outcome: Outcome, figures: Figures, data: Path, *, was_running: bool) -> RenderableType:
    table = Table(title=f"{figures.situation}, {figures.start} to {figures.end}, as {outcome.situation}", title_justify="left")
    table.add_column("Figure")
    for heading in ("Published", "Counted", "Difference"):
        table.add_column(heading, justify="right")
    for entry in outcome.compared:
        style = "bold red" if entry.difference else None
        table.add_row(entry.name, str(entry.published), str(entry.counted), str(entry.difference or "0"), style=style)
    option = "" if data == DEFAULT_DATA else f" --data {data}"
    lines = [
        f"{outcome.differences} of {len(outcome.compared)} figures differ." if outcome.differences else "Every figure agrees.",
        f"The signed bundle {'verifies' if outcome.genuine else 'DOES NOT VERIFY'}: {outcome.bundle}",
        *(f"  {check.check}: {check.detail}" for check in outcome.checks if not check.ok),
        f"Check it again at any time: mrm verify {outcome.bundle}{option}",
        f"Look at the running system: mrm status{option}" if was_running else f"Start the system again and look at it: mrm up{option}",
        f"Ask it as its people do: mrm token officer{option}",
    ]
    return Group(table, Text("\n".join(lines)))
