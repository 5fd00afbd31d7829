"""`mrm rebuild`: recompute figures from the ledger beside the live ones, compare to the last unit, swap — or say where they differ."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from mrm.console import DEFAULT_DATA, FAILED, DataOption, JsonOption, Output, run_until_stopped
from mrm.installation import Installation, opened
from mrm.people import OPERATOR
from mrm.situation import list_situations

POLL_SECONDS: Final = 0.3
_ENDED: Final = ("Stopped watching: a rebuild that has begun goes on in the service.", "`mrm rebuild` again follows it to its end.")


def rebuild(
    situation: Annotated[
        str | None, typer.Option("--situation", metavar="CODE", help="Only this situation; otherwise every one.", show_default=False)
    ] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> int:
    """Prove that live figures equal the ledger: replay it, compare, swap. Exit 1 names the first difference; nothing is swapped then.

    The service answers meanwhile; a rebuild that was interrupted goes on where it was.
    """
    output = Output(as_json=as_json)
    results = run_until_stopped(_rebuild(data, situation, output), stopped=lambda: _ENDED)
    differences = sum(result["state"] != "swapped" for result in results)
    output.result({"situations": results, "differences": differences}, table_of(results))
    return FAILED if differences else 0


def table_of(results: Iterable[Mapping[str, Any]]) -> Table:
    """Return what is shown; a fact is one position of the ledger, compared with all rows that it left."""
    table = Table("Situation", "Outcome", "Facts replayed", "Facts compared", "First difference", title="Rebuilt", title_justify="left")
    for result in results:
        difference = "" if result["difference"] is None else str(result["difference"])
        table.add_row(result["situation"], result["state"], str(result["replayed"]), str(result["compared"]), difference)
    return table


async def _rebuild(data: Path, situation: str | None, output: Output) -> list[dict[str, Any]]:
    async with opened(data) as installation:
        codes = [situation] if situation is not None else [entry["code"] for entry in await list_situations(installation)]
        with Progress(console=output.progress) as progress:
            return [await _follow(installation, code, progress, progress.add_task(code, total=None)) for code in codes]


async def _follow(installation: Installation, code: str, progress: Progress, task: TaskID) -> dict[str, Any]:
    """Begin a rebuild and watch it to its end."""
    path = f"/v1/situations/{code}/rebuild"
    state: dict[str, Any] = await installation.api.post("aggregation", path, {}, person=OPERATOR)
    while state["ended_at"] is None:
        progress.update(task, description=f"{code}: {state['state']}", total=max(state["target"], 1), completed=state["replayed"])
        await asyncio.sleep(POLL_SECONDS)
        state = await installation.api.get("aggregation", path, person=OPERATOR)
    progress.update(task, description=f"{code}: {state['state']}", total=max(state["target"], 1), completed=state["replayed"])
    return state
