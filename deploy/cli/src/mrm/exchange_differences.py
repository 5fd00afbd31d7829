"""Where an answer differs from the one expected: by the paths that `cell` takes, in the order of the expected answer. Pure."""

import json
from collections.abc import Iterator
from typing import Any, Final

ABSENT: Final = object()
"""What stands at a path that one of the two answers does not have."""


def differing_places(expected: object, answered: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object, object]]:
    """Yield every innermost place where two answers differ, with what was expected there and what was answered."""
    if isinstance(expected, dict) and isinstance(answered, dict):
        for key in [*expected, *(key for key in answered if key not in expected)]:
            yield from differing_places(expected.get(key, ABSENT), answered.get(key, ABSENT), (*path, key))
    elif isinstance(expected, list) and isinstance(answered, list):
        for index in range(max(len(expected), len(answered))):
            one, other = (answer[index] if index < len(answer) else ABSENT for answer in (expected, answered))
            yield from differing_places(one, other, (*path, str(index)))
    elif as_text(expected) != as_text(answered):
        yield "/".join(path) or "the answer", expected, answered


def as_text(value: object) -> str:
    """Write a value so that equal JSON reads equal: objects without order; a number is not a truth value."""
    return "nothing" if value is ABSENT else json.dumps(value, sort_keys=True, ensure_ascii=False)


def question_in_words(query: dict[str, Any]) -> str:
    """Return a query as one reads it: its table, window, moment and parameters."""
    words = [f"query {query['number']}: {query['table']} {query['from']} to {query['to']}"]
    words += [f"after step {query['after_step']}"] if "after_step" in query else []
    words += [f"{name}={value}" for name, value in query.get("params", {}).items()]
    return ", ".join(words)
