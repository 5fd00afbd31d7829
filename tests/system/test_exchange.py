"""The installation proven by files: every exchange file's answers, and coded records that leave and come back the same."""

import json
import random
import signal
import subprocess
import time
from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from support.random_files import random_file, seed_of_this_run
from support.running import MRM, Stack

FILES = sorted((Path(__file__).parents[1] / "data" / "exchange").glob("*.json"))
EXAMPLE = FILES[0].with_name("example.json")


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def written(folder: Path, document: dict[str, Any], name: str = "file.json") -> str:
    path = folder / name
    path.write_text(json.dumps(document), "utf-8")
    return str(path)


def answers(stack: Stack, code: str, queries: list[dict[str, Any]]) -> list[Any]:
    """Ask every query about now; violations of `exceptions` are named by their ids, so only their number is compared."""
    found = []
    with stack.client("aggregation", "officer") as client:
        for query in queries:
            params = {"from": query["from"], "to": query["to"], **query.get("params", {})}
            answer = client.get(f"/v1/situations/{code}/tables/{query['table']}", params=params)
            assert answer.status_code == 200, answer.text
            data = answer.json()["data"]
            found.append(len(data) if query["table"] == "exceptions" else data)
    return found


def test_every_file_is_answered_exactly_and_nothing_of_it_stays(stack: Stack) -> None:
    before = stack.json("situation", "list")
    told = stack.json("check", *map(str, FILES))
    assert told == {"files": 20, "queries": sum(len(read(path)["queries"]) for path in FILES), "differences": []}
    assert stack.json("situation", "list") == before
    assert not list(stack.data.glob("keys/*/*__check-*.key"))


def test_a_wrong_expectation_is_a_difference(stack: Stack, tmp_path: Path) -> None:
    document = read(EXAMPLE)
    asked = document["queries"][0]
    right, asked["expected"] = asked["expected"], {"killing": {"boys": 99, "girls": 0, "unknown": 0, "total": 99}}
    file = written(tmp_path, document)
    [difference] = stack.json("check", file, expect=1)["differences"]
    assert (difference["file"], difference["expected"], difference["answered"]) == (file, asked["expected"], right)
    assert difference["query"]["table"] == asked["table"]


def test_a_person_reads_where_the_answer_differs(stack: Stack, tmp_path: Path) -> None:
    document = read(EXAMPLE)
    document["queries"] = document["queries"][:2]
    document["queries"][1]["expected"]["killing"]["boys"] += 7
    right = document["queries"][1]["expected"]["killing"]["boys"] - 7
    done = stack.mrm("check", written(tmp_path, document), str(EXAMPLE))
    assert done.returncode == 1
    head, question, place = done.stdout.splitlines()
    assert head == f"2 files, {2 + len(read(EXAMPLE)['queries'])} queries, 1 difference."
    assert question.endswith("file.json, query 2: verified_children 2022-01-01 to 2022-04-01, after step 1")
    assert place == f"  killing/boys: expected {right + 7}, answered {right}"
    assert "100%" in done.stderr


def test_a_check_that_is_ended_meanwhile_leaves_nothing(stack: Stack) -> None:
    """Ended as a supervisor ends it, once its scratch situation is there."""
    large = EXAMPLE.with_name("history_large.json")
    checking = subprocess.Popen([str(MRM), "check", str(large), "--data", str(stack.data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    keys = stack.data / "keys"
    while checking.poll() is None and not list(keys.glob("*/*__check-*.key")):
        time.sleep(0.05)
    checking.send_signal(signal.SIGTERM)
    _, told = checking.communicate(timeout=120)
    assert checking.returncode == 143, told
    assert b"removed" in told
    assert not list(keys.glob("*/*__check-*.key"))


def test_an_invalid_file_is_named_with_its_field_and_no_file_is_sent(stack: Stack, tmp_path: Path) -> None:
    document = read(EXAMPLE)
    document["steps"][0]["decisions"][0]["violation"] = "nowhere/k1"
    before = stack.json("status")["account"]["accepted"]
    done = stack.mrm("check", str(EXAMPLE), written(tmp_path, document))
    assert done.returncode == 2
    assert "file.json" in done.stderr
    assert "steps[0].decisions[0].violation" in done.stderr
    assert stack.json("status")["account"]["accepted"] == before


@pytest.mark.parametrize("name", ["example", "G6", "history1"])
def test_coded_records_leave_and_come_back_with_the_same_answers(stack: Stack, tmp_path: Path, name: str) -> None:
    document = read(EXAMPLE.with_name(f"{name}.json"))
    queries = document.pop("queries")
    first, second = f"{name}-{uuid4().hex[:8]}", f"{name}-{uuid4().hex[:8]}"
    document["situation"]["code"] = first
    stack.json("import", "exchange", written(tmp_path, document))
    exported = tmp_path / "exported.json"
    stack.json("export", "exchange", first, "-o", str(exported))
    assert exported.stat().st_mode & 0o077 == 0
    again = read(exported)
    again["situation"]["code"] = second
    stack.json("import", "exchange", written(tmp_path, again))
    assert answers(stack, second, queries) == answers(stack, first, queries)
    expected = [query["expected"] for query in queries if "after_step" not in query and query["table"] != "exceptions"]
    now = [query for query in queries if "after_step" not in query and query["table"] != "exceptions"]
    assert answers(stack, second, now) == expected


def told_apart_by_order(document: dict[str, Any]) -> dict[str, Any]:
    """Call children and groups by the order in which a file names them: their keys are pseudonyms of one situation.

    The incidents of one step are reported side by side, and its decisions keep their order violation by violation.
    """
    names: dict[str, str] = {}
    for step in document["steps"]:
        step.get("incidents", []).sort(key=lambda incident: incident["key"])
        step.get("decisions", []).sort(key=lambda decision: decision["violation"])
        for incident in step.get("incidents", []):
            for person in [*incident.get("victims", []), *incident.get("groups", [])]:
                names.setdefault(person["key"], f"p{len(names)}")
    text = json.dumps(document)
    for key, name in names.items():
        text = text.replace(key, name)
    told: dict[str, Any] = json.loads(text)
    return told


def test_a_random_situation_that_leaves_and_comes_back_leaves_again_the_same(stack: Stack, tmp_path: Path) -> None:
    """What is exported, imported and exported again holds the same records, but for the code and the pseudonyms."""
    seed = seed_of_this_run()
    print(f"MRM_TEST_SEED={seed} repeats it")
    document = random_file(seed, queries=30)
    queries = [query for query in document.pop("queries") if "after_step" not in query and query["table"] != "exceptions"]
    exported = []
    for _ in range(3):
        document["situation"]["code"] = f"round-{uuid4().hex[:8]}"
        stack.json("import", "exchange", written(tmp_path, document))
        assert answers(stack, document["situation"]["code"], queries) == [query["expected"] for query in queries]
        stack.json("export", "exchange", document["situation"]["code"], "-o", str(tmp_path / "exported.json"))
        document = read(tmp_path / "exported.json")
        exported.append(told_apart_by_order({**document, "situation": {**document["situation"], "code": ""}}))
    assert exported[0] == exported[1] == exported[2]


def test_a_killed_import_goes_on_with_the_same_command_and_ends_as_one_that_was_not(stack: Stack, tmp_path: Path) -> None:
    """Killed at random moments, each time it is started again; the last one is let through, and one more changes nothing."""
    seed = seed_of_this_run()
    print(f"MRM_TEST_SEED={seed} repeats it")
    rng = random.Random(seed)
    document = random_file(seed, incidents=60, decisions=120, links=30, queries=30, steps=2)
    document["situation"]["code"] = code = f"killed-{uuid4().hex[:8]}"
    queries = [query for query in document.pop("queries") if "after_step" not in query and query["table"] != "exceptions"]
    file = written(tmp_path, document)
    for pause in (rng.uniform(0, 3), rng.uniform(3, 7)):
        importing = begun_import(stack, file, code)
        time.sleep(pause)
        importing.kill()
        importing.communicate(timeout=120)
    told = stack.json("import", "exchange", file)
    assert answers(stack, code, queries) == [query["expected"] for query in queries]
    records, again = records_of(stack, code), stack.json("import", "exchange", file)
    assert (records_of(stack, code), again["position"]) == (records, told["position"])
    assert again["stood"] == records
    with stack.client("verification", "technical") as technical:
        assert technical.get(f"/v1/situations/{code}/dockets", params={"state": "open"}).json()["items"] == []
        assert technical.get(f"/v1/situations/{code}").json()["importing"] is False


def begun_import(stack: Stack, file: str, code: str) -> subprocess.Popen[bytes]:
    """Start an import and wait until its situation is registered."""
    command = [str(MRM), "import", "exchange", file, "--json", "--data", str(stack.data)]
    importing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with stack.client("verification", "operator") as operator:
        while importing.poll() is None and operator.get(f"/v1/situations/{code}").status_code != 200:
            time.sleep(0.05)
    return importing


def records_of(stack: Stack, code: str) -> int:
    """How many records verification holds of a situation."""
    return int(stack.json("export", "exchange", code, "-o", str(stack.data / "counted.json"))["records"])


def test_an_import_that_is_interrupted_says_what_stands_and_that_it_goes_on(stack: Stack, tmp_path: Path) -> None:
    document = read(EXAMPLE)
    document["situation"]["code"] = code = f"stopped-{uuid4().hex[:8]}"
    file = written(tmp_path, document)
    importing = begun_import(stack, file, code)
    importing.send_signal(signal.SIGSTOP)  # so that it is still there while another one tries
    try:
        other = stack.json("import", "exchange", file, expect=1)
    finally:
        importing.send_signal(signal.SIGINT)
        importing.send_signal(signal.SIGCONT)
    said, _ = importing.communicate(timeout=120)
    error = json.loads(said)["error"]
    assert importing.returncode == 130
    assert "they stand" in error["sentence"]
    assert "The same command" in error["remedy"]
    assert "is running" in other["error"]["sentence"]
    assert stack.json("import", "exchange", file)["situation"] == code


def test_records_are_imported_only_into_a_situation_that_holds_no_others_and_counts_as_the_file_does(stack: Stack, tmp_path: Path) -> None:
    document = read(EXAMPLE)
    document["situation"]["code"] = code = f"full-{uuid4().hex[:8]}"
    stack.json("import", "exchange", written(tmp_path, document))
    other = deepcopy(document)
    other["steps"][0]["incidents"][0]["occurred_from"] = "2021-12-31"
    refused = stack.json("import", "exchange", written(tmp_path, other), expect=1)["error"]["sentence"]
    assert "already" in refused
    assert "steps[0].incidents[0]" in refused
    place = document["situation"]["places"][-1]["code"]
    document["situation"]["places"][-1]["level"] += 1
    before = stack.json("situation", "show", code)
    refused = stack.json("import", "exchange", written(tmp_path, document), expect=1)["error"]["sentence"]
    assert f"situation.places[{place}].level" in refused
    assert stack.json("situation", "show", code) == before


def test_the_register_takes_a_situation_from_a_file_and_its_next_version(stack: Stack, tmp_path: Path) -> None:
    draft = {"code": f"new-{uuid4().hex[:8]}", "name": "New", "time_zone": "Asia/Kabul", "parties": [], "places": []}
    file = written(tmp_path, draft)
    assert stack.json("situation", "add", file)["version"] == 1
    assert draft["code"] in [entry["code"] for entry in stack.json("situation", "list")["situations"]]
    parties = [{"code": "force", "type": "armed_force", "name": "Force"}]
    assert stack.json("situation", "add", written(tmp_path, {**draft, "parties": parties}))["version"] == 2
    shown = stack.json("situation", "show", draft["code"])
    assert (shown["name"], shown["parties"], shown["incidents"]) == ("New", parties, 0)
    with stack.client("intake", "monitor") as client:
        assert client.get(f"/v1/situations/{draft['code']}").status_code == 200


def test_a_register_entry_is_refused_by_its_fields(stack: Stack, tmp_path: Path) -> None:
    draft = {"code": "_x", "name": "New", "time_zone": "Asia/Kabul", "colour": "red"}
    done = stack.mrm("situation", "add", written(tmp_path, draft))
    assert done.returncode == 2
    assert "code" in done.stderr
    draft = {"code": "x", "name": "New", "time_zone": "Mars/Base"}
    done = stack.mrm("situation", "add", written(tmp_path, draft))
    assert done.returncode == 2
    assert "time_zone" in done.stderr
    assert stack.mrm("situation", "show", "nowhere").returncode == 1


def test_replay_finds_nothing_parked(stack: Stack) -> None:
    services = stack.json("replay")["services"]
    assert set(services) == {"intake", "verification", "aggregation", "export"}
    assert all(answer == {"tried": 0, "applied": 0, "parked": 0} for answer in services.values())
    assert stack.mrm("replay", "nobody").returncode == 2
    assert stack.mrm("replay", "--id", "1").returncode == 2
