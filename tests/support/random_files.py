"""Whole exchange files made at random, with the answers that the oracle gives: no file is like another, and a seed brings one back."""

import os
import random
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from support.histories import TABLES, LawfulAuthor
from support.oracle import Oracle, acts_of

ZONES = ["Asia/Kabul", "UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Bogota", "Africa/Khartoum", "Asia/Kathmandu"]
BESIDE_THE_PAGE = {"by_grave_violation_and_parties"}
"""Tables of the service that the counting page does not know, and so no exchange file may ask."""


def seed_of_this_run() -> int:
    """The seed to start from: the one asked for, else a new one."""
    asked = os.environ.get("MRM_TEST_SEED")
    return int(asked) if asked else random.SystemRandom().randrange(2**32)


def random_situation(rng: random.Random) -> dict[str, Any]:
    """Return a situation: a tree of places whose levels may leave gaps, roots anywhere, a time zone from all around the earth."""
    places: list[dict[str, Any]] = []
    for number in range(rng.randrange(12)):
        place = {"code": f"X{number}", "name": f"Place {number}", "level": rng.randrange(4)}
        above = [known["code"] for known in places if known["level"] < place["level"]]
        if above and rng.random() < 0.8:
            place["parent"] = rng.choice(above)
        places.append(place)
    return {
        "code": "XRA",
        "name": "Random",
        "time_zone": rng.choice(ZONES),
        "parties": [
            {"code": f"party_{number}", "type": rng.choice(["armed_force", "armed_group"]), "name": f"Party {number}"}
            for number in range(rng.randrange(1, 6))
        ],
        "places": places,
    }


def random_file(
    seed: int, *, incidents: int = 24, decisions: int = 45, links: int = 14, queries: int = 40, steps: int | None = None
) -> dict[str, Any]:
    """Return a file of about that many records in one to four steps, and exactly that many queries, many of them as of a step."""
    rng = random.Random(seed)
    situation = random_situation(rng)
    author = LawfulAuthor(rng, situation, today=datetime.now(UTC).astimezone(ZoneInfo(situation["time_zone"])).date())
    count = steps or rng.randrange(1, 5)
    written = []
    for _ in range(count):
        first = len(author.acts)
        write_step(author, incidents=incidents // count, decisions=decisions // count, links=links // count)
        written.append(step_of(author.acts[first:]))
    document = {"format": "mrm-exchange/1", "note": f"seed {seed}", "situation": situation, "steps": written}
    known = {step: Oracle(situation, acts_of(document, step)) for step in range(1, count + 1)}
    return {**document, "queries": [random_query(author, known) for _ in range(queries)]}


def write_step(author: LawfulAuthor, *, incidents: int, decisions: int, links: int) -> None:
    """Write a step's acts in the order of their kinds; an incident comes once in a step."""
    rng = author.rng
    before = sorted(author.held)
    revised = rng.sample(before, min(len(before), incidents // 3))
    for key in revised:
        author.write(lambda key=key: author.revise(key))
    for _ in range(max(incidents - len(revised), 1)):
        author.write(author.report)
    for _ in range(decisions):
        author.write(author.decision)
    for _ in range(links):
        author.write(rng.choice([author.link, author.link, author.undoing]))


def step_of(acts: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return acts as a step of a file."""
    parts = {"incident": "incidents", "decision": "decisions", "link": "links"}
    return {part: found for kind, part in parts.items() if (found := [content for name, content in acts if name == kind])}


def random_query(author: LawfulAuthor, known: dict[int, Oracle]) -> dict[str, Any]:
    """Return a query with the oracle's answer, now or as of the end of a step."""
    table, start, end, params = author.question(sorted(set(TABLES) - BESIDE_THE_PAGE))
    step = author.rng.choice([None, None, *known])
    answer = known[step or max(known)].answer(table, start, end, params)
    return {
        "table": table,
        "from": start,
        "to": end,
        **({"after_step": step} if step else {}),
        **({"params": params} if params else {}),
        "expected": answer,
    }
