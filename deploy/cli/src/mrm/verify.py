"""`mrm verify`: is a signed bundle genuine, complete and right, without a network and without any service."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.trust import Trust
from contracts.bundle.archive import MAX_BUNDLE_BYTES
from mrm.bundle_checks import Check, check_bundle, too_large
from mrm.console import DEFAULT_DATA, FAILED, MISUSED, CommandError, DataOption, JsonOption, Output


def verify(
    bundle: Annotated[Path, typer.Argument(help="The signed bundle, a zip file.", show_default=False)],
    trust: Annotated[
        Path | None, typer.Option("--trust", help="File of pinned public keys; by default those that the installation has pinned.")
    ] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> int:
    """Check a signed bundle offline: signatures, checksums, sums, approvals. Exit 0 valid, 1 not valid, 2 misused.

    The pinned keys are those of the installation in `--data`, or of the file that `--trust` names.
    """
    checks = _check_file(bundle, _pinned(trust if trust is not None else data / "keys" / "trust.json"))
    reason = next((f"{check.check}: {check.detail}" for check in checks if not check.ok), None)
    lines = [f"{'ok    ' if check.ok else 'FAILED'}  {check.check}: {check.detail}" for check in checks]
    lines.append(f"{bundle} is valid." if reason is None else f"{bundle} is NOT valid. {reason}")
    document: dict[str, Any] = {
        "bundle": str(bundle),
        "valid": reason is None,
        "checks": [{"check": check.check, "ok": check.ok, "detail": check.detail} for check in checks],
    }
    Output(as_json=as_json).result(document if reason is None else {**document, "reason": reason}, Text("\n".join(lines)))
    return 0 if reason is None else FAILED


def _pinned(trust_file: Path) -> Trust:
    try:
        return Trust.load(trust_file)
    except (OSError, UnusableKeyError):
        raise CommandError(
            f"{trust_file} is not a readable file of pinned keys.",
            remedy="Name one with --trust or an installation with --data.",
            code=MISUSED,
        ) from None


def _check_file(bundle: Path, keys: Trust) -> list[Check]:
    try:
        if not bundle.is_file():
            raise CommandError(f"{bundle} is not a file.", remedy="Name the bundle to check.", code=MISUSED)
        with bundle.open("rb") as file:
            raw = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError:
        raise CommandError(f"{bundle} cannot be read.", remedy="Check its permissions.", code=MISUSED) from None
    if len(raw) > MAX_BUNDLE_BYTES:
        return [too_large()]
    return check_bundle(raw, keys)
