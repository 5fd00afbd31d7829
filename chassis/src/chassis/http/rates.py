"""How fast one person and one address may ask: token buckets in the memory of this process, and whose address a request comes from.

Every process counts for itself. Nothing of this is logged or stored.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from chassis.errors import Problem
from chassis.identity import Principal
from chassis.settings import Network, ServiceSettings

MAX_BUCKETS: Final = 20_000
"""Buckets kept per kind; the one longest unused makes room, which costs its owner nothing: it starts full again."""
EXEMPT: Final = frozenset({"/healthz", "/readyz"})
ADDRESS_KEY: Final = "mrm_address"
"""Where the address that a request counts for lies in its ASGI scope's state."""
NO_ADDRESS: Final = "local"
"""Stands for whoever comes over a socket without addresses."""
IPV6_SITE_BITS: Final = 64
FORWARDED: Final = b"x-forwarded-for"
MAX_HOPS: Final = 16
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Clock = Callable[[], float]


class TooFast(Problem):
    """Somebody asks faster than they may (429 with Retry-After, in seconds)."""

    def __init__(self, wait: float) -> None:
        super().__init__(
            "too_fast",
            status=429,
            title="Too many requests",
            remedy="Nothing was stored; wait for the time given in Retry-After, send the same again, and ask more slowly.",
            headers={"Retry-After": str(max(1, math.ceil(wait)))},
        )


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests per second in the long run, and so many at once after a pause."""

    per_second: float
    burst: int


class Buckets:
    """A token bucket for each of whoever asked lately."""

    def __init__(self, rate: Rate, *, clock: Clock, most: int = MAX_BUCKETS) -> None:
        self._rate = rate
        self._clock = clock
        self._most = most
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> None:
        """Count one request; raises TooFast, and counts nothing, if it comes too soon."""
        now = self._clock()
        level, at = self._levels.get(key, (float(self._rate.burst), now))
        level = min(float(self._rate.burst), level + (now - at) * self._rate.per_second)
        if level < 1.0:
            raise TooFast((1.0 - level) / self._rate.per_second)
        self._levels[key] = level - 1.0, now
        self._levels.move_to_end(key)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)

    def __len__(self) -> int:
        return len(self._levels)


class Rates:
    """The limits of one process."""

    def __init__(
        self,
        *,
        person: Rate,
        address: Rate,
        failures: Rate,
        sign_ins: Rate,
        proxies: Sequence[Network] = (),
        clock: Clock = time.monotonic,
    ) -> None:
        """`proxies` are the networks whose X-Forwarded-For is believed."""
        self._persons = Buckets(person, clock=clock)
        self._addresses = Buckets(address, clock=clock)
        self._failures = Buckets(failures, clock=clock)
        self._sign_ins = Buckets(sign_ins, clock=clock)
        self._proxies = tuple(proxies)

    @classmethod
    def of(cls, settings: ServiceSettings, *, clock: Clock = time.monotonic) -> "Rates":
        """Make the limits that the settings name."""
        return cls(
            person=Rate(settings.rate_per_person, settings.burst_per_person),
            address=Rate(settings.rate_per_address, settings.burst_per_address),
            failures=Rate(settings.rate_of_failures, settings.burst_of_failures),
            sign_ins=Rate(settings.rate_of_sign_ins, settings.burst_of_sign_ins),
            proxies=settings.proxies,
            clock=clock,
        )

    def arrive(self, scope: Scope) -> None:
        """Count a request for its address, before anything of it is looked at; raises TooFast. Health checks are not counted."""
        address = address_of(scope, self._proxies)
        scope["state"][ADDRESS_KEY] = address
        if scope["path"] not in EXEMPT:
            self._addresses.take(address)

    def known(self, principal: Principal) -> None:
        """Count a request for the person, or the device, that it comes from; raises TooFast."""
        self._persons.take(principal.device or principal.subject)

    def failed(self, scope: Scope) -> None:
        """Count credentials that do not hold for the address they came from; raises TooFast.

        Whoever sends sound ones from the same address (an office behind one) goes on.
        """
        self._failures.take(scope["state"].get(ADDRESS_KEY, NO_ADDRESS))

    def sign_in(self, scope: Scope) -> None:
        """Count an attempt to sign in for its address; raises TooFast."""
        self._sign_ins.take(("address", scope["state"].get(ADDRESS_KEY, NO_ADDRESS)))

    def new_credentials(self, principal: Principal) -> None:
        """Count the making of a token for the person it is for; raises TooFast."""
        self._sign_ins.take(("person", principal.subject))


def address_of(scope: Scope, proxies: Sequence[Network]) -> str:
    """Return the address that a request counts for: that of the socket, or what a trusted proxy says; an IPv6 address as its /64."""
    client = scope.get("client")
    address = _parsed(client[0]) if client else None
    if address is None:
        return NO_ADDRESS
    if _within(address, proxies):
        address = _forwarded(scope["headers"], proxies) or address
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, IPV6_SITE_BITS), strict=False))
    return str(address)


def _forwarded(headers: Iterable[tuple[bytes, bytes]], proxies: Sequence[Network]) -> Address | None:
    """Return the nearest address that is no trusted proxy; what stands further away was written by whoever is there."""
    line = b",".join(value for name, value in headers if name == FORWARDED).decode("latin-1")
    nearest = None
    for text in reversed(line.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
        address = _parsed(text)
        if address is None:
            break
        nearest = address
        if not _within(address, proxies):
            break
    return nearest


def _parsed(text: str) -> Address | None:
    """Read an address, without its port and zone; an IPv4 address in IPv6 clothes is an IPv4 address."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
