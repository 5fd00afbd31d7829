"""Every reason to refuse an incident at the door, through the API: the field is named, nothing is repeated or stored."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.edge import RunningIntake, report

CANARY = "canary-7c1d"
NOTHING = {"incidents": 0, "revisions": 0, "outbox": 0, "audit_entries": 0}
Change = Callable[[dict[str, Any]], None]


def put(*path: str | int, value: Any) -> Change:
    """Set one value of a document."""

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for part in path[:-1]:
            place = place[part]
        if isinstance(place, list) and path[-1] == len(place):
            place.append(value)
        else:
            place[path[-1]] = value

    return change


def drop(*path: str | int) -> Change:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]

    return change


def both(*changes: Change) -> Change:
    def change(document: dict[str, Any]) -> None:
        for one in changes:
            one(document)

    return change


VIOLATION = {"key": "k2", "type": "attack_on_schools"}
REFUSED: list[tuple[str, Change, str, str]] = [
    ("tally below the linked victims", put("violations", 0, "boys", value=0), "violations[0].boys", "does_not_cover"),
    ("tally below the linked groups", put("violations", 0, "unknown", value=0), "violations[0].unknown", "does_not_cover"),
    ("a written 0 that does not cover", put("victims", 0, "sex", value="female"), "violations[0].girls", "does_not_cover"),
    (
        "tally on a type that counts incidents",
        put("violations", 0, value={"key": "k1", "type": "attack_on_schools", "girls": 0, "boys": 1}),
        "violations[0].unknown",
        "does_not_cover",
    ),
    (
        "child type without a child",
        both(put("violations", 0, value={"key": "k1", "type": "abduction"}), put("victims", value=[]), put("groups", value=[])),
        "violations[0]",
        "no_child",
    ),
    ("age above 17", put("victims", 0, "age", value=18), "victims[0].age", "not_a_child"),
    ("age above what anybody reaches", put("victims", 0, "age", value=201), "victims[0].age", "too_large"),
    ("age below 0", put("victims", 0, "age", value=-1), "victims[0].age", "too_small"),
    ("unknown violation type", put("violations", 0, "type", value=CANARY), "violations[0].type", "unknown_code"),
    ("unknown sex", put("victims", 0, "sex", value=CANARY), "victims[0].sex", "unknown_code"),
    ("unknown attribution", put("perpetrators", 0, "attribution", value=CANARY), "perpetrators[0].attribution", "unknown_code"),
    ("unknown list of a detail", put("violations", 0, "details", value={CANARY: ["x"]}), "violations[0].details", "unknown_code"),
    (
        "unknown code of a detail",
        put("violations", 0, "details", "weapon_type", value=[CANARY]),
        "violations[0].details.weapon_type",
        "unknown_code",
    ),
    (
        "a detail that is no list",
        put("violations", 0, "details", "weapon_type", value=CANARY),
        "violations[0].details.weapon_type",
        "wrong_type",
    ),
    ("unknown source category", put("sources", 0, "category", value=CANARY), "sources[0].category", "unknown_code"),
    ("unknown source type", put("sources", 0, "type", value=CANARY), "sources[0].type", "unknown_code"),
    ("unknown reliability", put("sources", 0, "reliability", value=CANARY), "sources[0].reliability", "unknown_code"),
    ("unknown credibility", put("sources", 0, "credibility", value=CANARY), "sources[0].credibility", "unknown_code"),
    ("unknown consent", put("sources", 0, "consent", value=[CANARY]), "sources[0].consent", "unknown_code"),
    ("unknown age band", put("victims", 0, "age_band", value=CANARY), "victims[0].age_band", "unknown_code"),
    ("unknown vulnerability", put("victims", 0, "vulnerabilities", value=[CANARY]), "victims[0].vulnerabilities", "unknown_code"),
    ("unknown place type", put("place_type", value=CANARY), "place_type", "unknown_code"),
    ("unknown response", put("response", value=[{"type": CANARY}]), "response[0].type", "unknown_code"),
    ("unknown party", put("perpetrators", 0, "party", value=CANARY), "perpetrators[0].party", "unknown_code"),
    ("unknown place", put("place", value=CANARY), "place", "unknown_code"),
    ("unknown date precision", put("date_precision", value=CANARY), "date_precision", "unknown_code"),
    ("victim's reference", put("victims", 0, "violations", value=["k1", CANARY]), "victims[0].violations", "unknown_reference"),
    ("group's reference", put("groups", 0, "violations", value=["k1", CANARY]), "groups[0].violations", "unknown_reference"),
    ("perpetrator's reference", put("perpetrators", 0, "violations", value=[CANARY]), "perpetrators[0].violations", "unknown_reference"),
    ("source's reference", put("sources", 0, "violations", value=[CANARY]), "sources[0].violations", "unknown_reference"),
    ("evidence's reference", put("evidence", value=[{"key": "e", "violations": [CANARY]}]), "evidence[0].violations", "unknown_reference"),
    (
        "response's reference",
        put("response", value=[{"type": "medical_care", "violations": [CANARY]}]),
        "response[0].violations",
        "unknown_reference",
    ),
    *[
        (
            f"{kind} without a party",
            put("perpetrators", 0, value={"attribution": kind, "violations": ["k1"]}),
            "perpetrators[0].party",
            "missing",
        )
        for kind in ("sole", "joint", "crossfire", "alleged")
    ],
    *[
        (
            f"{kind} with a party",
            put("perpetrators", 0, "attribution", value=kind),
            "perpetrators[0].party",
            "contradiction",
        )
        for kind in ("unidentified", "no_actor")
    ],
    ("violation key with a slash", put("violations", 0, "key", value=f"{CANARY}/x"), "violations[0].key", "wrong_form"),
    ("victim key with a slash", put("victims", 0, "key", value=f"{CANARY}/x"), "victims[0].key", "wrong_form"),
    ("group key with a slash", put("groups", 0, "key", value=f"{CANARY}/x"), "groups[0].key", "wrong_form"),
    ("incident key that is no UUID", put("key", value=CANARY), "key", "wrong_form"),
    ("place code with a slash", put("place", value=f"{CANARY}/x"), "place", "wrong_form"),
    ("place code beginning with _", put("place", value=f"_{CANARY}"), "place", "wrong_form"),
    ("party code beginning with _", put("perpetrators", 0, "party", value=f"_{CANARY}"), "perpetrators[0].party", "wrong_form"),
    ("situation code with a slash", put("situation", value=f"{CANARY}/x"), "situation", "wrong_form"),
    ("violation key twice", put("violations", 1, value={**VIOLATION, "key": "k1"}), "violations[1].key", "twice"),
    ("victim key twice", put("victims", 1, value={"key": "c1", "sex": "male", "violations": []}), "victims[1].key", "twice"),
    ("group key twice", put("groups", 1, value={"key": "g1", "violations": []}), "groups[1].key", "twice"),
    ("occurred_to before occurred_from", put("occurred_to", value="2024-01-22"), "occurred_to", "before_start"),
    ("ongoing with occurred_to", put("ongoing", value=True), "ongoing", "contradiction"),
    ("ongoing other than true", both(drop("occurred_to"), put("ongoing", value=False)), "ongoing", "unknown_code"),
    ("first report without a violation", put("violations", value=[]), "violations", "too_few"),
    ("occurred_from in the future", both(put("occurred_from", value="2100-01-01"), drop("occurred_to")), "occurred_from", "in_future"),
    ("occurred_to in the future", put("occurred_to", value="2100-01-01"), "occurred_to", "in_future"),
    ("a day that is none", put("occurred_from", value="2024-02-30"), "occurred_from", "wrong_form"),
    ("a day with a time", put("occurred_from", value="2024-02-03T00:00:00"), "occurred_from", "wrong_form"),
    ("a day as a number", put("occurred_from", value=1706000000), "occurred_from", "wrong_form"),
    ("no day", drop("occurred_from"), "occurred_from", "missing"),
    ("no violations", drop("violations"), "violations", "missing"),
    ("no situation", drop("situation"), "situation", "missing"),
    ("no key", drop("key"), "key", "missing"),
    ("an unknown field", put(CANARY, value="x"), "(document)", "unknown_field"),
    ("an unknown field of a violation", put("violations", 0, CANARY, value=1), "violations[0]", "unknown_field"),
    ("a tally as a text", put("violations", 0, "boys", value="2"), "violations[0].boys", "wrong_type"),
    ("a tally as a fraction", put("violations", 0, "boys", value=2.5), "violations[0].boys", "wrong_type"),
    ("a tally as true", put("violations", 0, "boys", value=True), "violations[0].boys", "wrong_type"),
    ("a tally below 0", put("violations", 0, "girls", value=-1), "violations[0].girls", "too_small"),
    ("a tally beyond belief", put("violations", 0, "girls", value=100_001), "violations[0].girls", "too_large"),
    ("a group as a text", put("groups", 0, value=CANARY), "groups[0]", "wrong_type"),
    ("victims as an object", put("victims", value={}), "victims", "wrong_type"),
    ("narrative as a number", put("narrative", value=5), "narrative", "wrong_type"),
    ("narrative too long", put("narrative", value=CANARY * 2_000), "narrative", "too_long"),
    ("narrative empty", put("narrative", value=""), "narrative", "too_short"),
    ("latitude beyond the pole", put("coordinates", value={"latitude": 91, "longitude": 0}), "coordinates.latitude", "too_large"),
    ("evidence digest", put("evidence", value=[{"key": "e", "sha256": CANARY}]), "evidence[0].sha256", "wrong_form"),
    (
        "too many violations",
        put("violations", value=[{"key": f"k{n}", "type": "military_use"} for n in range(201)]),
        "violations",
        "too_many",
    ),
    ("too many links", put("victims", 0, "violations", value=["k1"] * 201), "victims[0].violations", "too_many"),
]


@pytest.mark.parametrize(("change", "field", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_refused_by_its_field_and_never_repeated(quiet_intake: RunningIntake, change: Change, field: str, code: str) -> None:
    document = report()
    change(document)
    answer = await quiet_intake.post("/v1/incidents", document)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (field, code) in {(error["field"], error["code"]) for error in body["errors"]}
    assert all(error["message"] for error in body["errors"])
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)
    assert await quiet_intake.rows() == NOTHING


async def test_every_error_of_a_report_is_named_at_once(quiet_intake: RunningIntake) -> None:
    answer = await quiet_intake.post("/v1/incidents", report(place="nowhere", occurred_to="2100-01-01", occurred_from="2100-01-02"))
    assert {error["field"] for error in answer.json()["errors"]} == {"place", "occurred_from", "occurred_to"}


async def test_what_is_refused_of_a_first_report_is_refused_of_a_revision(intake: RunningIntake) -> None:
    document = report()
    await intake.post("/v1/incidents", document)
    before = await intake.rows()
    path = f"/v1/incidents/{document['key']}/revisions"
    answer = await intake.post(path, {**document, "place": CANARY, "perpetrators": []})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "place")
    assert CANARY not in answer.text
    assert await intake.rows() == before


@pytest.mark.parametrize("day", ["today", "tomorrow"])
async def test_the_day_is_that_of_the_situation(intake: RunningIntake, day: str) -> None:
    situation = await intake.service.register.get("XAA")
    last = situation.today(datetime.now(UTC)) + timedelta(days=day == "tomorrow")
    answer = await intake.post("/v1/incidents", report(occurred_from=str(last), occurred_to=None))
    assert answer.status_code == (422 if day == "tomorrow" else 202)


def nested(depth: int) -> bytes:
    return b'{"situation":' + b"[" * depth + b"]" * depth + b"}"


UNREADABLE: list[tuple[str, bytes, int, str]] = [
    ("empty", b"", 400, "not_json"),
    ("not JSON", b'{"situation": canary-7c1d}', 400, "not_json"),
    ("cut short", json.dumps(report()).encode()[:-1], 400, "not_json"),
    ("two documents", b"{}{}", 400, "not_json"),
    ("not UTF-8", b'{"situation": "\xff\xfe canary-7c1d"}', 400, "not_utf8"),
    ("UTF-16", json.dumps(report()).encode("utf-16"), 400, "not_utf8"),
    ("overlong UTF-8", b'{"situation": "\xc0\xaf"}', 400, "not_utf8"),
    ("a byte order mark", b"\xef\xbb\xbf" + json.dumps(report()).encode(), 400, "not_json"),
    ("deeper than 32", nested(40), 400, "too_deep"),
    ("deeper than any parser", nested(200_000), 400, "too_deep"),
    ("objects deeper than any parser", b'{"a":' * 100_000, 400, "too_deep"),
    ("NaN", b'{"coordinates": {"latitude": NaN}}', 400, "not_json"),
    ("Infinity", b'{"coordinates": {"latitude": -Infinity}}', 400, "not_json"),
    ("a number of a million digits", b'{"occurred_from": ' + b"9" * 1_000_000 + b"}", 400, "not_json"),
    ("a list", b"[]", 422, "invalid"),
    ("a text", b'"canary-7c1d"', 422, "invalid"),
    ("null", b"null", 422, "invalid"),
    ("a name twice", b'{"situation": "XAA", "situation": "canary-7c1d"}', 422, "invalid"),
    ("a name twice, spelled differently", b'{"situation": "XAA", "s\\u0069tuation": "canary-7c1d"}', 422, "invalid"),
    ("half a surrogate pair", json.dumps(report(narrative="x")).replace('"x"', '"\\ud800"').encode(), 422, "invalid"),
]


@pytest.mark.parametrize(("raw", "status", "code"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE])
async def test_unreadable_bodies_are_4xx_and_store_nothing(quiet_intake: RunningIntake, raw: bytes, status: int, code: str) -> None:
    answer = await quiet_intake.post("/v1/incidents", raw)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert CANARY not in answer.text
    assert await quiet_intake.rows() == NOTHING


async def test_a_body_over_the_limit_is_413(quiet_intake: RunningIntake) -> None:
    answer = await quiet_intake.post("/v1/incidents", b" " * (1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert await quiet_intake.rows() == NOTHING


async def test_the_largest_honest_report_is_accepted(intake: RunningIntake) -> None:
    victims = [{"key": f"v{n}", "sex": "female", "name": "n" * 300, "violations": ["k1"]} for n in range(1_000)]
    document = report(victims=victims, groups=None, violations=[{"key": "k1", "type": "killing"}], narrative="ن" * 20_000)
    assert (await intake.post("/v1/incidents", document)).status_code == 202


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": ""}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "Application/JSON; charset=UTF-8"}, 202),
        ({"Content-Type": "application/json", "Content-Encoding": "identity"}, 202),
    ],
)
async def test_only_plain_json_is_read(intake: RunningIntake, headers: dict[str, str], status: int) -> None:
    token = {"Authorization": f"Bearer {intake.token('amina', '/XAA/monitor')}"}
    answer = await intake.client.post("/v1/incidents", content=json.dumps(report()).encode(), headers={**token, **headers})
    assert answer.status_code == status
