"""Acts of the record read as sentences; codes that a sentence does not use follow it, and nothing is lost."""

import re
from pathlib import Path

import pytest

from contracts.permissions import table
from mrm.acts import words

ROOT = Path(__file__).parents[3]
UNDER_THE_ACTION = {
    "audit.read", "case.break_glass", "case.open", "counts.read", "emergency.acknowledge", "emergency.read", "incident.revise",
    "incident.submit", "link.read", "queue.read", "submission.approve", "submission.download", "submission.draft", "submission.edit",
    "submission.read",
}  # fmt: skip
"""Acts that are written under the name that their route has in the permission table."""


@pytest.mark.parametrize(
    ("action", "detail", "sentence"),
    [
        ("case.open", {"route": "case", "purpose": "vetting", "revision": 2, "shown": "everything"},
         "Opened a whole case (purpose vetting, revision 2)"),
        ("case.open", {"shown": "coded_facts", "purpose": "docket"}, "Opened the coded facts of a case (purpose docket)"),
        ("case.open", {"shown": "everything", "emergency_access": "6f1f6f0e-4c53-4c0e-9d3c-0f5d5b0c9a11"},
         "Opened a whole case by emergency access (emergency access 6f1f6f0e)"),
        ("queue.read", {"route": "queue", "found": 12, "stage": "technical", "region": True},
         "Searched the queue: 12 found (region yes, stage technical)"),
        ("docket.read", {"route": "dockets", "found": 0}, "Searched dockets: 0 found"),
        ("docket.read", {"route": "docket", "lines": 3}, "Read a docket with its reasons (lines 3)"),
        ("access.denied", {"action": "case.open", "route": "GET /v1/situations/{situation}/incidents/{incident}", "status": 403},
         "Was denied case.open at GET /v1/situations/{situation}/incidents/{incident}, answer 403"),
        ("access.denied", {"action": "case.open", "status": 404}, "Was denied case.open, answer 404"),
        ("case.break_glass", {"emergency_access": "6f1f6f0e-4c53-4c0e-9d3c-0f5d5b0c9a11", "minutes": 30, "role": "officer"},
         "Took emergency access to a case for 30 minutes (emergency access 6f1f6f0e, role officer)"),
        ("emergency.acknowledge", {"role": "cochair_un"}, "Acknowledged an emergency access (role cochair_un)"),
        ("question.ask", {"needs": ["place", "dates"]}, "Asked the monitor for more (needs place+dates)"),
        ("records.export", {"route": "records", "after": 0, "count": 50}, "Exported 50 coded records (after 0)"),
        ("submission.read", {"route": "submission", "state": "draft", "revision": 3}, "Opened a draft submission (revision 3)"),
        ("submission.read", {"route": "submission", "state": "signing", "revision": 1}, "Opened an approved submission (revision 1)"),
        ("submission.read", {"route": "submissions", "found": 4, "page": "next"}, "Listed submissions: 4 found (page next)"),
        ("situation.write", {"version": 3, "scratch": False, "keys_added": ["verification/AFG-2024/0a1b2c3d"]},
         "Wrote the situation's register entry (keys added verification/AFG-2024/0a1b2c3d, scratch no, version 3)"),
        ("something.new", {"code": "x"}, "something.new (code x)"),
        ("something.new", {}, "something.new"),
    ],
)  # fmt: skip
def test_acts_read_as_sentences(action: str, detail: dict[str, object], sentence: str) -> None:
    assert words(action, detail) == sentence


def test_every_act_that_is_recorded_has_words() -> None:
    written = re.compile(r'tx\.audit\(\s*"([a-z_]+\.[a-z_]+)"')
    sources = [path for part in ("services", "chassis") for path in (ROOT / part).rglob("*.py")]
    recorded = {action for path in sources for action in written.findall(path.read_text("utf-8"))}
    assert recorded >= {"decision.record", "emergency.end", "delivery.replay"}
    assert {row.action for row in table()} >= UNDER_THE_ACTION
    assert {action for action in recorded | UNDER_THE_ACTION if words(action, {}) == action} == set()
