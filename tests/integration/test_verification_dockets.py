"""Dockets: what is checked when, lines that became illegal, imports, withdrawal; and the register, the queue, links and records."""

from typing import Any

import pytest

from contracts.events import ChildrenLinked, ChildrenUnlinked, ViolationLinked, ViolationUnlinked
from support.vetting import RunningVerification, attack, line, reported

NOTHING: dict[str, Any] = {"violations": [], "victims": None, "groups": None, "perpetrators": None, "sources": None}
"""A revision that leaves out every violation."""


async def test_lines_become_decisions_in_their_order(vetting: RunningVerification) -> None:
    violations = [f"{await vetting.report(**attack())}/a1" for _ in range(5)]
    violations.reverse()
    decisions = await vetting.verify(*violations)
    assert [one["violation"] for one in decisions] == violations
    assert [one["recorded"] for one in decisions] == list(range(16, 21))


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"occurred_from": "2024-02-02", "occurred_to": None}, "lines[1].decided_on", "before_incident"),
        (
            {"violations": [], "victims": None, "groups": None, "perpetrators": None, "sources": None},
            "lines[1].violation",
            "unknown_reference",
        ),
        ({"sources": None}, "lines[1].criteria.primary_source", "no_primary_source"),
    ],
)
async def test_a_line_that_became_illegal_refuses_the_approval(
    vetting: RunningVerification, changes: dict[str, Any], field: str, code: str
) -> None:
    good, bad = await vetting.report(), await vetting.report()
    for stage in ("focal_point", "technical"):
        assert (await vetting.decide(f"{good}/k1", f"{bad}/k1", stage=stage, decided_on="2024-02-05")).status_code == 201
    docket = await vetting.docket(f"{good}/k1", f"{bad}/k1", decided_on="2024-02-01")
    await vetting.approve(docket, "ursula")
    await vetting.revise(bad, 2, **changes)
    answer = await vetting.approve(docket, "imani")
    assert (answer.status_code, answer.json()["code"]) == (409, "line_illegal")
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert await vetting.owner.fetchval("select count(*) from decisions where stage = 'ctfmr'") == 0
    (shown,) = (await vetting.get("/dockets?state=open")).json()["items"]
    assert [one["role"] for one in shown["approvals"]] == ["cochair_un"]
    withdrawn = await vetting.post(f"/dockets/{docket}/withdrawal", {}, "imani")
    assert withdrawn.json()["state"] == "withdrawn"
    assert (await vetting.approve(docket, "imani")).json()["code"] == "docket_not_open"


async def test_only_the_proposer_or_a_co_chair_withdraws(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    for stage in ("focal_point", "technical"):
        await vetting.decide(violation, stage=stage)
    answer = await vetting.post("/dockets", {"lines": [line(violation)]}, "ursula")
    docket = answer.json()["docket"]
    assert (await vetting.post(f"/dockets/{docket}/withdrawal", {}, "tomas")).status_code == 403
    assert (await vetting.post(f"/dockets/{docket}/withdrawal", {}, "imani")).status_code == 201
    again = await vetting.post(f"/dockets/{docket}/withdrawal", {}, "ursula")
    assert (again.status_code, again.json()["code"]) == (409, "docket_not_open")


async def test_an_import_needs_no_stages_no_criteria_and_no_day(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report(sources=None)}/k1"
    docket = await vetting.docket(violation, kind="import", decided_on=None, criteria=None)
    await vetting.approved(docket)
    (state,) = (await vetting.post("/violations/lookup", {"violations": [violation]}, "farid")).json()["items"]
    assert (state["status"], state["decided_on"], state["waits_for"]) == ("verified", None, None)
    fact = (await vetting.published())[-1]
    assert fact.decided_on is None  # type: ignore[attr-defined]
    regular = await vetting.post("/dockets", {"lines": [line(violation, decided_on=None)]}, "tomas")
    assert {error["code"] for error in regular.json()["errors"]} >= {"missing"}


async def test_only_a_situation_open_for_importing_takes_import_dockets(vetting: RunningVerification) -> None:
    """Otherwise the co-chairs could verify a live report without a source, criteria and the earlier stages."""
    first, second = [f"{await vetting.report(sources=None)}/k1" for _ in range(2)]
    proposed = await vetting.docket(first, kind="import", decided_on=None, criteria=None)
    assert (await vetting.post(f"/dockets/{proposed}/approvals", None, "ursula")).status_code == 201
    closed = vetting.document(importing=False)
    assert (await vetting.send("PUT", f"/v1/situations/{closed['code']}", "root", closed)).status_code == 200
    late = await vetting.post(f"/dockets/{proposed}/approvals", None, "imani")
    new = await vetting.post("/dockets", {"kind": "import", "lines": [line(second)]}, "ursula")
    assert [(answer.status_code, answer.json()["code"]) for answer in (late, new)] == [(409, "situation.not_importing")] * 2
    found = (await vetting.post("/violations/lookup", {"violations": [first, second]}, "farid")).json()["items"]
    assert {item["status"] for item in found} == {"report_pending_verification"}
    assert (await vetting.send("PUT", f"/v1/situations/{closed['code']}", "root", vetting.document())).status_code == 200
    assert (await vetting.post(f"/dockets/{proposed}/approvals", None, "imani")).status_code == 201


async def test_a_decisions_own_attribution_travels(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    await vetting.verify(violation, attribution=[{"party": "group_1", "attribution": "alleged"}])
    fact = (await vetting.published())[-1]
    assert [(entry.party, entry.attribution) for entry in fact.attribution] == [("group_1", "alleged")]  # type: ignore[attr-defined]
    await vetting.approved(await vetting.docket(violation, attribution=[]))
    assert (await vetting.published())[-1].attribution == []  # type: ignore[attr-defined]


async def test_dockets_page_in_order(vetting: RunningVerification) -> None:
    violation = f"{await vetting.report()}/k1"
    made = [await vetting.docket(violation, kind="import") for _ in range(3)]
    first = (await vetting.get("/dockets?limit=2")).json()
    second = (await vetting.get(f"/dockets?limit=2&cursor={first['next']}")).json()
    assert [one["docket"] for one in first["items"] + second["items"]] == made
    assert second["next"] is None


async def test_the_queue_filters_and_pages(vetting: RunningVerification) -> None:
    here = await vetting.report()
    there = await vetting.report(**attack(place=None))
    await vetting.decide(f"{there}/a1", outcome="reported_not_verified", criteria=None, non_verification_reason="unwilling_sources")

    async def queue(query: str) -> list[str]:
        return [item["violation"] for item in (await vetting.get(f"/queue?{query}")).json()["items"]]

    assert await queue("") == [f"{here}/k1", f"{there}/a1"]
    assert await queue("stage=technical") == [f"{there}/a1"]
    assert await queue("type=killing") == [f"{here}/k1"]
    assert await queue("region=XA01") == [f"{here}/k1"]
    assert await queue("region=_unknown") == [f"{there}/a1"]
    assert await queue("status=verified") == []
    first = (await vetting.get("/queue?limit=1")).json()
    second = (await vetting.get(f"/queue?limit=1&cursor={first['next']}")).json()
    assert [item["violation"] for item in first["items"] + second["items"]] == [f"{here}/k1", f"{there}/a1"]
    assert first["items"][0]["incomplete"] == ["ratings", "sex"]
    assert (await vetting.get("/queue?stage=nobody")).status_code == 422
    assert (await vetting.get("/queue?cursor=nonsense")).status_code == 422


async def test_links_are_made_undone_and_published(vetting: RunningVerification) -> None:
    one, two = sorted([await vetting.report(), await vetting.report()])
    made = await vetting.post(
        "/links",
        {
            "links": [
                {"kind": "duplicate", "violation": f"{two}/k1", "of": f"{one}/k1"},
                {"kind": "same_child", "victim": f"{two}/c1", "of": f"{one}/c1"},
            ]
        },
        "farid",
    )
    assert (made.status_code, [link["recorded"] for link in made.json()["links"]]) == (201, [3, 4])
    (state,) = (await vetting.post("/violations/lookup", {"violations": [f"{two}/k1"]}, "farid")).json()["items"]
    assert state["duplicate"] is True
    undone = await vetting.post(
        "/links",
        {
            "links": [
                {"kind": "not_same_child", "victim": f"{one}/c1", "of": f"{two}/c1"},
                {"kind": "not_duplicate", "violation": f"{two}/k1", "of": f"{one}/k1"},
            ]
        },
        "tomas",
    )
    assert undone.status_code == 201, undone.text
    linked, same, parted, unlinked = (await vetting.published())[2:]
    assert isinstance(linked, ViolationLinked)
    assert isinstance(unlinked, ViolationUnlinked)
    assert isinstance(same, ChildrenLinked)
    assert isinstance(parted, ChildrenUnlinked)
    assert (linked.violation, linked.of, unlinked.link) == (f"{two}/k1", f"{one}/k1", linked.link)
    assert (parted.link, parted.child, parted.of) == (same.link, same.child, same.of)
    rows = await vetting.owner.fetch("select subject from outbox where topic = 'verification.decisions' order by id offset 2")
    assert [row["subject"] for row in rows] == [two, one, one, two]
    assert (await vetting.get("/links")).json()["items"] == []
    assert await vetting.counters() == {"incidents": 2, "revisions": 0, "refused": 0, "facts": 6}


async def test_links_that_cannot_be(vetting: RunningVerification) -> None:
    a, b, c = [f"{await vetting.report()}" for _ in range(3)]

    async def link(kind: str, end: str, item: str, of: str) -> tuple[int, str]:
        answer = await vetting.post("/links", {"links": [{"kind": kind, end: item, "of": of}]}, "farid")
        errors = answer.json().get("errors", [{"code": ""}])
        return answer.status_code, errors[0]["code"]

    assert await link("duplicate", "violation", f"{a}/k1", f"{a}/k1") == (422, "link_to_itself")
    assert await link("duplicate", "violation", f"{a}/k1", f"{a}/k9") == (422, "unknown_reference")
    assert await link("same_child", "victim", "nobody/c1", f"{a}/c1") == (422, "unknown_reference")
    assert await link("not_duplicate", "violation", f"{a}/k1", f"{b}/k1") == (409, "link_absent")
    assert await link("duplicate", "violation", f"{a}/k1", f"{b}/k1") == (201, "")
    assert await link("duplicate", "violation", f"{a}/k1", f"{b}/k1") == (409, "link_stands")
    assert await link("duplicate", "violation", f"{b}/k1", f"{c}/k1") == (201, "")
    assert await link("duplicate", "violation", f"{c}/k1", f"{a}/k1") == (409, "duplicate_circle")
    assert await link("same_child", "victim", f"{a}/c1", f"{b}/c1") == (201, "")
    assert await link("same_child", "victim", f"{b}/c1", f"{a}/c1") == (409, "link_stands")
    await vetting.revise(b, 2, **NOTHING)
    assert await link("duplicate", "violation", f"{c}/k1", f"{a}/k1") == (409, "duplicate_circle")  # an idle link still counts
    assert {one["idle"] for one in (await vetting.get("/links")).json()["items"]} == {True}
    child = vetting.desk.pseudonyms.child
    pseudonym = child(situation="XAA", incident=reported(key=a).incident, key="c1")
    assert await link("same_child", "victim", f"{c}/c1", f"{a}/{pseudonym}") == (201, "")


async def test_records_are_the_exchange_files_words_in_recording_order(vetting: RunningVerification) -> None:
    one, two = await vetting.report(narrative="Secret."), await vetting.report()
    await vetting.verify(f"{one}/k1")
    await vetting.post("/links", {"links": [{"kind": "duplicate", "violation": f"{two}/k1", "of": f"{one}/k1"}]}, "farid")
    await vetting.revise(two, 2)
    await vetting.post("/links", {"links": [{"kind": "not_duplicate", "violation": f"{two}/k1", "of": f"{one}/k1"}]}, "farid")
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = (await vetting.get(f"/records?limit=3{cursor}", person="ada")).json()
        items += page["items"]
        if page.get("next") is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [item["recorded"] for item in items] == list(range(1, 9))
    assert [item["kind"] for item in items] == ["incident", "incident", "decision", "decision", "decision", "link", "incident", "link"]
    first = items[0]["incident"]
    assert (first["key"], first["place"], first["occurred_from"], first["violations"][0]["boys"]) == (one, "XA0102", "2024-01-23", 2)
    assert "Secret." not in str(items)
    assert items[4]["decision"] == {
        "violation": f"{one}/k1",
        "stage": "ctfmr",
        "outcome": "verified",
        "decided_on": "2024-02-03",
        "attribution": None,
    }
    assert items[5]["link"] == {"kind": "duplicate", "violation": f"{two}/k1", "of": f"{one}/k1"}
    assert items[7]["link"]["kind"] == "not_duplicate"


async def test_the_register_is_written_checked_and_versioned(vetting: RunningVerification) -> None:
    path = "/v1/situations/XBB"
    bad = vetting.document("XBB", time_zone="Mars/Base", parties=[{"code": "a", "type": "unknown", "name": "A"}] * 2)
    bad["recipients"].pop("export")
    bad["recipients"]["recipient"] = bad["recipients"]["aggregation"]
    refused = await vetting.send("PUT", path, "root", bad)
    assert [error["field"] for error in refused.json()["errors"]] == [
        "time_zone",
        "parties[1].code",
        "recipients.export",
        "recipients.recipient[0]",
    ]
    written = await vetting.send("PUT", path, "root", vetting.document("XBB"))
    assert (written.status_code, written.json()["version"], written.json()["facts"]) == (201, 1, 0)
    stale = await vetting.send("PUT", path, "root", vetting.document("XBB", version=0))
    assert (stale.status_code, stale.json()["code"]) == (409, "version_conflict")
    shrunk = await vetting.send("PUT", path, "root", vetting.document("XBB", places=[]))
    assert [(error["field"], error["code"]) for error in shrunk.json()["errors"]] == [("places", "code_removed")]
    again = await vetting.send("PUT", path, "root", vetting.document("XBB", name="Other", version=1))
    assert (again.status_code, again.json()["version"]) == (200, 2)
    versions = [
        event.document.version
        for event in await vetting.published("verification.situations")  # type: ignore[attr-defined]
        if event.situation == "XBB"
    ]
    assert versions == [1, 2]
    listed = (await vetting.send("GET", "/v1/situations", "root")).json()["items"]
    assert [one["code"] for one in listed] == ["XAA", "XBB"]
    assert [one["code"] for one in (await vetting.send("GET", "/v1/situations", "farid")).json()["items"]] == ["XAA"]
    other = await vetting.send("PUT", "/v1/situations/XCC", "root", vetting.document("XBB"))
    assert other.json()["errors"][0]["field"] == "code"
    assert await vetting.owner.fetchval("select count(*) from audit_entries where action = 'situation.write'") == 3


async def test_a_scratch_situation_is_shown_nowhere_and_goes_without_a_trace(vetting: RunningVerification) -> None:
    path = "/v1/situations/XSS"
    assert (await vetting.send("PUT", path, "root", vetting.document("XSS", scratch=True))).status_code == 201
    assert (await vetting.send("PUT", path, "root", vetting.document("XSS"))).json()["code"] == "scratch_fixed"
    event = reported(situation="XSS")
    await vetting.receive(event)
    assert (await vetting.send("GET", path, "root")).json()["incidents"] == 1
    assert [one["code"] for one in (await vetting.send("GET", "/v1/situations", "root")).json()["items"]] == ["XAA"]
    real = await vetting.send("DELETE", "/v1/situations/XAA", "root")
    assert (real.status_code, real.json()["code"]) == (409, "not_scratch")
    assert (await vetting.send("DELETE", path, "root")).status_code == 204
    assert (await vetting.send("GET", path, "root")).status_code == 404
    assert (await vetting.send("DELETE", path, "root")).status_code == 404
    tables = await vetting.owner.fetch(
        "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'situation'"
    )
    left = {
        row["table_name"]: await vetting.owner.fetchval(f"select count(*) from {row['table_name']} where situation = 'XSS'")  # noqa: S608
        for row in tables
    }
    assert {table for table, count in left.items() if count} <= {"audit_entries", "outbox", "outbox_sequences"}
    last = (await vetting.published("verification.situations"))[-1]
    assert last.document.removed  # type: ignore[attr-defined]
    await vetting.receive(reported(situation="XSS"))
    assert await vetting.owner.fetchval("select count(*) from incidents where situation = 'XSS'") == 0
