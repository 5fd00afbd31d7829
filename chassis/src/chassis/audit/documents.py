"""What a check of the record is fed with, as JSON: over HTTP with hashes only, in a dump with the rows themselves."""

from __future__ import annotations

import base64
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from chassis.audit.leaf import Entry
from chassis.audit.verify import Remainder, SeenCheckpoint, SeenEntry, SeenLeaf


def _from_base64(value: object) -> object:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


Bytes = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RowDocument(_Document):
    """An entry's row, for a dump."""

    at: AwareDatetime
    actor: str
    action: str
    situation: str | None
    subject: str | None
    detail: Any
    cause: UUID
    salt: Bytes

    @classmethod
    def of(cls, entry: Entry) -> RowDocument:
        """Write a row."""
        return cls(
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            situation=entry.situation,
            subject=entry.subject_ref,
            detail=entry.detail,
            cause=entry.cause,
            salt=entry.salt,
        )

    def entry(self, entry_id: UUID, service: str) -> Entry:
        """Read the row back."""
        return Entry(
            service=service,
            id=entry_id,
            at=self.at,
            actor=self.actor,
            action=self.action,
            situation=self.situation,
            subject_ref=self.subject,
            detail=self.detail,
            cause=self.cause,
            salt=self.salt,
        )


class EntryDocument(_Document):
    """An entry as it is now: the hash that follows from its row, and the service's signature. A dump has the row instead of trust."""

    id: UUID
    leaf: Bytes | None
    signed_by: str
    signature: Bytes
    row: RowDocument | None = None

    @classmethod
    def of(cls, entry: SeenEntry, row: Entry | None = None) -> EntryDocument:
        """Write an entry, with its row for a dump."""
        shown = None if row is None else RowDocument.of(row)
        return cls(id=entry.id, leaf=entry.leaf, signed_by=entry.signed_by, signature=entry.signature, row=shown)

    def seen(self, service: str) -> SeenEntry:
        """Read it back; a row that is there is what counts."""
        leaf = self.leaf if self.row is None else self.row.entry(self.id, service).find_leaf_hash()
        return SeenEntry(id=self.id, leaf=leaf, signed_by=self.signed_by, signature=self.signature)


class LeafDocument(_Document):
    """A leaf as it is stored, and the stored nodes that became full with it, by level."""

    position: int
    hash: Bytes
    entry_id: UUID
    entry: EntryDocument | None
    nodes: dict[int, Bytes]

    @classmethod
    def of(cls, leaf: SeenLeaf, row: Entry | None = None) -> LeafDocument:
        """Write a leaf, with the row of its entry for a dump."""
        entry = None if leaf.entry is None else EntryDocument.of(leaf.entry, row)
        return cls(position=leaf.position, hash=leaf.hash, entry_id=leaf.entry_id, entry=entry, nodes=dict(leaf.nodes))

    def seen(self, service: str) -> SeenLeaf:
        """Read it back."""
        entry = None if self.entry is None else self.entry.seen(service)
        return SeenLeaf(position=self.position, hash=self.hash, entry_id=self.entry_id, entry=entry, nodes=self.nodes)


class CheckpointDocument(_Document):
    """A kept checkpoint as its row is now."""

    number: int
    size: int
    note: str
    at: AwareDatetime
    signature: Bytes

    @classmethod
    def of(cls, seen: SeenCheckpoint) -> CheckpointDocument:
        """Write a checkpoint."""
        return cls(number=seen.number, size=seen.size, note=seen.note, at=seen.at, signature=seen.signature)

    def seen(self) -> SeenCheckpoint:
        """Read it back."""
        return SeenCheckpoint(self.number, self.size, self.note, self.at, self.signature)


class RemainderDocument(_Document):
    """What lies beside the tree at the moment when it had `size` leaves."""

    size: int
    nodes: int
    astray: int
    outside: list[EntryDocument]
    waiting: list[UUID]

    @classmethod
    def of(cls, remainder: Remainder) -> RemainderDocument:
        """Write what lies beside the tree."""
        return cls(
            size=remainder.size,
            nodes=remainder.nodes,
            astray=remainder.astray,
            outside=[EntryDocument.of(entry) for entry in remainder.outside],
            waiting=sorted(remainder.waiting),
        )

    def seen(self, service: str) -> Remainder:
        """Read it back."""
        outside = [entry.seen(service) for entry in self.outside]
        return Remainder(size=self.size, nodes=self.nodes, astray=self.astray, outside=outside, waiting=set(self.waiting))
