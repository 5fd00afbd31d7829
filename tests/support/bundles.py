"""Builders of snapshots, figures and signed bundles for the tests of export and of the offline verifier."""

import copy
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from chassis.sealing.submission import SubmissionSigner, generate_submission_keys
from chassis.sealing.trust import Trust
from contracts.bundle.manifest import Approval, Figures, NarrativeSource, Previous, SituationName, Window, pseudonym
from export.bundle import Bundle, Content, bundle_files, seal_files
from export.report import annual

CREATED_AT = datetime(2025, 3, 4, 10, 30, 0, 250000, tzinfo=UTC)
SUBMISSION = UUID("5b9d0c0e-3c8e-4c0e-9b61-0a4b0c7d1e2f")
SNAPSHOT = UUID("0d9d7a53-7f0f-4c1b-8a33-2b8f1c6e4d5a")
PARTIES = {"taliban": "Taliban", "pak": "Pakistan armed forces", "iskp": "ISIL-KP", "nrf": "NRF"}


def children(boys: int, girls: int, unknown: int = 0) -> dict[str, int]:
    return {"boys": boys, "girls": girls, "unknown": unknown, "total": boys + girls + unknown}


def six(*, ru: int = 0, km: int = 0, sv: int = 0, ash: int = 0, abd: int = 0, dha: int = 0) -> dict[str, int]:
    return {
        "recruitment_and_use": ru,
        "killing_and_maiming": km,
        "sexual_violence": sv,
        "attacks_on_schools_and_hospitals": ash,
        "abduction": abd,
        "denial_of_humanitarian_access": dha,
    }


AFGHANISTAN: dict[str, Any] = {
    "summary": {
        "violations": 1647,
        "by_grave_violation": six(ru=11, km=543, sv=6, ash=135, abd=2, dha=950),
        "children": children(434, 125),
        "late": {"violations": 244, "by_grave_violation": six(ru=4, km=40, dha=200), "children": children(30, 13)},
    },
    "verified_children": {
        "recruitment": children(11, 0),
        "killing": children(140, 40),
        "maiming": children(282, 81),
        "sexual_violence": children(2, 4),
        "abduction": children(1, 1),
    },
    "verified_incidents": {"attack_on_schools": 48, "attack_on_hospitals": 87, "denial_humanitarian_access": 950},
    "late_children": {"recruitment": children(4, 0), "killing": children(27, 13)},
    "late_incidents": {"denial_humanitarian_access": 200},
    "by_grave_violation_and_party": {
        "recruitment_and_use": {"taliban": 11, "_all": 11},
        "killing_and_maiming": {"taliban": 25, "pak": 50, "iskp": 10, "nrf": 7, "_unidentified": 454, "_joint": 3, "_all": 543},
        "sexual_violence": {"taliban": 5, "_unidentified": 1, "_all": 6},
        "attacks_on_schools_and_hospitals": {"taliban": 128, "nrf": 1, "_unidentified": 6, "_all": 135},
        "abduction": {"taliban": 2, "_all": 2},
        "denial_of_humanitarian_access": {"taliban": 941, "_unidentified": 9, "_all": 950},
    },
    "by_grave_violation_and_parties": {
        "recruitment_and_use": [{"lines": ["taliban"], "n": 11}],
        "killing_and_maiming": [
            {"lines": ["_unidentified"], "n": 454},
            {"lines": ["pak"], "n": 50},
            {"lines": ["taliban"], "n": 22},
            {"lines": ["iskp"], "n": 10},
            {"lines": ["nrf"], "n": 4},
            {"lines": ["nrf", "taliban", "_joint"], "n": 3},
        ],
        "sexual_violence": [{"lines": ["taliban"], "n": 5}, {"lines": ["_unidentified"], "n": 1}],
        "attacks_on_schools_and_hospitals": [
            {"lines": ["taliban"], "n": 128},
            {"lines": ["_unidentified"], "n": 6},
            {"lines": ["nrf"], "n": 1},
        ],
        "abduction": [{"lines": ["taliban"], "n": 2}],
        "denial_of_humanitarian_access": [{"lines": ["taliban"], "n": 941}, {"lines": ["_unidentified"], "n": 9}],
    },
    "verified_by_region": {
        "AF01": {"recruitment": 11, "killing": 180, "maiming": 363, "sexual_violence": 6, "abduction": 2, "total": 562},
        "_unknown": {"attack_on_schools": 48, "attack_on_hospitals": 87, "denial_humanitarian_access": 950, "total": 1085},
    },
    "context": {"military_use": {"military_use_of_school": 31, "total": 31}, "deprivation_liberty": children(3, 1)},
    "exceptions": [],
}

SMALL: dict[str, Any] = {
    "summary": {
        "violations": 3,
        "by_grave_violation": six(ru=2, dha=1),
        "children": children(1, 1),
        "late": {"violations": 0, "by_grave_violation": six(), "children": children(0, 0)},
    },
    "verified_children": {"recruitment": children(1, 1)},
    "verified_incidents": {"denial_humanitarian_access": 1},
}


def figures(tables: dict[str, Any] | None = None, **changes: Any) -> Figures:
    known: dict[str, Any] = {
        "situation": SituationName(code="AFG", name="Afghanistan", time_zone="Asia/Kabul"),
        "window": Window(from_=date(2024, 1, 1), to=date(2025, 1, 1)),
        "rules": "counts/1",
        "params": {"late": "beside", "late_rule": "window"},
        "as_of": datetime(2025, 2, 1, 12, 0, tzinfo=UTC),
        "position": 3201,
        "snapshot": SNAPSHOT,
        "parties": PARTIES,
        "places": {"AF01": "Kabul"},
        "tables": copy.deepcopy(AFGHANISTAN if tables is None else tables),
    }
    return Figures(**(known | changes))


def content(shown: Figures | None = None, narrative: NarrativeSource | None = None, previous: Previous | None = None) -> Content:
    shown = shown or figures()
    return Content(
        submission=SUBMISSION,
        product="annual",
        figures=shown.encode(),
        narrative=narrative or NarrativeSource(sections=annual.narrative(shown)),
        previous=previous,
    )


def approvals(of: Content, *, people: tuple[str, str] = ("un-subject", "unicef-subject"), digest: str | None = None) -> list[Approval]:
    return [
        Approval(
            role=role,
            name=name,
            person=pseudonym(submission=of.submission, subject=subject),
            approved_at=datetime(2025, 3, 4, 10, minute, tzinfo=UTC),
            digest=digest or of.digest,
        )
        for role, name, subject, minute in (
            ("cochair_un", "Amina Ó Briain", people[0], 10),
            ("cochair_unicef", "Björn Åkesson", people[1], 29),
        )
    ]


@dataclass(frozen=True)
class Keys:
    signers: tuple[SubmissionSigner, SubmissionSigner]
    trust: Trust


@cache
def keys(_name: str = "installation") -> Keys:
    """The submission keys of one installation; another name, other keys."""
    signers = generate_submission_keys()
    return Keys(signers, Trust().with_submission(*(signer.public for signer in signers)))


def signed(of: Content, *, by: Keys | None = None, files: dict[str, bytes] | None = None, **changes: Any) -> Bundle:
    """Sign a content as export would; `files` replaces files of the bundle before signing."""
    agreed = changes.get("approvals") or approvals(of)
    made = bundle_files(of, approvals=agreed, created_at=CREATED_AT) | (files or {})
    return seal_files(made, content=of, approvals=agreed, created_at=CREATED_AT, signers=(by or keys()).signers)
