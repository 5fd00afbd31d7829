"""Distinct children: records joined by same-child links, their sex and age, and what each of them suffered (C9, C10)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aggregation.domain.incident import Record
from aggregation.domain.sexes import Sexes
from contracts.vocabulary import CHILD_TYPES, Sex, ViolationType


@dataclass(frozen=True, slots=True, kw_only=True)
class Suffered:
    """A victim record's part in a violation of the verified set: the record's own age, and whether the violation is late."""

    record: str
    violation: str
    type: ViolationType
    late: bool
    sex: Sex
    age: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """`count` children alike: counted through child-type violations on time or late, with the age known through each part (C9)."""

    sex: Sex
    on_time: bool
    late: bool
    age_on_time: int | None
    age_late: int | None
    count: int = 1
    violations: frozenset[tuple[str, bool]] = frozenset()
    """For a single child, the child-type violations (and whether they are late) through which it is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AffectedGroups:
    """Distinct groups added up by size, counted through child-type violations on time or late."""

    size: Sexes
    on_time: bool
    late: bool
    violations: frozenset[tuple[str, bool]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipleChild:
    """A child linked to two or more violations (C10)."""

    id: str
    sex: Sex
    age: int | None
    types: tuple[ViolationType, ...]
    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipleGroup:
    """A group linked to two or more violations (C10)."""

    id: str
    size: Sexes
    types: tuple[ViolationType, ...]
    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One distinct child, named by the smallest of its records, with its parts in the violations of a set."""

    id: str
    sex: Sex
    suffered: tuple[Suffered, ...]


def components(edges: Iterable[tuple[str, str]], existing: Iterable[str]) -> dict[str, str]:
    """Name for every linked record the smallest record of its child; a link with an end that does not exist lies idle."""
    present = set(existing)
    parent: dict[str, str] = {}

    def root(record: str) -> str:
        top = record
        while parent.setdefault(top, top) != top:
            top = parent[top]
        while parent[record] != top:
            parent[record], record = top, parent[record]
        return top

    for one, other in edges:
        if one in present and other in present:
            first, second = sorted((root(one), root(other)))
            parent[second] = first
    return {record: root(record) for record in list(parent)}


def sex_of(records: Iterable[Sex]) -> Sex:
    """Return the one sex known over all records of a child, unknown if none is known or they differ."""
    known = {sex for sex in records if sex is not Sex.UNKNOWN}
    return known.pop() if len(known) == 1 else Sex.UNKNOWN


def age_of(suffered: Iterable[Suffered]) -> int | None:
    """Return the lowest age known, None if none is."""
    return min((part.age for part in suffered if part.age is not None), default=None)


def children_of(suffered: Iterable[Suffered], *, edges: Iterable[tuple[str, str]], records: Sequence[Record]) -> list[Child]:
    """Join the records of a set's violations to distinct children.

    `records` are all existing records that any link names: a record whose violations count nowhere still joins, and gives its sex.
    """
    names = components(edges, (record.child for record in records))
    sexes: Mapping[str, list[Sex]] = defaultdict(list)
    for record in records:
        sexes[names.get(record.child, record.child)].append(record.sex)
    parts: Mapping[str, list[Suffered]] = defaultdict(list)
    for part in suffered:
        parts[names.get(part.record, part.record)].append(part)
    return [
        Child(id=name, sex=sex_of(sexes.get(name) or [part.sex for part in mine]), suffered=tuple(mine))
        for name, mine in sorted(parts.items())
    ]


def affected(child: Child) -> Affected | None:
    """Return a child as counted in children affected; None if only violations of other types name it."""
    counted = [part for part in child.suffered if part.type in CHILD_TYPES]
    if not counted:
        return None
    on_time, late = [part for part in counted if not part.late], [part for part in counted if part.late]
    return Affected(
        sex=child.sex,
        on_time=bool(on_time),
        late=bool(late),
        age_on_time=age_of(on_time),
        age_late=age_of(late),
        violations=frozenset((part.violation, part.late) for part in counted),
    )


def multiple(child: Child) -> MultipleChild | None:
    """Return a child with two or more distinct violations, on time or late; None with fewer (C10)."""
    types = {part.violation: part.type for part in child.suffered}
    if len(types) < 2:
        return None
    return MultipleChild(
        id=child.id, sex=child.sex, age=age_of(child.suffered), types=tuple(sorted(types.values())), violations=tuple(sorted(types))
    )
