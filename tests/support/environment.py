"""The environment of a process that runs one of the services."""

import os
import sys

from chassis.settings import ServiceSettings


def environment_of(settings: ServiceSettings) -> dict[str, str]:
    """Return the environment of another process of the same service, with the same code."""
    named = {name: getattr(settings, name) for name in ("kafka_bootstrap", "kafka_username", "keys_dir", "trust_file", "issuer")}
    secret = {"database_url": settings.database_url, "kafka_password": settings.kafka_password}
    found = {
        **{name: str(value) for name, value in named.items()},
        **{name: value.get_secret_value() for name, value in secret.items()},
    }
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | {f"MRM_{name.upper()}": value for name, value in found.items()}
