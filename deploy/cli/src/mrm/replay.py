"""`mrm replay`: put parked messages through the normal path again, once what was wrong is mended."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from contracts.topics import SERVICES, topics_read_by
from mrm.console import DEFAULT_DATA, MISUSED, CommandError, DataOption, JsonOption, Output
from mrm.installation import opened
from mrm.people import OPERATOR

CONSUMERS = tuple(service for service in SERVICES if topics_read_by(service))


def replay(
    service: Annotated[str | None, typer.Argument(help=f"Only this service: {', '.join(CONSUMERS)}.", show_default=False)] = None,
    parked: Annotated[int | None, typer.Option("--id", metavar="ID", help="Only this parked message of the service.")] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Put parked messages through again. What cannot be applied yet is parked again, with its reason."""
    output = Output(as_json=as_json)
    if service is not None and service not in CONSUMERS:
        raise CommandError(f"No service is called {service!r}.", remedy=f"The services: {', '.join(CONSUMERS)}.", code=MISUSED)
    if parked is not None and service is None:
        raise CommandError("--id needs the service whose message it is.", remedy="mrm replay SERVICE --id ID", code=MISUSED)
    answers = asyncio.run(_replay(data, [service] if service else list(CONSUMERS), parked))
    table = Table("Service", "Tried", "Applied", "Parked still", title="Replayed", title_justify="left")
    for name, answer in answers.items():
        table.add_row(name, str(answer["tried"]), str(answer["applied"]), str(answer["parked"]))
    output.result({"services": answers}, table)


async def _replay(data: Path, services: list[str], parked: int | None) -> dict[str, Any]:
    path = "/v1/parked/replay" if parked is None else f"/v1/parked/{parked}/replay"
    async with opened(data) as installation:
        return {service: await installation.api.post(service, path, {}, person=OPERATOR) for service in services}
