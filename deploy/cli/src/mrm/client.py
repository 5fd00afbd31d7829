"""The services' HTTP APIs as one caller sees them: tokens, patience with an installation that is restarting, refusals as sentences."""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from uuid import uuid4

import httpx

from contracts.topics import SERVICES
from local_stack.loopback import no_authorities
from mrm.console import CommandError
from mrm.people import People

PATIENCE_SECONDS: Final = 120.0
"""How long one request is tried again while a service is down or busy. A POST keeps its key, so that nothing is done twice."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
_BUSY: Final = frozenset({429, 502, 503, 504})
_TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)


T = TypeVar("T")


class RefusedError(CommandError):
    """A service refused a request: its status, its stable code and the fields it named."""

    def __init__(self, service: str, status: int, problem: Mapping[str, Any], *, repeated: bool) -> None:
        self.status = status
        self.problem_code = str(problem.get("code", "unknown"))
        self.service = service
        self.problem = problem
        self.fields: list[dict[str, str]] = list(problem.get("errors") or [])
        self.repeated = repeated
        """Whether the request had been sent before without an answer: then a conflict may be its own doing."""
        told = "".join(f"\n  {entry['field']}: {entry['message']}" for entry in self.fields[:_SHOWN])
        more = f"\n  and {len(self.fields) - _SHOWN} more" if len(self.fields) > _SHOWN else ""
        super().__init__(
            f"{service} refused ({status} {self.problem_code}).{told}{more}",
            remedy=str(problem.get("detail", "")),
        )

    def placed(self, place: Callable[[str], str]) -> Self:
        """Return the same refusal with its fields named as `place` says, the whole request by the empty name."""
        fields = self.fields or [{"field": "", "message": self.remedy}]
        errors = [{**entry, "field": place(entry["field"])} for entry in fields]
        return type(self)(self.service, self.status, {**self.problem, "errors": errors}, repeated=self.repeated)


_SHOWN: Final = 5


class UnreachableError(CommandError):
    """A service gave no answer for as long as we were patient."""


@dataclass(slots=True)
class Api:
    """The four services. Use it as an async context manager."""

    addresses: Mapping[str, str]
    people: People
    patience: float = PATIENCE_SECONDS
    _clients: dict[str, httpx.AsyncClient] | None = None

    async def __aenter__(self) -> Self:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        encrypted = any(address.startswith("https:") for address in self.addresses.values())
        verify = httpx.create_ssl_context(trust_env=False) if encrypted else no_authorities()
        self._clients = {
            name: httpx.AsyncClient(base_url=self.addresses[name], timeout=_TIMEOUT, limits=limits, trust_env=False, verify=verify)
            for name in SERVICES
            if name in self.addresses
        }
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for client in (self._clients or {}).values():
            await client.aclose()

    async def get(self, service: str, path: str, *, person: str, params: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON of a GET."""
        return (await self.ask("GET", service, path, person=person, params=params)).json()

    async def post(self, service: str, path: str, body: object, *, person: str) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON of a POST."""
        answer = await self.ask("POST", service, path, person=person, body=body)
        return answer.json() if answer.content else None

    async def ask(
        self, method: str, service: str, path: str, *, person: str, body: object = None, params: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request until it is answered. Raises RefusedError for a refusal and UnreachableError when patience ends.

        A busy or absent service is asked again, with growing pauses; a refused token is renewed once.
        """
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if content is None else {"Content-Type": "application/json"}
        if method == "POST":
            headers["Idempotency-Key"] = f'"{uuid4()}"'
        deadline, pause = time.monotonic() + self.patience, _FIRST_PAUSE
        repeated = renewed = False
        while True:
            try:
                answer = await self._send(method, service, path, person=person, headers=headers, content=content, params=params)
            except httpx.TransportError as error:
                repeated = repeated or not isinstance(error, httpx.ConnectError)
                waited = pause
                if time.monotonic() + waited > deadline:
                    raise UnreachableError(
                        f"{service} does not answer ({type(error).__name__}).", remedy="`mrm status` tells what is wrong."
                    ) from None
            else:
                if answer.is_success:
                    return answer
                if answer.status_code == httpx.codes.UNAUTHORIZED and not renewed:
                    renewed = True
                    self.people.forget(person)
                    continue
                waited = max(pause, _pause_asked_for(answer))
                if answer.status_code not in _BUSY or time.monotonic() + waited > deadline:
                    raise RefusedError(service, answer.status_code, _problem(answer), repeated=repeated)
            await asyncio.sleep(waited)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _send(
        self,
        method: str,
        service: str,
        path: str,
        *,
        person: str,
        headers: Mapping[str, str],
        content: bytes | None,
        params: Mapping[str, str] | None,
    ) -> httpx.Response:
        if self._clients is None or service not in self._clients:
            raise UnreachableError(f"No address is known for {service}.", remedy="Give it in the file of tokens or start the stack.")
        headers = {**headers, "Authorization": f"Bearer {await self.people.token(person)}"}
        return await self._clients[service].request(method, path, content=content, params=params, headers=headers)


def _pause_asked_for(answer: httpx.Response) -> float:
    """Return the pause a service asks for: the whole of it when we ask too fast; when it is away, at most as long as ours."""
    try:
        asked = float(answer.headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0
    return asked if answer.status_code == httpx.codes.TOO_MANY_REQUESTS else min(asked, _LONGEST_PAUSE)


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Cut a list into parts of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


async def gathered(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines side by side and return their results in order; the first failure cancels the others and is raised as it is."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
