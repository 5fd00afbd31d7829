"""Before an import sends anything: nobody else imports, the register counts as the file does, and what stands is of this very file."""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final

from contracts.exchange import ExchangeFile
from local_stack.private_files import private_folder
from mrm.client import RefusedError
from mrm.console import CommandError
from mrm.exchange_plan import OWN_REASON, Plan
from mrm.exchange_register import register_differences
from mrm.exchange_standing import Standing, standing_of
from mrm.installation import Installation
from mrm.journey import Journey
from mrm.people import OFFICER, OPERATOR, TECHNICAL

_SETTLING_SECONDS: Final = 2.0
"""For so long nothing may move before records are compared: a killed import may have left a request under way."""
_SHOWN: Final = 20
_CONFLICT: Final = 409
_PAGE: Final = "500"
_ENTRY: Final = ("code", "name", "time_zone", "parties", "places", "policy", "recipients", "scratch", "version")
"""What is written again of a register entry when only `importing` changes."""
_NO_PARAMS: Final[Mapping[str, str]] = {}


def import_plan(code: str, today: date, standing: Standing | None = None) -> Plan:
    """Return the plan of an import, which leaves out what stands."""
    known = standing or Standing()
    return Plan(situation=code, today=today, vetted=False, keep_ids=True, decided=dict(known.decided), linked=known.linked)


@contextmanager
def importing_alone(installation: Installation, file: Path, code: str) -> Iterator[None]:
    """Refuse a second import at the same time, which would record decisions twice; away from a local stack one of the same file."""
    stack = installation.stack
    path = file if stack is None else private_folder(stack.folder.data / "imports") / hashlib.sha256(code.encode()).hexdigest()[:16]
    descriptor = os.open(path, os.O_RDONLY if stack is None else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, code)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, code: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(f"Another import into {code} is running.", remedy="Wait for its end, or end it.") from None


async def make_ready(installation: Installation, document: ExchangeFile, known: Mapping[str, Any] | None) -> None:
    """Register a new situation; one that is registered must count as the file does. Raises CommandError naming every difference."""
    code = document.situation.code
    if known is None:
        draft = document.situation.model_dump(mode="json", exclude_none=True)
        if installation.access is not None and installation.access.recipients is not None:
            draft["recipients"] = installation.access.recipients
        await installation.register(draft)
    else:
        differences = list(register_differences(known, document.situation))
        if differences:
            raise CommandError(
                _told(f"The register has {code} otherwise than the file, and would count otherwise:", differences),
                remedy="Nothing was sent. Mend the file, or register the next version with `mrm situation add`.",
            )
        if installation.stack is not None:
            await installation.grant(code)  # an import may have been ended between the register and the roles
    if known is None or installation.stack is not None:
        await Journey(installation.api, code).wait_until_known()


async def set_importing(installation: Installation, code: str, importing: bool) -> None:
    """Open a situation for import dockets, or close it again; harmless when it is so already."""
    known = await installation.api.get("verification", f"/v1/situations/{code}", person=OPERATOR)
    if known["importing"] != importing:
        await installation.put_situation(code, {name: known[name] for name in _ENTRY} | {"importing": importing})


async def find_standing(installation: Installation, document: ExchangeFile, today: date) -> Standing:
    """Return what stands of a file in its situation. Raises CommandError naming what is there and not of this file."""
    code = document.situation.code
    await _settled(Journey(installation.api, code))
    own, foreign = await _open_dockets(installation, document)
    if foreign:
        raise _not_of_this_file(code, [f"docket {docket}: still to be decided" for docket in foreign])
    await _withdraw(installation, code, own)
    records = await records_of(installation, code)
    standing = standing_of(document, lambda: import_plan(code, today), records)
    if standing.strangers:
        raise _not_of_this_file(code, standing.strangers)
    return standing


async def _settled(journey: Journey) -> None:
    before, now = None, await journey.counters()
    while now != before:
        await asyncio.sleep(_SETTLING_SECONDS)
        before, now = now, await journey.counters()


async def records_of(installation: Installation, code: str) -> list[dict[str, Any]]:
    """Return every coded record of a situation in recording order."""
    return await _all_pages(installation, f"/v1/situations/{code}/records", person=OFFICER)


async def withdraw_own_dockets(installation: Installation, document: ExchangeFile) -> None:
    """Withdraw what an ended import proposed and the co-chairs never decided: its lines have been proposed again since."""
    own, _ = await _open_dockets(installation, document)
    await _withdraw(installation, document.situation.code, own)


async def _open_dockets(installation: Installation, document: ExchangeFile) -> tuple[list[str], list[str]]:
    """Return the dockets still to be decided: those that an import of this file proposed, and the others."""
    path = f"/v1/situations/{document.situation.code}/dockets"
    plan = import_plan(document.situation.code, date.min)
    decided = {plan.reference(decision.violation) for step in document.steps for decision in step.decisions}
    own: list[str] = []
    foreign: list[str] = []
    for docket in await _all_pages(installation, path, person=TECHNICAL, params={"state": "open"}):
        shown = await installation.api.get("verification", f"{path}/{docket['docket']}", person=TECHNICAL)
        ours = all(line["reason"] == OWN_REASON and line["violation"] in decided for line in shown["items"])
        (own if ours and shown["kind"] == "import" else foreign).append(docket["docket"])
    return own, foreign


async def _withdraw(installation: Installation, code: str, dockets: Sequence[str]) -> None:
    for docket in dockets:
        try:
            await installation.api.post("verification", f"/v1/situations/{code}/dockets/{docket}/withdrawal", {}, person=TECHNICAL)
        except RefusedError as error:
            if error.status != _CONFLICT:  # decided at this very moment
                raise


async def _all_pages(installation: Installation, path: str, *, person: str, params: Mapping[str, str] = _NO_PARAMS) -> list[dict[str, Any]]:
    items: list[Any] = []
    cursor: str | None = None
    while True:
        asked = {"limit": _PAGE, **params, **({"cursor": cursor} if cursor else {})}
        page = await installation.api.get("verification", path, person=person, params=asked)
        items += page["items"]
        cursor = page.get("next")
        if not cursor:
            return items


def _not_of_this_file(code: str, strangers: Sequence[str]) -> CommandError:
    return CommandError(
        _told(f"{code} holds records already that are not of this file:", strangers),
        remedy="Nothing was sent. Import into a situation that is new or empty, or that holds records of this very file only.",
    )


def _told(sentence: str, entries: Sequence[str]) -> str:
    more = [f"and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return "\n  ".join([sentence, *entries[:_SHOWN], *more])
