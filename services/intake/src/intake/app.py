"""The wiring of intake."""

from fastapi import FastAPI

from chassis.http import create_app
from chassis.service import Service, assemble, run
from chassis.settings import load
from intake.content_key import content_key
from intake.desk import Desk
from intake.domain import Marks
from intake.handlers import handlers, situation_removed
from intake.routes import router
from intake.settings import IntakeSettings


def build(settings: IntakeSettings) -> tuple[Service, FastAPI]:
    """Make the parts of intake and its app; nothing is connected yet."""
    service = assemble("intake", settings)
    desk = Desk(service, Marks(content_key(settings)))
    app = create_app(service, title="MRM intake", routers=[router], max_in_flight=settings.max_in_flight, actor_of=desk.actor_of)
    app.state.desk = desk
    return service, app


def serve() -> None:
    """Run until told to stop."""
    service, app = build(load(IntakeSettings))
    run(service, app=app, handlers=handlers(service.register), on_situation_removed=situation_removed)
