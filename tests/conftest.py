"""What every test may ask for: real servers, started once and only when asked for; and how tests are dealt out to workers."""

import re

import pytest

pytest_plugins = ["support.running", "support.stack"]

SHARED_SERVERS = ("hurt_stack", "stack", "kafka_server")
"""Fixtures that take long to start: all tests of one run in one worker, the longest first, so that each starts once."""

RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{32}")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a test with a random id alike in every worker: a run whose workers know different tests does not begin."""
    found = RANDOM.search(val) if isinstance(val, str) else None
    return f"{found.string[: found.start()]}random" if found else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, in one worker, the tests of a shared server, and those of a module otherwise."""
    ranks: dict[str, int] = {}
    for item in items:
        asked_for = getattr(item, "fixturenames", ())
        server = next((name for name in SHARED_SERVERS if name in asked_for), None)
        ranks[item.nodeid] = SHARED_SERVERS.index(server) if server else len(SHARED_SERVERS)
        item.add_marker(pytest.mark.xdist_group(server or item.location[0]))
    items.sort(key=lambda item: ranks[item.nodeid])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seeds that tests print, also of those that passed; of a failed one all it printed is shown anyway."""
    for report in terminalreporter.getreports("passed"):
        for line in report.capstdout.splitlines():
            if "seed" in line.lower():
                terminalreporter.write_line(f"{report.nodeid.partition('@')[0]}: {line}")
