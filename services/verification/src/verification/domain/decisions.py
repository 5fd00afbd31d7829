"""Whether a decision may be recorded: stage order, days and the criteria for `verified` (product page, verification rules)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from contracts import vocabulary
from contracts.incident import AttributionEntry, check_attribution
from contracts.situation import Situation
from contracts.vocabulary import CHILD_TYPES, Stage, Status, ViolationType
from verification.domain.references import Reference
from verification.domain.refusals import Refusal, content, state, unknown_reference
from verification.domain.vetting import Vetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What the reviewer states for `verified`. Of the documentation exception only whether it was given: its text is sealed."""

    primary_source: bool
    documentation_exception: bool
    source_reliability: str | None
    information_credibility: str | None
    nexus: bool
    under_18: bool
    party: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedDecision:
    """A decision somebody wants recorded. `attribution` None leaves what was reported; an empty one clears it."""

    violation: Reference | None
    stage: Stage
    outcome: Status
    decided_on: date | None
    criteria: Criteria | None
    attribution: tuple[AttributionEntry, ...] | None
    non_verification_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownViolation:
    """What verification knows of a violation that its incident holds now. `submitter` is the mark of who reported it."""

    reference: Reference
    type: ViolationType
    occurred_from: date
    primary_sources: int
    secondary_sources: int
    submitter: bytes
    vetting: Vetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the rules of one moment rest on. `today` is the day in the situation's time zone.

    `imported` relaxes what records of another system cannot have: earlier stages, criteria and the day.
    """

    situation: Situation
    today: date
    imported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that may be recorded, with the vetting it leaves behind."""

    proposed: ProposedDecision
    violation: KnownViolation
    vetting: Vetting
    reopening: bool


def decide(
    proposed: Sequence[ProposedDecision], known: Mapping[Reference, KnownViolation], rules: Rules, *, field: str
) -> tuple[list[Decided], list[Refusal]]:
    """Decide in the order given, each on what the ones before it leave; whatever is refused names `<field>[i].…`.

    The decisions are good only if nothing is refused: all or nothing.
    """
    decided: list[Decided] = []
    refused: list[Refusal] = []
    vettings = {reference: violation.vetting for reference, violation in known.items()}
    for index, one in enumerate(proposed):
        path = f"{field}[{index}]"
        violation = known.get(one.violation) if one.violation is not None else None
        if violation is None:
            refused.append(unknown_reference(f"{path}.violation", thing="violation"))
            continue
        before = vettings[violation.reference]
        reasons = [*_check(one, violation, before, rules, path)]
        refused += reasons
        if reasons:
            continue
        after = before.after(one.stage, one.outcome)
        vettings[violation.reference] = after
        decided.append(Decided(proposed=one, violation=violation, vetting=after, reopening=after.reopened))
    return decided, refused


def _check(one: ProposedDecision, violation: KnownViolation, before: Vetting, rules: Rules, path: str) -> Iterator[Refusal]:
    missing = before.missing_before(one.stage)
    if missing is not None and not rules.imported:
        yield state(
            f"{path}.{'stage' if one.stage is Stage.TECHNICAL else 'violation'}",
            "stage_order",
            f"The stage `{missing}` has not decided on this violation; let it decide first.",
        )
    yield from _check_day(one, violation, rules, path)
    yield from _check_codes(one, rules, path)
    if one.outcome is Status.VERIFIED and not (rules.imported and one.criteria is None):
        yield from _check_criteria(one, violation, path)


def _check_day(one: ProposedDecision, violation: KnownViolation, rules: Rules, path: str) -> Iterator[Refusal]:
    field = f"{path}.decided_on"
    if one.decided_on is None:
        if not rules.imported:
            yield content(field, "missing", "A decision needs its day; only imported records may lack it.")
    elif one.decided_on < violation.occurred_from:
        yield content(field, "before_incident", "The decision is older than the first day of the incident; correct the day.")
    elif one.decided_on > rules.today:
        yield content(field, "in_future", "The day lies in the future of the situation's time zone; correct it.")


def _check_codes(one: ProposedDecision, rules: Rules, path: str) -> Iterator[Refusal]:
    reason = one.non_verification_reason
    if reason is not None and reason not in vocabulary.codes("non_verification_reason"):
        yield content(f"{path}.non_verification_reason", "unknown_code", "Choose from the code list `non_verification_reason`.")
    if reason is not None and one.outcome is Status.VERIFIED:
        yield content(f"{path}.non_verification_reason", "contradiction", "A verified violation has no such reason; remove it.")
    for name, rating in _ratings(one.criteria) if one.criteria is not None else ():
        if rating is not None and rating not in vocabulary.codes("rating"):
            yield content(f"{path}.criteria.{name}", "unknown_code", "Choose from the code list `rating`.")
    for index, entry in enumerate(one.attribution or ()):
        for error in check_attribution(f"{path}.attribution[{index}]", entry.party, entry.attribution, rules.situation):
            yield Refusal(error)


def _check_criteria(one: ProposedDecision, violation: KnownViolation, path: str) -> Iterator[Refusal]:
    field = f"{path}.criteria"
    criteria = one.criteria
    if criteria is None:
        yield content(field, "missing", "`verified` needs its criteria; state them.")
        return
    if criteria.primary_source and violation.primary_sources == 0:
        yield content(
            f"{field}.primary_source",
            "no_primary_source",
            "The report links no primary source to this violation; ask for one or give a documentation exception.",
        )
    if not criteria.primary_source and not criteria.documentation_exception:
        yield content(
            f"{field}.primary_source", "not_met", "Without a primary source, say in `documentation_exception` which documents suffice."
        )
    for name, rating in _ratings(criteria):
        if rating is None:
            yield content(f"{field}.{name}", "missing", "Rate it; `verified` rests on it.")
    if not criteria.nexus:
        yield content(f"{field}.nexus", "not_met", "`verified` needs a link to the armed conflict; otherwise choose another outcome.")
    if not criteria.under_18 and violation.type in CHILD_TYPES:
        yield content(f"{field}.under_18", "not_met", "`verified` needs victims under 18; otherwise choose another outcome.")
    if not criteria.party:
        yield content(f"{field}.party", "not_met", "`verified` needs a party to the conflict, even an unidentified one.")


def _ratings(criteria: Criteria) -> tuple[tuple[str, str | None], ...]:
    return ("source_reliability", criteria.source_reliability), ("information_credibility", criteria.information_credibility)
