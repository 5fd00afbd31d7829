"""`mrm keys make | vouch`: opening keys on the machine of the service that holds them, ready for the register. Nothing is sent anywhere."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import BaseModel, ValidationError

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.keys import KeyFolder, PublicKey
from chassis.sealing.opening_keys import generate_opening_key
from chassis.sealing.vouchers import VOUCHING, vouch
from mrm.console import MISUSED, CommandError, JsonOption, Output

OUTSIDE: Final = "recipient"
"""Its keys are made by somebody who has no service's signing key."""
app = typer.Typer(
    help="Opening keys with the voucher without which no service seals to them; run it on the holder's machine.", no_args_is_help=True
)
FolderOption = Annotated[
    Path, typer.Option("--keys-dir", metavar="DIR", help="The folder of key files, a service's MRM_KEYS_DIR.", show_default=False)
]


class PublicHalf(BaseModel):
    """What a file must say of a key to vouch for; what else it says is left out."""

    id: str
    public: str


@app.command("make")
def make(
    holder: Annotated[str, typer.Argument(help=f"Who will open with it: {', '.join(VOUCHING)}.", show_default=False)],
    situation: Annotated[str, typer.Argument(help="The one situation that it is for.", show_default=False)],
    folder: FolderOption,
    as_json: JsonOption = False,
) -> None:
    """Make an opening key and print its entry for `recipients` in the register; the private half stays in the folder.

    The signing key in the folder vouches for it. A recipient outside has none: export's operator then vouches with `mrm keys vouch`.
    """
    output = Output(as_json=as_json)
    if holder not in VOUCHING:
        raise CommandError(f"Nobody opens anything as {holder!r}.", remedy=f"Holders: {', '.join(VOUCHING)}.", code=MISUSED)
    try:
        may_vouch = holder != OUTSIDE or any(name.startswith(f"{VOUCHING[holder]}/signing/") for name in KeyFolder(folder).ids())
        signer = KeyFolder(folder).signing_key(VOUCHING[holder]) if may_vouch else None
        key = generate_opening_key(holder, situation)
        key.save(folder)
        entry = {"id": key.id, "public": key.public.base64} if signer is None else vouch(key.public, signer).model_dump()
    except (UnusableKeyError, OSError) as error:
        raise _refused(error) from None
    output.note(f"Made {key.id}; its private half is in {folder}.")
    if signer is None:
        output.note(
            "Nobody vouches for it yet: give this to export's operator, who runs `mrm keys vouch`, and compare the id by another way."
        )
    typer.echo(json.dumps(entry))


@app.command("vouch")
def vouch_for(
    file: Annotated[
        Path, typer.Argument(help="The key's entry as JSON: `id` and `public`; an older voucher is replaced.", show_default=False)
    ],
    folder: FolderOption,
    as_json: JsonOption = False,
) -> None:
    """Vouch for a public opening key with the service's newest signing key, and print its entry for `recipients`.

    Whoever holds the other half will read what is sealed to it: be sure whose it is. Needed for a key of the recipient outside, and for
    every key before an older signing key is pinned no longer.
    """
    output = Output(as_json=as_json)
    try:
        named = PublicHalf.model_validate(_read(file), strict=True)
        key = PublicKey.parse(named.id, named.public)
    except (ValidationError, UnusableKeyError):
        raise CommandError(f"{file} holds no public opening key.", remedy="It holds one entry: `id` and `public`.", code=MISUSED) from None
    try:
        entry = vouch(key, KeyFolder(folder).signing_key(VOUCHING.get(key.holder, key.holder)))
    except (UnusableKeyError, OSError) as error:
        raise _refused(error) from None
    output.note(f"{entry.vouched_by} vouches for {entry.id}.")
    typer.echo(json.dumps(entry.model_dump()))


def _read(file: Path) -> object:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise CommandError(f"{file} is not a readable JSON file.", remedy="Name one key's entry.", code=MISUSED) from None


def _refused(error: Exception) -> CommandError:
    told = str(error) if isinstance(error, UnusableKeyError) else "The folder of key files cannot be used."
    return CommandError(
        f"{told[:1].upper()}{told[1:].rstrip('.')}.",
        remedy="Run it where the service's keys are: --keys-dir names its folder, which holds its active signing key.",
    )
