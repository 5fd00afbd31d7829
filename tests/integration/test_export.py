"""Export over real HTTP on a real database: from a frozen snapshot to a signed bundle."""

import asyncio
import base64
import copy
import hashlib
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from chassis.errors import Rejected
from chassis.storage import SYSTEM
from contracts.bundle.archive import read_archive
from contracts.bundle.manifest import MANIFEST, read_manifest
from mrm.bundle_checks import check_bundle
from support.bundles import AFGHANISTAN
from support.exporting import AUDITOR, BOTH, OFFICER, STRANGER, UN, UNICEF, RunningExport, afghanistan, published, snapshot, state_of

REFUSED = (asyncpg.CheckViolationError, asyncpg.UniqueViolationError, asyncpg.InsufficientPrivilegeError)


async def test_from_snapshot_to_a_bundle_that_verifies(export: RunningExport) -> None:
    frozen = await export.freeze()
    listed = (await export.get("snapshots")).json()
    assert [item["snapshot"] for item in listed["items"]] == [str(frozen)]
    assert (await export.get(f"snapshots/{frozen}")).json()["tables"] == AFGHANISTAN
    draft = (await export.send("POST", "submissions", {"snapshot": str(frozen), "product": "annual"}, OFFICER)).json()
    assert draft["window"] == {"from": "2024-01-01", "to": "2025-01-01"}
    assert (draft["state"], draft["contradictions"], draft["approvals"], draft["bundle"]) == ("draft", [], [], None)
    assert draft["filled"][0]["text"].startswith(
        "The United Nations verified 1,647 grave violations against 559 children (434 boys, 125 girls)"
    )
    first = await export.approve(draft, UN)
    assert (first.status_code, first.json()["state"]) == (200, "draft")
    assert [approval["role"] for approval in first.json()["approvals"]] == ["cochair_un"]
    second = (await export.approve(draft, UNICEF)).json()
    assert (second["state"], second["digest"]) == ("signed", draft["digest"])
    taken = await export.get(f"submissions/{draft['submission']}/bundle", AUDITOR)
    assert taken.status_code == 200
    assert taken.headers["content-type"] == "application/zip"
    assert taken.headers["content-disposition"] == f'attachment; filename="submission-{draft["submission"]}.zip"'
    assert "sandbox" in taken.headers["content-security-policy"].split("; ")
    assert taken.headers["cache-control"] == "no-store"
    assert taken.headers["x-content-type-options"] == "nosniff"
    checks = check_bundle(taken.content, export.trust)
    assert all(check.ok for check in checks), checks
    manifest = read_manifest(dict(read_archive(taken.content))[MANIFEST])
    assert [(approval.role, approval.digest) for approval in manifest.approvals] == [
        ("cochair_un", draft["digest"]),
        ("cochair_unicef", draft["digest"]),
    ]
    assert second["bundle"] == {
        "sha256": hashlib.sha256(taken.content).hexdigest(),
        "manifest_sha256": hashlib.sha256(manifest.encode()).hexdigest(),
        "size": len(taken.content),
    }
    (event,) = await published(export)
    assert base64.b64decode(event.bundle) == taken.content
    assert (str(event.submission), event.bundle_sha256) == (draft["submission"], second["bundle"]["sha256"])
    assert await export.acts() == [
        ("olga", "submission.draft"),
        ("una", "submission.approve"),
        ("unni", "submission.approve"),
        ("unni", "submission.freeze"),
        ("export", "submission.sign"),
        ("aude", "submission.download"),
    ]


async def test_every_opening_of_a_submission_is_recorded_and_every_list(export: RunningExport) -> None:
    """A draft holds the narrative before anybody has approved it; who is shown it again without any act has opened it."""
    snapshot_id = str(await export.freeze())
    form = {"snapshot": snapshot_id, "product": "annual", "narrative": [{"section": "Summary", "text": "CANARY-narrative"}]}
    drafted = await export.send("POST", "submissions", form, OFFICER)
    draft = drafted.json()
    path = f"submissions/{draft['submission']}"
    assert "CANARY-narrative" in (await export.get(path, AUDITOR)).text
    assert "CANARY" not in (await export.get("submissions?limit=1", UN)).text
    assert (await export.send("PUT", path, form, OFFICER)).json()["revision"] == 1
    for person in (UN, UN, UNICEF):
        assert (await export.approve(draft, person)).status_code == 200
    assert (await export.get(path, UN)).json()["state"] == "signed"
    assert (await export.get(f"snapshots/{snapshot_id}", OFFICER)).status_code == 200
    rows = await export.owner.fetch("select actor, subject_ref, detail from audit_entries where action = 'submission.read' order by at")
    opened = {"route": "submission", "revision": 1}
    assert [(row["actor"], row["subject_ref"], json.loads(row["detail"])) for row in rows] == [
        ("aude", draft["submission"], {**opened, "state": "draft"}),
        ("una", None, {"route": "submissions", "found": 1}),
        ("olga", draft["submission"], {**opened, "state": "draft"}),
        ("una", draft["submission"], {**opened, "state": "draft"}),
        ("una", draft["submission"], {**opened, "state": "signed"}),
    ]
    assert {action for _, action in await export.acts()} == {
        *(f"submission.{verb}" for verb in ("draft", "read", "approve", "freeze", "sign"))
    }


async def test_without_an_entry_no_submission_is_shown(export: RunningExport) -> None:
    draft = await export.draft(narrative=[{"section": "Summary", "text": "CANARY-narrative"}])
    await export.owner.execute("alter table audit_entries add constraint no_room check (action <> 'submission.read') not valid")
    for path in ("submissions", f"submissions/{draft['submission']}"):
        answer = await export.get(path, AUDITOR)
        assert (answer.status_code, "CANARY" in answer.text) == (500, False)


async def test_a_snapshot_arrives_once_and_never_changes(export: RunningExport) -> None:
    event = snapshot()
    await export.freeze(event)
    await export.freeze(event)
    assert await export.owner.fetchval("select count(*) from snapshots") == 1
    with pytest.raises(Rejected, match="snapshot_differs"):
        await export.freeze(event.model_copy(update={"position": 7}))
    with pytest.raises(Rejected, match="snapshot_malformed"):
        await export.freeze(snapshot(tables={"../x": {}}))


async def test_lists_are_paged_newest_first(export: RunningExport) -> None:
    drafts = [await export.draft() for _ in range(3)]
    first = (await export.get("submissions?limit=2")).json()
    rest = (await export.get(f"submissions?limit=2&cursor={first['next']}")).json()
    found = [item["submission"] for item in first["items"] + rest["items"]]
    assert found == [draft["submission"] for draft in reversed(drafts)]
    assert rest["next"] is None
    assert len((await export.get("snapshots?limit=2")).json()["items"]) == 2


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"product": "ghn"}, "product", "unknown_product"),
        ({"snapshot": str(uuid4())}, "snapshot", "unknown_reference"),
        ({"previous": str(uuid4())}, "previous", "unknown_reference"),
        ({"narrative": [{"section": "A", "text": "x {{summary.nothing}}"}]}, "narrative[0].text", "unknown_placeholder"),
        ({"narrative": [{"section": "A", "text": "x"}, {"section": "A", "text": "y"}]}, "narrative[1].section", "twice"),
        ({"narrative": [{"section": "A", "text": "\x1b[2J"}]}, "narrative[0].text", "wrong_form"),
        ({"planted": "zebra"}, "(document)", "unknown_field"),
    ],
)
async def test_a_draft_is_refused_with_field_and_remedy(export: RunningExport, changes: dict[str, Any], field: str, code: str) -> None:
    form = {"snapshot": str(await export.freeze()), "product": "annual"} | changes
    answer = await export.send("POST", "submissions", form, OFFICER)
    assert answer.status_code == 422
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
    assert "zebra" not in answer.text
    assert "nothing" not in answer.text
    assert await export.owner.fetchval("select count(*) from submissions") == 0


async def test_an_unknown_placeholder_is_named_by_line_and_character(export: RunningExport) -> None:
    text = "First {{summary.violations}}.\nThen {{summary.wrong}} and {{ }} and {{open."
    form = {"snapshot": str(await export.freeze()), "product": "annual", "narrative": [{"section": "A", "text": text}]}
    errors = (await export.send("POST", "submissions", form, OFFICER)).json()["errors"]
    positions = [error["message"].split(" of section")[0].removeprefix("The placeholder at ") for error in errors]
    assert sorted(positions) == ["line 2, character 28", "line 2, character 38", "line 2, character 6"]


async def test_an_edit_makes_a_new_digest_and_voids_approvals(export: RunningExport) -> None:
    draft = await export.draft()
    await export.approve(draft, UN)
    form = {
        "snapshot": draft["snapshot"],
        "product": "annual",
        "narrative": [{"section": "Short", "text": "{{summary.violations}} in all."}],
    }
    edited = (await export.send("PUT", f"submissions/{draft['submission']}", form, OFFICER)).json()
    assert (edited["revision"], edited["approvals"], edited["state"]) == (2, [], "draft")
    assert edited["filled"] == [{"section": "Short", "text": "1,647 in all."}]
    assert edited["digest"] != draft["digest"]
    stale = await export.approve(draft, UNICEF)
    assert (stale.status_code, stale.json()["code"]) == (409, "submission.changed")
    assert (await export.approve(edited, UNICEF)).json()["state"] == "draft"
    back = form | {"narrative": draft["narrative"]}
    restored = (await export.send("PUT", f"submissions/{draft['submission']}", back, OFFICER)).json()
    assert (restored["digest"], restored["revision"], restored["approvals"]) == (draft["digest"], 3, [])


async def test_an_edit_that_changes_nothing_voids_nothing(export: RunningExport) -> None:
    draft = await export.draft()
    await export.approve(draft, UN)
    form = {"snapshot": draft["snapshot"], "product": "annual", "narrative": draft["narrative"]}
    same = (await export.send("PUT", f"submissions/{draft['submission']}", form, OFFICER)).json()
    assert (same["revision"], len(same["approvals"])) == (1, 1)


async def test_four_eyes(export: RunningExport) -> None:
    draft = await export.draft()
    assert (await export.approve(draft, BOTH)).json()["approvals"][0]["role"] == "cochair_un"
    again = await export.approve(draft, BOTH, role="cochair_unicef")
    assert (again.status_code, again.json()["code"]) == (409, "approval.same_person")
    taken = await export.approve(draft, UN)
    assert (taken.status_code, taken.json()["code"]) == (409, "approval.already_given")
    assert await state_of(export, draft["submission"]) == "draft"
    assert (await export.approve(draft, UNICEF)).json()["state"] == "signed"


async def test_approving_again_is_harmless(export: RunningExport) -> None:
    draft = await export.draft()
    for _ in range(2):
        assert len((await export.approve(draft, UN)).json()["approvals"]) == 1
    await export.approve(draft, UNICEF)
    again = await export.approve(draft, UNICEF)
    assert (again.status_code, again.json()["state"]) == (200, "signed")
    assert len(await published(export)) == 1


async def test_both_approvals_at_once_sign_once(export: RunningExport) -> None:
    for _ in range(4):
        draft = await export.draft()
        answers = await asyncio.gather(*(export.approve(draft, person) for person in (UN, UNICEF, UN, UNICEF)))
        assert {answer.status_code for answer in answers} == {200}
        assert await state_of(export, draft["submission"]) == "signed"
    assert len(await published(export)) == 4


async def test_roles_and_strangers(export: RunningExport) -> None:
    draft = await export.draft()
    path = f"submissions/{draft['submission']}"
    form = {"snapshot": draft["snapshot"], "product": "annual"}
    assert (await export.approve(draft, OFFICER)).status_code == 403
    assert (await export.send("POST", "submissions", form, UN)).status_code == 403
    assert (await export.send("PUT", path, form, AUDITOR)).status_code == 403
    assert (await export.get("snapshots", AUDITOR)).status_code == 403
    for method, where in (("GET", path), ("GET", "submissions"), ("GET", "snapshots"), ("GET", f"{path}/bundle"), ("PUT", path)):
        assert (await export.send(method, where, form, STRANGER)).status_code == 404, (method, where)
    assert (await export.approve(draft, STRANGER)).status_code == 404
    assert (await export.get(f"submissions/{uuid4()}")).status_code == 404
    assert (await export.get(f"{path}/bundle")).json()["code"] == "submission.not_signed"


async def test_a_signed_submission_never_changes(export: RunningExport) -> None:
    signed = await export.signed()
    form = {"snapshot": signed["snapshot"], "product": "annual", "narrative": []}
    edit = await export.send("PUT", f"submissions/{signed['submission']}", form, OFFICER)
    assert (edit.status_code, edit.json()["code"]) == (409, "submission.not_draft")
    other = ("ursula", "/AFG/cochair_un")
    assert (await export.approve(signed, other)).json()["code"] == "submission.not_draft"


async def test_a_later_submission_names_the_one_before(export: RunningExport) -> None:
    first = await export.signed()
    draft = await export.draft(previous=first["submission"])
    assert draft["previous"] == first["submission"]
    await export.approve(draft, UN)
    second = (await export.approve(draft, UNICEF)).json()
    raw = (await export.get(f"submissions/{second['submission']}/bundle")).content
    previous = read_manifest(dict(read_archive(raw))[MANIFEST]).previous
    assert previous is not None
    assert (str(previous.submission), previous.manifest_sha256) == (first["submission"], first["bundle"]["manifest_sha256"])
    unsigned = await export.draft()
    form = {"snapshot": draft["snapshot"], "product": "annual", "previous": unsigned["submission"]}
    assert (await export.send("POST", "submissions", form, OFFICER)).status_code == 422


async def test_figures_that_do_not_add_up_are_shown_and_never_signed(export: RunningExport) -> None:
    tables = copy.deepcopy(AFGHANISTAN)
    tables["summary"]["violations"] += 1
    frozen = await export.freeze(snapshot(tables=tables))
    draft = await export.draft(snapshot=str(frozen))
    assert [(one["table"], one["cell"]) for one in draft["contradictions"]] == [("summary", "violations")]
    refused = await export.approve(draft, UN)
    assert (refused.status_code, refused.json()["code"]) == (409, "submission.figures_contradict")
    assert [error["field"] for error in refused.json()["errors"]] == ["tables.summary/violations"]
    assert await export.owner.fetchval("select count(*) from approvals") == 0


async def test_tables_without_their_form_are_not_drafted(export: RunningExport) -> None:
    for tables in ({}, {"summary": {}}, AFGHANISTAN | {"verified_children": {"killing": 4}}, AFGHANISTAN | {"other": {"x": 1.5}}):
        form = {"snapshot": str(await export.freeze(snapshot(tables=tables))), "product": "annual"}
        answer = await export.send("POST", "submissions", form, OFFICER)
        assert (answer.status_code, answer.json()["code"]) == (409, "snapshot.unusable")


async def test_a_snapshot_too_large_for_one_event_is_not_drafted(export: RunningExport) -> None:
    missing = [{"violation": f"{uuid4()}/k{number}", "missing": ["place", "attribution"]} for number in range(12_000)]
    form = {"snapshot": str(await export.freeze(snapshot(tables=AFGHANISTAN | {"exceptions": missing}))), "product": "annual"}
    answer = await export.send("POST", "submissions", form, OFFICER)
    assert (answer.status_code, answer.json()["code"]) == (409, "submission.too_large")


async def test_the_largest_submission_still_leaves_as_one_event(export: RunningExport) -> None:
    missing = [{"violation": f"{uuid4()}/k{number}", "missing": ["place", "attribution"]} for number in range(7_800)]
    frozen = await export.freeze(snapshot(tables=AFGHANISTAN | {"exceptions": missing}))
    text = "Naïve café, {{summary.violations}} 学校. " * 450
    sections = [{"section": f"{number}", "text": text} for number in range(10)]
    signed = await export.signed(snapshot=str(frozen), narrative=sections)
    assert signed["bundle"]["size"] > 1_700_000
    assert len(await published(export)) == 1


async def test_nobody_approves_what_no_recipient_could_open(export: RunningExport) -> None:
    draft = await export.draft()
    async with export.service.database.transaction("register", by=SYSTEM) as tx:
        await export.service.register.save(tx, afghanistan(export.recipient, version=2, recipients={}))
    answer = await export.approve(draft, UN)
    assert (answer.status_code, answer.json()["code"]) == (409, "submission.no_recipient")


async def test_names_are_frozen_with_the_draft(export: RunningExport) -> None:
    draft = await export.draft()
    await export.approve(draft, UN)
    async with export.service.database.transaction("register", by=SYSTEM) as tx:
        await export.service.register.save(tx, afghanistan(export.recipient, version=2, name="Renamed"))
    signed = (await export.approve(draft, UNICEF)).json()
    raw = (await export.get(f"submissions/{signed['submission']}/bundle")).content
    assert read_manifest(dict(read_archive(raw))[MANIFEST]).situation.name == "Afghanistan"
    assert all(check.ok for check in check_bundle(raw, export.trust))
