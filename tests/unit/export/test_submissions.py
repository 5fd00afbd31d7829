"""Four eyes and the life of a submission, without storage."""

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import pytest

from chassis.errors import Conflict, Forbidden
from contracts.bundle.manifest import NarrativeSource
from export.domain.submissions import GivenApproval, State, Submission, approving_role, is_approved, require_draft, standing

UN: Literal["cochair_un"] = "cochair_un"
UNICEF: Literal["cochair_unicef"] = "cochair_unicef"
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def given(role: Any, person: str, *, revision: int = 1, digest: str = "d") -> GivenApproval:
    return GivenApproval(revision=revision, digest=digest, role=role, approved_by=person, name=person, approved_at=NOW)


def submission(state: State = State.DRAFT) -> Submission:
    return Submission(
        situation="AFG",
        submission=UUID(int=1),
        product="annual",
        snapshot=UUID(int=2),
        state=state,
        revision=2,
        digest="d",
        figures=b"",
        narrative=NarrativeSource(sections=[]),
        previous=None,
        drafted_by="olga",
        drafted_at=NOW,
        edited_at=NOW,
    )


def test_a_co_chair_approves_as_what_they_are() -> None:
    assert approving_role(roles=frozenset({UN, "officer"}), asked=None, given=[], subject="una") == UN
    assert approving_role(roles=frozenset({UNICEF}), asked=UNICEF, given=[given(UN, "una")], subject="unni") == UNICEF
    assert approving_role(roles=frozenset({UN, UNICEF}), asked=None, given=[given(UN, "una")], subject="boris") == UNICEF


@pytest.mark.parametrize(
    ("roles", "asked", "before", "code"),
    [
        ({UN, UNICEF}, UNICEF, [given(UN, "me")], "approval.same_person"),
        ({UN}, None, [given(UN, "una")], "approval.already_given"),
        ({UN, UNICEF}, UN, [given(UN, "una")], "approval.already_given"),
    ],
)
def test_nobody_stands_for_two_and_no_role_twice(roles: set[str], asked: Any, before: list[GivenApproval], code: str) -> None:
    with pytest.raises(Conflict) as refused:
        approving_role(roles=frozenset(roles), asked=asked, given=before, subject="me")
    assert refused.value.code == code


@pytest.mark.parametrize(("roles", "asked"), [({"officer"}, None), ({UN}, UNICEF), (set[str](), None)])
def test_who_is_no_such_co_chair_cannot_approve(roles: set[str], asked: Any) -> None:
    with pytest.raises(Forbidden):
        approving_role(roles=frozenset(roles), asked=asked, given=[], subject="me")


def test_two_people_in_both_roles_approve() -> None:
    assert is_approved([given(UN, "una"), given(UNICEF, "unni")])
    assert not is_approved([given(UN, "una")])
    assert not is_approved([given(UN, "una"), given(UNICEF, "una")])
    assert not is_approved([given(UN, "una"), given(UN, "unni")])


def test_only_approvals_of_the_present_revision_and_content_stand() -> None:
    present = given(UN, "una", revision=2)
    others = [given(UN, "una"), given(UNICEF, "unni", revision=2, digest="e"), given(UNICEF, "unni", revision=3)]
    assert standing([present, *others], submission()) == [present]


@pytest.mark.parametrize("state", [State.SIGNING, State.SIGNED])
def test_what_is_approved_by_both_is_no_draft(state: State) -> None:
    require_draft(submission())
    with pytest.raises(Conflict):
        require_draft(submission(state))
