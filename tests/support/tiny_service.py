"""A whole service process for tests of delivery: aggregation's topics, and a handler that writes down what it was given."""

import asyncio
import sys
from typing import Any

from chassis.http import create_app
from chassis.sealing.opening import SealedOpener
from chassis.sealing.opening_keys import FileKeyProvider
from chassis.service import Job, assemble, run
from chassis.settings import ServiceSettings, load
from chassis.storage import Tx
from contracts.events import EVENTS, EventsConfirmed, SituationRegistered


async def record(event: Any, tx: Tx) -> None:
    """Write down an event of a link."""
    subject = event.violation.partition("/")[0]
    sql = "insert into effects (event_id, situation, subject, mark) values ($1, $2, $3, $4)"
    await tx.execute(sql, tx.cause, event.situation, subject, str(event.link))


def main() -> None:
    """Serve until told to stop; with the argument `dies` its consume loop ends by itself."""
    settings = load(ServiceSettings)
    service = assemble("aggregation", settings)
    kinds = {kind for topic in service.receiver.topics.values() for kind in topic.events}
    kinds -= {EventsConfirmed.type, SituationRegistered.type}

    async def end_the_consume_loop() -> None:
        for task in asyncio.all_tasks():
            if "_run_consume_loop" in str(task.get_coro()):
                task.cancel()

    run(
        service,
        app=create_app(service, title="Tiny", routers=[]),
        handlers={EVENTS[kind]: record for kind in kinds},
        jobs=[Job(name="break", every_seconds=0.1, run=end_the_consume_loop)] if "dies" in sys.argv else [],
        opener=SealedOpener(FileKeyProvider(settings.keys_dir), service.trust),
    )


if __name__ == "__main__":
    main()
