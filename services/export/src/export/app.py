"""The wiring of export."""

from fastapi import FastAPI

from chassis.http import create_app
from chassis.sealing.opening import SealedOpener
from chassis.sealing.opening_keys import FileKeyProvider
from chassis.service import Service, assemble, run
from chassis.settings import ServiceSettings, load
from export.handlers import HANDLERS, situation_removed
from export.routes import ROUTERS
from export.signing import signing_job


def build(settings: ServiceSettings) -> tuple[Service, FastAPI]:
    """Make the parts of export and its app; nothing is connected yet."""
    service = assemble("export", settings)
    return service, create_app(service, title="MRM export", routers=ROUTERS)


def serve() -> None:
    """Run until told to stop."""
    settings = load(ServiceSettings)
    service, app = build(settings)
    opener = SealedOpener(keys=FileKeyProvider(settings.keys_dir), trust=service.trust)
    run(service, app=app, handlers=HANDLERS, jobs=[signing_job(service)], opener=opener, on_situation_removed=situation_removed)
