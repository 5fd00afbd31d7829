"""Merkle trees as RFC 6962 defines them: hashes, and proofs of inclusion and of consistency. Pure; storage is the caller's.

A tree is stored as its full subtrees: the node at (level, position) covers the 2**level leaves from position * 2**level on, and
never changes once it is there. Everything else - roots of any size, every proof - is computed from at most 64 of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class Node(NamedTuple):
    """Where a full subtree stands; level 0 are the leaves."""

    level: int
    position: int

    @property
    def end(self) -> int:
        """The number of leaves that a tree has when this subtree has just become full."""
        return (self.position + 1) << self.level


class Range(NamedTuple):
    """Leaves from `begin` up to, but not including, `end`; a subtree of some tree, full or not."""

    begin: int
    end: int

    def nodes(self) -> list[Node]:
        """Return the full subtrees that make up the range, from left to right. `begin` must be where a subtree of its size may."""
        found = []
        begin = self.begin
        while begin < self.end:
            level = (self.end - begin).bit_length() - 1
            found.append(Node(level, begin >> level))
            begin += 1 << level
        return found


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over neighbouring full subtrees, given from left (largest) to right (smallest)."""
    if not hashes:
        return EMPTY_ROOT
    folded = hashes[-1]
    for left in reversed(hashes[:-1]):
        folded = node_hash(left, folded)
    return folded


def range_hash(wanted: Range, stored: Mapping[Node, bytes]) -> bytes:
    """Return the hash of a range from stored nodes; raises KeyError if one is missing."""
    return fold([stored[node] for node in wanted.nodes()])


class GrowingTree:
    """The right edge of a tree, from which it grows: its size and the hashes of the full subtrees that it consists of."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """Continue a tree of `size` leaves whose `Range(0, size).nodes()` have the hashes `edge`."""
        if len(edge) != size.bit_count():
            raise ValueError("the edge does not fit the size")
        self.size = size
        self._edge = list(edge)

    def append(self, hashed: bytes) -> list[tuple[Node, bytes]]:
        """Add a leaf's hash; returns the subtrees above it that have become full, lowest first."""
        full = []
        level, position = 0, self.size
        while position & 1:
            hashed = node_hash(self._edge.pop(), hashed)
            level, position = level + 1, position >> 1
            full.append((Node(level, position), hashed))
        self._edge.append(hashed)
        self.size += 1
        return full

    def root(self) -> bytes:
        """Return the root as it stands."""
        return fold(self._edge)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    tree = GrowingTree()
    for hashed in leaves:
        tree.append(hashed)
    return tree.root()


def inclusion_ranges(position: int, size: int) -> list[Range]:
    """Return the subtrees whose hashes prove that a leaf is in the tree of `size`, nearest to the leaf first."""
    if not 0 <= position < size:
        raise ValueError("no such leaf in a tree of this size")
    path: list[Range] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if position < middle:
            path.append(Range(middle, end))
            end = middle
        else:
            path.append(Range(begin, middle))
            begin = middle
    path.reverse()
    return path


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Return the subtrees whose hashes prove that the tree of `new` leaves continues the one of `old`; none if either is trivial."""
    if not 0 <= old <= new:
        raise ValueError("a tree does not shrink")
    if old in (0, new):
        return []
    path: list[Range] = []
    begin, end, left_edge = 0, new, True
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(Range(middle, end))
            end = middle
        else:
            path.append(Range(begin, middle))
            begin, left_edge = middle, False
    if not left_edge:
        path.append(Range(begin, end))
    path.reverse()
    return path


def nodes_of(ranges: Iterable[Range]) -> list[Node]:
    """Return the stored nodes that the hashes of these ranges need."""
    return [node for wanted in ranges for node in wanted.nodes()]


def verify_inclusion(hashed: bytes, *, position: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a leaf with this hash stands at `position` of the tree with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= position < size:
        return False
    here, last = position, size - 1
    for step in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            hashed = node_hash(step, hashed)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            hashed = node_hash(hashed, step)
        here, last = here >> 1, last >> 1
    return last == 0 and hashed == root


@dataclass(frozen=True, slots=True)
class Head:
    """A tree at one moment: how many leaves, and the root over them."""

    size: int
    root: bytes


def verify_consistency(old: Head, new: Head, proof: Sequence[bytes]) -> bool:
    """Tell whether the newer tree begins with the older one, leaf for leaf (RFC 9162, 2.1.4.2)."""
    if not 0 <= old.size <= new.size:
        return False
    if old.size == new.size:
        return not proof and old.root == new.root
    if old.size == 0:
        return not proof and old.root == EMPTY_ROOT
    steps = [old.root, *proof] if old.size.bit_count() == 1 else list(proof)
    if not steps:
        return False
    here, last = old.size - 1, new.size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    older = newer = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            newer = node_hash(newer, step)
        here, last = here >> 1, last >> 1
    return last == 0 and older == old.root and newer == new.root


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)
