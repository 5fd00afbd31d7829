"""Files and folders that only their owner may read: generated secrets, state, key folders."""

import json
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_stack.errors import StackError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
SECRET_BYTES = 24


def private_folder(path: Path) -> Path:
    """Make a folder of the stack's own that only the owner may enter, closing it if it was open, and return it.

    Raises StackError for a folder that everybody shares, such as the system's for temporary files.
    """
    make_folder(path)
    if path.stat().st_mode & stat.S_ISVTX:
        raise StackError(f"{path} is a folder that everybody shares.", remedy="Name a folder of the stack's own, such as one inside it.")
    path.chmod(FOLDER_MODE)
    return path


def make_folder(path: Path) -> None:
    """Make what is missing of a folder and its parents, for the owner alone; what is there keeps its mode."""
    for missing in [folder for folder in (path, *path.parents) if not folder.exists()][::-1]:
        missing.mkdir(mode=FOLDER_MODE, exist_ok=True)


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a file in one step; it is never readable by others, nor ever half written."""
    make_folder(path.parent)
    data = content.encode() if isinstance(content, str) else content
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_private_json(path: Path, document: Mapping[str, Any]) -> None:
    """Like `write_private`, for a JSON object."""
    write_private(path, json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None when the file is missing or was cut short."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def generated_secret(path: Path) -> str:
    """Return the secret kept in a file, generating it on first use."""
    if path.exists() and (kept := path.read_text(encoding="utf-8").strip()):
        return kept
    secret = secrets.token_urlsafe(SECRET_BYTES)
    write_private(path, secret)
    return secret
