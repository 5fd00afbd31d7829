"""`mrm audit` against a running service: an untouched record, a touched one, one set back, a witness, a dump without any service."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

from chassis.audit.checkpoint import Checkpoint
from chassis.audit.note import NoteKey
from local_stack.postgres import PostgresServer
from support.edge import RunningIntake, report
from support.tampering import TABLES, set_back


@dataclass
class Desk:
    """Somebody with the `mrm` command, a token, and addresses."""

    intake: RunningIntake
    folder: Path
    superuser: asyncpg.Connection

    async def mrm(self, *arguments: str, groups: tuple[str, ...] = ("/_all/operator",), expect: int = 0) -> dict[str, Any]:
        """Run `mrm audit …  --json` and return its object."""
        environment = os.environ | {"MRM_TOKEN": self.intake.token("omar", *groups), "MRM_INTAKE_URL": self.intake.url}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mrm",
            "audit",
            *arguments,
            "--json",
            "--data",
            str(self.folder),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == expect, out.decode() + err.decode()
        document: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
        return document

    async def verify(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        return await self.mrm("verify", *arguments, "--trust", str(self.intake.folder / "trust.json"), expect=expect)

    async def look(self, *arguments: str, expect: int = 0) -> str:
        options = ("--state", str(self.folder / "w"), "--name", "witness.example/w1", "--trust", str(self.intake.folder / "trust.json"))
        document = await self.mrm("witness", "intake", *options, *arguments, groups=("/XAA/auditor",), expect=expect)
        verdict: str = document["sights"][0]["verdict"]
        return verdict

    async def report(self, count: int = 3) -> None:
        for _ in range(count):
            assert (await self.intake.post("/v1/incidents", report())).status_code == 202

    def codes(self, document: dict[str, Any]) -> set[str]:
        return {finding["code"] for finding in document["services"][0]["findings"]}


@pytest.fixture
async def desk(intake: RunningIntake, postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Desk]:
    name = await intake.owner.fetchval("select current_database()")
    superuser = await asyncpg.connect(postgres_server.superuser_url(name))
    for table in TABLES:
        await superuser.execute(f"alter table {table} disable trigger all")
    yield Desk(intake, tmp_path / "desk", superuser)
    await superuser.close()


async def test_an_untouched_record_is_said_to_be_so_and_its_checkpoint_is_kept(desk: Desk) -> None:
    await desk.report()
    saved = desk.folder / "saved"
    first = await desk.verify("intake", "--save", str(saved))
    assert (first["valid"], first["saved"]) == (True, str(saved))
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    await desk.report()
    again = await desk.verify("intake", "--checkpoint", str(saved), "--save", str(saved))
    (service,) = again["services"]
    assert (service["valid"], service["entries"], service["checkpoints"], service["saved_checkpoints"]) == (True, 6, 2, 1)
    assert Checkpoint.decode(saved.read_text()).head.size == 6


async def test_a_touched_record_is_found_and_nothing_is_saved(desk: Desk) -> None:
    await desk.report()
    await desk.verify("intake")
    await desk.superuser.execute(
        "update audit_entries set detail = '{\"revision\": 2}' where id = (select entry from audit_leaves limit 1)"
    )
    await desk.superuser.execute("delete from audit_entries where id = (select entry from audit_leaves order by position desc limit 1)")
    found = await desk.verify("intake", "--save", str(desk.folder / "saved"), expect=1)
    assert (found["valid"], found["saved"]) == (False, None)
    assert desk.codes(found) == {"entry_changed", "entry_missing"}
    assert not (desk.folder / "saved").exists()


async def test_a_database_set_back_is_found_with_a_saved_checkpoint_and_by_a_witness(desk: Desk) -> None:
    await desk.report()
    saved = desk.folder / "saved"
    await desk.verify("intake", "--save", str(saved))
    assert await desk.look() == "first"
    async with desk.superuser.transaction():
        await set_back(desk.superuser, Random(3))
    broken = await desk.verify("intake", "--checkpoint", str(saved), expect=1)
    assert broken["services"][0]["signing_refused"], "the process that signed more refuses to sign less"
    (because,) = broken["services"][0]["refused_because"]
    assert (because["code"], because["where"].startswith("signed size ")) == ("shorter", True)
    assert desk.codes(broken) == {"rolled_back", "checkpoint_missing"}
    desk.intake.service.record._signed = None  # as after a restart: the service knows of nothing
    assert await desk.look(expect=1) == "rolled_back"
    assert (await desk.verify("intake"))["valid"], "without a saved checkpoint nobody can tell"
    await desk.report(6)
    assert desk.codes(await desk.verify("intake", "--checkpoint", str(saved), expect=1)) == {"saved_differs", "checkpoint_missing"}
    assert await desk.look(expect=1) == "forked"


async def test_a_witness_cosigns_what_continues_and_remembers(desk: Desk) -> None:
    await desk.report()
    assert await desk.look() == "first"
    assert await desk.look() == "continues"
    await desk.report()
    assert await desk.look() == "continues"
    kept = Checkpoint.decode((desk.folder / "w" / "intake.checkpoint").read_text())
    trust = str(desk.intake.folder / "trust.json")
    told = await desk.mrm("witness", "intake", "--state", str(desk.folder / "w"), "--trust", trust, groups=("/XAA/auditor",))
    key = NoteKey.parse(told["witness"])
    assert key.name == "witness.example/w1"
    assert [found.name for found, _ in kept.note.signed_by([key])] == ["witness.example/w1"]
    assert (await desk.verify("intake", "--checkpoint", str(desk.folder / "w" / "intake.checkpoint")))["valid"]
    await desk.mrm("witness", "intake", "--state", str(desk.folder / "w"), "--trust", trust, "--name", "other", expect=2)
    (desk.folder / "w" / "intake.checkpoint").write_text(kept.note.encode().replace("\n6\n", "\n3\n"))
    await desk.mrm("witness", "intake", "--state", str(desk.folder / "w"), "--trust", trust, groups=("/XAA/auditor",), expect=1)


async def test_a_witness_refuses_a_record_made_anew(desk: Desk) -> None:
    await desk.report()
    assert await desk.look() == "first"
    for table in TABLES[1:]:
        await desk.superuser.execute(f"truncate {table} cascade")
    await desk.superuser.execute("update audit_log set id = gen_random_uuid()")
    desk.intake.service.record._signed = None
    await desk.report()
    assert await desk.look(expect=1) == "another_record"


async def test_a_dump_is_checked_without_any_service(desk: Desk, postgres_server: PostgresServer) -> None:
    await desk.report()
    saved, dump, url = desk.folder / "saved", desk.folder / "dump", desk.folder / "url"
    await desk.verify("intake", "--save", str(saved))
    name = await desk.intake.owner.fetchval("select current_database()")
    url.write_text(postgres_server.service_database("intake", name).owner_url + "\n")
    told = await desk.mrm("dump", "intake", str(dump), "--database-url-file", str(url))
    assert told["entries"] == 3
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600
    checked = await desk.verify("--dump", str(dump), "--checkpoint", str(saved))
    assert (checked["valid"], checked["services"][0]["entries"], checked["services"][0]["saved_checkpoints"]) == (True, 3, 1)
    whole = dump.read_text()
    dump.write_text(whole.replace('"revision":1', '"revision":2', 1))
    assert desk.codes(await desk.verify("--dump", str(dump), expect=1)) == {"entry_changed"}
    lines = whole.splitlines(keepends=True)
    dump.write_text("".join([lines[0], lines[2], lines[1], *lines[3:]]))
    assert "leaf_missing" in desk.codes(await desk.verify("--dump", str(dump), expect=1))
    for content in ("", "nonsense", "{}\n", "".join(lines[:-1])):
        dump.write_text(content)
        await desk.verify("--dump", str(dump), expect=2)


async def test_acts_are_shown_to_those_who_may_see_them(desk: Desk) -> None:
    await desk.report()
    shown = await desk.mrm("show", "--service", "intake", "--situation", "XAA", "--since", "2024-01-01", groups=("/XAA/auditor",))
    assert [item["action"] for item in shown["items"]] == ["incident.submit"] * 3
    case = shown["items"][1]["subject"]
    again = await desk.mrm("show", "--service", "intake", "--case", case, groups=("/XAA/auditor",))
    assert [item["subject"] for item in again["items"]] == [case]
    person = shown["items"][0]["actor"]
    found = await desk.mrm("show", "--service", "intake", "--person", person, "--limit", "2", groups=("/XAA/auditor",))
    assert len(found["items"]) == 2
    await desk.mrm("show", "--service", "intake", "--situation", "XAA", expect=1)
    await desk.mrm("show", "--service", "nobody", expect=2)


async def test_misuse_is_told(desk: Desk) -> None:
    desk.folder.mkdir()
    await desk.mrm("verify", "intake", expect=2)  # no pinned keys here
    await desk.verify("nobody", expect=2)
    await desk.verify("intake", "--dump", str(desk.folder / "x"), expect=2)
    await desk.verify("intake", "--checkpoint", str(desk.folder / "x"), expect=2)
    trust = str(desk.intake.folder / "trust.json")
    await desk.mrm("witness", "intake", "--state", str(desk.folder / "w"), "--trust", trust, expect=2)  # a new one needs a name
    await desk.mrm("dump", "intake", str(desk.folder / "d"), "--database-url-file", str(desk.folder / "x"), expect=2)
    (desk.folder / "saved").write_text("not a checkpoint\n")
    assert desk.codes(await desk.verify("intake", "--checkpoint", str(desk.folder / "saved"), expect=1)) == {"saved_unusable"}
