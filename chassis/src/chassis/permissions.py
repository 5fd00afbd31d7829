"""May this person do that: the permission table of the contracts applied to a principal, and nothing about where the question came from."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NoReturn
from uuid import UUID

from chassis.errors import Forbidden, NotFound
from chassis.identity import DEVICE, EVERYWHERE, Principal
from chassis.storage import Acting, RowScope
from contracts.permissions import rows_for


class Caller:
    """A principal at one action of one service. A route asks `require`, `require_everywhere` or `situations` before it answers."""

    __slots__ = ("_rows", "action", "checked", "denied", "principal")

    def __init__(self, principal: Principal, *, service: str, action: str) -> None:
        self._rows = rows_for(service, action)
        if principal.device is not None and all(row.role != DEVICE for row in self._rows):
            principal = replace(principal, grants=frozenset())
        self.principal = principal
        """Who asks; a device is a stranger at every action that has no row for devices."""
        self.action = action
        self.checked = False
        """Whether the table has been asked; an answer without it never leaves."""
        self.denied: str | None = None
        """Where the table refused: the situation asked for, or the whole installation."""

    @property
    def subject(self) -> str:
        """The issuer's name for the person."""
        return self.principal.subject

    @property
    def row_scope(self) -> RowScope:
        """The rows of the situations and objects that the table lets the caller act on."""
        return RowScope(action=self.action, subject=self.subject, grants=self.principal.grants, device=self.principal.device)

    def known_as(self, subject: str) -> Acting:
        """Return the caller under another name, for a service whose rows and record do not know people by the issuer's."""
        return KnownAs(subject, self.action, self.principal.grants, self.principal.device)

    def roles_in(self, situation: str) -> frozenset[str]:
        """Return the caller's roles in a situation."""
        return self.principal.roles_in(situation)

    def may(self, situation: str, *, relation: str = "any", state: str = "any") -> bool:
        """Tell whether a row covers one of the caller's roles in this relation to an object in this state."""
        self.checked = True
        return self._covered(self.roles_in(situation), relation, state)

    def require(self, situation: str, *, relation: str = "any", state: str = "any") -> None:
        """Raise NotFound for a stranger to the situation, Forbidden for a member whose roles no row covers."""
        if self.may(situation, relation=relation, state=state):
            return
        self.denied = situation
        raise Forbidden if self.roles_in(situation) else NotFound

    def admit(self, situation: str) -> None:
        """Raise what `require` would for whoever may do the action to no object of the situation, whatever its state.

        The edge asks this before it looks at anything else of a request; the route still asks `require`.
        """
        roles = self.roles_in(situation)
        if not self._has_row(roles):
            self.denied = situation
            raise Forbidden if roles else NotFound

    def admit_somewhere(self) -> None:
        """Raise for whoever may do the action nowhere at all."""
        if not self._has_row(frozenset(role for _, role in self.principal.grants)):
            self.denied = EVERYWHERE
            raise Forbidden if self.principal.grants else NotFound

    def refuse(self, situations: Collection[str]) -> NoReturn:
        """Raise NotFound for an object that is not the caller's or does not exist, so that the attempt is recorded.

        `situations` are those in which it was looked for; of several none is named.
        """
        self.denied = next(iter(situations)) if len(situations) == 1 else EVERYWHERE
        raise NotFound

    def require_everywhere(self) -> None:
        """Raise unless a role held in the whole installation covers the action; strangers to every situation get NotFound."""
        self.checked = True
        if not self._covered(frozenset(role for place, role in self.principal.grants if place == EVERYWHERE), "any", "any"):
            self.denied = EVERYWHERE
            raise Forbidden if self.principal.grants else NotFound

    @property
    def everywhere(self) -> bool:
        """Whether a role held in the whole installation covers the action, whatever the object."""
        self.checked = True
        return any(place == EVERYWHERE and any(row.role == role for row in self._rows) for place, role in self.principal.grants)

    def situations(self) -> frozenset[str]:
        """Return the situations in which one of the caller's roles has a row for the action; the rest is for `require`."""
        self.checked = True
        roles = {row.role for row in self._rows}
        return frozenset(place for place, role in self.principal.grants if place != EVERYWHERE and role in roles)

    def require_somewhere(self) -> frozenset[str]:
        """Return `situations()`; raises Forbidden for a member of some situation whose roles have no row anywhere.

        For routes that are not about one situation: strangers get an empty answer, not a refusal.
        """
        found = self.situations()
        if not found and self.principal.grants:
            raise Forbidden
        return found

    def _has_row(self, roles: Collection[str]) -> bool:
        return any(row.role in roles for row in self._rows)

    def _covered(self, roles: frozenset[str], relation: str, state: str) -> bool:
        return any(row.covers(role=role, relation=relation, state=state) for row in self._rows for role in roles)


@dataclass(frozen=True, slots=True)
class KnownAs:
    """A caller under the name that a service's own rows have for the person."""

    subject: str
    action: str
    grants: frozenset[tuple[str, str]]
    device: UUID | None = None

    @property
    def row_scope(self) -> RowScope:
        """What the caller may act on, under this name."""
        return RowScope(action=self.action, subject=self.subject, grants=self.grants, device=self.device)
