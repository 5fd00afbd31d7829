"""Ports are free, distinct, and below those that the system gives to outgoing connections."""

import socket
from pathlib import Path

from local_stack.ports import LOWEST, free_ports, is_free


def test_ports_are_distinct_free_and_stay_clear_of_outgoing_connections() -> None:
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(LOWEST <= port < outgoing and is_free(port) for port in ports)


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as server:
        assert not is_free(server.getsockname()[1])
