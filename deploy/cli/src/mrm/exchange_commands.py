"""`mrm export exchange` and `mrm import exchange`: a situation's coded records as a portable file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from contracts.exchange import ExchangeFile
from local_stack.private_files import write_private
from mrm.check import read_file, today_in
from mrm.console import DEFAULT_DATA, MISUSED, CommandError, DataOption, JsonOption, Output, run_until_stopped
from mrm.exchange_journey import apply_steps, size_of
from mrm.exchange_records import situation_part, steps_of
from mrm.exchange_resumption import find_standing, import_plan, importing_alone, make_ready, records_of, set_importing, withdraw_own_dockets
from mrm.exchange_standing import Standing
from mrm.installation import opened
from mrm.journey import Journey
from mrm.situation import find_situation

export_app = typer.Typer(help="Take data out of the running system.", no_args_is_help=True)
import_app = typer.Typer(help="Bring data into the running system.", no_args_is_help=True)
TokensOption = Annotated[Path | None, typer.Option("--tokens", metavar="FILE", help="Away from the local stack: access tokens.")]


@export_app.callback()
def _export() -> None:
    """Keep `export` a group of commands."""


@import_app.callback()
def _import() -> None:
    """Keep `import` a group of commands."""


@export_app.command("exchange")
def export_exchange(
    situation: Annotated[str, typer.Argument(help="The situation's code.", show_default=False)],
    output_file: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; by default CODE.json.")] = None,
    tokens: TokensOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Write the coded records of a situation, in the order of recording: no narrative, name, coordinate or evidence."""
    output = Output(as_json=as_json)
    path = output_file if output_file is not None else Path(f"{situation}.json")
    _check_target(path)
    work = _export_situation(data, tokens, situation)
    document = run_until_stopped(work, stopped=lambda: ("Stopped before the end.", f"{path} is as it was."))
    _write(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    records = sum(len(part) for step in document["steps"] for part in step.values())
    told = {"situation": situation, "file": str(path), "steps": len(document["steps"]), "records": records}
    output.result(told, f"{records} records of {situation} in {len(document['steps'])} steps: {path}")


@import_app.command("exchange")
def import_exchange(
    file: Annotated[Path, typer.Argument(help="An exchange file.", show_default=False)],
    tokens: TokensOption = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Bring the records of an exchange file into its situation, which must be new or empty; both co-chairs accept the decisions.

    An import that was ended, however it was, goes on when the same file is imported again: a situation may hold records of that very
    file and no others. Exit 2 when the file is not valid: the field is named and nothing is sent.
    """
    output = Output(as_json=as_json)
    document = read_file(file)
    code = document.situation.code
    progress = _Progress(total=size_of(document))

    def stopped() -> tuple[str, str]:
        return (
            f"Stopped: {progress.done} of {progress.total} records have been sent to {code}; they stand.",
            "The same command with the same file goes on from there.",
        )

    position = run_until_stopped(
        _import_file(data, tokens, file=file, document=document, output=output, progress=progress), stopped=stopped
    )
    told = {"situation": code, "steps": len(document.steps), "records": progress.total, "stood": progress.stood, "position": position}
    output.result(told, f"{told['records']} records are in {code}, counted up to position {position}.")


async def _export_situation(data: Path, tokens: Path | None, code: str) -> dict[str, Any]:
    async with opened(data, tokens=tokens) as installation:
        document = await find_situation(installation, code)
        if document is None:
            raise CommandError(f"No situation {code!r} is registered here.", remedy="`mrm situation list` shows those that are.")
        records = await records_of(installation, code)
    return {"format": "mrm-exchange/1", "situation": situation_part(document), "steps": steps_of(records)}


@dataclass(slots=True)
class _Progress:
    """How many records of a file have come through so far."""

    total: int
    stood: int = 0
    done: int = 0


async def _import_file(data: Path, tokens: Path | None, *, file: Path, document: ExchangeFile, output: Output, progress: _Progress) -> int:
    code = document.situation.code
    async with opened(data, tokens=tokens) as installation:
        with importing_alone(installation, file, code):
            known = await find_situation(installation, code)
            await make_ready(installation, document, known)
            today = today_in(document.situation)
            standing = await find_standing(installation, document, today) if known is not None and known["incidents"] else Standing()
            progress.stood = standing.size
            if standing.size:
                output.note(f"{code} holds {standing.size} records of this file already; they stay as they are.")
            plan = import_plan(code, today, standing)
            await set_importing(installation, code, True)
            with Progress(console=output.progress) as shown:
                task = shown.add_task(f"Importing into {code}", total=progress.total)

                def told(more: int) -> None:
                    progress.done += more
                    shown.advance(task, more)

                journey = Journey(installation.api, code)
                positions = await apply_steps(journey, document, plan, told=told)
            if progress.stood:
                await withdraw_own_dockets(installation, document)
            await set_importing(installation, code, False)
    return positions[-1] if positions else 0


def _check_target(path: Path) -> None:
    """Raise CommandError if nothing can be written there, before anything is asked for."""
    if path.is_dir():
        raise CommandError(f"{path} is a folder.", remedy="Name a file with -o.", code=MISUSED)
    if not path.parent.is_dir():
        raise CommandError(f"There is no folder {path.parent}.", remedy="Make it, or name a file in another one with -o.", code=MISUSED)


def _write(path: Path, text: str) -> None:
    """Replace a file in one step by one that only its owner can read: coded records are confidential."""
    try:
        if path.exists() and not path.is_file():  # a pipe or a terminal
            path.write_text(text, "utf-8")
        else:
            write_private(path.resolve(), text)
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror}).", remedy="Name another file with -o.", code=MISUSED) from None
