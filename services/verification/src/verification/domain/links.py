"""Duplicates and same-child links: what may be linked or parted, given what stands (counts page, section 1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from verification.domain.references import Reference
from verification.domain.refusals import Refusal, content, state, unknown_reference


class LinkKind(StrEnum):
    """What a standing link says."""

    DUPLICATE = "duplicate"
    SAME_CHILD = "same_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingLink:
    """A link made and not undone; it stands although a revision may have left out one of its ends."""

    link: UUID
    kind: LinkKind
    item: Reference
    of: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedLink:
    """A link to make, or with `undo` to part; None stands for a reference to nothing held now."""

    kind: LinkKind
    undo: bool
    item: Reference | None
    of: Reference | None
    link: UUID
    """The id of the link if it comes to stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAct:
    """A link that comes to stand, or with `undone` one that stands no longer."""

    standing: StandingLink
    undone: bool


_Pair = tuple[Reference, Reference]


class Links:
    """The standing links that a batch of acts has to do with; every accepted act changes it."""

    def __init__(self, standing: Iterable[StandingLink]) -> None:
        """Take the pairs concerned, and all duplicate links reachable from the `of` ends of the batch, idle ones included."""
        self._standing: dict[tuple[LinkKind, _Pair], StandingLink] = {}
        self._originals: dict[Reference, set[Reference]] = {}
        for link in standing:
            self._add(link)

    def _add(self, link: StandingLink) -> None:
        self._standing[link.kind, _pair(link.kind, link.item, link.of)] = link
        if link.kind is LinkKind.DUPLICATE:
            self._originals.setdefault(link.item, set()).add(link.of)

    def _remove(self, link: StandingLink) -> None:
        del self._standing[link.kind, _pair(link.kind, link.item, link.of)]
        if link.kind is LinkKind.DUPLICATE:
            self._originals[link.item].discard(link.of)

    def _leads_to(self, start: Reference, goal: Reference) -> bool:
        reached, ahead = {start}, [start]
        while ahead:
            here = ahead.pop()
            if here == goal:
                return True
            fresh = self._originals.get(here, set()) - reached
            reached |= fresh
            ahead += fresh
        return False

    def apply(self, proposed: Sequence[ProposedLink], *, field: str) -> tuple[list[LinkAct], list[Refusal]]:
        """Apply acts in the order given, each on what the ones before it leave; whatever is refused names `<field>[i].…`."""
        acts: list[LinkAct] = []
        refused: list[Refusal] = []
        for index, one in enumerate(proposed):
            outcome = self._apply(one, f"{field}[{index}]")
            if isinstance(outcome, LinkAct):
                acts.append(outcome)
            else:
                refused += outcome
        return acts, refused

    def _apply(self, one: ProposedLink, path: str) -> LinkAct | list[Refusal]:
        name, thing = ("violation", "violation") if one.kind is LinkKind.DUPLICATE else ("victim", "child")
        if one.item is None or one.of is None:
            ends = ((f"{path}.{name}", one.item), (f"{path}.of", one.of))
            return [unknown_reference(field, thing=thing) for field, end in ends if end is None]
        if one.item == one.of:
            return [content(f"{path}.of", "link_to_itself", "Both ends are the same; name two different ones.")]
        standing = self._standing.get((one.kind, _pair(one.kind, one.item, one.of)))
        return self._undo(standing, path) if one.undo else self._make(one.item, one.of, one, standing, path)

    def _undo(self, standing: StandingLink | None, path: str) -> LinkAct | list[Refusal]:
        if standing is None:
            return [state(path, "link_absent", "No such link stands; there is nothing to undo.")]
        self._remove(standing)
        return LinkAct(standing=standing, undone=True)

    def _make(self, item: Reference, of: Reference, one: ProposedLink, standing: StandingLink | None, path: str) -> LinkAct | list[Refusal]:
        if standing is not None:
            return [state(path, "link_stands", "This link already stands.")]
        if one.kind is LinkKind.DUPLICATE and self._leads_to(of, item):
            return [state(path, "duplicate_circle", "The original is itself a duplicate of this violation; undo that link first.")]
        made = StandingLink(link=one.link, kind=one.kind, item=item, of=of)
        self._add(made)
        return LinkAct(standing=made, undone=False)


def _pair(kind: LinkKind, item: Reference, of: Reference) -> _Pair:
    """Return what a link is known by: a same-child pair has no direction."""
    if kind is LinkKind.SAME_CHILD and of < item:
        return of, item
    return item, of
