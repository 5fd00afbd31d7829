"""Settings of a service process: read once from the environment and from secret files, then frozen."""

import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Settings = TypeVar("Settings", bound=BaseSettings)
Network = IPv4Network | IPv6Network
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ACR: Final = re.compile(r"[!#-\[\]-~]+")
_HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?")


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
    kafka_tls_ca: Path | None = None
    """Certificates (PEM) of the authorities that may vouch for the broker: every connection to it is TLS then. Without it, none is."""
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
    rate_per_person: float = Field(default=20.0, gt=0)
    """Requests per second of one person or device at one process, in the long run; more get 429 with Retry-After."""
    burst_per_person: int = Field(default=200, ge=1)
    """Requests that one person or device may make at once after a pause."""
    rate_per_address: float = Field(default=50.0, gt=0)
    """Requests per second from one address (IPv6: from one /64), signed in or not."""
    burst_per_address: int = Field(default=500, ge=1)
    rate_of_failures: float = Field(default=1.0, gt=0)
    """Refused credentials per second from one address."""
    burst_of_failures: int = Field(default=30, ge=1)
    rate_of_sign_ins: float = Field(default=0.2, gt=0)
    """Sign-ins per second from one address, and new device tokens per second of one person."""
    burst_of_sign_ins: int = Field(default=20, ge=1)
    trusted_proxies: str = ""
    """Addresses and networks, with commas between, whose X-Forwarded-For is believed; nobody's if empty."""
    tls_certificate: Path | None = None
    """Certificate chain (PEM) to serve HTTPS with; needs `tls_key`. Without both, HTTP for a proxy that ends TLS."""
    tls_key: Path | None = None
    """Its private key (PEM), readable by nobody else."""
    grants_claim: str = "groups"
    """Claim in which the issuer puts the groups `/<situation>/<role>`, in access tokens and for pages."""
    public_url: str = ""
    """Origin under which browsers reach this service, such as `https://intake.example.org`; needed unless they reach it on loopback."""
    client_id: str = "mrm-pages"
    """The pages' client at the issuer."""
    client_secret: SecretStr | None = None
    """Its secret; without one it is a public client (PKCE is used either way)."""
    sign_in_scopes: str = "openid profile"
    """Scopes asked for at sign-in; some issuers need `offline_access` for sessions longer than an access token."""
    required_acr: str = ""
    """Accepted `acr` values (strengths of the sign-in), spaces between: asked for at sign-in, refused without; empty: none needed."""
    issuer_account_url: str = ""
    """The issuer's own page where people end their sessions in all browsers; the account page has a link to it if it is set."""
    session_idle_seconds: float = Field(default=1_800.0, ge=60, le=86_400)
    """A session nobody uses ends after this many seconds."""
    session_seconds: float = Field(default=28_800.0, ge=60, le=604_800)
    """A session ends after this many seconds, used or not."""

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        parts = urlsplit(value)
        plain = value == f"{parts.scheme}://{parts.netloc}" and _HOST.fullmatch(parts.netloc) is not None
        if value and not (plain and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))):
            raise ValueError("an origin is https://host or https://host:port and nothing more; http is for loopback alone")
        return value.lower().removesuffix(":443" if parts.scheme == "https" else ":80")

    @field_validator("required_acr")
    @classmethod
    def _check_required_acr(cls, value: str) -> str:
        if not all(_ACR.fullmatch(accepted) for accepted in value.split()):
            raise ValueError("strengths are texts of ASCII without quotes and backslashes")
        return value

    @field_validator("issuer_account_url")
    @classmethod
    def _check_issuer_account_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
            raise ValueError("an address begins with https://; http is for loopback alone")
        return value

    @field_validator("sign_in_scopes")
    @classmethod
    def _check_scopes(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("the scope openid is needed")
        return value

    @property
    def accepted_acr(self) -> tuple[str, ...]:
        """The strengths of sign-in that are accepted, the preferred one first; none: every one is."""
        return tuple(self.required_acr.split())

    @property
    def origin(self) -> str:
        """The origin under which browsers reach this service; empty if nobody said and it is not on loopback."""
        if self.public_url or self.host not in LOOPBACK:
            return self.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls_certificate is None else 'https'}://{host}:{self.port}"

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        networks_of(value)
        return value

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The trusted proxies as networks."""
        return networks_of(self.trusted_proxies)


def networks_of(text: str) -> tuple[Network, ...]:
    """Read addresses and networks with commas between; raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


class MigrationSettings(BaseSettings):
    """What `python -m <service> migrate` needs: the owner role's URL, never present in a serving process."""

    model_config = SettingsConfigDict(env_prefix="MRM_", frozen=True, extra="ignore", hide_input_in_errors=True)

    migrations_database_url: SecretStr
    app_role: str


def load(kind: type[Settings]) -> Settings:
    """Read settings of a kind; pydantic's error names the missing variables and never their values."""
    secrets = os.environ.get("MRM_SECRETS_DIR")
    return kind(_secrets_dir=secrets) if secrets else kind()
