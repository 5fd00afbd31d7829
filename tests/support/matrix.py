"""The permission matrix over HTTP: every operation, asked as everybody, with what the permission table expects of the answer."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from chassis.service import Service
from support.expected import ROLES, ROWS, SOMETHING, allows, held
from support.issuer import Issuer

FOREIGN, ABSENT = "XBB", "XZZ"
"""A situation that exists and is not the caller's, and one that does not exist."""
UNKNOWN: Final = "00000000-0000-4000-8000-000000000000"
_CHANGING: Final = ("date", "content-length", "server-timing")


@dataclass(frozen=True)
class Asked:
    """One way to ask an operation, and how the caller stands to what it is about."""

    path: str
    body: Any = None
    relation: str | None = "any"
    state: str | None = "any"
    there: bool = True
    """Whether what is asked for exists in the own situation."""
    by: tuple[str, ...] = ()
    """The roles for whose holder the relation is right; empty: for all."""


@dataclass(frozen=True)
class Somebody:
    """A caller: a name for messages, the token, and the grants that it gives."""

    name: str
    token: str | None
    grants: frozenset[tuple[str, str]]
    device: bool = False

    def grants_at(self, service: str, action: str) -> frozenset[tuple[str, str]]:
        """A device is a stranger wherever no row is for devices."""
        named = any((row["service"], row["action"], row["role"]) == (service, action, "device") for row in ROWS)
        return self.grants if named or not self.device else frozenset()


Ways = Callable[[str], Awaitable[Sequence[Asked]]]
"""The ways to ask an operation in a situation."""


@dataclass
class Matrix:
    """One service's part of the matrix. `ways` holds every operation with an action, by method and path."""

    service: Service
    client: httpx.AsyncClient
    issuer: Issuer
    own: str
    operations: Mapping[str, str]
    """Method and path → action."""
    ways: Mapping[str, tuple[str, Ways]]
    """Method and path → what the action is about (situation, everywhere, somewhere, those of one's own) and the ways."""
    subjects: Mapping[str, str] = field(default_factory=dict)
    devices: Sequence[Somebody] = ()
    cells: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def everybody(self) -> list[Somebody]:
        """Every role in the own situation, somebody with all roles elsewhere, somebody with none, nobody."""
        found = []
        for role in ROLES:
            if role != "device":
                place = "_all" if role == "operator" else self.own
                found.append(self.somebody(role, self.subjects.get(role, f"some-{role}"), (place, role)))
        found.append(self.somebody("stranger", "stella", *(("XCC", role) for role in ROLES if role not in ("operator", "device"))))
        return [*found, self.somebody("no role", "nora"), Somebody("no token", None, frozenset()), *self.devices]

    def somebody(self, name: str, subject: str, *grants: tuple[str, str]) -> Somebody:
        """Somebody with a token of the issuer."""
        return Somebody(name, self.issuer.token(subject, *(f"/{place}/{role}" for place, role in grants)), frozenset(grants))

    async def run(self, only: Callable[[str], bool] = lambda _: True) -> None:
        """Ask everything as everybody."""
        missing = sorted(set(self.operations) ^ set(self.ways))
        if missing:
            self.failures.append(f"not in the matrix, or no longer there: {missing}")
        people = self.everybody()
        for operation, (about, ways) in self.ways.items():
            if only(operation):
                for caller in people:
                    async for cell in self._ask(operation, about, ways, caller):
                        self.failures.append(cell)

    async def _ask(self, operation: str, about: str, ways: Ways, caller: Somebody) -> AsyncIterator[str]:
        action = self.operations[operation]
        grants = caller.grants_at(self.service.name, action)
        if about != "situation":
            for asked in await ways(self.own):
                answer = await self._send(operation, asked, caller)
                self.cells["of the installation"] += 1
                expected = "401" if caller.token is None else self._expected_at_large(action, about, asked, grants)
                if not _fits(expected, answer, asked):
                    yield f"{operation} as {caller.name}: expected {expected}, got {answer.status_code} {answer.text[:120]}"
            return
        for number, asked in enumerate(await ways(self.own)):
            if asked.by and caller.name not in asked.by:
                continue
            answers = {}
            for place in (self.own, FOREIGN, ABSENT):
                there = asked if place == self.own else (await ways(place))[number]
                answer = answers[place] = await self._send(operation, there, caller)
                self.cells["in the own situation" if place == self.own else "in another"] += 1
                expected = "401" if caller.token is None else self._expected(action, place, asked, grants)
                if not _fits(expected, answer, asked if place == self.own else Asked("", there=False)):
                    cell = f"{operation} at {there.path} as {caller.name}, {asked.relation}, {asked.state}"
                    yield f"{cell}: expected {expected}, got {answer.status_code} {answer.text[:160]}"
            if caller.token is not None and not held(grants, FOREIGN) and _shown(answers[FOREIGN]) != _shown(answers[ABSENT]):
                yield f"{operation} as {caller.name}: a foreign situation and one that does not exist are told apart"

    async def _send(self, operation: str, asked: Asked, caller: Somebody) -> httpx.Response:
        headers = {} if caller.token is None else {"Authorization": f"Bearer {caller.token}"}
        content = None
        if asked.body is not None:
            headers["Content-Type"], content = "application/json", json.dumps(asked.body).encode()
        return await self.client.request(operation.partition(" ")[0], asked.path, content=content, headers=headers)

    def _expected(self, action: str, place: str, asked: Asked, grants: frozenset[tuple[str, str]]) -> str:
        roles, name = held(grants, place), self.service.name
        if allows(name, action, roles, asked.relation, asked.state):
            return "allowed"
        if allows(name, action, roles, SOMETHING, SOMETHING):
            return "refused"
        return "403" if roles else "404"

    def _expected_at_large(self, action: str, about: str, asked: Asked, grants: frozenset[tuple[str, str]]) -> str:
        name = self.service.name
        if allows(name, action, held(grants, None), SOMETHING if about != "everywhere" else asked.relation, SOMETHING):
            return "allowed"
        if about != "everywhere" and allows(name, action, {role for _, role in grants}, SOMETHING, SOMETHING):
            return "allowed"
        if about == "of one's own" and not grants:
            return "allowed"
        return "403" if grants else "404"


def _fits(expected: str, answer: httpx.Response, asked: Asked) -> bool:
    """Whether an answer is what was expected. A refusal of the domain (409, 422) proves that the permission was there."""
    if expected in ("401", "403", "404"):
        codes = {"401": "unauthenticated", "403": "forbidden", "404": "not_found"}
        return str(answer.status_code) == expected and answer.json()["code"] == codes[expected]
    if expected == "refused":
        return answer.status_code in (403, 404, 409)
    return answer.status_code in (200, 201, 202, 204, 409, 422) or (answer.status_code == 404 and not asked.there)


def _shown(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    return answer.status_code, answer.content, sorted((name, value) for name, value in answer.headers.items() if name not in _CHANGING)


def operations_of(document: Mapping[str, Any]) -> dict[str, str]:
    """The operations of a service's description that are an action of the permission table."""
    return {
        f"{method.upper()} {path}": operation["x-mrm-action"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "x-mrm-action" in operation
    }


def always(*asked: Asked) -> Ways:
    """The same ways whatever the situation."""

    async def ways(_: str) -> Sequence[Asked]:
        return asked

    return ways


def within(*made: Callable[[str], Asked]) -> Ways:
    """Ways that name the situation."""

    async def ways(place: str) -> Sequence[Asked]:
        return [make(place) for make in made]

    return ways


SHARED: Final[dict[str, tuple[str, Ways]]] = {
    "GET /v1/account": ("everywhere", always(Asked("/v1/account"))),
    "GET /v1/parked": ("everywhere", always(Asked("/v1/parked"))),
    "POST /v1/parked/replay": ("everywhere", always(Asked("/v1/parked/replay"))),
    "POST /v1/parked/{parked}/replay": ("everywhere", always(Asked("/v1/parked/999999/replay", there=False))),
    "GET /v1/audit/entries": ("situation", within(lambda place: Asked(f"/v1/audit/entries?situation={place}", state="situation"))),
    "GET /v1/audit/checkpoint": ("somewhere", always(Asked("/v1/audit/checkpoint"))),
    "GET /v1/audit/checkpoints": ("somewhere", always(Asked("/v1/audit/checkpoints"))),
    "GET /v1/audit/leaves": ("somewhere", always(Asked("/v1/audit/leaves"))),
    "GET /v1/audit/remainder": ("somewhere", always(Asked("/v1/audit/remainder"))),
    "GET /v1/audit/proof/consistency": ("somewhere", always(Asked("/v1/audit/proof/consistency?old=0&size=0"))),
    "GET /v1/audit/proof/inclusion": ("somewhere", always(Asked(f"/v1/audit/proof/inclusion?entry={UNKNOWN}&size=0", there=False))),
}
"""The operations that every service has."""
