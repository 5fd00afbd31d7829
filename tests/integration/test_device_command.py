"""`mrm device` against a running intake: added, listed, revoked, and what each person may not."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from support.edge import RunningIntake, report

Mrm = Callable[..., Awaitable[tuple[int, str, str]]]
MONITOR, OPERATOR = ("/XAA/monitor",), ("/_all/operator",)


@pytest.fixture
def mrm(intake: RunningIntake, tmp_path: Path) -> Mrm:
    async def run(*arguments: str, person: str = "amina", groups: tuple[str, ...] = MONITOR) -> tuple[int, str, str]:
        environment = os.environ | {"MRM_TOKEN": intake.token(person, *groups), "MRM_INTAKE_URL": intake.url, "COLUMNS": "80"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mrm", "device", *arguments, "--data", str(tmp_path / "none")),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def send(intake: RunningIntake, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return (await intake.client.post("/v1/incidents", content=json.dumps(report()).encode(), headers=headers)).status_code


async def test_a_device_is_added_listed_and_revoked(intake: RunningIntake, mrm: Mrm) -> None:
    code, token, told = await mrm("add", "XAA", "--label", "Old phone", "--days", "7")
    assert code == 0, told
    assert "not shown again" in told
    assert token.strip() not in told
    assert await send(intake, token.strip()) == 202
    code, shown, _ = await mrm("list")
    assert (code, "Old" in shown, "XAA" in shown) == (0, True, True)
    assert token.strip().split("_")[2] not in shown
    (device,) = json.loads((await mrm("list", "--json"))[1].splitlines()[-1])["devices"]
    assert device["device"] in told
    assert device["device"] in shown
    assert (await mrm("revoke", device["device"]))[0] == 0
    assert await send(intake, token.strip()) == 401
    assert (await mrm("revoke", device["device"], "--json"))[0] == 0
    code, _, told = await mrm("revoke", "../incidents")
    assert (code, "404 not_found" in told) == (1, True)


async def test_the_operator_counts_and_ends_and_does_not_see(intake: RunningIntake, mrm: Mrm) -> None:
    made: dict[str, Any] = json.loads((await mrm("add", "XAA", "--json"))[1].splitlines()[-1])
    await mrm("add", "XAA")
    counted = json.loads((await mrm("counts", "--json", person="omar", groups=OPERATOR))[1].splitlines()[-1])
    assert counted == {"situations": [{"situation": "XAA", "active": 2, "expired": 0, "revoked": 0}]}
    assert (await mrm("list", person="omar", groups=OPERATOR))[0] == 1
    assert (await mrm("revoke", made["device"], person="omar", groups=OPERATOR))[0] == 0
    assert await send(intake, made["token"]) == 401
    ended = await mrm("revoke-all", "XAA", "--person", "amina", "--json", person="omar", groups=OPERATOR)
    assert json.loads(ended[1].splitlines()[-1]) == {"situation": "XAA", "revoked": 1}
    assert (await mrm("revoke-all", "XAA"))[0] == 1
