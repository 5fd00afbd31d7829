"""What keeps a database's rows whole and apart, as the migrations left it and as it is now: `sql/catalog.sql` lists it, a line each.

Policies, what switches them on, and the functions that row security's own text makes are set up anew by `migrate`. Everything else
(tables, constraints, triggers, privileges, ...) comes from revisions, which run once: nobody but the operator knows whether a change was
meant.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

LISTING: Final = (files("chassis") / "sql" / "catalog.sql").read_text(encoding="utf-8")
"""A query for the whole text; the search path must be `public`."""
SHOWN: Final = 20
Thing = tuple[str, str]
"""A kind and a name."""
_MADE: Final = re.compile(r"^create or replace function (\w+)\(", re.MULTILINE)


class ChangedDatabaseError(Exception):
    """A database is not as its migrations left it, in what they cannot restore; the text names what."""

    def __init__(self, changes: Mapping[Thing, str]) -> None:
        lines = [f"  {kind} {name}: {how}" for (kind, name), how in sorted(changes.items())]
        more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        super().__init__(
            "The database is not as the migrations left it:\n"
            + "\n".join(lines[:SHOWN] + more)
            + "\nPut it back by hand. Only if all of this is meant, say `migrate --accept-changes`."
        )


def changes_of(kept: str, now: str) -> dict[Thing, str]:
    """Return what is new, gone or different in a listing."""
    before, after = _things(kept), _things(now)
    return {
        thing: "new" if thing not in before else "gone" if thing not in after else "different"
        for thing in before.keys() | after.keys()
        if before.get(thing) != after.get(thing)
    }


def beyond_restoring(changes: Mapping[Thing, str], source: str) -> dict[Thing, str]:
    """Return those changes that row security's own text would not undo: it makes its functions anew, and leaves others of their names."""
    made = set(_MADE.findall(source))
    return {
        (kind, name): how
        for (kind, name), how in changes.items()
        if kind not in ("policy", "row security of") and not (kind == "function" and how != "new" and name.partition("(")[0] in made)
    }


def _things(listing: str) -> dict[Thing, str]:
    parts = (line.split("\t") for line in listing.split("\n"))
    return {(part[0], part[1]): part[2] for part in parts if len(part) == 3}
