"""Token buckets by a clock of our own, and whose address a request counts for."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from chassis.errors import Problem
from chassis.http.rates import ADDRESS_KEY, Buckets, Rate, Rates, TooFast, address_of
from chassis.identity import Principal
from chassis.settings import networks_of

SLOW = Rate(0.5, 2)
WIDE = Rate(1e6, 1_000_000)
PROXIES = networks_of("10.0.0.0/8, 192.0.2.7, fd00::/8")


class Clock:
    """A time that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait_told(problem: Problem) -> int:
    return int(problem.headers["Retry-After"])


def scope(client: str | None, *forwarded: str, path: str = "/v1/incidents") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"client": (client, 5) if client else None, "headers": headers, "path": path, "state": {}}


def rates(clock: Clock, **limits: Rate) -> Rates:
    wide = dict.fromkeys(("person", "address", "failures", "sign_ins"), WIDE)
    return Rates(**{**wide, **limits}, proxies=PROXIES, clock=clock)


def test_a_burst_then_one_by_one_and_the_wait_is_told() -> None:
    clock = Clock()
    buckets = Buckets(SLOW, clock=clock)
    buckets.take("a")
    buckets.take("a")
    with pytest.raises(TooFast) as refused:
        buckets.take("a")
    assert (refused.value.status, refused.value.code, wait_told(refused.value)) == (429, "too_fast", 2)
    clock.now += 1.9
    with pytest.raises(TooFast) as refused:
        buckets.take("a")
    assert wait_told(refused.value) == 1
    clock.now += 0.1
    buckets.take("a")
    with pytest.raises(TooFast):
        buckets.take("a")


def test_one_does_not_wait_for_another() -> None:
    buckets = Buckets(SLOW, clock=Clock())
    for _ in range(2):
        buckets.take("a")
        buckets.take("b")
    for key in ("a", "b"):
        with pytest.raises(TooFast):
            buckets.take(key)
    buckets.take("c")


def test_refusals_cost_nothing_and_a_long_pause_gives_one_burst_only() -> None:
    clock = Clock()
    buckets = Buckets(SLOW, clock=clock)
    for _ in range(100):
        try:
            buckets.take("a")
        except TooFast:
            continue
    clock.now += 2
    buckets.take("a")
    clock.now += 1_000_000
    buckets.take("a")
    buckets.take("a")
    with pytest.raises(TooFast):
        buckets.take("a")


def test_memory_is_bounded_and_the_longest_unused_goes_first() -> None:
    buckets = Buckets(SLOW, clock=Clock(), most=3)
    for key in ("a", "a", "b", "c", "d"):
        buckets.take(key)
    assert len(buckets) == 3
    buckets.take("a")  # forgotten: full again
    for key in range(1_000):
        buckets.take(key)
    assert len(buckets) == 3


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("198.51.100.1", (), "198.51.100.1"),
        ("198.51.100.1", ("203.0.113.9",), "198.51.100.1"),
        ("10.1.1.1", (), "10.1.1.1"),
        ("10.1.1.1", ("203.0.113.9",), "203.0.113.9"),
        ("10.1.1.1", ("1.1.1.1, 203.0.113.9",), "203.0.113.9"),
        ("10.1.1.1", ("1.1.1.1", "203.0.113.9"), "203.0.113.9"),
        ("10.1.1.1", ("1.1.1.1, 203.0.113.9, 10.2.2.2",), "203.0.113.9"),
        ("10.1.1.1", ("10.3.3.3, 10.2.2.2",), "10.3.3.3"),
        ("10.1.1.1", ("nonsense",), "10.1.1.1"),
        ("10.1.1.1", ("1.1.1.1, nonsense, 10.2.2.2",), "10.2.2.2"),
        ("10.1.1.1", ("203.0.113.9:4711",), "203.0.113.9"),
        ("10.1.1.1", ("[2001:db8:1:2:3::4]:80",), "2001:db8:1:2::/64"),
        ("192.0.2.7", ("203.0.113.9",), "203.0.113.9"),
        ("192.0.2.8", ("203.0.113.9",), "192.0.2.8"),
        ("fd00::1", ("203.0.113.9",), "203.0.113.9"),
        ("::ffff:10.1.1.1", ("203.0.113.9",), "203.0.113.9"),
        ("::ffff:198.51.100.1", (), "198.51.100.1"),
        ("2001:db8:1:2:aaaa:bbbb:cccc:dddd", (), "2001:db8:1:2::/64"),
        ("fe80::1%eth0", (), "fe80::/64"),
        (None, ("203.0.113.9",), "local"),
        ("testclient", (), "local"),
    ],
)
def test_only_a_trusted_proxy_is_believed_about_addresses(client: str | None, forwarded: tuple[str, ...], expected: str) -> None:
    assert address_of(scope(client, *forwarded), PROXIES) == expected


def test_a_forged_list_beyond_measure_is_read_from_its_near_end() -> None:
    assert address_of(scope("10.1.1.1", "1.1.1.1," * 50_000 + "203.0.113.9"), PROXIES) == "203.0.113.9"


def test_a_whole_ipv6_site_is_one_address() -> None:
    limited = rates(Clock(), address=SLOW)
    limited.arrive(scope("2001:db8:1:2::1"))
    limited.arrive(scope("2001:db8:1:2::2"))
    with pytest.raises(TooFast):
        limited.arrive(scope("2001:db8:1:2:ffff::3"))
    limited.arrive(scope("2001:db8:1:3::1"))


def test_health_checks_are_not_counted() -> None:
    limited = rates(Clock(), address=SLOW)
    for _ in range(10):
        limited.arrive(scope("198.51.100.1", path="/healthz"))
        limited.arrive(scope("198.51.100.1", path="/readyz"))
    limited.arrive(scope("198.51.100.1"))


def test_a_device_and_its_monitor_are_counted_apart() -> None:
    limited = rates(Clock(), person=SLOW)
    amina = Principal("amina", "Amina", frozenset())
    phone = Principal("amina", "Amina", frozenset(), device=uuid4())
    for _ in range(2):
        limited.known(phone)
    with pytest.raises(TooFast):
        limited.known(phone)
    limited.known(amina)


def test_failures_and_sign_ins_have_stricter_limits_of_their_own() -> None:
    limited = rates(Clock(), failures=SLOW, sign_ins=SLOW)
    one, other = scope("198.51.100.1"), scope("198.51.100.2")
    for request in (one, other):
        limited.arrive(request)
        assert request["state"][ADDRESS_KEY]
    for count in (limited.failed, limited.sign_in):
        count(one)
        count(one)
        with pytest.raises(TooFast):
            count(one)
        count(other)
    amina = Principal("amina", "Amina", frozenset())
    limited.new_credentials(amina)
    limited.new_credentials(amina)
    with pytest.raises(TooFast):
        limited.new_credentials(amina)


@pytest.mark.parametrize("text", ["10.0.0.0/40", "proxy.example", "10.0.0.1/8"])
def test_proxies_that_cannot_be_read_stop_the_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from chassis.settings import ServiceSettings

    for name in ("database_url", "kafka_bootstrap", "kafka_username", "kafka_password", "keys_dir", "trust_file", "issuer"):
        monkeypatch.setenv(f"MRM_{name.upper()}", "x")
    monkeypatch.setenv("MRM_TRUSTED_PROXIES", text)
    with pytest.raises(ValidationError, match="trusted_proxies"):
        ServiceSettings()
    monkeypatch.setenv("MRM_TRUSTED_PROXIES", "10.0.0.0/8,::1")
    assert len(ServiceSettings().proxies) == 2
