"""What the permission table says, read again in a dozen lines that share nothing with the product's reading of it."""

import csv
from collections.abc import Collection, Iterable
from pathlib import Path

TABLE = Path(__file__).parents[2] / "contracts" / "src" / "contracts" / "permissions.csv"
ROWS = list(csv.DictReader(TABLE.read_text("utf-8").splitlines()))
ROLES = sorted({row["role"] for row in ROWS})
SOMETHING = None
"""Of relation and state: there is one that the table allows."""


def actions_of(service: str) -> list[str]:
    """Every action of a service."""
    return sorted({row["action"] for row in ROWS if row["service"] == service})


def allows(service: str, action: str, roles: Collection[str], relation: str | None = "any", state: str | None = "any") -> bool:
    """Whether one of the roles may do it in this relation to an object in this state."""
    for row in ROWS:
        if (row["service"], row["action"]) == (service, action) and row["role"] in roles:
            fits_relation = relation is SOMETHING or row["relation"] in ("any", relation)
            if fits_relation and (state is SOMETHING or row["state"] == "any" or state in row["state"].split("|")):
                return True
    return False


def held(grants: Iterable[tuple[str, str]], place: str | None) -> set[str]:
    """The roles that grants give in a situation; None: in the whole installation."""
    return {role for where, role in grants if where in (place, "_all")}
