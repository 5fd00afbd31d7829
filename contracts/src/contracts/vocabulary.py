"""The closed code lists of the MRM (`code_lists.json`) and the groupings that counting rests on; no I/O beyond that file."""

import json
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final


class ViolationType(StrEnum):
    """The unit of verification; the last two are recorded beside the six grave violations and never enter a total (C7)."""

    KILLING = "killing"
    MAIMING = "maiming"
    RECRUITMENT = "recruitment"
    SEXUAL_VIOLENCE = "sexual_violence"
    ABDUCTION = "abduction"
    ATTACK_ON_SCHOOLS = "attack_on_schools"
    ATTACK_ON_HOSPITALS = "attack_on_hospitals"
    DENIAL_HUMANITARIAN_ACCESS = "denial_humanitarian_access"
    MILITARY_USE = "military_use"
    DEPRIVATION_LIBERTY = "deprivation_liberty"


class Status(StrEnum):
    """Verification status, held per violation and stage; also the outcome of a decision."""

    VERIFIED = "verified"
    PENDING = "report_pending_verification"
    NOT_VERIFIED = "reported_not_verified"
    NOT_MRM = "not_mrm"
    DID_NOT_OCCUR = "verification_found_that_incident_did_not_occur"


class Stage(StrEnum):
    """The three stages of vetting; only the task force's decisions count (C1)."""

    FOCAL_POINT = "focal_point"
    TECHNICAL = "technical"
    CTFMR = "ctfmr"


class Attribution(StrEnum):
    """How a violation is ascribed to a party or parties."""

    SOLE = "sole"
    JOINT = "joint"
    CROSSFIRE = "crossfire"
    ALLEGED = "alleged"
    UNIDENTIFIED = "unidentified"
    NO_ACTOR = "no_actor"


class Sex(StrEnum):
    """Recorded sex of a child."""

    MALE = "male"
    FEMALE = "female"
    UNKNOWN = "unknown"


CHILD_TYPES: Final = frozenset(
    {
        ViolationType.KILLING,
        ViolationType.MAIMING,
        ViolationType.RECRUITMENT,
        ViolationType.SEXUAL_VIOLENCE,
        ViolationType.ABDUCTION,
    }
)
"""Types whose amount is boys + girls + unknown (C4)."""
INCIDENT_TYPES: Final = frozenset(
    {ViolationType.ATTACK_ON_SCHOOLS, ViolationType.ATTACK_ON_HOSPITALS, ViolationType.DENIAL_HUMANITARIAN_ACCESS}
)
"""Types whose amount is one per violation (C4)."""
COUNTED_TYPES: Final = CHILD_TYPES | INCIDENT_TYPES
TALLIED_TYPES: Final = CHILD_TYPES | {ViolationType.DEPRIVATION_LIBERTY}
"""Types that take a tally that is not given from their linked victims and groups."""
GRAVE_VIOLATIONS: Final[dict[str, tuple[ViolationType, ...]]] = {
    "recruitment_and_use": (ViolationType.RECRUITMENT,),
    "killing_and_maiming": (ViolationType.KILLING, ViolationType.MAIMING),
    "sexual_violence": (ViolationType.SEXUAL_VIOLENCE,),
    "attacks_on_schools_and_hospitals": (ViolationType.ATTACK_ON_SCHOOLS, ViolationType.ATTACK_ON_HOSPITALS),
    "abduction": (ViolationType.ABDUCTION,),
    "denial_of_humanitarian_access": (ViolationType.DENIAL_HUMANITARIAN_ACCESS,),
}
"""The six, in report order."""
WITH_PARTY: Final = frozenset({Attribution.SOLE, Attribution.JOINT, Attribution.CROSSFIRE, Attribution.ALLEGED})
"""Attributions that name a party; the others must not."""


@cache
def document() -> dict[str, Any]:
    """Return the whole code list document: `version` and `lists`."""
    loaded: dict[str, Any] = json.loads(files("contracts").joinpath("code_lists.json").read_text("utf-8"))
    return loaded


@cache
def codes(name: str) -> frozenset[str]:
    """Return the codes of one list; `KeyError` if there is no such list."""
    return frozenset(entry["code"] for entry in document()["lists"][name]["codes"])


@cache
def ordered_codes(name: str) -> tuple[str, ...]:
    """Return the codes of one list in their written order; `KeyError` if there is no such list."""
    return tuple(entry["code"] for entry in document()["lists"][name]["codes"])


@cache
def list_names() -> frozenset[str]:
    """Return the names of all code lists."""
    return frozenset(document()["lists"])


@cache
def label(name: str, code: str, language: str = "en") -> str:
    """Return the label of a code, in English where the language has none; `KeyError` for an unknown list or code."""
    for entry in document()["lists"][name]["codes"]:
        if entry["code"] == code:
            labels: dict[str, str] = entry["labels"]
            return labels.get(language, labels["en"])
    raise KeyError(code)
