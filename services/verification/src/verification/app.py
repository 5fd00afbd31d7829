"""The only wiring of verification."""

from fastapi import FastAPI

from chassis.http import create_app
from chassis.sealing.opening import SealedOpener
from chassis.sealing.opening_keys import FileKeyProvider
from chassis.service import Service, assemble, run
from chassis.settings import load
from verification.desk import Desk
from verification.domain.pseudonyms import Pseudonyms
from verification.handlers import Handlers
from verification.messages.requests import REGISTER_BYTES
from verification.messages.safe import Safe
from verification.routes import ROUTERS
from verification.settings import VerificationSettings, load_pseudonym_secret

NAME = "verification"


def build(settings: VerificationSettings) -> tuple[Service, Desk, FastAPI, SealedOpener]:
    """Make the parts of verification; nothing is connected yet."""
    service = assemble(NAME, settings)
    opener = SealedOpener(FileKeyProvider(settings.keys_dir), service.trust)
    desk = Desk(
        database=service.database,
        register=service.register,
        pseudonyms=Pseudonyms(load_pseudonym_secret(settings)),
        safe=Safe(opener=opener, trust=service.trust),
        trust=service.trust,
        sealer=service.events,
    )
    app = create_app(service, title="MRM verification", routers=ROUTERS, body_limit=REGISTER_BYTES)
    app.state.desk = desk
    return service, desk, app, opener


def serve() -> None:
    """Serve, consume and relay until told to stop."""
    service, desk, app, opener = build(load(VerificationSettings))
    run(service, app=app, handlers=Handlers(desk).by_event(), opener=opener, on_situation_removed=desk.remove_situation)
