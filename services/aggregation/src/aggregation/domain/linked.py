"""Numbers and what everybody knows to hold between them: what suppression protects and an attacker works with (C14)."""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field

Name = Hashable
Terms = Mapping[Name, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """Numbers with equalities (terms add up to 0) and bounds (terms add up to 0 or less). A number that is zero is known to be zero."""

    values: Mapping[Name, int]
    equalities: list[Terms] = field(default_factory=list)
    bounds: list[Terms] = field(default_factory=list)
    shared: Collection[Name] = frozenset()
    """Numbers of earlier moments that were shared then: they are what they are."""
    unchanged: Collection[Name] = frozenset()
    """Is what was shared of it before. Whoever guesses that knows it, so it protects nothing while anything else does."""
    close: Collection[Name] = frozenset()
    """Differs by 1 to k - 1 from what was shared of it before."""
    unseen: Collection[Name] = frozenset()
    """Is never shown, so it protects at no cost; if it is small it must not be worked out either."""
    signed: Collection[Name] = frozenset()
    """A difference: it may be any whole number. Every other number that is not zero is known to be 1 or more."""
