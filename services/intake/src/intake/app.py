"""The wiring of intake."""

from fastapi import FastAPI

from chassis.http import create_app
from chassis.service import FORGET_SECONDS, Job, Service, assemble, run
from chassis.settings import load
from intake.content_key import content_key
from intake.desk import Desk
from intake.device_routes import router as device_router
from intake.devices import Devices
from intake.domain import Marks
from intake.handlers import handlers, situation_removed
from intake.routes import router
from intake.settings import IntakeSettings


def build(settings: IntakeSettings) -> tuple[Service, FastAPI]:
    """Make the parts of intake and its app; nothing is connected yet."""
    service = assemble("intake", settings)
    marks = Marks(content_key(settings))
    desk = Desk(service, marks, settings.devices_per_monitor)
    app = create_app(
        service,
        title="MRM intake",
        routers=[router, device_router],
        max_in_flight=settings.max_in_flight,
        actor_of=desk.actor_of,
        devices=Devices(service.database, marks),
    )
    app.state.desk = desk
    return service, app


def serve() -> None:
    """Run until told to stop."""
    service, app = build(load(IntakeSettings))
    forgetting = Job(name="forget_devices", every_seconds=FORGET_SECONDS, run=app.state.devices.forget)
    run(service, app=app, handlers=handlers(service.register), jobs=[forgetting], on_situation_removed=situation_removed)
