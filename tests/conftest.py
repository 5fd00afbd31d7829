"""What every test may ask for: real servers, started once and only when asked for; and how tests are dealt out to workers."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["support.running", "support.stack"]

SHARED_SERVERS = {"hurt_stack": r"\bhurt_stack: ", "stack": r"\bstack: Stack|\bidentity_server: ", "kafka_server": r"\bkafka_server: "}
"""Fixtures that take long to start: all tests of one run in one worker, the longest first, so that each starts once."""

RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{32}")

SAID = re.compile(r"seed|\d+ (?:cells|canaries|combinations|operations|unsafe routes|edits)", re.IGNORECASE)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a test with a random id alike in every worker: a run whose workers know different tests does not begin."""
    found = RANDOM.search(val) if isinstance(val, str) else None
    return f"{found.string[: found.start()]}random" if found else None


class ByServer(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps together, in one worker, the tests of modules with the same shared server, and those of a module otherwise."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return shared_server(module) or module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServer:
    return ByServer(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    ranks = {name: rank for rank, name in enumerate(SHARED_SERVERS)}
    items.sort(key=lambda item: ranks.get(shared_server(item.nodeid.partition("::")[0]) or "", len(ranks)))


@cache
def shared_server(module: str) -> str | None:
    """Return the first of the shared servers for which a module's tests ask."""
    source = (Path(__file__).parents[1] / module).read_text("utf-8")
    return next((name for name, asked_for in SHARED_SERVERS.items() if re.search(asked_for, source)), None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests say of themselves, also those that passed: their seeds, and how much they went through."""
    for report in terminalreporter.getreports("passed"):
        for line in (*report.capstdout.splitlines(), *(text for name, text in report.user_properties if name == "said")):
            if SAID.search(line):
                terminalreporter.write_line(f"{report.nodeid}: {line}")
