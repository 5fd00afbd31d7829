"""How a violation or a child is named: `<incident>/<key>`."""

from dataclasses import dataclass
from uuid import UUID

_UUID_LENGTH = 36


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """Something inside an incident: a violation by its key, or a child by its pseudonym."""

    incident: UUID
    item: str

    def __str__(self) -> str:
        return f"{self.incident}/{self.item}"


def parse_reference(text: str) -> Reference | None:
    """Return the reference a text writes, None if its incident is not a UUID in the usual form."""
    incident, _, item = text.partition("/")
    if len(incident) != _UUID_LENGTH or not item:
        return None
    try:
        return Reference(UUID(incident), item)
    except ValueError:
        return None
