"""Settings of a service process: read once from the environment and from secret files, then frozen."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Settings = TypeVar("Settings", bound=BaseSettings)


class ServiceSettings(BaseSettings):
    """What every service needs. Variables carry the prefix `MRM_`; secrets may be files of that lower-case name in `$MRM_SECRETS_DIR`."""

    model_config = SettingsConfigDict(env_prefix="MRM_", frozen=True, extra="ignore", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = 0
    database_url: SecretStr
    """asyncpg URL of the service's least-privilege role."""
    kafka_bootstrap: str
    kafka_username: str
    kafka_password: SecretStr
    keys_dir: Path
    """Folder of this service's private key files (mode 0600)."""
    trust_file: Path
    """Pinned public signing keys of all services."""
    issuer: str
    """OpenID Connect issuer whose tokens are accepted."""
    audience: str = "mrm"
    resend_after_seconds: float = Field(default=30.0, gt=0)
    """An event that its reader has not confirmed is sent again after this many seconds, then ever more slowly."""
    stop_after_parked: int = Field(default=50, gt=0)
    """So many authentic messages parked in a row mean that the code is wrong: the service stops consuming."""
    log_level: str = "INFO"


class MigrationSettings(BaseSettings):
    """What `python -m <service> migrate` needs: the owner role's URL, never present in a serving process."""

    model_config = SettingsConfigDict(env_prefix="MRM_", frozen=True, extra="ignore", hide_input_in_errors=True)

    migrations_database_url: SecretStr
    app_role: str


def load(kind: type[Settings]) -> Settings:
    """Read settings of a kind; pydantic's error names the missing variables and never their values."""
    secrets = os.environ.get("MRM_SECRETS_DIR")
    return kind(_secrets_dir=secrets) if secrets else kind()
