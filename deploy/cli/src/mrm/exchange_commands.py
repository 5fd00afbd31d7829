"""`mrm export exchange` and `mrm import exchange`: a situation's coded records as a portable file."""

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from contracts.exchange import ExchangeFile
from mrm.check import read_file, today_in
from mrm.console import DEFAULT_DATA, CommandError, DataOption, JsonOption, Output
from mrm.exchange_journey import apply_steps, size_of
from mrm.exchange_plan import Plan
from mrm.exchange_records import situation_part, steps_of
from mrm.installation import opened
from mrm.journey import Journey
from mrm.people import OFFICER
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
    document = asyncio.run(_export_situation(data, tokens, situation))
    path = output_file if output_file is not None else Path(f"{situation}.json")
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

    Exit 2 when the file is not valid: the field is named and nothing is sent.
    """
    output = Output(as_json=as_json)
    document = read_file(file)
    position = asyncio.run(_import_file(data, tokens, document, output))
    code = document.situation.code
    told = {"situation": code, "steps": len(document.steps), "records": size_of(document), "position": position}
    output.result(told, f"{told['records']} records are in {code}, counted up to position {position}.")


async def _export_situation(data: Path, tokens: Path | None, code: str) -> dict[str, Any]:
    async with opened(data, tokens=tokens) as installation:
        document = await find_situation(installation, code)
        if document is None:
            raise CommandError(f"No situation {code!r} is registered here.", remedy="`mrm situation list` shows those that are.")
        records: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            params = {"limit": "500", **({"cursor": cursor} if cursor else {})}
            page = await installation.api.get("verification", f"/v1/situations/{code}/records", person=OFFICER, params=params)
            records += page["items"]
            cursor = page.get("next")
            if not cursor:
                break
    return {"format": "mrm-exchange/1", "situation": situation_part(document), "steps": steps_of(records)}


async def _import_file(data: Path, tokens: Path | None, document: ExchangeFile, output: Output) -> int:
    code = document.situation.code
    async with opened(data, tokens=tokens) as installation:
        known = await find_situation(installation, code)
        journey = Journey(installation.api, code)
        if known is None:
            draft = document.situation.model_dump(mode="json", exclude_none=True)
            if installation.access is not None and installation.access.recipients is not None:
                draft["recipients"] = installation.access.recipients
            await installation.register(draft)
            await journey.wait_until_known()
        elif known["incidents"]:
            raise CommandError(
                f"{code} holds {known['incidents']} incidents already.", remedy="Import into a situation that is new or empty."
            )
        plan = Plan(situation=code, today=today_in(document.situation), vetted=False, keep_ids=True)
        with Progress(console=output.progress) as progress:
            task = progress.add_task(f"Importing into {code}", total=size_of(document))
            positions = await apply_steps(journey, document, plan, told=lambda more: progress.advance(task, more))
    return positions[-1] if positions else 0


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read: coded records are confidential."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
