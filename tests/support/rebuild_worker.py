"""Carries the rebuild that is under way to its end in a process of its own; prints its seconds and its memory as JSON."""

import asyncio
import json
import resource
import sys
import time

from aggregation import rebuilding
from aggregation.app import build
from chassis.settings import ServiceSettings, load


def peak() -> float:
    """Return the most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main() -> None:
    """Rebuild; the settings are the service's own, from the environment."""
    service, _ = build(load(ServiceSettings))
    await service.database.open()
    before, started = peak(), time.perf_counter()
    await rebuilding.work(service.database)
    seconds = time.perf_counter() - started
    await service.database.close()
    sys.stdout.write(json.dumps({"seconds": seconds, "before": before, "peak": peak()}) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
