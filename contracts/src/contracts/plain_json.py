"""JSON that every reader reads the same: no name twice in one object, no number that JSON does not have. For files of the user's own."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.model import FieldError, field_path

Path = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class _Doubled:
    """An object in which names stand twice."""

    names: tuple[str, ...]
    inner: dict[str, Any]


class _NoNumber:
    """NaN, an infinity, or a number too large to be told from one."""


def ambiguities(raw: str | bytes) -> list[FieldError]:
    """Return every place of a document that two readers could read differently, and that it is not JSON if it is not."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        document = json.loads(text, object_pairs_hook=_object, parse_constant=lambda _: _NoNumber(), parse_float=_float)
    except (ValueError, RecursionError):
        return [FieldError("(document)", "not_json", "The text is not valid JSON in UTF-8; send one JSON object.")]
    return list(_found(document))


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any] | _Doubled:
    inner = dict(pairs)
    if len(inner) == len(pairs):
        return inner
    names = [name for name, _ in pairs]
    return _Doubled(tuple(name for name in inner if names.count(name) > 1), inner)


def _float(text: str) -> float | _NoNumber:
    number = float(text)
    return number if math.isfinite(number) else _NoNumber()


def _found(document: object) -> Iterator[FieldError]:
    """Walk a document in its order; not by calling itself, because a document may be nested deeply."""
    ahead: list[tuple[Path, Any]] = [((), document)]
    while ahead:
        path, value = ahead.pop()
        if isinstance(value, _Doubled):
            for name in value.names:
                yield FieldError(field_path((*path, name)), "twice", "This name stands twice in one object; keep one of them.")
            value = value.inner
        if isinstance(value, _NoNumber):
            yield FieldError(field_path(path), "not_json", "NaN and infinity are not numbers of JSON; write a number.")
        elif isinstance(value, dict):
            ahead += reversed([((*path, name), inner) for name, inner in value.items()])
        elif isinstance(value, list):
            ahead += reversed([((*path, index), inner) for index, inner in enumerate(value)])
