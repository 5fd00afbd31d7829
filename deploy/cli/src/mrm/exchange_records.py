"""From coded records in recording order to the steps of an exchange file. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

Record = Mapping[str, Any]
_ORDER = ("incidents", "decisions", "links")
_PARTS = {"incident": "incidents", "decision": "decisions", "link": "links"}


def steps_of(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Cut records into as few steps as keep their order: inside one, incidents come first, then decisions, then links.

    A revision stands in a later step than what it replaces.
    """
    steps: list[dict[str, Any]] = []
    stage = 0
    keys: set[str] = set()
    for record in records:
        name = next(name for name in _PARTS if name in record)
        part = _PARTS[name]
        entry = record[name]
        again = name == "incident" and entry["key"] in keys
        if not steps or _ORDER.index(part) < stage or again:
            steps.append({})
            keys = set()
        stage = _ORDER.index(part)
        if name == "incident":
            keys.add(entry["key"])
        steps[-1].setdefault(part, []).append(without_absent(entry))
    return steps


def without_absent(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out what is null: in a file, what is not known is not there."""
    if isinstance(value, dict):
        return {name: without_absent(inner) for name, inner in value.items() if inner is not None}
    return [without_absent(inner) for inner in value] if isinstance(value, list) else value


def situation_part(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an exchange file holds of a register entry."""
    names = ("code", "name", "time_zone", "parties", "places")
    return {name: without_absent(document[name]) for name in names if name in document}
