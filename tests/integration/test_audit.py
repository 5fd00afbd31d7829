"""The record of acts on a real PostgreSQL: no entry, no act; and whatever is changed in it afterwards is found."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from uuid import uuid4

import asyncpg
import pytest

from chassis.audit import sequencer, store
from chassis.audit.checkpoint import Checkpoint
from chassis.audit.merkle import Head, consistency_ranges, inclusion_ranges, root_of, verify_consistency, verify_inclusion
from chassis.audit.recorder import Recorder, record
from chassis.audit.sequencer import RecordBroken, Sequencer
from chassis.audit.survey import leaves_of, prove, verify_database
from chassis.audit.verify import Flaw, Verification
from chassis.errors import Unavailable
from chassis.sealing.errors import UnusableKeyError
from chassis.sealing.keys import generate_signing_key
from chassis.storage import SYSTEM, System, Tx
from local_stack.postgres import PostgresServer, ServiceDatabase
from support.records import Keeper, as_superuser, open_keeper
from support.stack import NewDatabase, as_system
from support.tampering import EDITS, Edit, picture, set_back

EDITS_TO_TRY = 1000


@pytest.fixture
async def service_database(new_database: NewDatabase) -> ServiceDatabase:
    return await new_database("intake")


@pytest.fixture
async def keeper(service_database: ServiceDatabase) -> AsyncIterator[Keeper]:
    opened = await open_keeper(service_database)
    yield opened
    await opened.database.close()


async def verified(keeper: Keeper, *saved: str) -> Verification:
    async with keeper.database.reading("verify", by=SYSTEM) as tx:
        return await verify_database(tx, keeper.service, trust=keeper.trust, saved=saved)


async def grown(keeper: Keeper) -> str:
    """Fill a record as a few days would: acts of several people, several checkpoints, some entries still waiting."""
    for number in range(24):
        await keeper.act(number % 5 + 1, actor=f"person-{number % 3}", situation=("AFG-2024", "COL-2024", None)[number % 3])
        if number % 6 == 5:
            await keeper.sequencer.checkpoint()
    newest = (await keeper.sequencer.checkpoint()).note.encode()
    await keeper.act(3)
    return newest


async def test_an_untouched_record_has_no_findings(keeper: Keeper) -> None:
    saved = await grown(keeper)
    verification = await verified(keeper, saved)
    assert verification.findings == []
    assert verification.size == 70
    assert verification.root == Checkpoint.decode(saved).head.root
    assert verification.checkpoints == 4


async def test_a_thousand_random_edits_by_a_superuser_are_all_found(
    keeper: Keeper, service_database: ServiceDatabase, postgres_server: PostgresServer
) -> None:
    seed = int(os.environ.get("MRM_TEST_SEED", "0")) or Random().randrange(2**32)
    random = Random(seed)
    saved = await grown(keeper)
    connection = await as_superuser(postgres_server, service_database)
    before = await picture(connection)
    kinds: Counter[str] = Counter()
    try:
        while kinds.total() < EDITS_TO_TRY:
            edit = random.choice(EDITS)
            transaction = connection.transaction()
            await transaction.start()
            try:
                what = await tried(edit, connection, random)
                if what is None or await picture(connection) == before:
                    continue
                found = await findings(connection, keeper, saved)
                assert found, f"not found: {what} (seed {seed})"
                kinds[edit.__name__] += 1
            finally:
                await transaction.rollback()
        assert await findings(connection, keeper, saved) == set()
    finally:
        await connection.close()
    print(f"{kinds.total()} edits, all found: {dict(kinds)}; seed {seed}, set MRM_TEST_SEED to repeat")  # noqa: T201
    assert set(kinds) == {edit.__name__ for edit in EDITS}


async def tried(edit: Edit, connection: asyncpg.Connection, random: Random) -> str | None:
    try:
        return await edit(connection, random)
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
        return None  # the database itself refused this one


async def findings(connection: asyncpg.Connection, keeper: Keeper, saved: str) -> set[Flaw]:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    try:
        tx = Tx(connection, name="verify", cause=uuid4(), actor="test")
        return {finding.flaw for finding in (await verify_database(tx, keeper.service, trust=keeper.trust, saved=[saved])).findings}
    finally:
        await connection.reset_type_codec("jsonb", schema="pg_catalog")


async def test_only_a_saved_checkpoint_shows_that_a_whole_database_was_set_back(
    keeper: Keeper, service_database: ServiceDatabase, postgres_server: PostgresServer
) -> None:
    saved = await grown(keeper)
    connection = await as_superuser(postgres_server, service_database)
    async with connection.transaction():
        await set_back(connection, Random(1))
    await connection.close()
    assert (await verified(keeper)).findings == []
    assert {finding.flaw for finding in (await verified(keeper, saved)).findings} == {Flaw.ROLLED_BACK, Flaw.CHECKPOINT_MISSING}
    assert keeper.sequencer.state == "ok"
    with pytest.raises(RecordBroken) as refused:  # the process that signed more than there is now signs nothing any more
        await keeper.sequencer.checkpoint()
    (where,) = refused.value.errors
    assert where.code == "shorter"
    assert where.field.startswith("signed size 70, size ")
    assert keeper.sequencer.state != "ok"
    await keeper.act(100)
    with pytest.raises(RecordBroken):
        await keeper.sequencer.checkpoint()


async def test_a_service_whose_record_was_changed_says_so_once_and_goes_on(
    keeper: Keeper, service_database: ServiceDatabase, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(sequencer.log, "failure", lambda event, _: told.append(event))
    monkeypatch.setattr(sequencer.log, "info", told.append)
    await grown(keeper)
    await keeper.sequencer.run()
    assert (keeper.sequencer.state, told) == ("ok", [])
    connection = await as_superuser(postgres_server, service_database)
    root = await connection.fetchrow("select level, position, hash from audit_nodes order by level desc limit 1")
    await connection.execute(
        "update audit_nodes set hash = sha256(hash) where level = $1 and position = $2", root["level"], root["position"]
    )
    with pytest.raises(RecordBroken):
        await keeper.sequencer.checkpoint()
    for _ in range(3):
        await keeper.sequencer.run()
    assert (keeper.sequencer.state, told) == (sequencer.UNTOLD, ["audit_record_broken"])
    await keeper.act(1)  # acts go on
    await connection.execute(
        "update audit_nodes set hash = $3 where level = $1 and position = $2", root["level"], root["position"], root["hash"]
    )
    await connection.close()
    await keeper.sequencer.run()
    assert (keeper.sequencer.state, told) == ("ok", ["audit_record_broken", "audit_record_whole"])


async def test_a_record_that_went_on_otherwise_after_being_set_back_is_found(
    keeper: Keeper, service_database: ServiceDatabase, postgres_server: PostgresServer
) -> None:
    saved = await grown(keeper)
    connection = await as_superuser(postgres_server, service_database)
    async with connection.transaction():
        await set_back(connection, Random(2))
    await connection.close()
    await keeper.act(100)
    await keeper.another_process().checkpoint()  # a process that knows of nothing signs on
    assert (await verified(keeper)).findings == []
    assert {finding.flaw for finding in (await verified(keeper, saved)).findings} == {Flaw.SAVED_DIFFERS, Flaw.CHECKPOINT_MISSING}


async def test_a_database_made_anew_is_another_record(keeper: Keeper, new_database: NewDatabase) -> None:
    saved = await grown(keeper)
    fresh = await open_keeper(await new_database("intake"), key=keeper.key)
    try:
        assert {finding.flaw for finding in (await verified(fresh, saved)).findings} == {Flaw.ANOTHER_RECORD}
    finally:
        await fresh.database.close()


@pytest.mark.parametrize("saved", ["", "nonsense", "mrm/intake/x\n1\nAAAA\n\n\u2014 x AAAAAAA=\n"])
async def test_a_saved_file_that_is_no_checkpoint_is_a_finding(keeper: Keeper, saved: str) -> None:
    assert [finding.flaw for finding in (await verified(keeper, saved)).findings] == [Flaw.SAVED_UNUSABLE]


async def test_an_instant_that_no_calendar_has_is_a_finding(
    keeper: Keeper, service_database: ServiceDatabase, postgres_server: PostgresServer
) -> None:
    saved = await grown(keeper)
    connection = await as_superuser(postgres_server, service_database)
    for instant in ("infinity", "-infinity", "9999-12-31 23:59:59.999999+00"):
        await connection.execute("update audit_entries set at = $1::text::timestamptz where actor = 'person-1'", instant)
        assert Flaw.ENTRY_CHANGED in {finding.flaw for finding in (await verified(keeper, saved)).findings}
    await connection.close()


@pytest.mark.parametrize("table", ["audit_log", "audit_entries", "audit_leaves", "audit_nodes", "audit_checkpoints"])
async def test_neither_the_service_nor_the_owner_can_rewrite_the_record(
    keeper: Keeper, service_database: ServiceDatabase, table: str
) -> None:
    await grown(keeper)
    app = await asyncpg.connect(as_system(service_database.app_url))
    owner = await asyncpg.connect(service_database.owner_url)
    column = {"audit_nodes": "hash", "audit_leaves": "hash", "audit_checkpoints": "note"}.get(table, "id")
    try:
        for connection in (app, owner):
            for statement in (f"update {table} set {column} = {column}", f"delete from {table}", f"truncate {table} cascade"):  # noqa: S608
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        for statement in (f"alter table {table} disable trigger all", f"drop table {table} cascade"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
        assert not await app.fetchval("select has_table_privilege(current_user, $1, 'references, trigger, maintain')", table)
    finally:
        await app.close()
        await owner.close()


async def test_no_entry_no_act(keeper: Keeper) -> None:
    async def act(detail: dict[str, object]) -> None:
        async with keeper.database.transaction("act", by=System("person")) as tx:
            await tx.execute("insert into relay_state (cluster_id) values ('changed')")
            tx.audit("relay.change", situation=None, detail=detail)

    with pytest.raises(TypeError):  # would come back from the database changed
        await act({"share": 0.5})
    with pytest.raises(asyncpg.DataError):
        await act({"text": "\0"})
    recorder = keeper.database.recorder
    keeper.database.recorder = None
    with pytest.raises(RuntimeError):
        await act({})
    keeper.database.recorder = type(recorder)("intake", raises_unusable)  # type: ignore[union-attr,call-arg,misc]
    with pytest.raises(UnusableKeyError):
        await act({})
    async with keeper.database.reading("look", by=SYSTEM) as tx:
        assert await tx.fetchval("select count(*) from relay_state") == 0
        assert await tx.fetchval("select count(*) from audit_entries") == 0
    keeper.database.recorder = recorder
    await act({"texts": ["a", "\u2028", "é"], "count": 10**18, "none": None})
    await keeper.sequencer.checkpoint()
    assert (await verified(keeper)).findings == []


def raises_unusable() -> None:
    raise UnusableKeyError("there is no active key file")


async def test_an_attempt_that_cannot_be_recorded_does_not_fail_the_answer(keeper: Keeper) -> None:
    await record(keeper.database, "access.denied", actor="person", situation="AFG-2024", detail={"action": "case.open"})
    await keeper.sequencer.checkpoint()
    assert (await verified(keeper)).size == 1
    await keeper.database.close()
    await record(keeper.database, "access.denied", actor="person", situation="AFG-2024")
    await record(keeper.database, "access.denied", actor="person", situation="AFG-2024", detail={"not": object()})


async def test_many_acts_at_once_and_several_processes_make_one_tree_without_a_gap(keeper: Keeper) -> None:
    class Abandoned(Exception):  # noqa: N818 - a person changes their mind
        pass

    async def batch(number: int) -> int:
        count = number % 7 + 1
        try:
            async with keeper.database.transaction("batch", by=System(f"person-{number}")) as tx:
                for step in range(count):
                    tx.audit("step", situation="AFG-2024", subject_ref=f"{number}", detail={"step": step})
                    if step == 2:
                        await tx.flush(None)
                if number % 4 == 3:
                    raise Abandoned
        except Abandoned:
            return 0
        return count

    async def grow(process: int) -> None:
        sequencer = keeper.another_process()
        for _ in range(6):
            await (sequencer.run() if process % 2 else sequencer.grow())

    *written, _, _, _, _ = await asyncio.gather(*(batch(number) for number in range(120)), *(grow(process) for process in range(4)))
    saved = (await keeper.sequencer.checkpoint()).note.encode()
    verification = await verified(keeper, saved)
    assert verification.findings == []
    assert verification.size == sum(written)  # type: ignore[arg-type]
    async with keeper.database.reading("look", by=SYSTEM) as tx:
        rows = await store.search(
            tx, "intake", store.Search(situations=["AFG-2024"], installation=False), before=None, limit=verification.size
        )
    steps: dict[str, list[int]] = {}
    for _, entry in reversed(rows):
        steps.setdefault(entry.actor, []).append(entry.detail["step"])
    assert all(order == list(range(len(order))) for order in steps.values())
    assert len(steps) == 90


async def test_connections_killed_at_any_moment_leave_entries_and_tree_in_agreement(
    keeper: Keeper, postgres_server: PostgresServer, service_database: ServiceDatabase
) -> None:
    killer = await asyncpg.connect(postgres_server.superuser_url(service_database.name))
    stop, done_one = asyncio.Event(), asyncio.Event()
    random = Random(7)

    async def kill() -> None:
        while not stop.is_set():
            await done_one.wait()  # however slow the machine: some are spared
            done_one.clear()
            await asyncio.sleep(random.random() * 0.02)
            await killer.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and usename = 'intake_app'",
                service_database.name,
            )

    async def tolerant(work: Callable[[], Awaitable[object]], times: int) -> int:
        done = 0
        for _ in range(times):
            try:
                await work()
                done += 1
                done_one.set()
            except (Unavailable, asyncpg.PostgresError, OSError):
                await asyncio.sleep(0.005)
        return done

    killing = asyncio.create_task(kill())
    acts = [tolerant(lambda: keeper.act(3), 40) for _ in range(4)]
    growing = [tolerant(keeper.another_process().checkpoint, 30) for _ in range(2)]
    results = await asyncio.gather(*acts, *growing)
    stop.set()
    done_one.set()
    await killing
    await killer.close()
    for _ in range(10):  # the pool finds out which of its connections are dead
        await tolerant(keeper.sequencer.grow, 1)
    saved = (await keeper.sequencer.checkpoint()).note.encode()
    verification = await verified(keeper, saved)
    assert verification.findings == []
    assert verification.size % 3 == 0
    assert verification.size >= 3 * sum(results[:4])
    assert 0 < sum(results[:4]) < 160, "the kills must have hit some and spared some"


async def test_acts_do_not_wait_for_the_tree(keeper: Keeper) -> None:
    async with keeper.database.transaction("grow_slowly", by=SYSTEM) as tx:
        await store.lock(tx)
        async with asyncio.timeout(20):
            await keeper.act(5)
        await keeper.another_process().run()  # does not wait either
    assert (await keeper.sequencer.checkpoint()).head.size == 5


async def test_an_entry_that_the_service_did_not_write_gets_no_place(keeper: Keeper, service_database: ServiceDatabase) -> None:
    await keeper.act(2)
    app = await asyncpg.connect(as_system(service_database.app_url))  # even the service's own role cannot, without the key
    await app.execute(
        "insert into audit_entries select gen_random_uuid(), at, 'somebody', action, situation, subject_ref, detail, cause, salt,"
        " signed_by, signature from audit_entries limit 1"
    )
    await app.execute("insert into audit_pending (entry) select id from audit_entries where actor = 'somebody'")
    await app.close()
    await keeper.act(2)
    assert (await keeper.sequencer.checkpoint()).head.size == 4
    assert [finding.flaw for finding in (await verified(keeper)).findings] == [Flaw.ENTRY_FORGED]


async def test_a_new_signing_key_continues_the_record(keeper: Keeper) -> None:
    await grown(keeper)
    newer = generate_signing_key("intake")
    keeper.trust = keeper.trust.with_signing(newer.public)
    keeper.database.recorder = Recorder("intake", lambda: newer)
    sequencer = Sequencer("intake", database=keeper.database, trust=keeper.trust, signer=lambda: newer)
    await keeper.act(3)
    saved = (await sequencer.checkpoint()).note.encode()
    assert (await verified(keeper, saved)).findings == []


async def test_proofs_from_the_stored_nodes_hold(keeper: Keeper) -> None:
    await grown(keeper)
    newest = (await keeper.sequencer.checkpoint()).head
    async with keeper.database.reading("prove", by=SYSTEM) as tx:
        leaves = [leaf async for leaf, _ in leaves_of(tx, "intake")]
        for size in range(1, newest.size + 1):
            path = await prove(tx, consistency_ranges(size, newest.size))
            assert verify_consistency(Head(size, root_of([leaf.hash for leaf in leaves[:size]])), newest, path)
        for leaf in leaves:
            path = await prove(tx, inclusion_ranges(leaf.position, newest.size))
            assert verify_inclusion(leaf.hash, position=leaf.position, size=newest.size, proof=path, root=newest.root)
