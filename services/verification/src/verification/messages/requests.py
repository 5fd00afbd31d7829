"""What reviewers and operators send: shapes, and their translation into the domain's words."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.exchange import DuplicateLink, ExchangeLink
from contracts.incident import AttributionEntry
from contracts.model import Count, Day, Ref, Short, Text, Wire
from contracts.situation import RecipientKey, SituationDraft
from contracts.vocabulary import Stage, Status
from verification.domain.decisions import Criteria, ProposedDecision
from verification.domain.dockets import DocketKind
from verification.domain.references import parse_reference
from verification.messages.safe import KeptText

MAX_LINES = 500
BODY_BYTES = 2 * 1024 * 1024
"""The free texts of one request are sealed together and must fit one envelope."""
REGISTER_BYTES = 8 * 1024 * 1024
Keys = Annotated[list[RecipientKey], Field(min_length=1, max_length=16)]


class SituationBody(SituationDraft):
    """A register entry to be written. `version`, if given, is the one this is based on (0 for a new one); scratch is for ever.

    `importing` opens the situation for import dockets until an entry without it is written.
    """

    recipients: dict[Short, Keys]
    scratch: bool = False
    importing: bool = False
    version: Count | None = None
    removed: Literal[False] = False


class CriteriaBody(Wire):
    """The criteria of `verified` as the reviewer states them."""

    primary_source: bool = False
    documentation_exception: Text | None = None
    source_reliability: Short | None = None
    information_credibility: Short | None = None
    nexus: bool = False
    under_18: bool = False
    party: bool = False


class LineBody(Wire):
    """A line of a docket: what the task force is to decide on one violation, and why."""

    violation: Ref
    outcome: Status
    decided_on: Day | None = None
    reason: Text
    criteria: CriteriaBody | None = None
    attribution: Annotated[list[AttributionEntry], Field(max_length=100)] | None = None
    non_verification_reason: Short | None = None

    def proposed(self, stage: Stage) -> ProposedDecision:
        """Return the decision without its free text."""
        stated = self.criteria
        return ProposedDecision(
            violation=parse_reference(self.violation),
            stage=stage,
            outcome=self.outcome,
            decided_on=self.decided_on,
            criteria=None
            if stated is None
            else Criteria(
                primary_source=stated.primary_source,
                documentation_exception=stated.documentation_exception is not None,
                source_reliability=stated.source_reliability,
                information_credibility=stated.information_credibility,
                nexus=stated.nexus,
                under_18=stated.under_18,
                party=stated.party,
            ),
            attribution=None if self.attribution is None else tuple(self.attribution),
            non_verification_reason=self.non_verification_reason,
        )

    def kept_text(self) -> KeptText:
        """Return the free text, to be sealed."""
        return KeptText(text=self.reason, documentation_exception=self.criteria.documentation_exception if self.criteria else None)


class DecisionBody(LineBody):
    """A decision of an earlier stage on one violation."""

    stage: Literal["focal_point", "technical"]


class DecisionsBody(Wire):
    """Decisions recorded together: all or none, in this order."""

    decisions: Annotated[list[DecisionBody], Field(min_length=1, max_length=MAX_LINES)]


class DocketBody(Wire):
    """A docket to put before the co-chairs. Lines of an `import` may lack the day, the criteria and earlier stages."""

    kind: Annotated[DocketKind, Field(strict=False)] = DocketKind.DECISIONS
    lines: Annotated[list[LineBody], Field(min_length=1, max_length=MAX_LINES)]


class LinksBody(Wire):
    """Links to make or undo: all or none, in this order."""

    links: Annotated[list[ExchangeLink], Field(min_length=1, max_length=MAX_LINES)]


class QuestionBody(Wire):
    """A question to the monitor. Its wording stays sealed here; the monitor is told the codes of what is needed."""

    message: Text
    needs: Annotated[
        list[Literal["question", "dates", "place", "children", "perpetrators", "sources", "details", "consent"]],
        Field(min_length=1, max_length=8),
    ] = ["question"]


class LookupBody(Wire):
    """Violations whose state is asked."""

    violations: Annotated[list[Ref], Field(min_length=1, max_length=MAX_LINES)]


def ends_of(link: ExchangeLink) -> tuple[str, str]:
    """Return the two references of a link as written."""
    return (link.violation if isinstance(link, DuplicateLink) else link.victim), link.of
