"""`mrm audit show` against a running verification: openings, searches, denials and emergency accesses, read as a person reads them."""

import asyncio
import json
import os
import sys
from typing import Any

from support.vetting import RunningVerification

REASON = "The family must be warned before the convoy leaves tonight."


async def mrm(vetting: RunningVerification, *arguments: str, groups: str = "/XAA/auditor", columns: int = 200) -> str:
    """Run `mrm audit show` as somebody with a token; returns what it prints."""
    environment = os.environ | {
        "MRM_TOKEN": vetting.issuer.token("ada", groups),
        "MRM_VERIFICATION_URL": str(vetting.client.base_url),
        "COLUMNS": str(columns),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mrm",
        "audit",
        "show",
        "--service",
        "verification",
        *arguments,
        "--data",
        str(vetting.folder / "nowhere"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, out.decode() + err.decode()
    return out.decode()


async def told(vetting: RunningVerification, *arguments: str) -> list[dict[str, Any]]:
    printed = await mrm(vetting, *arguments, "--json")
    items: list[dict[str, Any]] = json.loads(printed.splitlines()[-1])["items"]
    return items


async def test_what_happened_to_a_case_is_told_in_words(vetting: RunningVerification) -> None:
    incident, other = await vetting.report(), await vetting.report()
    await vetting.get("/queue?stage=focal_point", person="farid")
    await vetting.get(f"/incidents/{incident}", person="farid")
    await vetting.get(f"/incidents/{incident}", person="otto")
    await vetting.get(f"/incidents/{other}", person="ada")
    taken = (await vetting.post(f"/incidents/{incident}/emergency-access", {"reason": REASON, "minutes": 10}, "otto")).json()
    await vetting.get(f"/incidents/{incident}", person="otto")
    await vetting.post(f"/emergency-accesses/{taken['access']}/acknowledgement", None, "imani")
    access = taken["access"][:8]
    assert [(item["actor"], item["words"]) for item in await told(vetting, "--case", incident)] == [
        ("system", "Kept a report for vetting (revision 1)"),
        ("farid", "Opened a whole case (purpose vetting, revision 1)"),
        ("otto", "Opened the coded facts of a case (purpose vetting, revision 1)"),
        ("otto", f"Took emergency access to a case for 10 minutes (emergency access {access}, role officer)"),
        ("otto", f"Opened a whole case by emergency access (emergency access {access}, purpose vetting, revision 1)"),
        ("imani", f"Acknowledged an emergency access (emergency access {access}, role cochair_unicef)"),
    ]
    searches = [item["words"] for item in await told(vetting, "--person", "farid")]
    assert searches[0] == "Searched the queue: 2 found (stage focal_point)"
    (denied,) = (item for item in await told(vetting, "--case", other) if item["action"] == "access.denied")
    route = "GET /v1/situations/{situation}/incidents/{incident}"
    assert (denied["actor"], denied["words"]) == ("ada", f"Was denied case.open at {route}, answer 403")
    assert denied["detail"] == {"action": "case.open", "route": route, "status": 403}


async def test_a_person_reads_a_table_or_that_there_is_nothing(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    await vetting.get(f"/incidents/{incident}", person="ursula")
    printed = await mrm(vetting, "--person", "ursula")
    head, row = (next(line for line in printed.splitlines() if word in line) for word in ("When", "ursula"))
    assert [cell.strip() for cell in head.replace("┃", "|").strip("|").split("|")] == [
        "When (UTC)", "Service", "Situation", "Who", "What", "Object",
    ]  # fmt: skip
    assert [cell.strip() for cell in row.replace("│", "|").strip("|").split("|")][1:] == [
        "verification", "XAA", "ursula", "Opened the coded facts of a case (purpose vetting, revision 1)", incident,
    ]  # fmt: skip
    narrow = await mrm(vetting, "--person", "ursula", columns=80)
    assert max(map(len, narrow.splitlines())) <= 80
    rows = [line.split("│")[1:-1] for line in narrow.splitlines() if line.startswith("│")]
    assert "".join(row[-1].strip() for row in rows) == incident, "an id is folded, never cut off"
    assert (await mrm(vetting, "--person", "nobody")).strip() == "No act fits."
    assert await told(vetting, "--person", "nobody") == []
    await mrm(vetting, "--person", "Zzqahmad-Khan")
    searches = [item["detail"] for item in await told(vetting) if item["action"] == "audit.read"]
    assert {"person": "not_found"} in searches  # whom the record does not know it does not learn of by a search
    assert "Zzq" not in str(searches)
    assert await told(vetting, "--since", "2999-01-01") == []


async def test_the_record_keeps_no_reason_and_no_word_of_a_caller(vetting: RunningVerification) -> None:
    incident = await vetting.report(narrative="CANARY-narrative")
    await vetting.get(f"/incidents/{incident}", person="farid")
    await vetting.get("/queue?region=CANARY-region", person="farid")
    await vetting.post(f"/incidents/{incident}/emergency-access", {"reason": f"CANARY {REASON}"}, "otto")
    assert "CANARY" not in await mrm(vetting)
