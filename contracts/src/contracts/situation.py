"""The situation register: one versioned document per situation, written at verification and copied by every service."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, StringConstraints

from contracts.model import Code, Count, FieldError, Name, Short, Wire


class PartyType(StrEnum):
    """Kind of a party to the conflict (code list `party_type`)."""

    ARMED_FORCE = "armed_force"
    ARMED_GROUP = "armed_group"
    OTHER_PARTY = "other_party"
    UNKNOWN = "unknown"


class Party(Wire):
    """A party to the conflict as the situation's register names it."""

    code: Code
    type: PartyType
    name: Name


class Place(Wire):
    """A place by its P-code; `level` 1 is a region, a parent has a lower level and stands before it in the list."""

    code: Code
    name: Name
    level: Annotated[int, Field(ge=0, le=9)]
    parent: Code | None = None


class RecipientKey(Wire):
    """A public opening key: base64 of the raw ML-KEM-768 and X25519 parts, 1,216 bytes; and who says that it is the holder's.

    `voucher` is base64 of the Ed25519 signature by the pinned signing key `vouched_by`; nothing is sealed to a key without a sound one.
    """

    id: Short
    public: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    vouched_by: Short
    voucher: Annotated[str, StringConstraints(min_length=88, max_length=88)]


class Policy(Wire):
    """Settings of one situation. `disclosure_threshold` is k of rule C14; quorums are people per stage."""

    disclosure_threshold: Annotated[int, Field(ge=2, le=100)] = 5
    """The shared form leaves at least k possible values for every small number, by all sums, differences and earlier releases.

    Zeros are shown, so where everything linked is small the null itself says 1 to k - 1; with k = 2 that is exactly 1: choose 3 or more.
    A window of which something has left is shared under the largest k under which it did, however low this is set later.
    """
    quorum_focal_point: Annotated[int, Field(ge=1, le=1)] = 1
    quorum_technical: Annotated[int, Field(ge=1, le=1)] = 1


class SituationPart(Wire):
    """What the records of a situation are counted by: all that an exchange file holds of its register entry."""

    code: Code
    name: Name
    time_zone: Name
    parties: Annotated[list[Party], Field(max_length=2_000)] = []
    places: Annotated[list[Place], Field(max_length=20_000)] = []


class SituationDraft(SituationPart):
    """What an operator writes: the register entry without keys and version."""

    policy: Policy = Policy()


class Situation(SituationDraft):
    """The register entry as published on `verification.situations`. `scratch` marks one that `mrm check` made and removes.

    Only while it is `importing` do records that another system decided come in by import dockets, which ask for no earlier stage.
    """

    recipients: dict[str, list[RecipientKey]]
    version: Count
    scratch: bool = False
    importing: bool = False
    removed: bool = False

    @property
    def zone(self) -> ZoneInfo:
        """The situation's time zone, in which all its days are meant (C3)."""
        return ZoneInfo(self.time_zone)

    def today(self, now: datetime) -> date:
        """Return the day it is in the situation at an aware instant."""
        return now.astimezone(self.zone).date()


def region_of(situation: SituationPart, place: str | None) -> str | None:
    """Return the place of level 1 at or above a place, None without one."""
    by_code = {entry.code: entry for entry in situation.places}
    entry = by_code.get(place) if place is not None else None
    while entry is not None and entry.level != 1:
        entry = by_code.get(entry.parent) if entry.parent is not None else None
    return entry.code if entry is not None else None


def check_situation(situation: SituationPart) -> list[FieldError]:
    """Return what makes a register entry unusable: unknown time zone, a code twice, a parent not listed before it with a lower level."""
    errors: list[FieldError] = []
    if situation.time_zone not in available_timezones():
        errors.append(FieldError("time_zone", "unknown_code", "Use a name of the IANA time zone database, such as Asia/Kabul."))
    parties: set[str] = set()
    for index, party in enumerate(situation.parties):
        if party.code in parties:
            errors.append(FieldError(f"parties[{index}].code", "twice", "Another party has this code; give each its own."))
        parties.add(party.code)
    levels: dict[str, int] = {}
    for index, place in enumerate(situation.places):
        if place.code in levels:
            errors.append(FieldError(f"places[{index}].code", "twice", "Another place has this code; give each its own."))
        if place.parent is not None and levels.get(place.parent, place.level) >= place.level:
            errors.append(
                FieldError(
                    f"places[{index}].parent",
                    "unknown_reference",
                    "The parent must be listed before the place and have a lower level.",
                )
            )
        levels[place.code] = place.level
    return errors
