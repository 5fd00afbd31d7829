"""What people do with a situation: report, vet, decide, link, wait until it is counted, ask. Shared by demo, check and import."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from mrm.client import Api, RefusedError, batches, gathered
from mrm.console import CommandError
from mrm.people import COCHAIR_UN, COCHAIR_UNICEF, FOCAL, MONITOR, OFFICER, OPERATOR, TECHNICAL

BATCH: Final = 500
"""As many lines as one request may hold."""
CONCURRENCY: Final = 24
"""Reports under way at once: enough to keep intake busy, well below what it answers with 429."""
SETTLE_SECONDS: Final = 180.0
"""How long nothing may move before waiting is given up."""
_POLL: Final = 0.1
_NOT_FOUND: Final = 404

Told = Callable[[int], None]
"""Told how many more are done."""


def _silent(_: int) -> None:
    pass


VERIFIED_BY_DOCUMENTS: Final = {
    "primary_source": False,
    "documentation_exception": "Sufficient supporting documentation was on record before this system.",
    "source_reliability": "high",
    "information_credibility": "high",
    "nexus": True,
    "under_18": True,
    "party": True,
}
VERIFIED_BY_SOURCE: Final = {
    "primary_source": True,
    "source_reliability": "high",
    "information_credibility": "high",
    "nexus": True,
    "under_18": True,
    "party": True,
}
"""What a reviewer states for `verified`, with and without a primary source."""


@dataclass(frozen=True, slots=True)
class Journey:
    """One situation on its way through the services."""

    api: Api
    situation: str

    async def wait_until_known(self) -> None:
        """Wait until every service has its copy of the register entry and the new roles count."""
        ways = (
            ("intake", f"/v1/situations/{self.situation}", MONITOR),
            ("aggregation", f"/v1/situations/{self.situation}/position", OFFICER),
            ("export", f"/v1/situations/{self.situation}/snapshots", OFFICER),
        )
        await gathered(self._until_found(*way) for way in ways)

    async def _until_found(self, service: str, path: str, person: str) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                await self.api.get(service, path, person=person)
            except RefusedError as error:
                if error.status != _NOT_FOUND or time.monotonic() > deadline:
                    raise
            else:
                return
            await asyncio.sleep(_POLL)

    async def submit(self, reports: Sequence[Mapping[str, Any]], *, told: Told = _silent, places: Sequence[str] = ()) -> None:
        """Send reports as the monitor, several at once; one that carries a revision above 1 replaces its incident.

        With `places`, a refusal names fields by where the reports come from; so do the acts below.
        """
        gate = asyncio.Semaphore(CONCURRENCY)

        async def send(number: int, report: Mapping[str, Any]) -> None:
            revised = int(report.get("revision") or 1) > 1
            path = f"/v1/incidents/{report['key']}/revisions" if revised else "/v1/incidents"
            async with gate:
                with _placed(places[number : number + 1]):
                    await self.api.post("intake", path, report, person=MONITOR)
            told(1)

        await gathered(send(number, report) for number, report in enumerate(reports))

    async def counters(self) -> dict[str, int]:
        """Return what verification has recorded: incidents, revisions, refused revisions, and facts it published."""
        document = await self.api.get("verification", f"/v1/situations/{self.situation}", person=TECHNICAL)
        return {name: int(document[name]) for name in ("incidents", "revisions", "refused", "facts")}

    async def wait_for_reports(self, incidents: int, revisions: int = 0, *, told: Told = _silent) -> None:
        """Wait until verification has that many incidents and revisions. Raises CommandError for a refused revision."""

        async def arrived() -> int:
            counters = await self.counters()
            if counters["refused"]:
                raise CommandError("verification refused a revision.", remedy="The monitor's status of the report tells what it needs.")
            return counters["incidents"] + counters["revisions"]

        await _wait_for(arrived, incidents + revisions, told=told, what="reports to reach verification")

    async def decide(
        self,
        stage: str,
        decisions: Sequence[Mapping[str, Any]],
        *,
        told: Told = _silent,
        size: int = BATCH,
        places: Sequence[str] = (),
    ) -> None:
        """Record decisions of an earlier stage in their order, as the person of that stage."""
        person = FOCAL if stage == "focal_point" else TECHNICAL
        path = f"/v1/situations/{self.situation}/decisions"
        for number, batch in enumerate(batches([{**decision, "stage": stage} for decision in decisions], size)):
            with _placed(places[number * size :]):
                await self.api.post("verification", path, {"decisions": batch}, person=person)
            told(len(batch))

    async def decide_together(
        self,
        lines: Sequence[Mapping[str, Any]],
        *,
        kind: str = "decisions",
        told: Told = _silent,
        size: int = BATCH,
        places: Sequence[str] = (),
    ) -> None:
        """Let the technical level propose dockets and both co-chairs approve each; their lines become decisions in order."""
        path = f"/v1/situations/{self.situation}/dockets"
        for number, batch in enumerate(batches(lines, size)):
            with _placed(places[number * size :]):
                docket = await self.api.post("verification", path, {"kind": kind, "lines": batch}, person=TECHNICAL)
                for person in (COCHAIR_UN, COCHAIR_UNICEF):
                    await self.api.post("verification", f"{path}/{docket['docket']}/approvals", {}, person=person)
            told(len(batch))

    async def link(self, links: Sequence[Mapping[str, Any]], *, told: Told = _silent, places: Sequence[str] = ()) -> None:
        """Make or undo links in their order, as the focal point."""
        for number, batch in enumerate(batches(links, BATCH)):
            with _placed(places[number * BATCH :]):
                await self.api.post("verification", f"/v1/situations/{self.situation}/links", {"links": batch}, person=FOCAL)
            told(len(batch))

    async def wait_until_counted(self, *, told: Told = _silent) -> int:
        """Wait until aggregation has applied every fact that verification published; return that position."""
        facts = (await self.counters())["facts"]
        await _wait_for(self.position, facts, told=told, what="facts to be counted")
        return facts

    async def position(self) -> int:
        """Return how many facts aggregation has applied."""
        answer = await self.api.get("aggregation", f"/v1/situations/{self.situation}/position", person=OFFICER)
        return int(answer["position"])

    async def table(self, name: str, params: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
        """Return the answer of one table, all its pages."""
        path = f"/v1/situations/{self.situation}/tables/{name}"
        answer = await self.api.get("aggregation", path, person=OFFICER, params=params)
        data = answer["data"]
        while answer.get("next"):
            answer = await self.api.get("aggregation", path, person=OFFICER, params={**params, "cursor": answer["next"]})
            data = [*data, *answer["data"]]
        return data

    async def is_scratch_gone(self) -> bool:
        """Tell whether the register shows the situation no longer."""
        try:
            await self.api.get("verification", f"/v1/situations/{self.situation}", person=OPERATOR)
        except RefusedError as error:
            return error.status == _NOT_FOUND
        return False


@contextmanager
def _placed(places: Sequence[str]) -> Iterator[None]:
    """Let a refusal of one report, or of a batch's entries, name the places they come from; without places it stays as it is."""
    try:
        yield
    except RefusedError as error:
        if not places:
            raise
        raise error.placed(lambda field: place_of(field, places)) from None


def place_of(field: str, places: Sequence[str]) -> str:
    """Write `lines[3].decided_on` as a field of the fourth place, and a report's `victims[0].age` as one of the only place."""
    entry = _ENTRY.match(field)
    if entry is not None and int(entry[1]) < len(places):
        return places[int(entry[1])] + field[entry.end() :]
    return f"{places[0]}.{field}".rstrip(".")


_ENTRY: Final = re.compile(r"(?:decisions|lines|links)\[(\d+)\]")


async def _wait_for(reached: Callable[[], Any], goal: int, *, told: Told, what: str) -> None:
    """Poll until a number reaches its goal; give up when it has not moved for a long time."""
    last, moved_at = 0, time.monotonic()
    while True:
        now = min(int(await reached()), goal)
        if now > last:
            told(now - last)
            last, moved_at = now, time.monotonic()
        if last >= goal:
            return
        if time.monotonic() - moved_at > SETTLE_SECONDS:
            raise CommandError(
                f"Waited in vain for {what}: {last} of {goal}.", remedy="`mrm status` shows what is parked or in flight, `mrm logs` why."
            )
        await asyncio.sleep(_POLL)
