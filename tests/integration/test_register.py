"""The register's copy: the newest version counts, what is removed is as if it had never been, and changes are seen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chassis.errors import NotFound
from chassis.storage import SYSTEM, Tx
from contracts.situation import Place
from support.delivery import SITUATION, House, Party, another_process, make_party, until
from support.stack import NewDatabase


@pytest.fixture
async def party(tmp_path: Path, new_database: NewDatabase) -> AsyncIterator[Party]:
    made = await make_party("aggregation", House(tmp_path), new_database)
    yield made
    await made.database.close()


async def test_a_saved_document_is_found_at_once_and_unchanged(party: Party) -> None:
    assert await party.register.find(SITUATION) is None
    document = party.house.situation(places=[Place(code="AF01", name="کابل", level=1)])
    await party.save_situation(document)
    assert await party.register.get(SITUATION) == document
    assert await party.register.all() == [document]


async def test_an_unknown_situation_is_not_found(party: Party) -> None:
    with pytest.raises(NotFound):
        await party.register.get("nowhere")


async def test_an_older_or_equal_version_changes_nothing(party: Party) -> None:
    newest = party.house.situation(version=3)
    await party.save_situation(newest)
    async with party.database.transaction("test", by=SYSTEM) as tx:
        assert not await party.register.save(tx, party.house.situation(version=2))
        assert not await party.register.save(tx, newest.model_copy(update={"name": "other"}))
        assert await party.register.newest_version(tx, SITUATION) == 3
    assert await party.register.get(SITUATION) == newest


async def test_a_transaction_that_fails_leaves_the_register_as_it_was(party: Party) -> None:
    await party.save_situation(party.house.situation(version=1))

    async def save_and_fail() -> None:
        async with party.database.transaction("test", by=SYSTEM) as tx:
            await party.register.save(tx, party.house.situation(version=2))
            found = await party.register.find_in(tx, SITUATION)
            assert found is not None
            assert found.version == 2
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await save_and_fail()
    assert (await party.register.get(SITUATION)).version == 1


async def test_the_register_answers_while_transactions_hold_every_connection(party: Party) -> None:
    await party.save_situation(party.house.situation(version=1))
    async with AsyncExitStack() as transactions:
        for _ in range(8):
            await transactions.enter_async_context(party.database.transaction("test", by=SYSTEM))
        party.register.expire()
        assert (await asyncio.wait_for(party.register.get(SITUATION), timeout=5)).version == 1


async def test_another_process_sees_the_change(party: Party) -> None:
    other = await another_process(party)
    await party.save_situation(party.house.situation(version=1))
    assert (await other.register.get(SITUATION)).version == 1
    await party.save_situation(party.house.situation(version=2))

    async def seen() -> bool:
        return (await other.register.get(SITUATION)).version == 2

    await until(seen, within=10)
    await other.database.close()


async def test_a_removed_situation_is_gone_takes_its_rows_along_and_its_versions_go_on(party: Party) -> None:
    await party.save_situation(party.house.situation())
    await party.save_situation(party.house.situation("SDN-2024"))
    asked: list[str] = []

    async def on_removed(code: str, tx: Tx) -> None:
        asked.append(code)
        await tx.execute("delete from effects where situation = $1", code)

    party.register.on_removed = on_removed
    for code in (SITUATION, "SDN-2024"):
        await party.rows("insert into effects (event_id, situation, subject, mark) values (gen_random_uuid(), $1, 'a', 'b')", code)
    await party.save_situation(party.house.situation(version=2, removed=True))
    assert asked == [SITUATION]
    assert await party.register.find(SITUATION) is None
    assert [document.code for document in await party.register.all()] == ["SDN-2024"]
    assert await party.value("select string_agg(situation, ',') from effects") == "SDN-2024"
    async with party.database.transaction("test", by=SYSTEM) as tx:
        assert await party.register.find_in(tx, SITUATION) is None
        assert await party.register.newest_version(tx, SITUATION) == 2
    await party.save_situation(party.house.situation(version=3))
    assert (await party.register.get(SITUATION)).version == 3
