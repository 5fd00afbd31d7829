"""Signing a submission: a crash at any moment signs once, and the database itself holds what was approved and signed."""
# ruff: noqa: S608 - statements are made of the test's own words

import asyncio
import json
import sys
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from chassis.storage import SYSTEM
from export import signing, store
from export.signing import sign_submission, signing_job
from support.exporting import OFFICER, UN, UNICEF, RunningExport, afghanistan, published, state_of
from support.stack import as_system

REFUSED = (asyncpg.CheckViolationError, asyncpg.UniqueViolationError, asyncpg.InsufficientPrivilegeError)


async def test_a_missing_key_delays_the_signing_and_loses_no_approval(export: RunningExport) -> None:
    (key,) = [path for path in export.keys_dir.iterdir() if "mldsa65" in path.name]
    away = key.rename(export.keys_dir.parent / key.name)
    draft = await export.draft()
    await export.approve(draft, UN)
    waiting = (await export.approve(draft, UNICEF)).json()
    assert (waiting["state"], len(waiting["approvals"]), waiting["bundle"]) == ("signing", 2, None)
    form = {"snapshot": draft["snapshot"], "product": "annual", "narrative": []}
    assert (await export.send("PUT", f"submissions/{draft['submission']}", form, OFFICER)).json()["code"] == "submission.not_draft"
    assert (await export.get(f"submissions/{draft['submission']}/bundle")).json()["code"] == "submission.not_signed"
    away.rename(key)
    await signing_job(export.service).run()
    assert await state_of(export, draft["submission"]) == "signed"
    assert len(await published(export)) == 1


@pytest.mark.parametrize("moment", ["add_bundle", "lock_submission", "list_approvals", "sign_bundle"])
async def test_a_crash_at_any_moment_of_the_signing_signs_once(export: RunningExport, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = await export.draft()
    await export.approve(draft, UN)
    monkeypatch.setattr("export.routes.submissions.sign_if_possible", _nothing)
    await export.approve(draft, UNICEF)
    where: Any = signing if moment == "sign_bundle" else store
    monkeypatch.setattr(where, moment, _crash)
    with pytest.raises(KeyboardInterrupt):
        await sign_submission(export.service, situation="AFG", submission=UUID(draft["submission"]))
    monkeypatch.undo()
    assert await state_of(export, draft["submission"]) == "signing"
    assert await export.owner.fetchval("select count(*) from outbox") == 0
    again = [sign_submission(export.service, situation="AFG", submission=UUID(draft["submission"])) for _ in range(3)]
    assert sorted(await asyncio.gather(*again)) == [False, False, True]
    assert await state_of(export, draft["submission"]) == "signed"
    assert len(await published(export)) == 1
    assert [act for _, act in await export.acts()].count("submission.sign") == 1


async def test_a_killed_process_between_second_approval_and_signing_loses_nothing(export: RunningExport, tmp_path: Any) -> None:
    """A real process is killed with SIGKILL while it holds the signing transaction open; the next one signs."""
    draft = await export.draft()
    await export.approve(draft, UN)
    away = [path.rename(export.keys_dir.parent / path.name) for path in export.keys_dir.iterdir() if "submission" in path.name]
    assert (await export.approve(draft, UNICEF)).json()["state"] == "signing"
    for path in away:
        path.rename(export.keys_dir / path.name)
    program = tmp_path / "signs.py"
    program.write_text(SIGNS_AND_HANGS)
    export.service.settings.trust_file.chmod(0o644)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    given = {
        "database_url": export.database.app_url,
        "keys_dir": str(export.keys_dir),
        "trust_file": str(export.service.settings.trust_file),
        "submission": draft["submission"],
    }
    process.stdin.write(json.dumps(given).encode() + b"\n")
    await process.stdin.drain()
    assert await asyncio.wait_for(process.stdout.readline(), 60) == b"about to commit\n"
    process.kill()
    await process.wait()
    assert await state_of(export, draft["submission"]) == "signing"
    assert await export.owner.fetchval("select count(*) from bundles") == 0
    await signing_job(export.service).run()
    assert await state_of(export, draft["submission"]) == "signed"
    assert len(await published(export)) == 1


SIGNS_AND_HANGS = """
import asyncio, json, sys
from uuid import UUID
from pydantic import SecretStr
from chassis.service import assemble
from chassis.settings import ServiceSettings
from chassis.storage import SYSTEM, Tx
from export.signing import sign_submission

async def hang(tx, outbox):
    print("about to commit", flush=True)
    await asyncio.sleep(600)

async def main(given):
    service = assemble("export", ServiceSettings(
        database_url=SecretStr(given["database_url"]), kafka_bootstrap="127.0.0.1:1", kafka_username="x", kafka_password=SecretStr("x"),
        keys_dir=given["keys_dir"], trust_file=given["trust_file"], issuer="http://127.0.0.1:1"))
    await service.database.open()
    Tx.flush = hang
    await sign_submission(service, situation="AFG", submission=UUID(given["submission"]))

asyncio.run(main(json.loads(sys.stdin.readline())))
"""


async def _nothing(*_: object, **__: object) -> None:
    return None


def _crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


# The database itself.


async def test_the_database_holds_the_four_eyes(export: RunningExport) -> None:
    draft = await export.draft()
    submission = UUID(draft["submission"])
    app = await asyncpg.connect(as_system(export.database.app_url))
    insert = "insert into approvals values ('AFG', $1, $2, $3, $4, $5, 'Name', now())"
    try:
        with pytest.raises(REFUSED):
            await app.execute("update submissions set state = 'signing' where submission = $1", submission)
        for revision, digest in ((2, draft["digest"]), (1, "0" * 64)):
            with pytest.raises(REFUSED):
                await app.execute(insert, submission, revision, digest, "cochair_un", "una")
        await app.execute(insert, submission, 1, draft["digest"], "cochair_un", "una")
        for role, person in (("cochair_unicef", "una"), ("cochair_un", "ursula"), ("officer", "olga")):
            with pytest.raises(REFUSED):
                await app.execute(insert, submission, 1, draft["digest"], role, person)
        with pytest.raises(REFUSED):
            await app.execute("update submissions set state = 'signing' where submission = $1", submission)
        await app.execute(insert, submission, 1, draft["digest"], "cochair_unicef", "unni")
        for column, value in (("digest", "'" + "0" * 64 + "'"), ("revision", "2"), ("narrative", "'{}'"), ("figures", "'x'")):
            with pytest.raises(REFUSED):
                await app.execute(f"update submissions set state = 'signing', {column} = {value} where submission = $1", submission)
        with pytest.raises(REFUSED):
            await app.execute("update submissions set state = 'signed', signed_at = now() where submission = $1", submission)
        await app.execute("update submissions set state = 'signing' where submission = $1", submission)
        for change in ("state = 'draft'", "state = 'draft', revision = 2", "state = 'signed', signed_at = now()", "digest = digest"):
            with pytest.raises(REFUSED):
                await app.execute(f"update submissions set {change} where submission = $1", submission)
    finally:
        await app.close()


async def test_nobody_changes_or_deletes_what_was_frozen_or_signed(export: RunningExport) -> None:
    signed = await export.signed()
    draft = await export.draft()
    app = await asyncpg.connect(as_system(export.database.app_url))
    statements = [
        *(f"delete from {table}" for table in ("bundles", "approvals", "submissions", "snapshots", "audit_entries")),
        *(f"truncate {table} cascade" for table in ("bundles", "approvals", "submissions", "snapshots")),
        "update bundles set bundle = 'x'",
        "update approvals set name = 'x'",
        "update snapshots set position = 1",
        "update audit_entries set actor = 'x'",
        f"update submissions set state = 'draft' where submission = '{signed['submission']}'",
        f"update submissions set revision = revision + 1, state = 'draft', signed_at = null where submission = '{signed['submission']}'",
        f"update submissions set edited_at = now() where submission = '{signed['submission']}'",
        f"update submissions set product = 'annual' where submission = '{draft['submission']}'",
        f"insert into bundles values ('AFG', '{draft['submission']}', 'x', 'x', 'x', now())",
        "insert into submissions select 'AFG', gen_random_uuid(), product, snapshot, 'signed', 1, digest, figures, narrative, null, null, "
        "drafted_by, now(), now(), now() from submissions limit 1",
        "create table planted (x int)",
    ]
    try:
        for statement in statements:
            with pytest.raises(REFUSED):
                await app.execute(statement)
    finally:
        await app.close()
    for statement in statements[:4] + statements[9:12]:
        with pytest.raises(REFUSED):
            await export.owner.execute(statement)


async def test_a_removed_situation_takes_its_rows_along(export: RunningExport) -> None:
    await export.signed()
    await export.draft()
    async with export.service.database.transaction("register", by=SYSTEM) as tx:
        await export.service.register.save(tx, afghanistan(export.recipient, version=2, removed=True, scratch=True))
    for table in ("snapshots", "submissions", "approvals", "bundles", "outbox"):
        assert await export.owner.fetchval(f"select count(*) from {table}") == 0, table
    assert await export.acts()
