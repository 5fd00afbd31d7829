"""Whatever bytes a body is made of, every route that takes one answers without a fault of its own and repeats none of them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.edge import RunningIntake, intake, report
from support.exporting import RunningExport, export
from support.issuer import Issuer, issuer
from support.running_aggregation import RunningAggregation, aggregation
from support.vetting import RunningVerification, decision, line, new_incident, vetting

__all__ = ["aggregation", "export", "intake", "issuer", "vetting"]
EVERY_ROLE: Final = ("monitor", "focal_point", "technical", "cochair_un", "cochair_unicef", "officer", "auditor")
EXCHANGE: Final = Path(__file__).parents[1] / "data" / "exchange"
EXAMPLES: Final = 40
CANARY: Final = "zqxkanarie"
UNSAFE: Final = ("post", "put", "patch", "delete")
FIRST_FAULT, FIRST_ERROR = 500, 400
EXPECTED: Final = {"intake": 4, "verification": 8, "aggregation": 4, "export": 4}
"""At least so many unsafe operations are found in each description: a description that names none would pass everything."""

Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(CANARY) | st.just(CANARY + "\x00\ud800"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.just(CANARY), inner, max_size=4),
    max_leaves=12,
)
KINDS: Final = st.sampled_from(
    ["application/json"] * 6 + ["application/json; charset=utf-16", "text/plain", "multipart/form-data; boundary=x", ""]
)


def seeds(situation: str) -> list[Any]:
    """Bodies that some route takes: what is changed a little gets further than what is random."""
    incident = new_incident()
    violation = f"{incident}/k1"
    return [
        report(situation=situation),
        {"decisions": [decision(violation)]},
        {"kind": "decisions", "lines": [line(violation)]},
        {"links": [{"kind": "duplicate", "violation": violation, "of": f"{uuid4()}/k1"}]},
        {"message": CANARY, "needs": ["place"]},
        {"from": "2024-01-01", "to": "2025-01-01", "snapshot": str(uuid4())},
        {"snapshot": str(uuid4()), "product": "annual", "narrative": []},
        {"reason": CANARY * 3, "minutes": 5},
        {},
    ]


@st.composite
def bodies(draw: st.DrawFn, known: list[Any]) -> bytes:
    """Random bytes, random JSON in several encodings, and known bodies with a value replaced or some bytes changed."""
    match draw(st.integers(0, 3)):
        case 0:
            return draw(st.binary(max_size=200))
        case 1:
            encoding = draw(st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "latin-1"]))
            return json.dumps(draw(Json), ensure_ascii=draw(st.booleans())).encode(encoding, "replace")
        case 2:
            document = json.loads(json.dumps(draw(st.sampled_from(known))))
            _replace_one(draw, document)
            return json.dumps(document).encode()
        case _:
            raw = bytearray(json.dumps(draw(st.sampled_from(known))).encode())
            for _ in range(draw(st.integers(1, 4))):
                place = draw(st.integers(0, max(len(raw) - 1, 0)))
                raw[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
            return bytes(raw)


def _replace_one(draw: st.DrawFn, document: Any) -> None:
    while isinstance(document, dict | list) and document:
        key: Any = draw(st.sampled_from(sorted(document))) if isinstance(document, dict) else draw(st.integers(0, len(document) - 1))
        if not isinstance(document[key], dict | list) or not document[key] or draw(st.integers(0, 3)) == 0:
            document[key] = draw(Json)
            return
        document = document[key]


async def unsafe_operations(client: httpx.AsyncClient, situation: str) -> list[tuple[str, str]]:
    """Return method and address of every operation that may change something, with ids that are none of ours."""
    description = (await client.get("/openapi.json")).json()
    found = []
    for path, operations in description["paths"].items():
        for method in UNSAFE:
            if method in operations:
                names = [part["name"] for part in operations[method].get("parameters", ()) if part["in"] == "path"]
                values = {name: situation if name in ("situation", "code") else str(uuid4()) for name in names}
                found.append((method.upper(), path.format(**values)))
    return found


def made(known: list[Any]) -> list[tuple[bytes, str]]:
    """Return bodies with the kind each says it is, the same in every run."""
    found: list[tuple[bytes, str]] = []

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(bodies(known), KINDS)
    def collect(body: bytes, kind: str) -> None:
        found.append((body, kind))

    collect()
    return found


async def attack(client: httpx.AsyncClient, token: str, *, service: str, situation: str = "XAA") -> None:
    """Send every operation every body; no answer is a fault, every refusal is a problem, and none repeats what was sent."""
    operations, seen = await unsafe_operations(client, situation), Counter[int]()
    assert len(operations) >= EXPECTED[service]
    sent = made(seeds(situation))
    for method, path in operations:
        for body, kind in sent:
            headers = {"Authorization": f"Bearer {token}", **({"Content-Type": kind} if kind else {})}
            answer = await client.request(method, path, content=body, headers=headers)
            seen[answer.status_code] += 1
            assert answer.status_code < FIRST_FAULT, (method, path, kind, body)
            if answer.status_code >= FIRST_ERROR:
                assert answer.headers["content-type"].startswith("application/problem+json"), (method, path, kind, body)
                assert CANARY not in answer.text, (method, path, kind, body)
                assert CANARY not in str(answer.headers), (method, path, kind, body)
    print(f"{service}: {len(operations)} operations, {seen.total()} bodies, answers {dict(sorted(seen.items()))}")
    assert {400, 422} & seen.keys(), "the bodies must have been read"


def everything(issuer: Issuer, situation: str) -> str:
    """A token of somebody with every role: what the table refuses would never read the body."""
    return issuer.token("everybody", *(f"/{situation}/{role}" for role in EVERY_ROLE), "/_all/operator")


async def test_no_body_makes_intake_stumble(intake: RunningIntake) -> None:
    await attack(intake.client, everything(intake.issuer, "XAA"), service="intake")


async def test_no_body_makes_verification_stumble(vetting: RunningVerification) -> None:
    await attack(vetting.client, everything(vetting.issuer, "XAA"), service="verification")


async def test_no_body_makes_aggregation_stumble(aggregation: RunningAggregation) -> None:
    document = json.loads((EXCHANGE / "example.json").read_text("utf-8"))
    coder, _ = await aggregation.house.load(document)
    situation = coder.names.situation
    await attack(aggregation.client, everything(aggregation.issuer, situation), service="aggregation", situation=situation)


async def test_no_body_makes_export_stumble(export: RunningExport) -> None:
    await attack(export.client, everything(export.issuer, "AFG"), service="export", situation="AFG")
