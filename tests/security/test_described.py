"""Every service answers as it describes itself: generated requests as several people get no 5xx and nothing undocumented."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from pathlib import Path

import pytest

from chassis.service import Service
from contracts.permissions import table
from support.edge import RunningIntake
from support.exporting import RunningExport, export
from support.issuer import Issuer
from support.running_aggregation import RunningAggregation, aggregation
from support.vetting import RunningVerification, vetting

__all__ = ["aggregation", "export", "vetting"]
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
PROGRAM = Path(__file__).parents[1] / "support" / "described.py"
EXAMPLE = Path(__file__).parents[1] / "data" / "exchange" / "example.json"
REPORTS = "^/v1/(incidents|situations|receipts)"
SITUATIONS = "^/v1/situations"
STRANGER = "stranger"
OPERATOR = "operator"
EVERYBODY = (*sorted({row.role for row in table()} - {"device"}), STRANGER)
TASK_FORCE = ("focal_point", "technical", "cochair_un", "cochair_unicef", "officer")


@pytest.mark.parametrize(
    ("group", "paths"),
    [("/XAA/monitor", ["--include-path-regex", REPORTS]), ("/_all/operator", ["--exclude-path-regex", REPORTS])],
    ids=["monitor", "operator"],
)
async def test_intake(intake: RunningIntake, group: str, paths: list[str], tmp_path: Path) -> None:
    people = {group: intake.token("amina", group)}
    await expect_documented_answers(intake.url, people, paths, service=intake.service, folder=tmp_path)


@pytest.mark.parametrize("groups", [tuple(f"/XAA/{role}" for role in TASK_FORCE), ("/_all/operator",)], ids=["task_force", "operator"])
async def test_verification(vetting: RunningVerification, groups: tuple[str, ...], tmp_path: Path) -> None:
    await vetting.verify(f"{await vetting.report()}/k1")
    people = {"anybody": vetting.issuer.token("anybody", *groups)}
    paths = ["--include-path-regex", SITUATIONS]
    url = str(vetting.client.base_url)
    await expect_documented_answers(url, people, paths, service=vetting.service, folder=tmp_path, known={"situation": "XAA"})


@pytest.mark.parametrize("role", ["officer", "auditor"])
async def test_aggregation(aggregation: RunningAggregation, role: str, tmp_path: Path) -> None:
    coder, _ = await aggregation.house.load(json.loads(EXAMPLE.read_text("utf-8")))
    situation = coder.names.situation
    await aggregation.seal_for_export(situation)
    people = {role: aggregation.issuer.token("anybody", f"/{situation}/{role}")}
    paths = ["--include-path-regex", SITUATIONS]
    url = str(aggregation.client.base_url)
    await expect_documented_answers(url, people, paths, service=aggregation.service, folder=tmp_path, known={"situation": situation})


@pytest.mark.parametrize("roles", [("officer", "cochair_un"), ("cochair_unicef", "auditor")], ids=["officer", "auditor"])
@pytest.mark.parametrize("state", ["draft", "signed"])
async def test_export(export: RunningExport, roles: tuple[str, ...], state: str, tmp_path: Path) -> None:
    made = await (export.signed() if state == "signed" else export.draft())
    people = {state: export.issuer.token("anybody", *(f"/AFG/{role}" for role in roles))}
    paths = ["--include-path-regex", SITUATIONS]
    known = {"situation": "AFG", "snapshot": made["snapshot"], "submission": made["submission"]}
    await expect_documented_answers(str(export.client.base_url), people, paths, service=export.service, folder=tmp_path, known=known)


async def test_every_role_alone_at_intake(intake: RunningIntake, tmp_path: Path) -> None:
    await expect_documented_answers_for_everybody("XAA", url=intake.url, issuer=intake.issuer, service=intake.service, folder=tmp_path)


async def test_every_role_alone_at_verification(vetting: RunningVerification, tmp_path: Path) -> None:
    url = str(vetting.client.base_url)
    await expect_documented_answers_for_everybody("XAA", url=url, issuer=vetting.issuer, service=vetting.service, folder=tmp_path)


async def test_every_role_alone_at_aggregation(aggregation: RunningAggregation, tmp_path: Path) -> None:
    coder, _ = await aggregation.house.load(json.loads(EXAMPLE.read_text("utf-8")))
    situation, url = coder.names.situation, str(aggregation.client.base_url)
    await aggregation.seal_for_export(situation)
    await expect_documented_answers_for_everybody(
        situation, url=url, issuer=aggregation.issuer, service=aggregation.service, folder=tmp_path
    )


async def test_every_role_alone_at_export(export: RunningExport, tmp_path: Path) -> None:
    url = str(export.client.base_url)
    await expect_documented_answers_for_everybody("AFG", url=url, issuer=export.issuer, service=export.service, folder=tmp_path)


async def expect_documented_answers_for_everybody(situation: str, *, url: str, issuer: Issuer, service: Service, folder: Path) -> None:
    """Let a few requests be generated for every operation of a service, as somebody with one role and no other, for each role."""
    groups = {role: [f"/{situation}/{role}"] for role in EVERYBODY} | {STRANGER: [], OPERATOR: [f"/_all/{OPERATOR}"]}
    people = {role: issuer.token("anybody", *groups[role]) for role in EVERYBODY}
    known = {"situation": situation}
    await expect_documented_answers(url, people, [], service=service, folder=folder, known=known, examples=1, phases="examples,fuzzing")


async def expect_documented_answers(
    url: str,
    people: dict[str, str],
    paths: Sequence[str],
    *,
    service: Service,
    folder: Path,
    known: dict[str, str] | None = None,
    examples: int = 5,
    phases: str = "examples,coverage,fuzzing",
) -> None:
    """Let requests be generated from a service's own description, with the token of each of the people.

    `known` fills in parameters of paths, of which any other is not found.
    """
    service.health.update(dict.fromkeys(service.health, "ok"))  # not ready is 503, and meant to be
    lines = [f'"path.{name}" = {json.dumps(value)}' for name, value in (known or {}).items()]
    (folder / "schemathesis.toml").write_text("\n".join(["[parameters]", *lines, ""]))
    arguments = [
        "run",
        f"{url.rstrip('/')}/openapi.json",
        "--checks",
        CHECKS,
        *paths,
        "--max-examples",
        str(examples),
        "--seed",
        "5",
        "--phases",
        phases,
        "--suppress-health-check",
        "all",
        "--warnings",
        "off",
        "--no-color",
    ]
    runs = [[name, [*arguments, "--header", f"Authorization: Bearer {token}"]] for name, token in people.items()]
    process = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), cwd=folder, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    output, _ = await asyncio.wait_for(process.communicate(json.dumps(runs).encode()), 480)
    said = output.decode()
    assert process.returncode == 0, said[-8_000:]
    assert said.count("API Operations:") == len(people), said[-8_000:]
    assert said.splitlines()[-1] == "[]", said[-8_000:]
