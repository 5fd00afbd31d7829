"""Keyset paging: `?limit=&cursor=` → `{"items": […], "next": cursor | null}`; a cursor names the last item and opens nothing."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Query

from chassis.errors import Invalid
from contracts.model import FieldError

MAX_LIMIT: Final = 500
MAX_CURSOR_LENGTH: Final = 1024
Position = str | int | UUID | datetime


@dataclass(frozen=True, slots=True)
class Page:
    """One page as asked for. Fetch `limit + 1` rows after `after(...)` and let `next_cursor` tell the rest."""

    limit: int
    cursor: str | None

    def after(self, *kinds: type[Position]) -> tuple[Any, ...] | None:
        """Return the sort key of the last item seen, one value of each kind, None for the first page; raises Invalid."""
        if self.cursor is None:
            return None
        try:
            raw = base64.b64decode(self.cursor + "=" * (-len(self.cursor) % 4), altchars=b"-_", validate=True)
            values = json.loads(raw)
            if not isinstance(values, list):
                raise TypeError
            return tuple(_read(value, kind) for value, kind in zip(values, kinds, strict=True))
        except (ValueError, TypeError, RecursionError):
            error = FieldError("cursor", "wrong_form", "Use the cursor exactly as `next` gave it, or leave it out for the first page.")
            raise Invalid([error]) from None


async def _page(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items on a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_LENGTH, description="`next` of the page before.")] = None,
) -> Page:
    return Page(limit, cursor)


PageQuery = Annotated[Page, Depends(_page)]
"""The parameter of a paged route: `page: PageQuery`."""


def next_cursor(page: Page, count: int, *, last: Sequence[Position]) -> str | None:
    """Return the cursor of the next page: None unless more rows (`count`) were fetched than the page shows.

    `last` is the sort key of the last item shown.
    """
    if count <= page.limit:
        return None
    raw = json.dumps([_written(value) for value in last], ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _written(value: Position) -> str | int:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _read(value: object, kind: type[Position]) -> Position:
    if kind is int:
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
            raise TypeError
        return value
    if not isinstance(value, str) or "\0" in value:
        raise TypeError
    if kind is datetime:
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError
        return instant
    if kind is UUID:
        return UUID(value)
    value.encode()
    return value
