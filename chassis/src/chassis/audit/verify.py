"""Is the record as it was written? Pure: it is fed what a database, a dump or a service shows, and returns findings.

An entry is held against its leaf and the service's signature, leaves against the stored tree, and the tree against every checkpoint:
those that the database keeps, and those that somebody saved elsewhere. Without a saved checkpoint nobody can see that a whole
database was set back, nor that the newest entries were taken away together with their leaves and checkpoints.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from chassis.audit.checkpoint import Checkpoint, is_kept
from chassis.audit.leaf import is_signed
from chassis.audit.merkle import GrowingTree, Node
from chassis.audit.note import NoteError
from chassis.sealing.trust import Trust

MAX_FINDINGS = 1000


class Flaw(StrEnum):
    """What is wrong. The words are stable."""

    ENTRY_CHANGED = "entry_changed"
    ENTRY_MISSING = "entry_missing"
    ENTRY_FORGED = "entry_forged"
    ENTRY_LEFT_OUT = "entry_left_out"
    LEAF_MISSING = "leaf_missing"
    LEAF_REPEATED = "leaf_repeated"
    NODE_CHANGED = "node_changed"
    NODE_ASTRAY = "node_astray"
    PENDING_ASTRAY = "pending_astray"
    CHECKPOINT_CHANGED = "checkpoint_changed"
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_DIFFERS = "checkpoint_differs"
    ANOTHER_RECORD = "another_record"
    ROLLED_BACK = "rolled_back"
    SAVED_UNUSABLE = "saved_unusable"
    SAVED_DIFFERS = "saved_differs"


SENTENCES: Mapping[Flaw, str] = {
    Flaw.ENTRY_CHANGED: "The entry is not what it was when it was written, or it stands in another's place.",
    Flaw.ENTRY_MISSING: "The entry of this place has been removed.",
    Flaw.ENTRY_FORGED: "The service did not write this entry.",
    Flaw.ENTRY_LEFT_OUT: "The entry has lost its place in the tree.",
    Flaw.LEAF_MISSING: "The leaf of this place has been removed.",
    Flaw.LEAF_REPEATED: "Two leaves claim this place or this entry.",
    Flaw.NODE_CHANGED: "A stored part of the tree does not follow from its leaves.",
    Flaw.NODE_ASTRAY: "There are more stored parts of the tree than its leaves have.",
    Flaw.PENDING_ASTRAY: "A note of an entry without a place names none, or one that has its place.",
    Flaw.CHECKPOINT_CHANGED: "A kept checkpoint is not what the service signed.",
    Flaw.CHECKPOINT_MISSING: "A checkpoint that the service signed is no longer kept.",
    Flaw.CHECKPOINT_DIFFERS: "The record is not the one that this kept checkpoint was signed of.",
    Flaw.ANOTHER_RECORD: "The checkpoint is of another record: the database is not the one it was.",
    Flaw.ROLLED_BACK: "The record is shorter than it was: it has been set back, or its newest entries were taken away.",
    Flaw.SAVED_UNUSABLE: "The saved checkpoint is damaged, or no pinned key of the service signed it.",
    Flaw.SAVED_DIFFERS: "The record is not the one that the saved checkpoint was signed of: its past has been rewritten.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where: a position of the tree, an entry, or a checkpoint."""

    flaw: Flaw
    where: str

    @property
    def sentence(self) -> str:
        """What it means."""
        return SENTENCES[self.flaw]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEntry:
    """An entry as it is now. `leaf` is the hash that follows from its row, None if none can."""

    id: UUID
    leaf: bytes | None
    signed_by: str
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLeaf:
    """A leaf as it is stored, its entry, and the stored nodes that became full with it, by level."""

    position: int
    hash: bytes
    entry_id: UUID
    entry: SeenEntry | None
    nodes: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class SeenCheckpoint:
    """A checkpoint as its row is now."""

    number: int
    size: int
    note: str
    at: datetime
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Remainder:
    """What lies beside the tree, as of the moment when it had `size` leaves: `waiting` are the ids of entries that will get a place."""

    size: int
    nodes: int
    astray: int
    outside: Collection[SeenEntry]
    waiting: Collection[UUID]


class Verification:
    """One check of one record: first all checkpoints, then the leaves in order, then `finish`."""

    def __init__(
        self, service: str, *, origin: str, trust: Trust, checkpoints: Iterable[SeenCheckpoint], saved: Iterable[str] = ()
    ) -> None:
        self.service = service
        self._origin = origin
        self._trust = trust
        self._tree = GrowingTree()
        self._gap = 0
        self._entries: set[UUID] = set()
        self._expected: dict[int, list[tuple[bytes, Finding, Finding]]] = {}
        self.findings: list[Finding] = []
        self.more = 0
        """How many findings there were beyond MAX_FINDINGS."""
        kept = [self._take_kept(index, checkpoint) for index, checkpoint in enumerate(checkpoints, start=1)]
        self.checkpoints = len(kept)
        for raw in saved:
            self._take_saved(raw, kept)
        self._compare()

    @property
    def size(self) -> int:
        """How many leaves have been seen."""
        return self._tree.size

    @property
    def root(self) -> bytes:
        """The root over the leaves seen."""
        return self._tree.root()

    def take(self, leaf: SeenLeaf) -> None:
        """Check the next leaf."""
        while self._tree.size < leaf.position:
            self._find(Flaw.LEAF_MISSING, f"position {self._tree.size}")
            if leaf.position - self._tree.size > MAX_FINDINGS:  # the root will not fit anyway
                return
            self._grow(bytes(32), {})
        if leaf.position < self._tree.size or leaf.entry_id in self._entries:
            self._find(Flaw.LEAF_REPEATED, f"position {leaf.position}")
            if leaf.position < self._tree.size:
                return
        self._entries.add(leaf.entry_id)
        self._check_entry(leaf)
        self._grow(leaf.hash, leaf.nodes)

    def finish(self, remainder: Remainder) -> list[Finding]:
        """Check what is beside the tree, and that no checkpoint speaks of more than there is; returns all findings."""
        if remainder.size < self._tree.size:
            self._find(Flaw.ROLLED_BACK, f"size {remainder.size}")
        if remainder.nodes != remainder.size - remainder.size.bit_count():
            self._find(Flaw.NODE_ASTRAY, f"{remainder.nodes} nodes")
        if remainder.astray:
            self._find(Flaw.PENDING_ASTRAY, f"{remainder.astray} notes")
        for entry in remainder.outside:
            if entry.leaf is None or not self._is_signed(entry, entry.leaf):
                self._find(Flaw.ENTRY_FORGED, f"entry {entry.id}")
            elif entry.id not in remainder.waiting:
                self._find(Flaw.ENTRY_LEFT_OUT, f"entry {entry.id}")
        for _, heads in sorted(self._expected.items()):
            for _, _, too_short in heads:
                self._add(too_short)
        self._expected.clear()
        return self.findings

    def _take_kept(self, index: int, seen: SeenCheckpoint) -> str:
        where = f"checkpoint {seen.number}"
        if seen.number != index + self._gap:
            self._find(Flaw.CHECKPOINT_MISSING, f"checkpoint {index + self._gap}")
            self._gap = seen.number - index
        try:
            checkpoint = Checkpoint.decode(seen.note)
            checkpoint.require_signature(self._trust)
        except NoteError:
            self._find(Flaw.CHECKPOINT_CHANGED, where)
            return seen.note
        genuine = is_kept(seen.number, seen.at, seen.note, signature=seen.signature, service=self.service, trust=self._trust)
        if not genuine or seen.size != checkpoint.head.size:
            self._find(Flaw.CHECKPOINT_CHANGED, where)
        if checkpoint.origin != self._origin:
            self._find(Flaw.ANOTHER_RECORD, where)
        else:
            self._expect(checkpoint, Finding(Flaw.CHECKPOINT_DIFFERS, where), Finding(Flaw.ROLLED_BACK, where))
        return seen.note

    def _take_saved(self, raw: str, kept: Collection[str]) -> None:
        try:
            checkpoint = Checkpoint.decode(raw)
            checkpoint.require_signature(self._trust)
        except NoteError:
            self._find(Flaw.SAVED_UNUSABLE, "saved checkpoint")
            return
        where = f"saved checkpoint of size {checkpoint.head.size}"
        if checkpoint.origin != self._origin:
            self._find(Flaw.ANOTHER_RECORD, where)
            return
        self._expect(checkpoint, Finding(Flaw.SAVED_DIFFERS, where), Finding(Flaw.ROLLED_BACK, where))
        if not any(note.startswith(f"{checkpoint.text}\n") for note in kept):
            self._find(Flaw.CHECKPOINT_MISSING, where)

    def _expect(self, checkpoint: Checkpoint, differs: Finding, too_short: Finding) -> None:
        self._expected.setdefault(checkpoint.head.size, []).append((checkpoint.head.root, differs, too_short))

    def _check_entry(self, leaf: SeenLeaf) -> None:
        entry, where = leaf.entry, f"position {leaf.position}, entry {leaf.entry_id}"
        if entry is None:
            self._find(Flaw.ENTRY_MISSING, where)
        elif entry.leaf != leaf.hash:
            self._find(Flaw.ENTRY_CHANGED, where)
        elif not self._is_signed(entry, entry.leaf):
            self._find(Flaw.ENTRY_FORGED, where)

    def _is_signed(self, entry: SeenEntry, leaf: bytes) -> bool:
        return is_signed(leaf, service=self.service, signed_by=entry.signed_by, signature=entry.signature, trust=self._trust)

    def _grow(self, hashed: bytes, stored: Mapping[int, bytes]) -> None:
        position = self._tree.size
        follows = {node.level: made for node, made in self._tree.append(hashed)}
        if follows != dict(stored):
            self._find(Flaw.NODE_CHANGED, f"position {position}")
        self._compare()

    def _compare(self) -> None:
        for root, differs, _ in self._expected.pop(self._tree.size, ()):
            if root != self._tree.root():
                self._add(differs)

    def _find(self, flaw: Flaw, where: str) -> None:
        self._add(Finding(flaw, where))

    def _add(self, finding: Finding) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        else:
            self.more += 1


def nodes_by_leaf(nodes: Mapping[Node, bytes]) -> dict[int, dict[int, bytes]]:
    """Return stored nodes by the position of the leaf with which they became full, then by level."""
    found: dict[int, dict[int, bytes]] = {}
    for node, hashed in nodes.items():
        found.setdefault(node.end - 1, {})[node.level] = hashed
    return found
