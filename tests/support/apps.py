"""Every service's app as it is wired, connected to nothing."""

from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from fastapi import FastAPI
from pydantic import SecretStr

from chassis.sealing.keys import generate_signing_key
from chassis.sealing.trust import Trust
from contracts.topics import SERVICES


def build_app(
    service: str, folder: Path, *, issuer: str = "http://127.0.0.1:1/realms/mrm", database_url: str = "", **changes: Any
) -> FastAPI:
    """Build the app of a service with keys of its own in `folder`."""
    keys = folder / service / "keys"
    signing = generate_signing_key(service)
    signing.save(keys)
    Trust().with_signing(signing.public).save(keys / "trust.json")
    build = import_module(f"{service}.app").build
    settings = get_type_hints(build)["settings"](
        database_url=SecretStr(database_url or f"postgresql://{service}@/{service}?host={folder}"),
        kafka_bootstrap="127.0.0.1:1",
        kafka_username=service,
        kafka_password=SecretStr("unused"),
        keys_dir=keys,
        trust_file=keys / "trust.json",
        issuer=issuer,
        **changes,
    )
    (app,) = [part for part in build(settings) if isinstance(part, FastAPI)]
    return app


__all__ = ["SERVICES", "build_app"]
