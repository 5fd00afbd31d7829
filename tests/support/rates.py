"""Limits that tests of anything else never meet."""

from typing import Any, Final

UNHURRIED: Final[dict[str, Any]] = {
    "rate_per_person": 1e6,
    "burst_per_person": 1_000_000,
    "rate_per_address": 1e6,
    "burst_per_address": 1_000_000,
    "rate_of_failures": 1e6,
    "burst_of_failures": 1_000_000,
    "rate_of_sign_ins": 1e6,
    "burst_of_sign_ins": 1_000_000,
}
