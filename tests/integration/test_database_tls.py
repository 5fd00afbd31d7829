"""An address of the database that asks for TLS never falls back to plain text."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from chassis.storage import Database
from local_stack.ports import free_ports
from support.authority import Authority

ASKS_FOR_TLS = bytes.fromhex("0000000804d2162f")
"""What a client sends first that wants TLS (PostgreSQL's SSLRequest)."""

REFUSALS = (ConnectionError, asyncpg.PostgresConnectionError)


@dataclass
class Impostor:
    """A server that says what it is told to and keeps what it hears."""

    answer: bytes
    heard: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read(8))
        writer.write(self.answer)
        await writer.drain()
        self.heard.append(await reader.read(4096))
        writer.close()


@asynccontextmanager
async def listening(impostor: Impostor) -> AsyncIterator[int]:
    (port,) = free_ports(1)
    server = await asyncio.start_server(impostor.talk, "127.0.0.1", port)
    try:
        yield port
    finally:
        server.close()


@pytest.mark.parametrize(("mode", "speaks_plain"), [("prefer", True), ("require", False), ("verify-ca", False), ("verify-full", False)])
async def test_a_server_without_tls_hears_nothing_of_who_asks(mode: str, speaks_plain: bool, tmp_path: Path) -> None:
    """`prefer`, what an address without a mode means, shows that the impostor would hear it."""
    impostor = Impostor(b"N")
    authority = Authority(tmp_path / "authority.pem")
    async with listening(impostor) as port:
        database = Database(f"postgresql://intake_app:secret@127.0.0.1:{port}/intake?sslmode={mode}&sslrootcert={authority.file}")
        with pytest.raises(REFUSALS):
            await database.open()
    assert impostor.heard[0] == ASKS_FOR_TLS
    assert any(b"intake_app" in said for said in impostor.heard) is speaks_plain
