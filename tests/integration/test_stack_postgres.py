"""The embedded PostgreSQL: who may enter, what a service's two roles may do, what its log never holds."""

import os
import shutil
import stat
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
import pytest

from local_stack.postgres import LONGEST_SOCKET_FOLDER, PostgresServer
from support.stack import NewDatabase


async def test_server_is_postgres_18_on_a_private_socket_only(postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres_server.superuser_url())
    try:
        assert (await connection.fetchval("show server_version")).startswith("18.")
        assert await connection.fetchval("show listen_addresses") == ""
        assert await connection.fetchval("show password_encryption") == "scram-sha-256"
        methods = await connection.fetch("select distinct type, auth_method from pg_hba_file_rules")
    finally:
        await connection.close()
    assert [tuple(row) for row in methods] == [("local", "scram-sha-256")]
    assert stat.S_IMODE(postgres_server.socket_folder.stat().st_mode) == 0o700


def test_server_does_not_run_with_the_powers_of_root(postgres_server: PostgresServer) -> None:
    pid = int((postgres_server.cluster / "postmaster.pid").read_text().splitlines()[0])
    status = Path(f"/proc/{pid}/status").read_text()
    effective = next(line for line in status.splitlines() if line.startswith("CapEff"))
    assert int(effective.split()[1], 16) == 0


async def test_wrong_password_is_refused(postgres_server: PostgresServer, new_database: NewDatabase) -> None:
    database = await new_database("intake")
    parts = urlsplit(database.app_url)
    wrong = urlunsplit(parts._replace(netloc="intake_app:guess@"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(wrong)


async def test_app_role_reads_and_writes_rows_of_the_owners_tables(new_database: NewDatabase) -> None:
    database = await new_database("intake")
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("create table notes (id bigint generated always as identity primary key, body text)")
    await owner.close()
    app = await asyncpg.connect(database.app_url)
    await app.execute("insert into notes (body) values ('a')")
    assert await app.fetchval("select body from notes") == "a"
    await app.close()


@pytest.mark.parametrize(
    "statement",
    [
        "create table mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "drop table notes",
        "alter table notes add column more int",
        "truncate notes",
        "create role friend",
        "create database mine",
        "set role intake_owner",
        "set session authorization intake_owner",
        "copy notes to program 'cat'",
    ],
)
async def test_app_role_may_not(new_database: NewDatabase, statement: str) -> None:
    database = await new_database("intake")
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("create table notes (id int)")
    await owner.close()
    app = await asyncpg.connect(database.app_url)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute(statement)
    await app.close()


async def test_no_role_has_special_powers(postgres_server: PostgresServer, new_database: NewDatabase) -> None:
    await new_database("intake")
    connection = await asyncpg.connect(postgres_server.superuser_url())
    powerful = await connection.fetch(
        "select rolname from pg_roles where rolname like 'intake%'"
        " and (rolsuper or rolbypassrls or rolcreatedb or rolcreaterole or rolreplication)"
    )
    await connection.close()
    assert powerful == []


@pytest.mark.parametrize("role", ["owner", "app"])
async def test_roles_of_one_service_cannot_enter_another_services_database(new_database: NewDatabase, role: str) -> None:
    intake = await new_database("intake")
    verification = await new_database("verification")
    url = intake.owner_url if role == "owner" else intake.app_url
    foreign = urlunsplit(urlsplit(url)._replace(path=f"/{verification.name}"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(foreign)
    for common in ("postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(urlunsplit(urlsplit(url)._replace(path=f"/{common}")))


async def test_failing_rows_and_parameters_never_reach_the_log(server_folder: Path, new_database: NewDatabase) -> None:
    database = await new_database("intake")
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("create table names (name text primary key check (length(name) < 40))")
    canary = "canary-zainab-of-ghor"
    await owner.execute("insert into names values ($1)", canary)
    with pytest.raises(asyncpg.UniqueViolationError):
        await owner.execute("insert into names values ($1)", canary)
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute("insert into names values ($1)", canary + "x" * 40)
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await owner.execute(f"select '{canary}'::uuid")
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await owner.execute(f"selec {canary}")
    await owner.close()
    log = (server_folder / "logs" / "pg.log").read_text()
    assert "database system is ready" in log
    assert "canary" not in log


async def test_a_long_path_gets_a_short_private_socket_folder(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 25)
    server = PostgresServer(home, secrets=tmp_path / "secrets", log=tmp_path / "pg.log", durable=False)
    server.start()
    try:
        folder = server.socket_folder
        assert len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert server.socket_folder == folder
        database = await server.create_service_database("intake")
        await (await asyncpg.connect(database.app_url)).close()
    finally:
        server.stop()
        server.remove_socket_folder()
    assert not folder.exists()


async def test_a_killed_server_starts_again_with_what_was_committed(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", secrets=tmp_path / "secrets", log=tmp_path / "pg.log")
    server.start()
    database = await server.create_service_database("intake")
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("create table kept (id int); insert into kept values (7)")
    await owner.close()
    assert server._process is not None
    server._process.kill()
    server._process.wait()
    server.start()
    try:
        owner = await asyncpg.connect(database.owner_url)
        assert await owner.fetchval("select id from kept") == 7
        await owner.close()
    finally:
        server.stop()


async def test_creating_a_service_database_twice_changes_nothing(postgres_server: PostgresServer, new_database: NewDatabase) -> None:
    database = await new_database("intake")
    again = await postgres_server.create_service_database("intake", database.name)
    assert again == database


async def test_where_namespaces_are_forbidden_root_hands_the_cluster_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        return  # only root has powers to give up
    monkeypatch.setattr("local_stack.postgres.choose_identity", lambda: "nobody")
    server = PostgresServer(tmp_path / "pg", secrets=tmp_path / "secrets", log=tmp_path / "pg.log", durable=False)
    try:
        for _ in range(2):
            server.start()
            database = await server.create_service_database("intake")
            await (await asyncpg.connect(database.app_url)).close()
            pid = int((server.cluster / "postmaster.pid").read_text().splitlines()[0])
            assert psutil.Process(pid).uids().effective != 0
            server.stop()
    finally:
        server.stop()
        shutil.rmtree((tmp_path / "pg").resolve(), ignore_errors=True)
