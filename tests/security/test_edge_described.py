"""Intake answers as it describes itself: generated requests as several people get no 5xx and nothing undocumented."""

import asyncio
import sys
from pathlib import Path

import pytest

from support.edge import RunningIntake

REPORTS = "^/v1/(incidents|situations|receipts)"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"


@pytest.mark.parametrize(
    ("group", "paths"),
    [("/XAA/monitor", ["--include-path-regex", REPORTS]), ("/_all/operator", ["--exclude-path-regex", REPORTS])],
    ids=["monitor", "operator"],
)
async def test_generated_requests_get_documented_answers(intake: RunningIntake, group: str, paths: list[str], tmp_path: Path) -> None:
    intake.service.health.update(dict.fromkeys(intake.service.health, "ok"))  # not ready is 503, and meant to be
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{intake.url}/openapi.json",
        "--checks",
        CHECKS,
        "--header",
        f"Authorization: Bearer {intake.token('amina', group)}",
        *paths,
        "--max-examples",
        "5",
        "--seed",
        "5",
        "--phases",
        "examples,coverage,fuzzing",
        "--suppress-health-check",
        "all",
        "--warnings",
        "off",
        "--no-color",
    ]
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await asyncio.wait_for(process.communicate(), 240)
    assert process.returncode == 0, output.decode()[-8_000:]
