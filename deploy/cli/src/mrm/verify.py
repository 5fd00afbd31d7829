"""`mrm verify`: is a signed bundle genuine, complete and right, without a network and without any service."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.trust import Trust
from contracts.bundle.archive import MAX_BUNDLE_BYTES
from mrm.bundle_checks import Check, check_bundle, too_large

MISUSED: Final = 2


def verify(
    bundle: Annotated[Path, typer.Argument(help="The signed bundle, a zip file.", show_default=False)],
    trust: Annotated[
        Path | None, typer.Option("--trust", help="File of pinned public keys; by default those that the installation has pinned.")
    ] = None,
    data: Annotated[Path, typer.Option("--data", help="Folder of the installation whose pinned keys count.")] = Path("var"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the list.")] = False,
) -> None:
    """Check a signed bundle offline: signatures, checksums, sums, approvals. Exit 0 valid, 1 not valid, 2 misused."""
    trust_file = trust if trust is not None else data / "keys" / "trust.json"
    keys = _pinned(trust_file, as_json=as_json, bundle=bundle)
    checks = _check_file(bundle, keys, as_json=as_json)
    valid = all(check.ok for check in checks)
    reason = next((f"{check.check}: {check.detail}" for check in checks if not check.ok), None)
    if as_json:
        _print_json(bundle, checks, reason)
    else:
        for check in checks:
            typer.echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.check}: {check.detail}")
        typer.echo(f"{bundle} is valid." if valid else f"{bundle} is NOT valid. {reason}")
    raise typer.Exit(0 if valid else 1)


def _pinned(trust_file: Path, *, as_json: bool, bundle: Path) -> Trust:
    try:
        return Trust.load(trust_file)
    except (OSError, UnusableKeyError):
        _misused(
            bundle, f"{trust_file} is not a readable file of pinned keys; name one with --trust or an installation with --data.", as_json
        )


def _check_file(bundle: Path, keys: Trust, *, as_json: bool) -> list[Check]:
    try:
        if not bundle.is_file():
            _misused(bundle, f"{bundle} is not a file; name the bundle to check.", as_json)
        with bundle.open("rb") as file:
            raw = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError:
        _misused(bundle, f"{bundle} cannot be read.", as_json)
    if len(raw) > MAX_BUNDLE_BYTES:
        return [too_large()]
    return check_bundle(raw, keys)


def _misused(bundle: Path, sentence: str, as_json: bool) -> NoReturn:
    if as_json:
        _print_json(bundle, [], sentence)
    typer.echo(sentence, err=True)
    raise typer.Exit(MISUSED)


def _print_json(bundle: Path, checks: list[Check], reason: str | None) -> None:
    answer: dict[str, object] = {
        "bundle": str(bundle),
        "valid": reason is None,
        "checks": [{"check": check.check, "ok": check.ok, "detail": check.detail} for check in checks],
    }
    if reason is not None:
        answer["reason"] = reason
    sys.stdout.write(json.dumps(answer, ensure_ascii=True) + "\n")
