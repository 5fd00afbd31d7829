"""What the monitor is told, for every act and every state."""

import pytest

from verification.domain.progress import REVISION_BEFORE_DECISION, CaseStatus, Progress

RECEIVED, UNDER_REVIEW, CLOSED = (Progress(CaseStatus(word)) for word in ("received", "under_review", "closed"))
NEEDS = Progress(CaseStatus.NEEDS_INFORMATION, ("place",))
ALL = (RECEIVED, UNDER_REVIEW, NEEDS, CLOSED)


@pytest.mark.parametrize(("before", "after"), [(RECEIVED, UNDER_REVIEW), (UNDER_REVIEW, UNDER_REVIEW), (NEEDS, NEEDS), (CLOSED, CLOSED)])
def test_opening_a_case_begins_its_review_and_nothing_else(before: Progress, after: Progress) -> None:
    assert before.opened() == after


@pytest.mark.parametrize("before", ALL)
def test_a_decision_answers_needs_and_closes_or_reopens(before: Progress) -> None:
    assert before.decided(settled=True) == CLOSED
    assert before.decided(settled=False) == UNDER_REVIEW


def test_a_revision_of_a_report_nobody_looked_at_is_still_only_received() -> None:
    assert RECEIVED.revised(settled=False) == RECEIVED


@pytest.mark.parametrize("before", ALL[1:])
def test_a_revision_answers_needs_and_is_looked_at_anew(before: Progress) -> None:
    assert before.revised(settled=False) == UNDER_REVIEW
    assert before.revised(settled=True) == CLOSED


@pytest.mark.parametrize("before", ALL)
def test_questions_and_refused_revisions_need_information(before: Progress) -> None:
    assert before.asked(("place",)) == NEEDS
    assert before.revision_refused() == Progress(CaseStatus.NEEDS_INFORMATION, (REVISION_BEFORE_DECISION,))
