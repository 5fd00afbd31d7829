"""The conservation account of an installation: accepted = applied + parked + in flight, topic by topic and reader by reader. Pure.

Each service gives its own account (`GET /v1/account`). They are asked one after the other while events move, so what is
on the way may be counted by the writer and not yet by the reader; it must never be more than the writer holds back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contracts.topics import TOPICS, Topic

ServiceAccount = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One topic as one of its readers has it. `waiting` events are counted in `parked`."""

    topic: str
    writer: str
    reader: str
    accepted: int
    applied: int
    parked: int
    in_flight: int
    balanced: bool

    def document(self) -> dict[str, Any]:
        """Return the line as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Balance:
    """The whole account. `missing` names the services that did not tell; without them nothing is proven."""

    lines: tuple[Line, ...]
    missing: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        """Tell whether every event that was accepted is somewhere."""
        return not self.missing and all(line.balanced for line in self.lines)

    def document(self) -> dict[str, Any]:
        """Return the account as a JSON object: sums over all lines, then the lines."""
        sums = {name: sum(getattr(line, name) for line in self.lines) for name in ("accepted", "applied", "parked", "in_flight")}
        return {
            **sums,
            "balanced": self.balanced,
            "missing": list(self.missing),
            "lines": [line.document() for line in self.lines],
        }


def balance(accounts: Mapping[str, ServiceAccount | None], topics: Sequence[Topic] = TOPICS) -> Balance:
    """Set the writers' accounts against the readers'; None stands for a service that did not tell."""
    lines = []
    for topic in topics:
        if not topic.confirmed:
            continue
        writer = accounts.get(topic.writer)
        for reader_name in topic.readers:
            reader = accounts.get(reader_name)
            if writer is not None and reader is not None:
                lines.append(_line(topic, reader_name, writer, reader))
    missing = tuple(sorted(name for name, account in accounts.items() if account is None))
    return Balance(lines=tuple(lines), missing=missing)


def _line(topic: Topic, reader_name: str, writer: ServiceAccount, reader: ServiceAccount) -> Line:
    accepted = _count(writer, "published", topic)
    applied = _count(reader, "applied", topic)
    parked = _count(reader, "parked", topic) + _count(reader, "waiting", topic)
    in_flight = accepted - applied - parked
    return Line(
        topic=topic.name,
        writer=topic.writer,
        reader=reader_name,
        accepted=accepted,
        applied=applied,
        parked=parked,
        in_flight=in_flight,
        balanced=0 <= in_flight <= _count(writer, "in_flight", topic),
    )


def _count(account: ServiceAccount, side: str, topic: Topic) -> int:
    counts = account.get(side)
    return int(counts.get(topic.name, 0)) if isinstance(counts, Mapping) else 0
