"""What every question has in common: its parameters, its moment, its refusals, and an answer with a strong ETag."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fastapi import Request, Response

from aggregation.domain.questions import Refusal
from aggregation.store import ledger
from aggregation.store.ledger import Moment
from chassis.errors import Invalid, Problem
from chassis.storage import Acting, Database, Tx
from contracts.model import FieldError

_SENTENCES: Final = {
    "unknown_parameter": "A parameter of this question is not known. Known are from, to, as_of, late_rule, late, field, by, form, limit, "
    "cursor; for contributors cell, for changes since.",
    "repeated_parameter": "A parameter stands twice; give each once.",
    "missing_parameter": "This parameter is required; add it.",
    "missing_field": "This table needs `field`: the name of the code list of a detail.",
    "reversed_window": "The window ends before it starts; `to` is the day after the last one.",
    "absurd_window": "The window is longer than 200 years; shorten it.",
    "future_as_of": "This moment has not come yet; ask as of a position that was given, or of an instant that has passed.",
    "unknown_cell": "No number of this answer has this path; write it as the answer nests, with `/` between, list positions from 0.",
    "no_shared_form": "This answer has no shared form; ask for the exact one, and keep it inside.",
    "reversed_moments": "`since` must not lie after `as_of`.",
}
_DAY: Final = "Give a day that there is, as YYYY-MM-DD."
_MOMENT: Final = "Give a position that an answer gave, or an instant with its offset from UTC, such as 2026-01-31T12:00:00Z."
_VALUES: Final = {
    "from": _DAY,
    "to": _DAY,
    "as_of": _MOMENT,
    "since": _MOMENT,
    "late_rule": "Give `quarter` or `window`.",
    "late": "Give `beside` or `inside`.",
    "by": "Give `quarter`, `month` or `year`.",
    "form": "Give `exact` or `shared`.",
    "field": "Give the name of the code list of a detail, such as weapon_type.",
    "limit": "Give a whole number from 1 to 10000.",
    "cursor": "Give `next` of the page before as it is, or none for the first page.",
}
"""What to give instead of an unknown value."""


def refused(refusal: Refusal) -> Problem:
    """Return the problem that a refused question becomes."""
    sentence = _VALUES[refusal.field] if refusal.code == "unknown_value" else _SENTENCES[refusal.code]
    return Invalid([FieldError(refusal.field, refusal.code, sentence)], code=refusal.code)


class UnknownTable(Problem):
    """There is no table of that name (404)."""

    def __init__(self) -> None:
        super().__init__("unknown_table", status=404, title="Unknown table", remedy="Choose a table from the documentation of the tables.")


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of a long answer that is asked for: at most `limit` entries after one."""

    limit: int
    after: str
    position: int | None
    """The position of the pages before, so that all pages speak of one moment."""

    def moment_of(self, as_of: int | datetime | None) -> tuple[int | datetime | None, str]:
        """Return as of when a page is asked for, and the parameter that says so: a cursor, unless `as_of` is given."""
        return (self.position, "cursor") if as_of is None and self.position is not None else (as_of, "as_of")


LONGEST_PAGE: Final = 10_000


def parameters(request: Request) -> dict[str, str]:
    """Return the query's parameters; raises Refusal if one stands twice."""
    items = request.query_params.multi_items()
    if len({name for name, _ in items}) != len(items):
        raise Refusal("repeated_parameter", "(query)")
    return dict(items)


def take_slice(params: dict[str, str]) -> Slice:
    """Take `limit` and `cursor` out of the parameters; without them an answer holds up to 10,000 entries. Raises Refusal."""
    limit, cursor = params.pop("limit", str(LONGEST_PAGE)), params.pop("cursor", None)
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= LONGEST_PAGE):
        raise Refusal("unknown_value", "limit")
    if cursor is None:
        return Slice(int(limit), "", None)
    position, dot, after = cursor.partition(".")
    if not (dot and position.isascii() and position.isdigit() and len(position) < 19) or "\0" in after:
        raise Refusal("unknown_value", "cursor")
    return Slice(int(limit), after, int(position))


def cursor_after(moment: Moment, name: str) -> str:
    """Return the cursor of the page after an entry."""
    return f"{moment.position}.{name}"


async def resolve(database: Database, by: Acting, situation: str, as_of: int | datetime | None, *, field: str = "as_of") -> int | None:
    """Return the position that is meant, None for now; raises Refusal for an instant in the future."""
    if not isinstance(as_of, datetime):
        return as_of
    async with database.transaction("find_position", by=by) as tx:
        position = await ledger.find_position_at(tx, situation, as_of)
    if position is None:
        raise Refusal("future_as_of", field)
    return position


async def moment_at(tx: Tx, situation: str, position: int | None, *, field: str = "as_of") -> Moment:
    """Return the moment of a position (None: now) as this reading sees it; raises Refusal for one that has not come."""
    now = await ledger.get_now(tx, situation)
    if position is None or position == now.position:
        return now
    if position > now.position:
        raise Refusal("future_as_of", field)
    instant = await ledger.find_instant_of(tx, situation, position)
    return now.at(position, instant=instant)


def as_of_document(moment: Moment) -> dict[str, Any]:
    """Write a moment as an answer gives it back."""
    return {"position": moment.position, "instant": moment.instant.isoformat() if moment.instant else None}


_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


def respond(request: Request, document: Mapping[str, Any]) -> Response:
    """Answer with a document and its strong ETag, or 304 if the caller has it."""
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    tag = f'"{hashlib.sha256(body).hexdigest()[:40]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if _is_known(tag, ",".join(request.headers.getlist("if-none-match"))):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def _is_known(tag: str, known: str) -> bool:
    """Tell whether the caller has an answer: by the weak comparison of RFC 9110, 13.1.2; `*` is whatever there is."""
    return known.strip() == "*" or tag in _TAG.findall(known)


_QUERY: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "from": ({"type": "string", "format": "date"}, "First day of the window, in the situation's time zone."),
    "to": ({"type": "string", "format": "date"}, "The day after the last; the window is empty if it equals `from`."),
    "as_of": ({"type": "string"}, "A position that was given, or an instant with its offset; absent: now."),
    "late_rule": ({"enum": ["quarter", "window"]}, "What is late; the tables of the Global Horizontal Note default to `quarter`."),
    "late": ({"enum": ["beside", "inside"], "default": "beside"}, "Whether the main set leaves the late part out."),
    "field": ({"type": "string"}, "Name of the code list of a detail; `by_detail` needs it."),
    "by": ({"enum": ["quarter", "month", "year"], "default": "quarter"}, "Length of the parts of `trend`."),
    "form": ({"enum": ["exact", "shared"], "default": "exact"}, "`shared`: small numbers are null, and so is what protects them (C14)."),
    "since": ({"type": "string"}, "The earlier moment: a position or an instant."),
    "cell": ({"type": "string"}, "Path of the number, such as `_all/killing`; list positions from 0."),
    "limit": ({"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE}, "Entries on a page of a long answer."),
    "cursor": ({"type": "string"}, "`next` of the page before."),
}
QUESTION: Final = ("from", "to", "as_of", "late_rule", "late", "field", "by", "form")
PAGE: Final = ("limit", "cursor")


def described(*names: str, required: tuple[str, ...] = ("from", "to")) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that reads these query parameters itself."""
    return {
        "parameters": [
            {"name": name, "in": "query", "required": name in required, "schema": _QUERY[name][0], "description": _QUERY[name][1]}
            for name in names
        ]
    }
