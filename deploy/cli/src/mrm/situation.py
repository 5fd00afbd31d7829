"""`mrm situation add | list | show`: the register of situations, as the operator keeps it."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.table import Table

from contracts.model import FieldError, field_errors
from contracts.plain_json import ambiguities
from contracts.situation import RecipientKey, SituationDraft, SituationPart, check_situation
from mrm.client import RefusedError
from mrm.console import DEFAULT_DATA, MISUSED, CommandError, DataOption, JsonOption, Output
from mrm.installation import Installation, opened
from mrm.journey import Journey
from mrm.people import OPERATOR

app = typer.Typer(help="The register of situations.", no_args_is_help=True)
_NOT_FOUND: Final = 404


class DraftFile(SituationDraft):
    """What a file may hold: a register entry, with recipients where no local stack makes them."""

    recipients: dict[str, list[RecipientKey]] | None = None


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="A situation as JSON, or an exchange file.", show_default=False)],
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Register a situation, or the next version of one that is registered.

    On the local stack its keys are made and its people get their roles. Elsewhere the file must hold `recipients`, the operator's
    token is taken from MRM_TOKEN and the address of verification from MRM_VERIFICATION_URL.
    """
    output = Output(as_json=as_json)
    draft = read_draft(file)
    document = asyncio.run(_add(data, draft))
    told = {"code": document["code"], "name": document["name"], "version": document["version"]}
    output.result(told, f"{document['code']} is registered as version {document['version']}.")


@app.command("list")
def list_(data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """List the situations. Scratch situations of `mrm check` are shown nowhere."""
    output = Output(as_json=as_json)
    found = asyncio.run(_list(data))
    table = Table("Code", "Name", "Time zone", "Version", title="Situations", title_justify="left")
    for entry in found:
        table.add_row(entry["code"], entry["name"], entry["time_zone"], str(entry["version"]))
    output.result({"situations": found}, table if found else "No situation is registered yet; `mrm situation add FILE` adds one.")


@app.command("show")
def show(
    code: Annotated[str, typer.Argument(help="The situation's code.", show_default=False)],
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Show a situation's register entry, and how much has been recorded for it."""
    output = Output(as_json=as_json)
    document = asyncio.run(_show(data, code))
    output.result(document, json.dumps(document, ensure_ascii=False, indent=2))


async def list_situations(installation: Installation) -> list[dict[str, Any]]:
    """Return the register as the operator sees it."""
    answer = await installation.api.get("verification", "/v1/situations", person=OPERATOR)
    found: list[dict[str, Any]] = answer["items"]
    return found


async def find_situation(installation: Installation, code: str) -> dict[str, Any] | None:
    """Return a situation's register entry with its counters, None if there is none."""
    try:
        document: dict[str, Any] = await installation.api.get("verification", f"/v1/situations/{code}", person=OPERATOR)
    except RefusedError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return document


def read_draft(file: Path) -> dict[str, Any]:
    """Read a register entry from a file; raises CommandError naming every field that is refused."""
    try:
        text = file.read_text("utf-8")
        document = json.loads(text)
    except (OSError, ValueError):
        raise CommandError(f"{file} is not a readable JSON file.", remedy="Name a situation or an exchange file.", code=MISUSED) from None
    unclear = ambiguities(text)
    if unclear:
        raise refused_fields(file, [(entry.field, entry) for entry in unclear])
    prefix = ""
    if isinstance(document, dict) and "format" in document:
        document, prefix = document.get("situation"), "situation."
    try:
        draft = (SituationPart if prefix else DraftFile).model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise refused_fields(file, [(prefix + entry.field, entry) for entry in field_errors(error, name_unknown=True)]) from None
    errors = check_situation(draft)
    if errors:
        raise refused_fields(file, [(prefix + entry.field, entry) for entry in errors])
    dumped: dict[str, Any] = draft.model_dump(mode="json", exclude_none=True)
    return dumped


def refused_fields(file: Path, errors: Sequence[tuple[str, FieldError]]) -> CommandError:
    """Return the error that names every refused field of a file."""
    told = "".join(f"\n  {field}: {error.message}" for field, error in errors)
    return CommandError(f"{file} is not valid:{told}", remedy="Nothing was sent.", code=MISUSED)


async def _add(data: Path, draft: dict[str, Any]) -> dict[str, Any]:
    async with opened(data) as installation:
        code = draft["code"]
        known = await find_situation(installation, code)
        if known is None:
            await installation.register(draft)
            if installation.stack is not None:
                await Journey(installation.api, code).wait_until_known()
        else:
            kept = {name: known[name] for name in ("recipients", "version", "policy")}
            body = {**kept, "scratch": known.get("scratch", False), **draft}
            await installation.put_situation(code, body)
        written = await find_situation(installation, code)
    if written is None:
        raise CommandError(f"{code} was registered and is gone again.", remedy="Ask who removed it.")
    return written


async def _list(data: Path) -> list[dict[str, Any]]:
    async with opened(data) as installation:
        return await list_situations(installation)


async def _show(data: Path, code: str) -> dict[str, Any]:
    async with opened(data) as installation:
        document = await find_situation(installation, code)
    if document is None:
        raise CommandError(f"No situation {code!r} is registered here.", remedy="`mrm situation list` shows those that are.")
    return document
