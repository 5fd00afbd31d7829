"""`mrm audit verify | show | witness | dump`: the record of acts, for those who must be able to trust it without trusting us."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.trust import Trust
from contracts.topics import SERVICES
from local_stack.layout import StackFolder
from local_stack.postgres import PostgresServer
from mrm.acts import words
from mrm.console import DEFAULT_DATA, FAILED, MISUSED, CommandError, DataOption, JsonOption, Output, running_stack
from mrm.installation import opened
from mrm.people import OPERATOR
from mrm.record import Checked, check_dump, check_service, dump_record, read_saved, write_saved
from mrm.witness import SENTENCES, Sight, Witness

AUDITOR: Final = "auditor"
app = typer.Typer(help="The record of acts: is it untouched, and who did what?", no_args_is_help=True)
ServicesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[SERVICE]...", help=f"Only these: {', '.join(SERVICES)}.", show_default=False)
]
TrustOption = Annotated[Path | None, typer.Option("--trust", metavar="FILE", help="Pinned public keys; by default the installation's.")]
PersonOption = Annotated[str, typer.Option("--as", metavar="PERSON", help="Who asks, on a local stack.")]


@app.command("verify")
def verify(  # noqa: PLR0917 - typer passes by name
    services: ServicesArgument = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option("--checkpoint", metavar="FILE", help="Saved checkpoints to hold the record against.")
    ] = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Save the newest checkpoints if all is well.")] = None,
    dump: Annotated[Path | None, typer.Option("--dump", metavar="FILE", help="Check a dump instead, without any service.")] = None,
    trust: TrustOption = None,
    person: PersonOption = OPERATOR,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Find every act that was edited, removed, inserted or moved since it was written. Exit 0 untouched, 1 not, 2 misused.

    That a whole database was set back to an older state can only be seen with --checkpoint and a file that --save wrote before: keep
    it where nobody who can reach the database can reach it.
    """
    output = Output(as_json=as_json)
    if dump is not None and (services or save):
        raise CommandError("--dump names its own service and has nothing to save.", remedy="Leave services and --save out.", code=MISUSED)
    pinned = _pinned(trust, data)
    saved = [note for file in checkpoint or () for note in read_saved(file)]
    if dump is not None:
        found = [check_dump(dump, trust=pinned, saved=saved)]
    else:
        found = asyncio.run(_check(data, _named(services), person=person, trust=pinned, saved=saved, output=output))
    untouched = all(checked.valid for checked in found)
    if save is not None and untouched:
        write_saved(save, [checked.newest for checked in found if checked.newest is not None])
    kept = str(save) if save is not None and untouched else None
    output.result({"valid": untouched, "saved": kept, "services": [checked.document() for checked in found]}, _told(found, kept))
    raise typer.Exit(0 if untouched else FAILED)


@app.command("show")
def show(  # noqa: PLR0917 - typer passes by name
    by: Annotated[str | None, typer.Option("--person", metavar="SUBJECT", help="Acts of this person.")] = None,
    case: Annotated[str | None, typer.Option("--case", metavar="ID", help="Acts on this object and what belongs to it.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S"], help="From then on, UTC."),
    ] = None,
    situation: Annotated[str | None, typer.Option("--situation", metavar="CODE", help="Acts in this situation.")] = None,
    service: Annotated[list[str] | None, typer.Option("--service", help="Only this service; may be given again.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many of each service, the newest.")] = 200,
    person: PersonOption = AUDITOR,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Show in words who did what, oldest first: acts, openings, searches, denials, emergency accesses. Reading the record is recorded.

    At intake monitors stand under a mark; --person finds them by the issuer's subject all the same.
    """
    output = Output(as_json=as_json)
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    asked = {"person": by, "case": case, "situation": situation, "since": since.isoformat() if since else None}
    params = {name: value for name, value in asked.items() if value is not None}
    acts = asyncio.run(_acts(data, _named(service), person, params, limit))
    items = [{**item, "words": words(item["action"], item["detail"])} for item in acts]
    table = Table(title="Acts", title_justify="left")
    for heading in ("When (UTC)", "Service", "Situation", "Who", "What", "Object"):
        table.add_column(heading, overflow="fold")  # an id that is cut off can be given to no option
    for item in items:
        when = datetime.fromisoformat(item["at"]).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        cells = (when, item["service"], item["situation"] or "-", item["actor"], item["words"], item["subject"] or "-")
        table.add_row(*(Text(cell) for cell in cells))
    output.result({"items": items}, table if items else "No act fits.")


@app.command("witness")
def witness(  # noqa: PLR0917 - typer passes by name
    services: ServicesArgument = None,
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="The witness's own folder: its key and its memory.")] = Path(
        "witness"
    ),
    name: Annotated[
        str | None, typer.Option("--name", help="Its name, for a new witness: a host it answers for, such as w.example/1.")
    ] = None,
    trust: TrustOption = None,
    person: PersonOption = AUDITOR,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Cosign the records' checkpoints if they continue what was seen before. Exit 0 all cosigned, 1 one was refused, 2 misused.

    Run it regularly on a machine of somebody else: MRM_TOKEN holds the access token there, MRM_<SERVICE>_URL the addresses and --trust
    the pinned keys. The cosigned checkpoints lie in the folder; `mrm audit verify --checkpoint` takes them.
    """
    output = Output(as_json=as_json)
    watching = Witness(state, name, _pinned(trust, data))
    sights = asyncio.run(_look(data, watching, _named(services), person))
    told = [f"{sight.service}: {SENTENCES[sight.verdict]} (size {sight.size})" for sight in sights]
    document = {"witness": watching.key.verifier, "sights": [sight.document() for sight in sights]}
    output.result(document, "\n".join([*told, f"This witness's key: {watching.key.verifier}"]))
    raise typer.Exit(0 if all(sight.cosigned for sight in sights) else FAILED)


@app.command("dump")
def dump_(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="The file to write; it names persons by their ids, so keep it closed.", show_default=False)],
    url_file: Annotated[
        Path | None, typer.Option("--database-url-file", metavar="FILE", help="File with the database's URL; by default the local stack's.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Copy a service's whole record from its database, for `mrm audit verify --dump` and for an archive."""
    output = Output(as_json=as_json)
    (named,) = _named([service])
    count = asyncio.run(dump_record(named, _database_url(named, url_file, data), file))
    output.result({"service": named, "entries": count, "file": str(file)}, f"{count} entries of {named} are in {file}.")


async def _check(data: Path, services: Sequence[str], *, person: str, trust: Trust, saved: Sequence[str], output: Output) -> list[Checked]:
    found = []
    async with opened(data) as installation:
        for service in services:
            output.note(f"Checking the record of {service}.")
            found.append(await check_service(installation.api, service, person=person, trust=trust, saved=saved))
    return found


async def _acts(data: Path, services: Sequence[str], person: str, params: dict[str, str], limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    async with opened(data) as installation:
        for service in services:
            wanted, asked = limit, dict(params)
            while wanted > 0:
                page = await installation.api.get(
                    service, "/v1/audit/entries", person=person, params={**asked, "limit": str(min(wanted, 500))}
                )
                items += [{"service": service, **item} for item in page["items"]]
                wanted -= len(page["items"])
                if page["next"] is None:
                    break
                asked["cursor"] = page["next"]
    return sorted(items, key=lambda item: (datetime.fromisoformat(item["at"]), item["service"], item["position"]))


async def _look(data: Path, watching: Witness, services: Sequence[str], person: str) -> list[Sight]:
    async with opened(data) as installation:
        return [await watching.look(installation.api, service, person=person) for service in services]


def _named(services: Sequence[str] | None) -> list[str]:
    for service in services or ():
        if service not in SERVICES:
            raise CommandError(f"No service is called {service!r}.", remedy=f"The services: {', '.join(SERVICES)}.", code=MISUSED)
    return list(dict.fromkeys(services or SERVICES))


def _pinned(trust: Path | None, data: Path) -> Trust:
    file = trust if trust is not None else StackFolder.at(data).trust
    try:
        return Trust.load(file)
    except (OSError, UnusableKeyError):
        raise CommandError(
            f"{file} is not a readable file of pinned keys.", remedy="Name one with --trust, or an installation with --data.", code=MISUSED
        ) from None


def _database_url(service: str, file: Path | None, data: Path) -> str:
    if file is None:
        folder = running_stack(data).folder
        server = PostgresServer(folder.data / "postgres", secrets=folder.secrets, log=folder.log("postgres"))
        return server.service_database(service).owner_url
    try:
        return file.read_text("utf-8").strip()
    except (OSError, ValueError):
        raise CommandError(f"{file} cannot be read.", remedy="Name a file that holds one URL.", code=MISUSED) from None


def _told(found: Sequence[Checked], saved: str | None) -> Group:
    table = Table("Service", "Entries", "Checkpoints", "Saved ones", "Outcome", title="Records of acts", title_justify="left")
    lines: list[str] = []
    for checked in found:
        outcome = "untouched" if checked.valid else f"{len(checked.findings) + checked.more + len(checked.broken)} findings"
        table.add_row(checked.service, str(checked.entries), str(checked.checkpoints), str(checked.against), outcome)
        lines += [f"{checked.service}: {finding.sentence} ({finding.flaw.value}, {finding.where})" for finding in checked.findings]
        lines += [f"{checked.service}: and {checked.more} more findings."] if checked.more else []
        lines += [
            f"{checked.service}: The service refuses to sign its record. {one['message']} ({one['code']}, {one['field']})"
            for one in checked.broken
        ]
        if checked.valid and not checked.against:
            lines.append(f"{checked.service}: held against no saved checkpoint, so a database set back as a whole would not be seen.")
    lines += [f"The newest checkpoints are saved in {saved}; keep the file where nobody who can reach the databases can."] if saved else []
    return Group(table, *(Text(line) for line in lines))
