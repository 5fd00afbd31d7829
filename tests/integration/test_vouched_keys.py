"""Nobody makes a service seal to his key: not who writes its database, not the operator; and a genuine entry mends a changed copy."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from chassis.delivery.messages import Message
from chassis.sealing.errors import SealError
from chassis.sealing.opening import open_sealed
from chassis.sealing.opening_keys import OpeningKey, generate_opening_key
from chassis.sealing.seal import sign_only
from chassis.sealing.signed import Expectation
from chassis.sealing.vouchers import vouch
from chassis.service import looking_at_keys
from contracts.envelope import Header
from contracts.events import SituationRegistered
from contracts.situation import Situation
from support.edge import RunningIntake, report, situation_document
from support.sealing import KeysInMemory
from support.vetting import SITUATION, RunningVerification
from support.vouched import VOUCHERS, entry, vouched


async def inject(owner: Any, *, version: int | None, holder: str = "verification", **added: Any) -> None:
    """What whoever writes a service's database does: one more key into its copy of the register, and perhaps a version from the future."""
    document = json.loads(await owner.fetchval("select document from situations where code = 'XAA'"))
    document["recipients"][holder].append(added)
    document["version"] = version or document["version"]
    await owner.execute("update situations set document = $1, version = $2 where code = 'XAA'", json.dumps(document), document["version"])


def registered(document: Situation, number: int) -> Message:
    """The register entry as verification publishes it."""
    event, signer = SituationRegistered(situation=document.code, document=document), VOUCHERS["verification"]
    header = Header.of(
        event_type=event.type, situation=document.code, subject=document.code, event=uuid4(), sequence=number, writer="verification",
        at=datetime.now(UTC), signing=signer.id,
    )  # fmt: skip
    raw = sign_only(header=header, payload=event.model_dump_json().encode(), signer=signer)
    return Message(topic="verification.situations", key=document.code.encode(), value=raw)


async def openable(intake: RunningIntake, key: OpeningKey) -> int:
    """Count what lies in intake's outbox and opens with a key."""
    count = 0
    for row in await intake.owner.fetch("select * from outbox"):
        expect = Expectation(types=frozenset({row["event_type"]}), writer="intake", subject=row["subject"], situation=row["situation"])
        try:
            open_sealed(row["value"], keys=KeysInMemory(key), trust=intake.service.trust, expect=expect)
        except SealError:
            continue
        count += 1
    return count


async def readiness(intake: RunningIntake) -> str:
    """Look at the keys as the job does, and ask as an operator's probe would."""
    await looking_at_keys(intake.service).run()
    answer: str = (await intake.client.get("/readyz")).json()["checks"]["opening_keys"]
    return answer


def strangers(key: OpeningKey) -> Mapping[str, dict[str, str]]:
    """What a stranger can put beside a key of his own: nothing that any pinned signing key of verification has signed for it."""
    sound = entry(key)
    bare = {"id": key.id, "public": key.public.base64, "vouched_by": VOUCHERS["verification"].id}
    return {
        "none": {**bare, "voucher": "A" * 86 + "=="},
        "another's": {**bare, "voucher": entry(generate_opening_key("verification", "XAA"))["voucher"]},
        "of another situation": {**bare, "voucher": entry(generate_opening_key("verification", "XBB"))["voucher"]},
        "by another service": {**sound, "vouched_by": VOUCHERS["intake"].id},
        "by an unknown key": {**sound, "vouched_by": "verification/signing/0badc0de"},
    }


@pytest.mark.parametrize("how", list(strangers(generate_opening_key("verification", "XAA"))))
async def test_a_key_written_into_intakes_database_gets_no_report(intake: RunningIntake, how: str) -> None:
    stranger = generate_opening_key("verification", "XAA")
    assert (await intake.post("/v1/incidents", report())).status_code == 202
    assert await readiness(intake) == "ok"
    before = await intake.rows()
    await inject(intake.owner, version=1000, **strangers(stranger)[how])
    intake.service.register.expire()
    answer = await intake.post("/v1/incidents", report())
    assert (answer.status_code, answer.json()["code"]) == (503, "situation.unvouched_key")
    assert int(answer.headers["Retry-After"]) > 0
    assert (await intake.rows(), await openable(intake, stranger), await openable(intake, intake.opening)) == (before, 0, 1)
    assert await readiness(intake) == "situation.unvouched_key"


async def test_the_services_own_database_role_gets_no_further(intake: RunningIntake) -> None:
    stranger = generate_opening_key("verification", "XAA")
    entry_of_his = strangers(stranger)["none"]
    async with intake.service.database.pool.acquire() as connection:
        await connection.execute("set mrm.action = 'system'")  # until the pool has it back
        await connection.execute(
            "update situations set version = 7,"
            " document = jsonb_set(jsonb_set(document, '{version}', '7'), '{recipients,verification,0}', $1) where code = 'XAA'",
            entry_of_his,
        )
    intake.service.register.expire()
    answer = await intake.post("/v1/incidents", report())
    assert (answer.status_code, answer.json()["code"]) == (503, "situation.unvouched_key")
    assert await openable(intake, stranger) == 0


@pytest.mark.parametrize("version", [1000, 3, 2], ids=["raised", "of the next", "its own"])
async def test_the_next_genuine_entry_mends_a_changed_copy(intake: RunningIntake, version: int) -> None:
    stranger = generate_opening_key("verification", "XAA")
    genuine = situation_document("XAA", intake.opening, version=2)
    await intake.service.receiver.receive([registered(genuine, 2)])
    await inject(intake.owner, version=version, **strangers(stranger)["none"])
    intake.service.register.expire()
    refused = await intake.post("/v1/incidents", report()) if version != genuine.version else None
    assert refused is None or refused.status_code == 503
    await intake.service.receiver.receive([registered(genuine.model_copy(update={"version": 3}), 3)])
    answer = await intake.post("/v1/incidents", report())
    assert (answer.status_code, await openable(intake, intake.opening), await openable(intake, stranger)) == (202, 1, 0)
    assert (await intake.service.register.get("XAA")).version == 3
    assert await readiness(intake) == "ok"
    await intake.service.receiver.receive([registered(genuine, 2)])  # an older one changes nothing
    assert await intake.owner.fetchval("select version from situations where code = 'XAA'") == 3


async def test_a_second_vouched_key_arrives_with_the_register_and_opens_the_next_report(intake: RunningIntake) -> None:
    second = generate_opening_key("verification", "XAA")
    assert (await intake.post("/v1/incidents", report())).status_code == 202
    both = {"verification": [vouched(intake.opening), vouched(second)]}
    await intake.service.receiver.receive([registered(situation_document("XAA", intake.opening, version=2, recipients=both), 2)])
    assert (await intake.post("/v1/incidents", report())).status_code == 202
    assert (await openable(intake, intake.opening), await openable(intake, second)) == (2, 1)
    await intake.service.receiver.receive([registered(situation_document("XAA", second, version=3), 3)])
    assert (await intake.post("/v1/incidents", report())).status_code == 202
    assert (await openable(intake, intake.opening), await openable(intake, second)) == (2, 2)


async def put(vetting: RunningVerification, document: dict[str, Any]) -> Any:
    return await vetting.send("PUT", f"/v1/situations/{document['code']}", "root", document)


@pytest.mark.parametrize("how", list(strangers(generate_opening_key("verification", "XAA"))))
async def test_the_operator_cannot_add_a_key_for_which_its_holder_does_not_vouch(vetting: RunningVerification, how: str) -> None:
    document = vetting.document(SITUATION)
    document["recipients"]["verification"].append(strangers(generate_opening_key("verification", SITUATION))[how])
    before = await vetting.owner.fetchrow("select version, document from situations where code = $1", SITUATION)
    answer = await put(vetting, document)
    assert answer.status_code == 422, answer.text
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [("recipients.verification[1]", "unvouched_key")]
    assert "mrm keys vouch" in answer.json()["errors"][0]["message"]
    assert await vetting.owner.fetchrow("select version, document from situations where code = $1", SITUATION) == before


async def test_verification_does_not_vouch_for_the_recipient_and_export_does(vetting: RunningVerification) -> None:
    key = generate_opening_key("recipient", SITUATION)
    document = vetting.document(SITUATION)
    document["recipients"]["recipient"] = [{**entry(key), "vouched_by": VOUCHERS["verification"].id}]
    assert (await put(vetting, document)).json()["errors"][0]["field"] == "recipients.recipient[0]"
    document["recipients"]["recipient"] = [vouch(key.public, VOUCHERS["export"]).model_dump()]
    assert (await put(vetting, document)).status_code == 200


async def test_an_entry_without_a_voucher_is_no_entry(vetting: RunningVerification) -> None:
    document = vetting.document(SITUATION)
    key = generate_opening_key("verification", SITUATION)
    document["recipients"]["verification"].append({"id": key.id, "public": key.public.base64})
    answer = await put(vetting, document)
    assert (answer.status_code, {error["code"] for error in answer.json()["errors"]}) == (422, {"missing"})


async def test_the_record_names_the_keys_that_come_and_go(vetting: RunningVerification) -> None:
    old, new = vetting.keys[SITUATION]["verification"], generate_opening_key("verification", SITUATION)
    document = vetting.document(SITUATION)
    document["recipients"]["verification"].append(entry(new))
    assert (await put(vetting, document)).status_code == 200
    document["recipients"]["verification"].pop(0)
    assert (await put(vetting, document)).status_code == 200
    assert (await put(vetting, document | {"name": "Renamed"})).status_code == 200
    rows = await vetting.owner.fetch("select detail from audit_entries where action = 'situation.write' order by at")
    changes = [{name: ids for name, ids in json.loads(row["detail"]).items() if name.startswith("keys_")} for row in rows][-3:]
    assert changes == [{"keys_added": [new.id]}, {"keys_removed": [old.id]}, {}]


async def test_verification_keeps_no_words_under_a_key_written_into_its_database(vetting: RunningVerification) -> None:
    incident = await vetting.report()
    stranger = generate_opening_key("verification", SITUATION)
    await inject(vetting.owner, version=1000, **strangers(stranger)["none"])
    vetting.service.register.expire()
    answer = await vetting.decide(f"{incident}/k1")
    assert (answer.status_code, answer.json()["code"]) == (503, "situation.unvouched_key")
    assert await vetting.owner.fetchval("select count(*) from decisions") == 0


async def test_a_report_that_meets_a_strange_key_of_aggregation_waits_parked_and_goes_on_after_the_repair(
    vetting: RunningVerification,
) -> None:
    stranger = generate_opening_key("aggregation", SITUATION)
    bad = {**entry(stranger), "voucher": "A" * 86 + "=="}
    await inject(vetting.owner, version=1000, holder="aggregation", **bad)
    vetting.service.register.expire()
    await vetting.report()
    assert await vetting.parked() == ["rejected:situation.unvouched_key"]
    assert await vetting.published() == []
    assert (await put(vetting, vetting.document(SITUATION))).status_code == 200
    (parked,) = await vetting.owner.fetch("select id from parked")
    await vetting.service.receiver.replay(parked["id"])
    assert await vetting.parked() == []
    assert len(await vetting.published()) == 1
