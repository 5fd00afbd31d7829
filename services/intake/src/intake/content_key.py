"""Where the secret behind intake's marks comes from: the settings, or a file made once beside the private keys."""

import os
import secrets
from pathlib import Path
from typing import Final

from intake.settings import IntakeSettings

FILE_NAME: Final = "content.secret"
KEY_BYTES: Final = 32


def content_key(settings: IntakeSettings) -> bytes:
    """Return the secret; raises PermissionError if others than its owner may read the file."""
    if settings.content_key is not None:
        return settings.content_key.get_secret_value().encode()
    return _from_file(settings.keys_dir / FILE_NAME)


def _from_file(path: Path) -> bytes:
    """Read the file, made by whoever comes first; two processes that start at once end up with the same."""
    if not path.exists():
        draft = path.with_name(f".{FILE_NAME}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{FILE_NAME} is open to others than its owner; chmod 600 it")
    return path.read_text(encoding="ascii").strip().encode()
