"""Free loopback ports that stay usable: below the range from which the system takes ports of outgoing connections.

A port of that range can be taken by any connection while its server restarts, even by a client that tries to reach
that very server (TCP lets it connect to itself).
"""

import contextlib
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"
LOWEST = 15_000
HIGHEST = 32_000
ATTEMPTS = 1_000


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_ports(count: int, *, besides: Iterable[int] = ()) -> list[int]:
    """Return distinct free loopback ports, chosen at random so that stacks starting at once do not meet."""
    taken = set(besides)
    ports: list[int] = []
    highest = min(HIGHEST, _first_outgoing_port() - 1)
    for _ in range(ATTEMPTS):
        if len(ports) == count:
            return ports
        port = LOWEST + secrets.randbelow(highest - LOWEST)
        if port not in taken and is_free(port):
            taken.add(port)
            ports.append(port)
    raise OSError("no free loopback ports")


def _first_outgoing_port() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
        if first > LOWEST + 1000:
            return first
    return HIGHEST + 1
