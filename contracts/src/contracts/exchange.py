"""The exchange file `mrm-exchange/1` (counts.md section 1): its shape. What its steps must satisfy is `contracts.exchange_check`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from contracts.incident import AttributionEntry, IncidentCore
from contracts.model import Day, Key, Ref, Short, Text, Wire
from contracts.situation import SituationPart
from contracts.vocabulary import Stage, Status


class ExchangeIncident(IncidentCore):
    """An incident by its key in the file; the same key in a later step is a revision."""

    key: Key
    note: Text | None = None


class ExchangeDecision(Wire):
    """A decision; `attribution` None leaves what was reported. `decided_on` may be absent only in imported records."""

    violation: Ref
    stage: Stage
    outcome: Status
    decided_on: Day | None = None
    attribution: list[AttributionEntry] | None = None


class DuplicateLink(Wire):
    """A duplicate link between two violations, or its undoing."""

    kind: Literal["duplicate", "not_duplicate"]
    violation: Ref
    of: Ref


class SameChildLink(Wire):
    """A same-child link between two victims, or its undoing (in either direction)."""

    kind: Literal["same_child", "not_same_child"]
    victim: Ref
    of: Ref


ExchangeLink = Annotated[DuplicateLink | SameChildLink, Field(discriminator="kind")]


class ExchangeStep(Wire):
    """Applied in order: incidents, then decisions, then links, each in the order written."""

    incidents: list[ExchangeIncident] = []
    decisions: list[ExchangeDecision] = []
    links: list[ExchangeLink] = []
    note: Text | None = None


class ExchangeQuery(Wire):
    """A question with its answer. The window is half-open; `after_step` is 1-based, absent = now."""

    table: Short
    from_: Annotated[Day, Field(alias="from")]
    to: Day
    after_step: Annotated[int, Field(ge=1)] | None = None
    params: dict[Short, Short] = {}
    expected: Any
    note: Text | None = None


class ExchangeFile(Wire):
    """The portable form of a situation's coded records and, with `queries`, a counting case."""

    format: Literal["mrm-exchange/1"]
    situation: SituationPart
    steps: list[ExchangeStep] = []
    queries: list[ExchangeQuery] = []
    note: Text | None = None
