"""Every operation of every service × every role, a stranger, nobody × own, foreign, absent situation × object × state, over HTTP.

What to expect is computed from the permission table alone (`support.expected`). An operation that is not in the matrix fails it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest

from chassis.permissions import Caller
from chassis.storage import SYSTEM, Tx
from contracts.situation import Situation
from support.edge import RunningIntake, report
from support.exporting import RunningExport, afghanistan, export
from support.issuer import issuer
from support.matrix import ABSENT, FOREIGN, SHARED, UNKNOWN, Asked, Matrix, Somebody, Ways, always, operations_of, within
from support.running_aggregation import RunningAggregation, aggregation
from support.vetting import RunningVerification, decision, line, vetting

__all__ = ["aggregation", "export", "issuer", "vetting"]
Property = Callable[[str, object], None]
FEWEST = {"intake": 350, "verification": 1_100, "aggregation": 500, "export": 450}
"""A matrix that shrinks has lost something."""


async def in_full(matrix: Matrix, say: Property) -> None:
    await matrix.run()
    say("said", f"{matrix.cells.total()} cells: {dict(matrix.cells)}")
    assert matrix.failures == []
    assert matrix.cells.total() >= FEWEST[matrix.service.name]


async def described(client: Any) -> dict[str, str]:
    return operations_of((await client.get("/openapi.json")).json())


async def intake_matrix(intake: RunningIntake) -> Matrix:
    own = report()
    other, devices_own = report(), report()
    assert (await intake.post("/v1/incidents", own, person="monica")).status_code == 202
    assert (await intake.post("/v1/incidents", other, person="amina")).status_code == 202
    made = await intake.post("/v1/devices", {"situation": "XAA"}, person="monica")
    assert made.status_code == 201, made.text
    device = Somebody("device", made.json()["token"], frozenset({("XAA", "device")}), device=True)
    sent = await intake.client.post("/v1/incidents", json=devices_own, headers={"Authorization": f"Bearer {device.token}"})
    assert sent.status_code == 202, sent.text

    def about(suffix: str, *, body: bool) -> Ways:
        def way(known: dict[str, Any], relation: str, by: tuple[str, ...]) -> Callable[[str], Asked]:
            def asked(place: str) -> Asked:
                path = f"/v1/incidents/{known['key']}/{suffix}"
                sent = {**known, "situation": place} if body else None
                return Asked(path if body else f"{path}?situation={place}", sent, relation=relation, by=by)

            return asked

        rest = tuple(name for name in ("focal_point", "technical", "cochair_un", "cochair_unicef", "officer", "auditor", "operator"))
        return within(
            way(own, "own", ("monitor", *rest, "stranger", "no role", "no token")),
            way(devices_own, "own", ("device", "monitor")),
            way(other, "not_own", ("monitor", "device")),
        )

    ways = {
        **SHARED,
        "POST /v1/incidents": ("situation", within(lambda place: Asked("/v1/incidents", report(situation=place)))),
        "POST /v1/incidents/{incident}/revisions": ("situation", about("revisions", body=True)),
        "GET /v1/incidents/{incident}/status": ("situation", about("status", body=False)),
        "GET /v1/incidents": ("situation", within(lambda place: Asked(f"/v1/incidents?situation={place}", relation="own"))),
        "GET /v1/situations/{situation}": ("situation", within(lambda place: Asked(f"/v1/situations/{place}"))),
        "POST /v1/devices": ("situation", within(lambda place: Asked("/v1/devices", {"situation": place}))),
        "GET /v1/devices": ("of one's own", always(Asked("/v1/devices"))),
        "GET /v1/devices/counts": ("of one's own", always(Asked("/v1/devices/counts"))),
        "DELETE /v1/devices/{device}": ("one device", always(Asked(f"/v1/devices/{UNKNOWN}", there=False))),
        "POST /v1/devices/revocations": (
            "situation",
            within(lambda place: Asked("/v1/devices/revocations", {"situation": place, "person": "nobody-at-all"})),
        ),
    }
    return Matrix(
        intake.service,
        intake.client,
        intake.issuer,
        "XAA",
        await described(intake.client),
        ways,
        subjects={"monitor": "monica"},
        devices=[device],
    )


async def test_intake(intake: RunningIntake, record_property: Property) -> None:
    await in_full(await intake_matrix(intake), record_property)


async def verification_matrix(vetting: RunningVerification) -> Matrix:
    assert (await vetting.send("PUT", f"/v1/situations/{FOREIGN}", "root", vetting.document(FOREIGN))).status_code == 201
    incident, own = await vetting.report(), await vetting.report(by="farid")

    async def docket() -> str:
        return await vetting.docket(f"{await vetting.report()}/k1", kind="import")

    decided, withdrawn = await docket(), await docket()
    await vetting.approved(decided)
    assert (await vetting.post(f"/dockets/{withdrawn}/withdrawal", None, "tomas")).status_code == 201
    taken = await vetting.post(
        f"/incidents/{incident}/emergency-access",
        {"reason": "The family must be warned before the convoy leaves tonight.", "minutes": 30},
        "otto",
    )
    assert taken.status_code == 201, taken.text
    access = taken.json()["access"]

    def at(suffix: str, body: Any = None, **how: Any) -> Callable[[str], Asked]:
        return lambda place: Asked(f"/v1/situations/{place}{suffix}", body, **how)

    def in_situation(*asked: Callable[[str], Asked]) -> tuple[str, Ways]:
        return "situation", within(*asked)

    def dockets(suffix: str, *, relation: str, body: Any = None) -> tuple[str, Ways]:
        async def ways(place: str) -> Sequence[Asked]:
            path = f"/v1/situations/{place}/dockets"
            fresh = await docket() if place == "XAA" else decided
            return [
                Asked(f"{path}/{fresh}{suffix}", body, relation=relation, state="open"),
                Asked(f"{path}/{decided}{suffix}", body, relation=relation, state="decided"),
                Asked(f"{path}/{withdrawn}{suffix}", body, relation=relation, state="withdrawn"),
                Asked(f"{path}/{UNKNOWN}{suffix}", body, relation=relation, state="open", there=False),
            ]

        return "situation", ways

    violation = f"{incident}/k1"
    decisions = [
        at("/decisions", {"decisions": [decision(violation, stage=stage)]}, relation="not_own", state=stage)
        for stage in ("focal_point", "technical")
    ]
    ways = {
        **SHARED,
        "GET /v1/situations": ("of one's own", always(Asked("/v1/situations"))),
        "GET /v1/situations/{situation}": in_situation(at("")),
        "PUT /v1/situations/{situation}": in_situation(at("", vetting.document("XDD"))),
        "DELETE /v1/situations/{situation}": in_situation(at("")),
        "GET /v1/situations/{situation}/queue": in_situation(at("/queue")),
        "POST /v1/situations/{situation}/violations/lookup": in_situation(at("/violations/lookup", {"violations": [violation]})),
        "GET /v1/situations/{situation}/incidents": in_situation(at("/incidents")),
        "GET /v1/situations/{situation}/incidents/{incident}": in_situation(
            at(f"/incidents/{incident}"), at(f"/incidents/{UNKNOWN}", there=False)
        ),
        "POST /v1/situations/{situation}/incidents/{incident}/questions": in_situation(
            at(f"/incidents/{incident}/questions", {"message": "When?", "needs": ["date"]}),
            at(f"/incidents/{UNKNOWN}/questions", {"message": "When?", "needs": ["date"]}, there=False),
        ),
        "POST /v1/situations/{situation}/incidents/{incident}/emergency-access": in_situation(
            at(
                f"/incidents/{incident}/emergency-access",
                {"reason": "The family must be warned before the convoy leaves tonight.", "minutes": 5},
                relation="not_own",
            ),
            at(
                f"/incidents/{UNKNOWN}/emergency-access",
                {"reason": "The family must be warned before the convoy leaves tonight.", "minutes": 5},
                relation="not_own",
                there=False,
            ),
        ),
        "DELETE /v1/situations/{situation}/incidents/{incident}/emergency-access": in_situation(
            at(f"/incidents/{incident}/emergency-access", relation="not_own", there=False)
        ),
        "GET /v1/situations/{situation}/emergency-accesses": in_situation(at("/emergency-accesses")),
        "POST /v1/situations/{situation}/emergency-accesses/{access}/acknowledgement": in_situation(
            at(f"/emergency-accesses/{access}/acknowledgement", relation="not_own"),
            at(f"/emergency-accesses/{UNKNOWN}/acknowledgement", relation="not_own", there=False),
        ),
        "GET /v1/situations/{situation}/decisions": in_situation(
            at(f"/decisions?violation={violation}"), at(f"/decisions?violation={UNKNOWN}/k1", there=False)
        ),
        "POST /v1/situations/{situation}/decisions": in_situation(
            *decisions,
            at("/decisions", {"decisions": [decision(f"{own}/k1")]}, relation="own", state="focal_point", by=("focal_point",)),
        ),
        "GET /v1/situations/{situation}/dockets": in_situation(at("/dockets")),
        "POST /v1/situations/{situation}/dockets": in_situation(at("/dockets", {"kind": "import", "lines": [line(violation)]})),
        "GET /v1/situations/{situation}/dockets/{docket}": dockets("", relation="any"),
        "POST /v1/situations/{situation}/dockets/{docket}/approvals": dockets("/approvals", relation="not_own"),
        "POST /v1/situations/{situation}/dockets/{docket}/withdrawal": dockets("/withdrawal", relation="not_own"),
        "GET /v1/situations/{situation}/links": in_situation(at("/links")),
        "POST /v1/situations/{situation}/links": in_situation(
            at("/links", {"links": [{"kind": "duplicate", "violation": violation, "of": f"{own}/k1"}]})
        ),
        "GET /v1/situations/{situation}/records": in_situation(at("/records")),
    }
    return Matrix(
        vetting.service,
        vetting.client,
        vetting.issuer,
        "XAA",
        await described(vetting.client),
        ways,
        subjects={"focal_point": "farid", "technical": "tilda", "cochair_un": "ursula", "cochair_unicef": "imani"},
    )


async def test_verification(vetting: RunningVerification, record_property: Property) -> None:
    await in_full(await verification_matrix(vetting), record_property)


async def test_who_proposed_a_docket_may_take_it_back_and_nobody_else_of_the_level(vetting: RunningVerification) -> None:
    matrix = await verification_matrix(vetting)
    for subject, relation in (("tomas", "own"), ("tilda", "not_own")):
        docket = await vetting.docket(f"{await vetting.report()}/k1", kind="import")
        asked = Asked(f"/v1/situations/XAA/dockets/{docket}/withdrawal", relation=relation, state="open")
        answer = await matrix._send("POST ", asked, matrix.somebody(subject, subject, ("XAA", "technical")))
        assert answer.status_code == {"own": 201, "not_own": 403}[relation]


async def aggregation_matrix(aggregation: RunningAggregation) -> Matrix:
    known = {document.code for document in await aggregation.service.register.all()}
    for code in {"XAA", FOREIGN} - known:
        draft = {"code": code, "name": "Example", "time_zone": "Asia/Kabul", "parties": [], "places": []}
        await aggregation.house.add_situation(draft)
    snapshot, release = str(uuid4()), str(uuid4())
    await aggregation.owner.execute(
        "insert into snapshots values ('XAA', $1, 0, null, '2024-01-01', '2025-01-01', 'counts/1', '{}', '{}', 'olga', now())", snapshot
    )
    window = "from=2024-01-01&to=2025-01-01"
    never = {"from": "2024-01-01", "to": "2025-01-01", "as_of": 10**9}

    def at(suffix: str, body: Any = None, **how: Any) -> Callable[[str], Asked]:
        return lambda place: Asked(f"/v1/situations/{place}{suffix}", body, **how)

    def in_situation(*asked: Callable[[str], Asked]) -> tuple[str, Ways]:
        return "situation", within(*asked)

    base = "/v1/situations/{situation}"
    ways = {
        **SHARED,
        f"GET {base}/position": in_situation(at("/position")),
        f"GET {base}/ghn": in_situation(at(f"/ghn?{window}")),
        f"GET {base}/tables/{{table}}": in_situation(at(f"/tables/summary?{window}"), at(f"/tables/none?{window}", there=False)),
        f"GET {base}/tables/{{table}}/contributors": in_situation(at(f"/tables/summary/contributors?{window}&cell=x")),
        f"GET {base}/tables/changes": in_situation(at(f"/tables/changes?{window}&since=0")),
        f"GET {base}/snapshots": in_situation(at("/snapshots")),
        f"GET {base}/snapshots/{{snapshot}}": in_situation(at(f"/snapshots/{snapshot}"), at(f"/snapshots/{UNKNOWN}", there=False)),
        f"POST {base}/snapshots": in_situation(at("/snapshots", never)),
        f"GET {base}/releases": in_situation(at("/releases")),
        f"GET {base}/releases/{{release}}": in_situation(at(f"/releases/{release}", there=False)),
        f"POST {base}/releases": in_situation(at("/releases", {"release": release, **never})),
        f"POST {base}/rebuild": in_situation(at("/rebuild")),
        f"GET {base}/rebuild": in_situation(at("/rebuild")),
    }
    return Matrix(aggregation.service, aggregation.client, aggregation.issuer, "XAA", await described(aggregation.client), ways)


async def test_aggregation(aggregation: RunningAggregation, record_property: Property) -> None:
    await in_full(await aggregation_matrix(aggregation), record_property)


async def export_matrix(export: RunningExport) -> Matrix:
    async with export.service.database.transaction("register", by=SYSTEM) as tx:
        document = {**afghanistan(export.recipient).model_dump(), "code": FOREIGN, "recipients": {}}
        await export.service.register.save(tx, Situation.model_validate(document, strict=False))
    draft, signed = await export.draft(), await export.signed()
    snapshot = draft["snapshot"]
    form = {"snapshot": UNKNOWN, "product": "annual"}

    def at(suffix: str, body: Any = None, **how: Any) -> Callable[[str], Asked]:
        return lambda place: Asked(f"/v1/situations/{place}{suffix}", body, **how)

    def in_situation(*asked: Callable[[str], Asked]) -> tuple[str, Ways]:
        return "situation", within(*asked)

    def submissions(suffix: str, body: Any = None, *, any_state: bool = False) -> tuple[str, Ways]:
        states = {"draft": draft["submission"], "signed": signed["submission"]}
        every = [at(f"/submissions/{one}{suffix}", body, state="any" if any_state else state) for state, one in states.items()]
        absent = at(f"/submissions/{UNKNOWN}{suffix}", body, state="any" if any_state else "draft", there=False)
        return in_situation(*every, absent)

    base = "/v1/situations/{situation}"
    ways = {
        **SHARED,
        f"GET {base}/snapshots": in_situation(at("/snapshots")),
        f"GET {base}/snapshots/{{snapshot}}": in_situation(at(f"/snapshots/{snapshot}"), at(f"/snapshots/{UNKNOWN}", there=False)),
        f"GET {base}/submissions": in_situation(at("/submissions")),
        f"POST {base}/submissions": in_situation(at("/submissions", form)),
        f"GET {base}/submissions/{{submission}}": submissions("", any_state=True),
        f"PUT {base}/submissions/{{submission}}": submissions("", form),
        f"POST {base}/submissions/{{submission}}/approvals": submissions("/approvals", {"digest": "0" * 64}),
        f"GET {base}/submissions/{{submission}}/bundle": submissions("/bundle"),
    }
    return Matrix(export.service, export.client, export.issuer, "AFG", await described(export.client), ways)


async def test_export(export: RunningExport, record_property: Property) -> None:
    await in_full(await export_matrix(export), record_property)


async def test_a_foreign_situation_costs_the_same_statements_as_none(vetting: RunningVerification, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not yours and not there are one answer in time too: the same code, the same statements."""
    matrix = await verification_matrix(vetting)
    stranger = matrix.somebody("stranger", "stella", ("XCC", "technical"))
    run: list[str] = []

    def noting(name: str) -> Callable[..., Awaitable[Any]]:
        original = getattr(Tx, name)

        async def note(tx: Tx, sql: str, *args: Any) -> Any:
            run.append(f"{tx.name}: {sql}")
            return await original(tx, sql, *args)

        return note

    for name in ("fetch", "fetchrow", "fetchval", "execute", "executemany"):
        monkeypatch.setattr(Tx, name, noting(name))
    compared = 0
    for operation, (about, ways) in matrix.ways.items():
        if about == "situation":
            seen = []
            for place in (FOREIGN, ABSENT):
                asked = (await ways(place))[0]
                await vetting.service.register.all()
                run.clear()
                assert (await matrix._send(operation, asked, stranger)).status_code == 404
                seen.append([one for one in run if one.startswith("record_attempt")])
            assert seen[0] == seen[1], operation
            assert seen[0], operation
            compared += 1
    assert compared > 20


class TestPlantedHolesAreSeen:
    """Faults that the matrix exists to find: each must make it fail, also where the edge would not stand before the route."""

    @pytest.fixture(autouse=True)
    def without_the_edge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let everybody reach the routes."""

        def admitted(caller: Caller, situation: str) -> None:
            """Ask nothing."""

        monkeypatch.setattr(Caller, "admit", admitted)

    async def test_a_route_that_checks_another_situation(self, export: RunningExport, monkeypatch: pytest.MonkeyPatch) -> None:
        matrix = await export_matrix(export)
        require = Caller.require
        monkeypatch.setattr(Caller, "require", lambda caller, _, **how: require(caller, "AFG", **how))
        await matrix.run(lambda operation: operation.startswith("GET") and operation.endswith(("/snapshots", "/submissions")))
        assert any("/snapshots" in failure and "expected 404, got 200" in failure for failure in matrix.failures)
        # what is recorded in the record of acts is not answered where the entry may not stand
        assert any("/submissions" in failure and "expected 404, got 500" in failure for failure in matrix.failures)

    async def test_a_route_that_checks_nothing(self, export: RunningExport, monkeypatch: pytest.MonkeyPatch) -> None:
        matrix = await export_matrix(export)

        def unchecked(caller: Caller, situation: str, **how: str) -> None:
            """Ask nothing."""

        monkeypatch.setattr(Caller, "require", unchecked)
        await matrix.run(lambda operation: operation.startswith("GET") and "submissions" in operation)
        assert any("expected 404, got 500" in failure for failure in matrix.failures)  # held back by the edge
        assert not any("got 200" in failure for failure in matrix.failures)

    async def test_a_route_that_says_it_has_checked(self, export: RunningExport, monkeypatch: pytest.MonkeyPatch) -> None:
        matrix = await export_matrix(export)

        def pretended(caller: Caller, situation: str, **how: str) -> None:
            caller.checked = True

        monkeypatch.setattr(Caller, "require", pretended)
        await matrix.run(lambda operation: operation == "GET /v1/situations/{situation}/submissions/{submission}")
        assert matrix.failures
        assert not any("got 200" in failure for failure in matrix.failures)  # row-level security lets no row through

    async def test_an_operation_that_nobody_put_into_the_matrix(self, export: RunningExport) -> None:
        matrix = await export_matrix(export)
        matrix.operations = {**matrix.operations, "GET /v1/new": "snapshot.read"}
        await matrix.run(lambda _: False)
        assert any("/v1/new" in failure for failure in matrix.failures)
