"""`mrm device add | list | revoke | revoke-all | counts`: the field devices that send a monitor's reports."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.table import Column, Table

from mrm.console import DEFAULT_DATA, DataOption, JsonOption, Output
from mrm.installation import opened
from mrm.people import MONITOR, OPERATOR

app = typer.Typer(
    help="Field devices: a token with which a phone sends one monitor's reports, and does nothing else.", no_args_is_help=True
)
AsMonitor = Annotated[str, typer.Option("--as", metavar="PERSON", help="Who acts, on a local stack.")]
PATH: Final = "/v1/devices"
ID_LENGTH: Final = 36
"""`mrm device revoke` needs the whole id, however narrow the terminal."""


@app.command("add")
def add(  # noqa: PLR0917 - typer passes by name
    situation: Annotated[str, typer.Argument(help="The one situation in which the device may report.", show_default=False)],
    label: Annotated[str | None, typer.Option("--label", metavar="TEXT", help="What you call it; kept sealed.")] = None,
    days: Annotated[int, typer.Option("--days", metavar="N", min=1, max=180, help="How long its token is good.")] = 90,
    person: AsMonitor = MONITOR,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Add a device and print its token, which is shown this once.

    Whoever holds the token can send reports in your name and follow those that it sent. If its answer is lost, revoke the device and
    add another.
    """
    output = Output(as_json=as_json)
    body: dict[str, Any] = {"situation": situation, "days": days, **({} if label is None else {"label": label})}
    made = asyncio.run(_ask(data, person, "POST", PATH, body))
    if as_json:
        output.result(made, "")
        return
    output.note(f"Device {made['device']} may send reports in {made['situation']} until {made['expires_at'][:10]}.")
    output.note("Put this token into the device now: it is not shown again and cannot be recovered. `mrm device revoke` ends it.")
    typer.echo(made["token"])


@app.command("list")
def list_devices(person: AsMonitor = MONITOR, data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """List your own devices, the newest first, with the day each was last used."""
    devices = asyncio.run(_list(data, person))
    table = Table(Column("Device", no_wrap=True, min_width=ID_LENGTH), "Label", "Situation", "Expires", "Last used", "Revoked")
    for one in devices:
        days = (one[name][:10] if one[name] else "" for name in ("expires_at", "last_used_on", "revoked_at"))
        table.add_row(one["device"], one["label"] or "", one["situation"], *days)
    Output(as_json=as_json).result({"devices": devices}, table)


@app.command("revoke")
def revoke(
    device: Annotated[str, typer.Argument(help="The device's id, as `mrm device list` shows it.", show_default=False)],
    person: AsMonitor = MONITOR,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """End a device at once. The operator may end anybody's (`--as operator`). Doing it again changes nothing."""
    asyncio.run(_ask(data, person, "DELETE", f"{PATH}/{quote(device, safe='')}"))
    Output(as_json=as_json).result({"device": device, "revoked": True}, f"{device} is revoked: nothing that it sends is accepted.")


@app.command("revoke-all")
def revoke_all(
    situation: Annotated[str, typer.Argument(help="The situation whose devices end.", show_default=False)],
    whose: Annotated[
        str | None, typer.Option("--person", metavar="SUBJECT", help="Only those of one person, by the issuer's subject.")
    ] = None,
    person: AsMonitor = OPERATOR,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """End every device of a situation, or of one person in it: for the operator and the co-chairs, when a role is taken away."""
    body = {"situation": situation, **({} if whose is None else {"person": whose})}
    answer = asyncio.run(_ask(data, person, "POST", f"{PATH}/revocations", body))
    Output(as_json=as_json).result({"situation": situation, **answer}, f"{answer['revoked']} devices were revoked.")


@app.command("counts")
def counts(person: AsMonitor = OPERATOR, data: DataOption = DEFAULT_DATA, as_json: JsonOption = False) -> None:
    """Count the devices of each situation; nothing tells whose they are."""
    items = asyncio.run(_ask(data, person, "GET", f"{PATH}/counts"))["items"]
    table = Table("Situation", "Active", "Expired", "Revoked")
    for one in items:
        table.add_row(one["situation"], str(one["active"]), str(one["expired"]), str(one["revoked"]))
    Output(as_json=as_json).result({"situations": items}, table)


async def _ask(data: Path, person: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    async with opened(data) as installation:
        answer = await installation.api.ask(method, "intake", path, person=person, body=body)
        return answer.json() if answer.content else None


async def _list(data: Path, person: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    params: dict[str, str] = {}
    async with opened(data) as installation:
        while True:
            page = await installation.api.get("intake", PATH, person=person, params=params)
            found += page["items"]
            if page["next"] is None:
                return found
            params = {"cursor": page["next"]}
