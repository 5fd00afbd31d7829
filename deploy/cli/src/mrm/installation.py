"""The installation a command works on: the local stack of a data folder, or services elsewhere with tokens that somebody was given."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts.topics import SERVICES
from local_stack.keys import HOLDERS, situation_recipients
from local_stack.layout import StackFolder
from local_stack.people import Directory
from local_stack.running import RunningStack, find_running
from mrm.client import Api, RefusedError
from mrm.console import MISUSED, CommandError
from mrm.people import OPERATOR, Access, GivenTokens, LocalPeople, People, read_access

TOKEN_VARIABLE: Final = "MRM_TOKEN"  # noqa: S105 - the variable's name
ADDRESS_VARIABLE: Final = "MRM_{}_URL"


@dataclass(frozen=True, slots=True)
class Installation:
    """The services, who acts, and what only a local stack lets us do: make keys and grant roles."""

    api: Api
    people: People
    stack: RunningStack | None
    access: Access | None = None

    async def register(self, draft: Mapping[str, Any], *, scratch: bool = False) -> dict[str, Any]:
        """Write a new situation into the register; on the local stack with new keys and roles for the local people.

        Raises CommandError away from it if the document holds no recipients.
        """
        code = str(draft["code"])
        body = {**draft, "version": 0, **({"scratch": True} if scratch else {})}
        if self.stack is not None:
            body["recipients"] = await asyncio.to_thread(situation_recipients, self.stack.folder.keys, code)
        elif "recipients" not in body:
            raise CommandError(
                "The document needs `recipients`: the public opening keys of each service.",
                remedy="Add them; only a local stack makes keys by itself.",
                code=MISUSED,
            )
        await self.put_situation(code, body)
        await self.grant(code)
        return body

    async def put_situation(self, code: str, body: Mapping[str, Any]) -> None:
        """Send a register entry; if an answer was lost and the entry is there with our content, that is the answer."""
        try:
            await self.api.ask("PUT", "verification", f"/v1/situations/{code}", person=OPERATOR, body=body)
        except RefusedError as error:
            if not error.repeated or error.status != _CONFLICT:
                raise
            known = await self.api.get("verification", f"/v1/situations/{code}", person=OPERATOR)
            if known.get("recipients") != body.get("recipients"):
                raise

    async def grant(self, code: str) -> None:
        """Give the local people their roles in a situation; elsewhere the installation's own directory does that."""
        if self.stack is None:
            return
        await asyncio.to_thread(self._grant, code)
        for person in HOLDER_OF_NEW_RIGHTS:
            self.people.forget(person)

    def _grant(self, code: str) -> None:
        assert self.stack is not None  # noqa: S101 - asked for by the caller
        with Directory(self.stack.identity, self.stack.folder.secrets) as directory:
            directory.grant_situation(code)

    async def remove_scratch(self, code: str) -> bool:
        """Remove a scratch situation with every row of it, its roles and its keys; tell whether the register has it no more."""
        gone = True
        try:
            await self.api.ask("DELETE", "verification", f"/v1/situations/{code}", person=OPERATOR)
        except RefusedError as error:  # it may be gone already, or never have come into being
            gone = error.status == _NOT_FOUND
        except CommandError:
            gone = False
        if self.stack is not None:
            await asyncio.to_thread(self._forget, code)
        return gone

    def _forget(self, code: str) -> None:
        assert self.stack is not None  # noqa: S101 - asked for by the caller
        with Directory(self.stack.identity, self.stack.folder.secrets) as directory:
            directory.revoke_situation(code)
        for holder in HOLDERS:
            for file in (self.stack.folder.keys / holder).glob(f"{holder}__{code}__*.key"):
                file.unlink(missing_ok=True)


HOLDER_OF_NEW_RIGHTS: Final = ("monitor", "focal", "technical", "cochair_un", "cochair_unicef", "officer", "auditor")
_CONFLICT: Final = 409
_NOT_FOUND: Final = 404


@asynccontextmanager
async def opened(data: Path, *, tokens: Path | None = None) -> AsyncIterator[Installation]:
    """Open the installation: with `tokens` the one the file names, else the running local stack, else the one of the environment."""
    stack = find_running(StackFolder.at(data))
    access = read_access(tokens) if tokens is not None else None
    if access is not None:
        people: People = GivenTokens(access.tokens)
        addresses = _addresses(stack, access.services)
    elif stack is not None:
        people, addresses = LocalPeople(stack), _addresses(stack, {})
    elif TOKEN_VARIABLE in os.environ:
        people, addresses = _TokenForAll(os.environ[TOKEN_VARIABLE]), _addresses(None, {})
    else:
        raise CommandError(
            f"No local stack is running in {data}, and {TOKEN_VARIABLE} names no access token.",
            remedy="`mrm up` starts a stack; --data names another one.",
        )
    async with Api(addresses, people) as api:
        yield Installation(api, people, stack if access is None else None, access)


@dataclass(frozen=True, slots=True)
class _TokenForAll:
    """One token from the environment, whoever is asked to act."""

    text: str

    async def token(self, person: str) -> str:  # noqa: ARG002 - whoever it is
        return self.text

    def forget(self, person: str) -> None:
        pass


def _addresses(stack: RunningStack | None, given: Mapping[str, str]) -> dict[str, str]:
    addresses: dict[str, str] = {}
    for service in SERVICES:
        address = given.get(service) or (stack.url(service) if stack is not None else None)
        address = address or os.environ.get(ADDRESS_VARIABLE.format(service.upper()))
        if address:
            addresses[service] = address
    return addresses
