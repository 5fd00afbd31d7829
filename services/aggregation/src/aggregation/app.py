"""The wiring of aggregation."""

from fastapi import FastAPI

from aggregation import rebuilding
from aggregation.handlers import Handlers
from aggregation.routes import changes, rebuild, releases, snapshots, tables
from chassis.http import create_app
from chassis.sealing.opening import SealedOpener
from chassis.sealing.opening_keys import FileKeyProvider
from chassis.service import Job, Service, assemble, run
from chassis.settings import ServiceSettings, load


def build(settings: ServiceSettings) -> tuple[Service, FastAPI]:
    """Make the parts of aggregation and its app; nothing is connected yet."""
    service = assemble("aggregation", settings)
    return service, create_app(
        service, title="MRM aggregation", routers=[changes.router, tables.router, snapshots.router, releases.router, rebuild.router]
    )


def serve() -> None:
    """Run until told to stop."""
    service, app = build(load(ServiceSettings))
    handlers = Handlers(service.register)
    opener = SealedOpener(FileKeyProvider(service.settings.keys_dir), service.trust)

    async def rebuild_what_is_asked() -> None:
        await rebuilding.work(service.database)

    run(
        service,
        app=app,
        handlers=handlers.by_event(),
        jobs=[Job(name="rebuild", every_seconds=1, run=rebuild_what_is_asked)],
        opener=opener,
        on_situation_removed=handlers.situation_removed,
    )
