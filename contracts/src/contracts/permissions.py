"""The permission table: who may do what, as data a non-programmer can read (`permissions.csv`). No row, no permission."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One row. `relation` is any, own or not_own; `state` is any or a state of the object, alternatives separated by `|`."""

    service: str
    action: str
    role: str
    relation: str
    state: str
    why: str

    def covers(self, *, role: str, relation: str, state: str) -> bool:
        """Tell whether this row allows a role in this relation to an object in this state."""
        return self.role == role and self.relation in ("any", relation) and (self.state == "any" or state in self.state.split("|"))


@cache
def table() -> tuple[Permission, ...]:
    """Return every row of the permission table."""
    text = files("contracts").joinpath("permissions.csv").read_text("utf-8")
    return tuple(Permission(**row) for row in csv.DictReader(text.splitlines()))


@cache
def rows_for(service: str, action: str) -> tuple[Permission, ...]:
    """Return the rows of one action of one service; empty if nobody may do it."""
    return tuple(row for row in table() if row.service == service and row.action == action)


def roles_allowed(service: str, action: str, *, relation: str, state: str) -> frozenset[str]:
    """Return the roles that may do the action in this relation and state."""
    return frozenset(row.role for row in rows_for(service, action) if row.covers(role=row.role, relation=relation, state=state))
