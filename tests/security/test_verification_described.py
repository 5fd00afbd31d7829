"""Verification answers as it describes itself: generated requests as several people get no 5xx and nothing undocumented."""

import asyncio
import sys
from pathlib import Path

import pytest

from support.issuer import issuer
from support.vetting import RunningVerification, vetting

__all__ = ["issuer", "vetting"]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
EVERY_ROLE = ("focal_point", "technical", "cochair_un", "cochair_unicef", "officer")


@pytest.mark.parametrize("groups", [tuple(f"/XAA/{role}" for role in EVERY_ROLE), ("/_all/operator",)], ids=["task_force", "operator"])
async def test_generated_requests_get_documented_answers(vetting: RunningVerification, groups: tuple[str, ...], tmp_path: Path) -> None:
    vetting.service.health.update(dict.fromkeys(vetting.service.health, "ok"))  # not ready is 503, and meant to be
    await vetting.verify(f"{await vetting.report()}/k1")
    (tmp_path / "schemathesis.toml").write_text('[parameters]\n"path.situation" = "XAA"\n')  # any other is not found
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{vetting.client.base_url}/openapi.json",
        "--checks",
        CHECKS,
        "--header",
        f"Authorization: Bearer {vetting.issuer.token('anybody', *groups)}",
        "--include-path-regex",
        "^/v1/situations",
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
