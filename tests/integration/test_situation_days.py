"""Days are those of the situation, not of UTC or of the machine: shown where the two differ at this very moment (C3)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from chassis.storage import SYSTEM
from contracts.situation import Situation
from support.edge import RunningIntake, report
from support.vetting import RunningVerification


@dataclass(frozen=True)
class Place:
    """A time zone where it is another day than in UTC, and the day it is there."""

    zone: str
    today: date


def elsewhere() -> Place:
    """One of the two ends of the earth: at 14 hours ahead it is tomorrow from 10:00 UTC on, at 12 hours behind yesterday until noon."""
    now = datetime.now(UTC)
    zone, hours = ("Pacific/Kiritimati", 14) if now.hour >= 10 else ("Etc/GMT+12", -12)
    return Place(zone, (now + timedelta(hours=hours)).date())


@pytest.mark.parametrize(("days", "status"), [(0, 202), (1, 422)])
async def test_intake_knows_the_day_of_the_situation(intake: RunningIntake, days: int, status: int) -> None:
    place = elsewhere()
    known = await intake.service.register.get("XAA")
    moved = Situation.model_validate({**known.model_dump(), "version": known.version + 1, "time_zone": place.zone})
    async with intake.service.database.transaction("register", by=SYSTEM) as tx:
        await intake.service.register.save(tx, moved)
    day = str(place.today + timedelta(days=days))
    answer = await intake.post("/v1/incidents", report(occurred_from=day, occurred_to=None))
    assert answer.status_code == status, answer.text
    if status == 422:
        assert [error["code"] for error in answer.json()["errors"]] == ["in_future"]


async def moved(vetting: RunningVerification) -> Place:
    """Move the situation to where it is another day than in UTC."""
    place = elsewhere()
    answer = await vetting.send("PUT", "/v1/situations/XAA", "root", vetting.document(time_zone=place.zone, version=1))
    assert answer.status_code in (200, 201), answer.text
    return place


@pytest.mark.parametrize(("days", "parked"), [(0, []), (1, ["rejected"])])
async def test_a_report_that_arrives_is_judged_by_the_day_of_the_situation(
    vetting: RunningVerification, days: int, parked: list[str]
) -> None:
    place = await moved(vetting)
    await vetting.report(occurred_from=str(place.today + timedelta(days=days)), occurred_to=None)
    assert [reason.partition(":")[0] for reason in await vetting.parked()] == parked


@pytest.mark.parametrize(("days", "status"), [(0, 201), (1, 422)])
async def test_verification_knows_the_day_of_the_situation(vetting: RunningVerification, days: int, status: int) -> None:
    place = await moved(vetting)
    violation = f"{await vetting.report()}/k1"
    day = str(place.today + timedelta(days=days))
    decided = await vetting.decide(violation, decided_on=day)
    assert decided.status_code == status, decided.text
    line = {"violation": violation, "outcome": "reported_not_verified", "decided_on": day, "reason": "As it stands."}
    proposed = await vetting.post("/dockets", {"kind": "import", "lines": [line]}, "tomas")
    assert proposed.status_code == status, proposed.text
    if status == 422:
        assert [error["code"] for answer in (decided, proposed) for error in answer.json()["errors"]] == ["in_future", "in_future"]
