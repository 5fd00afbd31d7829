"""The main job on a running installation: the load goes in as its users would send it, the figures come out and are compared."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chassis.sealing.trust import Trust
from mrm.bundle_checks import Check, check_bundle
from mrm.client import RefusedError
from mrm.console import CommandError, Output
from mrm.demo.comparison import Compared, compare, parameters, tables_needed
from mrm.demo.figures import Figures
from mrm.demo.incidents import TIME_ZONES, Case, Load, WindowNotYetError, make_load
from mrm.demo.solver import Assignment
from mrm.installation import Installation
from mrm.journey import VERIFIED_BY_SOURCE, Journey, Told
from mrm.people import COCHAIR_UN, COCHAIR_UNICEF, OFFICER
from mrm.situation import list_situations

_POLL: Final = 0.1
_SIGNING_SECONDS: Final = 60.0
_CODE_LENGTH: Final = 56
"""Leaves room for the number of a later run."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run ends with."""

    situation: str
    compared: Sequence[Compared]
    bundle: Path
    checks: Sequence[Check]
    seconds: dict[str, float]

    @property
    def differences(self) -> int:
        """How many figures were counted otherwise than published."""
        return sum(entry.difference != 0 for entry in self.compared)

    @property
    def genuine(self) -> bool:
        """Whether the bundle verifies."""
        return all(check.ok for check in self.checks)

    def document(self) -> dict[str, Any]:
        """Return the outcome as `--json` prints it."""
        return {
            "situation": self.situation,
            "figures": {entry.name: {"published": entry.published, "counted": entry.counted} for entry in self.compared},
            "differences": self.differences,
            "bundle": str(self.bundle),
            "seconds": self.seconds,
        }


@dataclass(slots=True)
class Stages:
    """Progress bars on standard error, and how long each stage took."""

    output: Output
    seconds: dict[str, float] = field(default_factory=dict)
    _progress: Progress | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bars while the stages run."""
        columns = (TextColumn("{task.description:<34}"), BarColumn(bar_width=32), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self.output.progress, expand=False)
        with self._progress:
            yield

    @contextmanager
    def stage(self, name: str, text: str, total: int) -> Iterator[Told]:
        """Run one stage under a bar; yields what to tell how many more are done."""
        assert self._progress is not None  # noqa: S101 - used inside `shown`
        task = self._progress.add_task(text, total=total)
        progress, started = self._progress, time.monotonic()
        try:
            yield lambda more: progress.advance(task, more)
        finally:
            self.seconds[name] = round(time.monotonic() - started, 2)
            progress.stop_task(task)


async def run(installation: Installation, figures: Figures, assignment: Assignment, *, data: Path, trust: Path, output: Output) -> Outcome:
    """Put a situation's load through the system and compare. Raises CommandError if the system refuses or stands still."""
    stages = Stages(output)
    started = time.monotonic()
    with stages.shown():
        journey, load = await _register(installation, figures, assignment, stages)
        await _report(journey, load, stages)
        await _decide(journey, load, stages)
        compared = await _count(journey, figures, load, stages)
        raw = await _submit(journey, figures, stages)
        with stages.stage("verified", "Bundle verified offline", 1) as told:
            bundle = _keep(raw, data, journey.situation)
            checks = check_bundle(raw, Trust.load(trust))
            told(1)
    stages.seconds["total"] = round(time.monotonic() - started, 2)
    return Outcome(situation=journey.situation, compared=compared, bundle=bundle, checks=checks, seconds=stages.seconds)


async def _register(installation: Installation, figures: Figures, assignment: Assignment, stages: Stages) -> tuple[Journey, Load]:
    """Register a situation under the first free code, the figures' id first."""
    with stages.stage("registered", "Situation registered", 1) as told:
        today = datetime.now(UTC).astimezone(ZoneInfo(TIME_ZONES.get(figures.situation, "UTC"))).date()
        number = 1
        known = {entry["code"] for entry in await list_situations(installation)}
        while True:
            code = _code(figures.id, number)
            number += 1
            if code in known:
                continue
            try:
                load = make_load(figures, assignment, code=code, today=today)
                await installation.register(load.situation)
            except WindowNotYetError:
                raise CommandError(
                    f"The window begins on {figures.start}, in the future: nothing in it can have been decided.",
                    remedy="Choose a situation whose window has begun.",
                ) from None
            except RefusedError as error:
                if error.status != _CONFLICT:
                    raise
                continue
            break
        journey = Journey(installation.api, code)
        await journey.wait_until_known()
        told(1)
    return journey, load


_CONFLICT: Final = 409


def _code(wanted: str, number: int) -> str:
    code = "".join("-" if character == "/" or not character.isprintable() else character for character in wanted)
    code = code.lstrip("_")[:_CODE_LENGTH] or "situation"
    return code if number == 1 else f"{code}-{number}"


async def _report(journey: Journey, load: Load, stages: Stages) -> None:
    """Let the monitor report every incident while verification receives them."""
    count = len(load.cases)
    with stages.stage("reported", "Incidents reported to intake", count) as reported:
        await journey.submit([case.report for case in load.cases], told=reported)
    with stages.stage("received", "Incidents received for vetting", count) as received:
        await journey.wait_for_reports(count, told=received)


async def _decide(journey: Journey, load: Load, stages: Stages) -> None:
    """Let three stages decide every violation; the task force's sittings are in the order of their days."""
    cases = sorted(load.cases, key=lambda case: case.decided_on)
    count = sum(len(case.references) for case in cases)
    if load.same_child:
        with stages.stage("linked", "Children linked across incidents", len(load.same_child)) as told:
            await journey.link([{"kind": "same_child", "victim": one, "of": other} for one, other in load.same_child], told=told)
    with stages.stage("focal_point", "Vetted by the focal point", count) as told:
        await journey.decide("focal_point", [line for case in cases for line in _lines(case, "focal_on")], told=told)
    with stages.stage("technical", "Vetted at technical level", count) as told:
        await journey.decide("technical", [line for case in cases for line in _lines(case, "technical_on")], told=told)
    with stages.stage("decided", "Decided by both co-chairs", count) as told:
        await journey.decide_together([line for case in cases for line in _lines(case, "decided_on")], told=told)


def _lines(case: Case, day: str) -> list[dict[str, Any]]:
    decided = getattr(case, day).isoformat()
    line = {"outcome": "verified", "decided_on": decided, "reason": "Invented for the demonstration.", "criteria": VERIFIED_BY_SOURCE}
    return [{"violation": reference, **line} for reference in case.references]


async def _count(journey: Journey, figures: Figures, load: Load, stages: Stages) -> list[Compared]:
    facts = len(load.cases) + sum(len(case.references) for case in load.cases) + len(load.same_child)
    with stages.stage("counted", "Facts counted", facts) as told:
        await journey.wait_until_counted(told=told)
    with stages.stage("compared", "Figures compared", len(figures.values)) as told:
        params = parameters(figures)
        answers = {table: await journey.table(table, params) for table in tables_needed(figures)}
        compared = compare(figures, load, answers)
        told(len(compared))
    return compared


async def _submit(journey: Journey, figures: Figures, stages: Stages) -> bytes:
    """Freeze the figures, draft the annual submission, have both co-chairs approve it, and take the signed bundle."""
    api, base = journey.api, f"/v1/situations/{journey.situation}"
    with stages.stage("submitted", "Submission frozen, approved, signed", 5) as told:
        snapshot = str(uuid4())
        await api.post("aggregation", f"{base}/snapshots", {"snapshot": snapshot, **parameters(figures)}, person=OFFICER)
        told(1)
        await _until(lambda: _has_snapshot(journey, snapshot), "the snapshot to reach export")
        told(1)
        draft = await api.post("export", f"{base}/submissions", {"snapshot": snapshot, "product": "annual"}, person=OFFICER)
        submission = f"{base}/submissions/{draft['submission']}"
        told(1)
        for person in (COCHAIR_UN, COCHAIR_UNICEF):
            await api.post("export", f"{submission}/approvals", {"digest": draft["digest"]}, person=person)
        told(1)
        await _until(lambda: _is_signed(journey, submission), "the submission to be signed")
        answer = await api.ask("GET", "export", f"{submission}/bundle", person=OFFICER)
        told(1)
    return answer.content


async def _has_snapshot(journey: Journey, snapshot: str) -> bool:
    try:
        await journey.api.get("export", f"/v1/situations/{journey.situation}/snapshots/{snapshot}", person=OFFICER)
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        return False
    return True


_NOT_FOUND: Final = 404


async def _is_signed(journey: Journey, submission: str) -> bool:
    return bool((await journey.api.get("export", submission, person=OFFICER))["state"] == "signed")


async def _until(true: Any, what: str) -> None:  # noqa: ANN401 - an async predicate
    deadline = time.monotonic() + _SIGNING_SECONDS
    while not await true():
        if time.monotonic() > deadline:
            raise CommandError(
                f"Waited in vain for {what}.", remedy="`mrm status` shows what is parked or in flight, `mrm logs export` why."
            )
        await asyncio.sleep(_POLL)


def _keep(raw: bytes, data: Path, situation: str) -> Path:
    folder = data / "bundles"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{situation}.zip"
    number = 1
    while path.exists():  # left by an earlier stack of the same folder
        number += 1
        path = folder / f"{situation}.{number}.zip"
    path.write_bytes(raw)
    return path
