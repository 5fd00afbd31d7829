"""The wiring of aggregation."""

from fastapi import FastAPI

from aggregation.handlers import Handlers
from aggregation.routes import changes, snapshots, tables
from chassis.http import create_app
from chassis.sealing.opening import SealedOpener
from chassis.sealing.opening_keys import FileKeyProvider
from chassis.service import Service, assemble, run
from chassis.settings import ServiceSettings, load


def build(settings: ServiceSettings) -> tuple[Service, FastAPI]:
    """Make the parts of aggregation and its app; nothing is connected yet."""
    service = assemble("aggregation", settings)
    return service, create_app(service, title="MRM aggregation", routers=[changes.router, tables.router, snapshots.router])


def serve() -> None:
    """Run until told to stop."""
    service, app = build(load(ServiceSettings))
    handlers = Handlers(service.register)
    opener = SealedOpener(FileKeyProvider(service.settings.keys_dir), service.trust)
    run(service, app=app, handlers=handlers.by_event(), opener=opener, on_situation_removed=handlers.situation_removed)
