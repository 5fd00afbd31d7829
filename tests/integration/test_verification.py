"""Verification from a report to a closed case: what is kept, what is published, what the monitor learns."""

from uuid import UUID

from contracts.events import IncidentCoded, ViolationDecided
from support.vetting import RunningVerification, attack, decision, line, reported, revised

MARKET = "The market was shelled."


async def test_a_report_is_kept_sealed_and_its_coded_facts_are_published(vetting: RunningVerification) -> None:
    event = reported(narrative=MARKET, coordinates={"latitude": 34.5, "longitude": 69.25})
    await vetting.receive(event)
    (fact,) = await vetting.published()
    assert isinstance(fact, IncidentCoded)
    assert (fact.incident, fact.revision, fact.place, fact.occurred_from) == (event.incident, 1, "XA0102", event.report.occurred_from)
    assert fact.violations == event.report.violations
    assert [victim.sex for victim in fact.victims] == ["male"]
    assert fact.victims[0].child == vetting.desk.pseudonyms.child(situation="XAA", incident=event.incident, key="c1")
    assert fact.groups[0].key == vetting.desk.pseudonyms.group(situation="XAA", incident=event.incident, key="g1")
    assert await vetting.counters() == {"incidents": 1, "revisions": 0, "refused": 0, "facts": 1}
    assert MARKET.encode() not in await vetting.dump()
    assert await vetting.progress(str(event.incident)) == []


async def test_the_whole_way_of_a_violation(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    violation = f"{incident}/k1"
    queue = (await vetting.get("/queue?stage=focal_point")).json()["items"]
    assert [(item["violation"], item["waits_for"], item["status"]) for item in queue] == [
        (violation, "focal_point", "report_pending_verification")
    ]
    first = await vetting.decide(violation)
    assert first.status_code == 201
    assert first.json()["decisions"][0]["recorded"] == 2
    assert (await vetting.decide(violation, stage="technical")).status_code == 201
    docket = await vetting.docket(violation)
    one = await vetting.approve(docket, "imani")
    assert (one.status_code, one.json()["state"], one.json()["approvals"], one.json()["decisions"]) == (201, "open", ["cochair_unicef"], [])
    two = await vetting.approve(docket, "ursula")
    assert (two.json()["state"], two.json()["approvals"]) == ("decided", ["cochair_un", "cochair_unicef"])
    _, fact = await vetting.published()
    assert isinstance(fact, ViolationDecided)
    assert (fact.incident, fact.violation, fact.outcome, str(fact.decided_on), fact.attribution) == (
        UUID(incident),
        "k1",
        "verified",
        "2024-02-03",
        None,
    )
    assert str(fact.decision) == two.json()["decisions"][0]["decision"]
    assert await vetting.progress(incident) == [("under_review", []), ("closed", [])]
    assert (await vetting.get("/queue")).json()["items"] == []
    (state,) = (await vetting.post("/violations/lookup", {"violations": [violation]}, "farid")).json()["items"]
    assert (state["status"], state["decided_on"], state["waits_for"], state["case_status"]) == ("verified", "2024-02-03", None, "closed")
    assert await vetting.counters() == {"incidents": 1, "revisions": 0, "refused": 0, "facts": 2}
    history = (await vetting.get(f"/decisions?violation={violation}")).json()["items"]
    assert [(item["stage"], item["decided_by"], item["reason"]) for item in history] == [
        ("focal_point", ["farid"], "Two sources agree."),
        ("technical", ["tomas"], "Two sources agree."),
        ("ctfmr", ["ursula", "imani"], "Two sources agree."),
    ]
    assert [item["sources"] for item in history] == [{"primary": 1, "secondary": 0}] * 3


async def test_a_case_opens_in_memory_and_each_opening_is_audited(vetting: RunningVerification) -> None:
    incident = await vetting.report(narrative=MARKET)
    case = (await vetting.get(f"/incidents/{incident}?purpose=duplicates")).json()
    assert case["report"]["narrative"] == MARKET
    assert "amina" not in str(case)
    assert case["children"] == {"c1": vetting.desk.pseudonyms.child(situation="XAA", incident=UUID(incident), key="c1")}
    assert case["status"] == "under_review"
    await vetting.get(f"/incidents/{incident}", person="ursula")
    rows = await vetting.owner.fetch("select actor, subject_ref, detail from audit_entries where action = 'case.open' order by at")
    assert [(row["actor"], row["subject_ref"]) for row in rows] == [("tomas", incident), ("ursula", incident)]
    assert '"purpose"' in str(rows[0]["detail"])
    assert await vetting.progress(incident) == [("under_review", [])]


async def test_a_question_reaches_the_monitor_as_codes_only(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    asked = await vetting.post(f"/incidents/{incident}/questions", {"message": "Which school was it?", "needs": ["place"]}, "farid")
    assert asked.status_code == 201
    assert await vetting.progress(incident) == [("needs_information", ["place"])]
    assert b"Which school" not in await vetting.dump()
    case = (await vetting.get(f"/incidents/{incident}")).json()
    assert [(one["message"], one["asked_by"]) for one in case["questions"]] == [("Which school was it?", "farid")]
    assert case["status"] == "needs_information"
    await vetting.revise(incident, 2)
    assert await vetting.progress(incident) == [("needs_information", ["place"]), ("under_review", [])]


async def test_a_revision_replaces_the_coded_facts_and_decisions_stay_attached(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    await vetting.verify(f"{incident}/k1")
    await vetting.revise(
        incident,
        2,
        violations=[{"key": "k2", "type": "maiming", "boys": 1}],
        victims=None,
        groups=None,
        place=None,
        perpetrators=None,
        sources=None,
    )
    listed = (await vetting.get("/incidents")).json()["items"]
    assert [(one["revision"], one["region"], [v["violation"] for v in one["violations"]]) for one in listed] == [
        (2, None, [f"{incident}/k2"])
    ]
    gone = await vetting.decide(f"{incident}/k1")
    assert (gone.status_code, gone.json()["errors"][0]["code"]) == (422, "unknown_reference")
    await vetting.revise(incident, 3)
    (state,) = (await vetting.post("/violations/lookup", {"violations": [f"{incident}/k1"]}, "farid")).json()["items"]
    assert (state["status"], state["decided_on"]) == ("verified", "2024-02-03")
    assert await vetting.counters() == {"incidents": 1, "revisions": 2, "refused": 0, "facts": 4}
    assert await vetting.progress(incident) == [("under_review", []), ("closed", []), ("under_review", []), ("closed", [])]


async def test_a_revision_behind_a_decision_is_refused_and_the_monitor_told(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    await vetting.decide(f"{incident}/k1", decided_on="2024-01-30")
    await vetting.decide(f"{incident}/k1", decided_on="2024-05-30")
    facts = len(await vetting.published())
    await vetting.revise(incident, 2, occurred_from="2024-02-01", occurred_to=None)
    assert len(await vetting.published()) == facts
    assert await vetting.parked() == []
    assert await vetting.counters() == {"incidents": 1, "revisions": 0, "refused": 1, "facts": 1}
    assert await vetting.progress(incident) == [("under_review", []), ("needs_information", ["revision_before_decision"])]
    case = (await vetting.get(f"/incidents/{incident}")).json()
    assert case["report"]["occurred_from"] == "2024-01-23"
    assert [(one["revision"], one.get("refusal")) for one in case["revisions"]] == [(1, None), (2, "revision_before_decision")]
    assert await vetting.owner.fetchval("select count(*) from audit_entries where action = 'revision.refuse'") == 1
    await vetting.revise(incident, 3, occurred_from="2024-01-30", occurred_to=None)
    assert (await vetting.progress(incident))[-1] == ("under_review", [])
    assert await vetting.counters() == {"incidents": 1, "revisions": 1, "refused": 1, "facts": 2}


async def test_a_reopening_needs_a_reason_and_leaves_the_decision_in_force(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    violation = f"{incident}/k1"
    await vetting.verify(violation)
    silent = await vetting.decide(violation, stage="technical", outcome="reported_not_verified", criteria=None, reason=None)
    assert (silent.status_code, silent.json()["errors"][0]["field"]) == (422, "decisions[0].reason")
    again = await vetting.decide(violation, stage="technical", outcome="reported_not_verified", criteria=None)
    assert again.json()["decisions"][0]["reopening"] is True
    (state,) = (await vetting.get("/queue?stage=ctfmr")).json()["items"]
    assert (state["status"], state["reopened"], state["technical"]) == ("verified", True, "reported_not_verified")
    assert (await vetting.progress(incident))[-1] == ("under_review", [])
    await vetting.approved(await vetting.docket(violation, outcome="reported_not_verified", criteria=None))
    assert (await vetting.progress(incident))[-1] == ("closed", [])
    assert [fact.outcome for fact in (await vetting.published())[1:]] == ["verified", "reported_not_verified"]  # type: ignore[attr-defined]


async def test_stages_keep_their_order(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    violation = f"{incident}/k1"
    early = await vetting.decide(violation, stage="technical")
    assert (early.status_code, early.json()["code"], early.json()["errors"][0]["field"]) == (409, "stage_order", "decisions[0].stage")
    docket = await vetting.post("/dockets", {"lines": [line(violation)]}, "tomas")
    assert (docket.status_code, docket.json()["code"], docket.json()["errors"][0]["field"]) == (409, "stage_order", "lines[0].violation")
    assert await vetting.owner.fetchval("select count(*) from decisions") == 0


async def test_a_batch_is_recorded_as_a_whole_or_not_at_all(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    good, bad = decision(f"{incident}/k1"), decision(f"{incident}/k1", decided_on="2023-12-31")
    answer = await vetting.post("/decisions", {"decisions": [good, bad]}, "farid")
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["decisions[1].decided_on"])
    assert await vetting.owner.fetchval("select count(*) from decisions") == 0
    assert "2023-12-31" not in answer.text


async def test_a_full_batch_over_many_incidents(vetting: RunningVerification) -> None:
    events = [reported(**attack()) for _ in range(500)]
    await vetting.receive(*events)
    violations = [f"{event.incident}/a1" for event in events]
    decisions = await vetting.verify(*violations)
    assert [one["violation"] for one in decisions] == violations
    facts = await vetting.published()
    assert [str(fact.incident) for fact in facts[500:]] == [str(event.incident) for event in events]  # type: ignore[attr-defined]
    numbers = [one["recorded"] for one in decisions]
    assert numbers == list(range(1501, 2001))
    assert await vetting.counters() == {"incidents": 500, "revisions": 0, "refused": 0, "facts": 1000}
    closed = await vetting.owner.fetchval("select count(*) from incidents where status = 'closed'")
    assert closed == 500


async def test_what_never_can_be_right_is_parked_with_a_reason(vetting: RunningVerification) -> None:
    unknown_place = reported(place="XZ99")
    twice = reported()
    again = vetting.sealed(twice)
    await vetting.service.receiver.receive([again])
    other = revised(str(twice.incident), 2, by="bashir")
    stale = revised(str(unknown_place.incident), 2)
    await vetting.receive(unknown_place, other, stale)
    assert sorted(await vetting.parked()) == ["rejected:another_submitter", "rejected:unknown_code", "waiting"]
    assert await vetting.counters() == {"incidents": 1, "revisions": 0, "refused": 0, "facts": 1}


async def test_a_redelivered_report_changes_nothing(vetting: RunningVerification) -> None:
    message = vetting.sealed(reported())
    await vetting.service.receiver.receive([message])
    before = await vetting.owner.fetchval("select count(*) from outbox")
    await vetting.service.receiver.receive([message, message])
    assert await vetting.owner.fetchval("select count(*) from outbox") == before
    assert await vetting.counters() == {"incidents": 1, "revisions": 0, "refused": 0, "facts": 1}


async def test_another_pseudonym_secret_than_the_databases_is_not_used(vetting: RunningVerification) -> None:
    await vetting.report()
    await vetting.owner.execute("update pseudonym_secret set fingerprint = '\\x00'")
    vetting.desk._secret_checked = False
    answer = await vetting.decide(f"{await _some_incident(vetting)}/k1")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def _some_incident(vetting: RunningVerification) -> str:
    return str(await vetting.owner.fetchval("select incident from incidents"))
