"""Export answers as it describes itself: generated requests as several people get no 5xx and nothing undocumented."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from support.exporting import RunningExport, export
from support.issuer import issuer

__all__ = ["export", "issuer"]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"


@pytest.mark.parametrize("roles", [("officer", "cochair_un"), ("cochair_unicef", "auditor")], ids=["officer", "auditor"])
@pytest.mark.parametrize("state", ["draft", "signed"])
async def test_generated_requests_get_documented_answers(export: RunningExport, roles: tuple[str, ...], state: str, tmp_path: Path) -> None:
    export.service.health.update(dict.fromkeys(export.service.health, "ok"))  # not ready is 503, and meant to be
    made = await (export.signed() if state == "signed" else export.draft())
    known = {"situation": "AFG", "snapshot": made["snapshot"], "submission": made["submission"]}
    lines = [f'"path.{name}" = {json.dumps(value)}' for name, value in known.items()]  # any other is not found
    (tmp_path / "schemathesis.toml").write_text("\n".join(["[parameters]", *lines, ""]))
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{export.client.base_url}/openapi.json",
        "--checks",
        CHECKS,
        "--header",
        f"Authorization: Bearer {export.issuer.token('anybody', *(f'/AFG/{role}' for role in roles))}",
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
