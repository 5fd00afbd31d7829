"""How the edge listens: uvicorn without a banner, without an access log, and without patience for heads that never end."""

import asyncio
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chassis.http.tls import Certificate

MAX_HEAD_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 15.0
"""A connection must bring a complete request head this long after it was opened or began a request."""
MAX_CONNECTIONS: Final = 2_000
"""Open at once; for one more, the one that has been idle longest goes."""
_REFUSAL: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit in bytes and in time on the head of a request, and room for newcomers among the idle."""

    _head_bytes = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None
    idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._wait_for_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that grows beyond the limit is cut off."""
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin a request on a connection that may have had others."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """Have the whole head."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Be idle, unless the next request waits already."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        """Cut off the connection that has been idle longest; if all are at work, refuse this one."""
        idle = [one for one in self.connections if isinstance(one, GuardedProtocol) and one is not self and one.is_idle]
        if idle:
            min(idle, key=lambda one: one.idle_since).transport.abort()
        else:
            self.transport.write(_FULL)
            self.transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered and the connection is still open."""
        return (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def server_config(
    app: FastAPI,
    *,
    host: str,
    port: int,
    certificate: Certificate | None = None,
    **options: Any,  # noqa: ANN401 - uvicorn's own options
) -> uvicorn.Config:
    """Return the configuration of the HTTP server, of HTTPS with a certificate; headers of proxies are not believed here."""
    if certificate is not None:
        options["ssl_context_factory"] = lambda *_: certificate.context
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        backlog=1_024,
        **options,
    )
