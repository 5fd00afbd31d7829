"""Every exchange file goes through verification as the people concerned would send it, and its records come out as they went in."""

import json
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from support.vetting import CRITERIA, RunningVerification, reported, revised

FOLDER = Path(__file__).parents[1] / "data" / "exchange"
FILES = sorted(path.name for path in FOLDER.glob("*.json") if path.name != "history_large.json")
ROOT = UUID("6f2f8a10-0000-4000-8000-000000000000")
SUFFICIENT = {"category": "primary_witness", "type": "oral_testimony"}


class Sender:
    """Sends a file's steps; fills in what the people would have done before: earlier stages, sources, criteria."""

    def __init__(self, vetting: RunningVerification) -> None:
        self.vetting = vetting
        self.revisions: dict[str, int] = {}
        self.spoken: set[tuple[str, str]] = set()
        self.sent: list[tuple[str, Any]] = []

    def ref(self, reference: str) -> str:
        incident, key = reference.split("/")
        return f"{uuid5(ROOT, incident)}/{key}"

    async def incidents(self, documents: list[dict[str, Any]]) -> None:
        events = []
        for document in documents:
            key, self.revisions[document["key"]] = document["key"], self.revisions.get(document["key"], 0) + 1
            body = {name: value for name, value in document.items() if name not in ("key", "note")}
            if body["violations"]:
                sufficient = {**SUFFICIENT, "violations": [violation["key"] for violation in body["violations"]]}
                body["sources"] = [*body.get("sources", []), sufficient]
            for name in ("occurred_to", "place", "victims", "groups", "perpetrators", "sources"):
                body.setdefault(name, None)
            number, incident = self.revisions[key], str(uuid5(ROOT, key))
            events.append(reported(key=incident, **body) if number == 1 else revised(incident, number, **body))
            self.sent.append(("incident", {"key": incident, "occurred_from": document["occurred_from"], "place": document.get("place")}))
        if events:
            await self.vetting.receive(*events)

    async def decisions(self, documents: list[dict[str, Any]]) -> None:
        for (stage, imported), run in groupby(documents, key=lambda one: (one["stage"], "decided_on" not in one)):
            lines = list(run)
            if stage == "ctfmr":
                if not imported:
                    await self.fill(lines, "focal_point")
                    await self.fill(lines, "technical")
                body = {"kind": "import" if imported else "decisions", "lines": [self.line(one) for one in lines]}
                answer = await self.vetting.post("/dockets", body, "tomas")
                assert answer.status_code == 201, answer.text
                await self.vetting.approved(answer.json()["docket"])
                self.sent += [("decision", {**one, "violation": self.ref(one["violation"])}) for one in lines]
            else:
                if stage == "technical":
                    await self.fill(lines, "focal_point")
                await self.record(lines, stage)

    async def fill(self, lines: list[dict[str, Any]], stage: str) -> None:
        missing = {one["violation"]: one for one in lines if (one["violation"], stage) not in self.spoken}
        if missing:
            await self.record(list(missing.values()), stage)

    async def record(self, lines: list[dict[str, Any]], stage: str) -> None:
        person = {"focal_point": "farid", "technical": "tomas"}[stage]
        body = {"decisions": [{**self.line(one), "stage": stage} for one in lines]}
        answer = await self.vetting.post("/decisions", body, person)
        assert answer.status_code == 201, answer.text
        self.spoken |= {(one["violation"], stage) for one in lines}
        self.sent += [("decision", {**one, "stage": stage, "violation": self.ref(one["violation"])}) for one in lines]

    def line(self, one: dict[str, Any]) -> dict[str, Any]:
        body = {name: value for name, value in one.items() if name not in ("stage", "note")}
        body |= {"violation": self.ref(one["violation"]), "reason": "As recorded."}
        return body | ({"criteria": CRITERIA} if one["outcome"] == "verified" else {})

    async def links(self, documents: list[dict[str, Any]]) -> None:
        links = [{name: value if name == "kind" else self.ref(value) for name, value in one.items()} for one in documents]
        if links:
            answer = await self.vetting.post("/links", {"links": links}, "farid")
            assert answer.status_code == 201, answer.text
            self.sent += [("link", link) for link in links]


async def _records(vetting: RunningVerification) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await vetting.get(f"/records?limit=500{cursor and '&cursor=' + cursor}", person="otto")).json()
        items += page["items"]
        cursor = page.get("next")
    return items


def without_absent(value: Any) -> Any:
    """Leave out what is null: the API says null for what is absent."""
    if isinstance(value, dict):
        return {name: without_absent(item) for name, item in value.items() if item is not None}
    return [without_absent(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", FILES)
async def test_a_valid_file_passes_and_its_records_come_back_in_order(vetting: RunningVerification, name: str) -> None:
    document = json.loads((FOLDER / name).read_text("utf-8"))
    register = {**vetting.document(), **{field: document["situation"][field] for field in ("parties", "places", "time_zone")}}
    await vetting.owner.execute("update situations set document = jsonb_set(document, '{places}', '[]') || '{\"parties\": []}'")
    assert (await vetting.send("PUT", "/v1/situations/XAA", "root", register)).status_code == 200
    sender = Sender(vetting)
    for step in document["steps"]:
        await sender.incidents(step.get("incidents", []))
        await sender.decisions(step.get("decisions", []))
        await sender.links(step.get("links", []))
    assert await vetting.parked() == []
    records = await _records(vetting)
    assert [item["recorded"] for item in records] == list(range(1, len(records) + 1))
    assert len(records) == len(sender.sent)
    for item, (kind, sent) in zip(records, sender.sent, strict=True):
        assert item["kind"] == kind
        if kind == "incident":
            assert {field: item["incident"].get(field) for field in sent} == sent
        elif kind == "decision":
            expected = {field: sent.get(field) for field in ("violation", "stage", "outcome", "decided_on", "attribution")}
            assert without_absent({field: item["decision"].get(field) for field in expected}) == without_absent(expected)
        else:
            assert item["link"]["kind"] == sent["kind"]
            assert set(item["link"]) == set(sent)
    counters = await vetting.counters()
    counted = [kind for kind, sent in sender.sent if kind != "decision" or sent["stage"] == "ctfmr"]
    assert counters["facts"] == len(counted) == len(await vetting.published())
    assert counters["refused"] == 0
