"""Around the whole app, at the level of ASGI: limits on what comes in, security headers on what goes out, and no error that escapes."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.http.access import CALLER_KEY
from chassis.http.problems import HeadersTooLarge, TooLarge, TooMany, TooSlow, problem_of, response_of
from chassis.http.rates import Rates
from chassis.permissions import Caller
from chassis.tracing import request_ended, span

SECURITY_HEADERS: Final[Mapping[bytes, bytes]] = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"referrer-policy": b"no-referrer",
    b"strict-transport-security": b"max-age=63072000; includeSubDomains",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
}
"""Sent with every answer unless the answer says otherwise itself."""
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_TARGET_BYTES: Final = 8 * 1024
MAX_DRAINED_BYTES: Final = 8 * 1024 * 1024
DRAIN_SECONDS: Final = 2.0
_FIRST_ERROR: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a service takes from outside."""

    body_bytes: int
    body_seconds: float
    """A body must be complete this long after its request began."""
    in_flight: int
    """Requests being answered at once; one whose body is still arriving is not yet among them."""


@dataclass(slots=True)
class _InFlight:
    limit: int
    now: int = 0

    def enter(self) -> None:
        if self.now >= self.limit:
            raise TooMany
        self.now += 1

    def leave(self) -> None:
        self.now -= 1


@dataclass(slots=True)
class _Exchange:
    """One request on its way through."""

    scope: Scope
    receive_raw: Receive
    send_raw: Send
    limits: Limits
    in_flight: _InFlight
    rates: Rates
    deadline: float
    received: int = 0
    complete: bool = False
    entered: bool = False
    status: int | None = None

    def begin(self) -> None:
        """Refuse what can be refused before anything is read."""
        headers: list[tuple[bytes, bytes]] = self.scope["headers"]
        if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
            raise HeadersTooLarge
        if len(self.scope.get("raw_path") or b"") + len(self.scope.get("query_string", b"")) > MAX_TARGET_BYTES:
            raise HeadersTooLarge
        self.rates.arrive(self.scope)
        stated = [value for name, value in headers if name == b"content-length"]
        if any(not value.isdigit() or len(value) > 18 or int(value) > self.limits.body_bytes for value in stated):
            raise TooLarge
        if not any(int(value) for value in stated) and all(name != b"transfer-encoding" for name, _ in headers):
            self.complete = True
            self._enter()

    async def receive(self) -> Message:
        """Pass a part of the body on, within the limits; raises TooLarge, TooSlow and TooMany."""
        if self.complete:
            return await self.receive_raw()
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self.receive_raw()
        except TimeoutError:
            raise TooSlow from None
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
            if self.received > self.limits.body_bytes:
                raise TooLarge
            self.complete = not message.get("more_body", False)
        else:
            self.complete = True
        if self.complete:
            self._enter()
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on with the security headers; one that no permission stands behind is held back."""
        if message["type"] == "http.response.start":
            self._check_asked(message["status"])
            whole = await self._drain()
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            if not whole:
                headers.append((b"connection", b"close"))
            present = {name.lower() for name, _ in headers}
            headers += [(name, value) for name, value in SECURITY_HEADERS.items() if name not in present]
            message = {**message, "headers": headers}
        await self.send_raw(message)

    def end(self) -> None:
        """Give the place back."""
        if self.entered:
            self.entered = False
            self.in_flight.leave()

    def _enter(self) -> None:
        if not self.entered:
            self.in_flight.enter()
            self.entered = True

    async def _drain(self) -> bool:
        """Swallow what is left of a body that nobody wants, so that the client gets to read the answer; says whether all came."""
        if not self.received and any(name == b"expect" for name, _ in self.scope["headers"]):
            return self.complete  # the client waits for our word before it sends anything
        if self.complete:
            return True
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(now + DRAIN_SECONDS, self.deadline)):
                while not self.complete and self.received <= MAX_DRAINED_BYTES:
                    message = await self.receive_raw()
                    self.received += len(message.get("body", b""))
                    self.complete = not message.get("more_body", False)
        except TimeoutError:
            return False
        return self.complete

    def _check_asked(self, status: int) -> None:
        caller = self.scope["state"].get(CALLER_KEY)
        if status < _FIRST_ERROR and isinstance(caller, Caller) and not caller.checked:
            raise UncheckedAnswerError


class UncheckedAnswerError(Exception):
    """A route answered without asking the permission table about its caller."""


class Guard:
    """The outermost layer of a service's app."""

    def __init__(self, app: ASGIApp, *, limits: Limits, rates: Rates) -> None:
        self._app = app
        self._limits = limits
        self._rates = rates
        self._in_flight = _InFlight(limits.in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; lifespan events pass through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        deadline = asyncio.get_running_loop().time() + self._limits.body_seconds
        scope.setdefault("state", {})
        exchange = _Exchange(scope, receive, send, self._limits, self._in_flight, self._rates, deadline)
        with span("http_request"):
            try:
                exchange.begin()
                await self._app(scope, exchange.receive, exchange.send)
            except Exception as error:
                await self._answer(exchange, error)
            finally:
                exchange.end()
                request_ended(scope, exchange.status, time.perf_counter() - started)

    async def _answer(self, exchange: _Exchange, error: Exception) -> None:
        problem = problem_of(error)
        if exchange.status is not None:
            raise BrokenAnswerError from None
        exchange.scope["state"].pop(CALLER_KEY, None)
        await response_of(problem)(exchange.scope, exchange.receive_raw, exchange.send)


class BrokenAnswerError(Exception):
    """An answer failed after its first bytes had gone; the server cuts the connection."""
