"""Settings of verification: those of every service, and the secret under which children and submitters become pseudonyms."""

import os
import secrets
from pathlib import Path

from pydantic import SecretStr

from chassis.settings import ServiceSettings

SECRET_FILE = "pseudonyms.secret"  # noqa: S105 - a file's name
_SECRET_BYTES = 48


class VerificationSettings(ServiceSettings):
    """What verification needs."""

    pseudonym_secret: SecretStr | None = None
    """At least 32 bytes, the same for ever (a child would otherwise become two); absent: `pseudonyms.secret` in the keys folder."""


def load_pseudonym_secret(settings: VerificationSettings) -> bytes:
    """Return the secret from the settings or its file; an installation's first start makes the file, readable by its owner only.

    A lost file must be restored from a backup: the database refuses another secret than the one it was filled with.
    """
    if settings.pseudonym_secret is not None:
        return settings.pseudonym_secret.get_secret_value().encode()
    path = settings.keys_dir / SECRET_FILE
    if not path.exists():
        _make_secret(path)
    return path.read_bytes().strip()


def _make_secret(path: Path) -> None:
    """Write a new secret, whole or not at all; when several processes start at once the first one's stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(_SECRET_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink(missing_ok=True)
