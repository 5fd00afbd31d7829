"""Which decisions may be recorded: order, days, criteria, codes; every refusal has a bad example here."""

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from contracts.incident import AttributionEntry
from contracts.situation import Party, PartyType, Situation
from contracts.vocabulary import Attribution, Stage, Status, ViolationType
from verification.domain.decisions import Criteria, Decided, KnownViolation, ProposedDecision, Rules, decide
from verification.domain.references import Reference
from verification.domain.refusals import Refusal
from verification.domain.vetting import Vetting

VIOLATION = Reference(UUID(int=1), "k1")
SITUATION = Situation(
    code="XAA",
    name="Example",
    time_zone="Asia/Kabul",
    parties=[Party(code="force_1", type=PartyType.ARMED_FORCE, name="Armed force 1")],
    recipients={},
    version=1,
)
RULES = Rules(situation=SITUATION, today=date(2024, 6, 1))
MET = Criteria(
    primary_source=True,
    documentation_exception=False,
    source_reliability="high",
    information_credibility="low",
    nexus=True,
    under_18=True,
    party=True,
)


def known(**changes: Any) -> KnownViolation:
    return replace(
        KnownViolation(
            reference=VIOLATION,
            type=ViolationType.KILLING,
            occurred_from=date(2024, 1, 23),
            primary_sources=1,
            secondary_sources=0,
            submitter=b"monitor",
            vetting=Vetting(),
        ),
        **changes,
    )


def proposed(**changes: Any) -> ProposedDecision:
    return replace(
        ProposedDecision(
            violation=VIOLATION,
            stage=Stage.FOCAL_POINT,
            outcome=Status.VERIFIED,
            decided_on=date(2024, 2, 3),
            criteria=MET,
            attribution=None,
            non_verification_reason=None,
        ),
        **changes,
    )


def decided(*lines: ProposedDecision, violation: KnownViolation | None = None, rules: Rules = RULES) -> list[Decided]:
    done, refused = decide(lines, {VIOLATION: violation or known()}, rules, field="decisions")
    assert refused == []
    return done


def refused(line: ProposedDecision, *, violation: KnownViolation | None = None, rules: Rules = RULES) -> list[tuple[str, str]]:
    done, reasons = decide([line], {VIOLATION: violation or known()}, rules, field="decisions")
    assert done == []
    return [(reason.error.field, reason.error.code) for reason in reasons]


def test_a_good_decision_leaves_its_vetting_behind() -> None:
    (one,) = decided(proposed())
    assert one.vetting == Vetting(focal_point=Status.VERIFIED, latest=Stage.FOCAL_POINT)
    assert one.reopening is False


def test_lines_of_a_batch_build_on_each_other() -> None:
    _, second = decided(proposed(), proposed(stage=Stage.TECHNICAL))
    assert second.vetting == Vetting(focal_point=Status.VERIFIED, technical=Status.VERIFIED, latest=Stage.TECHNICAL)


def test_every_refused_line_is_named_and_the_others_too() -> None:
    lines = [proposed(), proposed(violation=None), proposed(violation=Reference(UUID(int=2), "k1"))]
    _, reasons = decide(lines, {VIOLATION: known()}, RULES, field="lines")
    assert [(reason.error.field, reason.error.code) for reason in reasons] == [
        ("lines[1].violation", "unknown_reference"),
        ("lines[2].violation", "unknown_reference"),
    ]


@pytest.mark.parametrize(
    ("stage", "vetting", "field"),
    [
        (Stage.TECHNICAL, Vetting(), "decisions[0].stage"),
        (Stage.CTFMR, Vetting(), "decisions[0].violation"),
        (Stage.CTFMR, Vetting(focal_point=Status.VERIFIED, latest=Stage.FOCAL_POINT), "decisions[0].violation"),
    ],
)
def test_an_earlier_stage_must_have_spoken(stage: Stage, vetting: Vetting, field: str) -> None:
    assert refused(proposed(stage=stage), violation=known(vetting=vetting)) == [(field, "stage_order")]


def test_the_stage_order_is_a_matter_of_state_and_the_rest_of_content() -> None:
    _, reasons = decide(
        [proposed(stage=Stage.TECHNICAL), proposed(decided_on=date(2024, 1, 1))], {VIOLATION: known()}, RULES, field="decisions"
    )
    assert [(reason.error.code, reason.by_state) for reason in reasons] == [("stage_order", True), ("before_incident", False)]


@pytest.mark.parametrize(
    ("day", "code"),
    [(None, "missing"), (date(2024, 1, 22), "before_incident"), (date(2024, 6, 2), "in_future")],
)
def test_a_day_that_cannot_be(day: date | None, code: str) -> None:
    assert refused(proposed(decided_on=day)) == [("decisions[0].decided_on", code)]


@pytest.mark.parametrize("day", [date(2024, 1, 23), date(2024, 6, 1)])
def test_the_first_and_the_last_possible_day(day: date) -> None:
    assert decided(proposed(decided_on=day))


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"primary_source": False}, "primary_source", "not_met"),
        ({"source_reliability": None}, "source_reliability", "missing"),
        ({"source_reliability": "excellent"}, "source_reliability", "unknown_code"),
        ({"information_credibility": None}, "information_credibility", "missing"),
        ({"nexus": False}, "nexus", "not_met"),
        ({"under_18": False}, "under_18", "not_met"),
        ({"party": False}, "party", "not_met"),
    ],
)
def test_verified_needs_every_criterion(changes: dict[str, Any], field: str, code: str) -> None:
    assert refused(proposed(criteria=replace(MET, **changes))) == [(f"decisions[0].criteria.{field}", code)]


def test_verified_needs_criteria_at_all() -> None:
    assert refused(proposed(criteria=None)) == [("decisions[0].criteria", "missing")]


def test_a_primary_source_must_be_in_the_report() -> None:
    without = known(primary_sources=0, secondary_sources=2)
    assert refused(proposed(), violation=without) == [("decisions[0].criteria.primary_source", "no_primary_source")]
    excepted = replace(MET, primary_source=False, documentation_exception=True)
    assert decided(proposed(criteria=excepted), violation=without)


def test_incident_types_have_no_victims_whose_age_matters() -> None:
    assert decided(proposed(criteria=replace(MET, under_18=False)), violation=known(type=ViolationType.ATTACK_ON_SCHOOLS))


@pytest.mark.parametrize("outcome", [status for status in Status if status is not Status.VERIFIED])
def test_other_outcomes_need_no_criteria(outcome: Status) -> None:
    assert decided(proposed(outcome=outcome, criteria=None))


@pytest.mark.parametrize("outcome", list(Status))
@pytest.mark.parametrize("name", ["source_reliability", "information_credibility"])
def test_ratings_are_codes_whatever_the_outcome_for_they_stand_in_clear(outcome: Status, name: str) -> None:
    wrong = proposed(outcome=outcome, criteria=replace(MET, **{name: "Ahmad told me"}))  # type: ignore[arg-type]
    assert refused(wrong) == [(f"decisions[0].criteria.{name}", "unknown_code")]
    assert refused(replace(wrong, stage=Stage.CTFMR), rules=replace(RULES, imported=True)) == refused(wrong)


def test_codes_of_attribution_and_reason_are_checked() -> None:
    wrong = (
        AttributionEntry(attribution=Attribution.SOLE),
        AttributionEntry(party="group_9", attribution=Attribution.JOINT),
        AttributionEntry(party="force_1", attribution=Attribution.UNIDENTIFIED),
    )
    assert refused(proposed(attribution=wrong)) == [
        ("decisions[0].attribution[0].party", "missing"),
        ("decisions[0].attribution[1].party", "unknown_code"),
        ("decisions[0].attribution[2].party", "contradiction"),
    ]
    lines = proposed(outcome=Status.NOT_VERIFIED, criteria=None, non_verification_reason="lazy")
    assert refused(lines) == [("decisions[0].non_verification_reason", "unknown_code")]
    assert refused(proposed(non_verification_reason="other")) == [("decisions[0].non_verification_reason", "contradiction")]
    assert decided(proposed(outcome=Status.NOT_VERIFIED, criteria=None, non_verification_reason="security_constraints"))


def test_imported_records_may_lack_stages_criteria_and_day() -> None:
    imported = replace(RULES, imported=True)
    (one,) = decided(proposed(stage=Stage.CTFMR, criteria=None, decided_on=None), rules=imported)
    assert one.vetting.settled
    assert refused(proposed(stage=Stage.CTFMR, criteria=None, decided_on=date(2024, 1, 1)), rules=imported) == [
        ("decisions[0].decided_on", "before_incident")
    ]
    half = replace(MET, nexus=False)
    assert refused(proposed(stage=Stage.CTFMR, criteria=half), rules=imported) == [("decisions[0].criteria.nexus", "not_met")]


def test_an_earlier_stage_after_the_task_force_is_a_reopening() -> None:
    done = Vetting(focal_point=Status.VERIFIED, technical=Status.VERIFIED, ctfmr=Status.VERIFIED, latest=Stage.CTFMR)
    for stage in (Stage.FOCAL_POINT, Stage.TECHNICAL):
        (one,) = decided(proposed(stage=stage), violation=known(vetting=done))
        assert one.reopening
        assert one.vetting.status is Status.VERIFIED
    (again,) = decided(proposed(stage=Stage.CTFMR), violation=known(vetting=done))
    assert not again.reopening


def test_refusals_repeat_no_value() -> None:
    _, reasons = decide([proposed(criteria=replace(MET, source_reliability="CANARY"))], {VIOLATION: known()}, RULES, field="decisions")
    assert all("CANARY" not in str(reason) for reason in reasons)
    assert isinstance(reasons[0], Refusal)
