"""The stage machine of a violation, over every history of decisions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import Stage, Status
from verification.domain.vetting import Vetting

HISTORIES = st.lists(st.tuples(st.sampled_from(Stage), st.sampled_from(Status)), max_size=8)


def vetting_of(history: list[tuple[Stage, Status]]) -> Vetting:
    vetting = Vetting()
    for stage, outcome in history:
        vetting = vetting.after(stage, outcome)
    return vetting


@pytest.mark.parametrize(
    ("history", "waits_for", "reopened", "settled"),
    [
        ("", "focal_point", False, False),
        ("f", "technical", False, False),
        ("ft", "ctfmr", False, False),
        ("ftf", "technical", False, False),
        ("ftc", None, False, True),
        ("c", None, False, True),
        ("ftcf", "technical", True, False),
        ("ftct", "ctfmr", True, False),
        ("ftctc", None, False, True),
    ],
)
def test_whose_turn_it_is(history: str, waits_for: str | None, reopened: bool, settled: bool) -> None:
    stages = {"f": Stage.FOCAL_POINT, "t": Stage.TECHNICAL, "c": Stage.CTFMR}
    vetting = vetting_of([(stages[letter], Status.VERIFIED) for letter in history])
    assert (vetting.waits_for, vetting.reopened, vetting.settled) == (waits_for, reopened, settled)


def test_pending_by_the_task_force_is_not_settled() -> None:
    vetting = vetting_of([(Stage.FOCAL_POINT, Status.VERIFIED), (Stage.TECHNICAL, Status.VERIFIED), (Stage.CTFMR, Status.PENDING)])
    assert (vetting.settled, vetting.waits_for, vetting.status) == (False, Stage.CTFMR, Status.PENDING)


@given(HISTORIES)
def test_only_the_newest_task_force_decision_gives_the_status(history: list[tuple[Stage, Status]]) -> None:
    decided = [outcome for stage, outcome in history if stage is Stage.CTFMR]
    assert vetting_of(history).status == (decided[-1] if decided else Status.PENDING)


@given(HISTORIES)
def test_a_violation_is_settled_or_waits_for_somebody(history: list[tuple[Stage, Status]]) -> None:
    vetting = vetting_of(history)
    assert vetting.settled == (vetting.waits_for is None)
    assert not (vetting.settled and vetting.reopened)


@given(HISTORIES)
def test_earlier_stages_must_have_spoken_once(history: list[tuple[Stage, Status]]) -> None:
    vetting, spoken = vetting_of(history), {stage for stage, _ in history}
    assert vetting.missing_before(Stage.FOCAL_POINT) is None
    assert (vetting.missing_before(Stage.TECHNICAL) is None) == (Stage.FOCAL_POINT in spoken)
    assert (vetting.missing_before(Stage.CTFMR) is None) == (Stage.TECHNICAL in spoken)
