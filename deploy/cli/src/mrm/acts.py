"""Acts of the record in words: what an entry's action and codes say, for people; whatever is not known here is shown as it is written."""

from collections.abc import Callable, Mapping
from typing import Any, Final

Detail = Mapping[str, Any]
ID_SHOWN: Final = 8
"""So much of an id tells two of them apart in one listing; --json has it whole."""

_SENTENCES: Final[Mapping[str, str]] = {
    "incident.submit": "Reported an incident",
    "incident.revise": "Sent a revision of their report",
    "incident.record": "Kept a report for vetting",
    "revision.refuse": "Refused a revision that lies behind a decision",
    "situation.write": "Wrote the situation's register entry",
    "situation.remove": "Removed a scratch situation",
    "question.ask": "Asked the monitor for more",
    "link.record": "Linked or unlinked",
    "docket.propose": "Proposed a docket",
    "docket.approve": "Approved a docket",
    "docket.withdraw": "Withdrew a docket",
    "emergency.end": "Gave an emergency access back",
    "emergency.acknowledge": "Acknowledged an emergency access",
    "counts.rebuild": "Started a rebuild of the counts",
    "counts.swap": "Put rebuilt counts in force",
    "counts.refuse_swap": "Kept the live counts, for a rebuild differs",
    "snapshot.freeze": "Froze figures for a submission",
    "window.share": "Released a window's shared figures",
    "submission.draft": "Drafted a submission",
    "submission.edit": "Edited a draft submission",
    "submission.approve": "Approved a submission",
    "submission.freeze": "Froze an approved submission",
    "submission.sign": "Signed a submission",
    "submission.download": "Took a signed bundle",
    "delivery.replay": "Put parked messages through again",
    "audit.read": "Searched this record",
    "session.sign_in": "Signed in",
    "session.sign_out": "Signed out",
    "session.sign_out_everywhere": "Signed out everywhere",
    "session.ended": "Was signed out",
    "device.add": "Added a device",
    "device.revoke": "Ended a device",
    "device.revoke_all": "Ended a person's devices",
}


def words(action: str, detail: Detail) -> str:
    """Say in words what somebody did; codes that the sentence does not use follow it."""
    known = _SPOKEN.get(action)
    sentence, used = known(detail) if known is not None else (_SENTENCES.get(action, action), frozenset[str]())
    left = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in sorted(detail.items()) if name not in used)
    return f"{sentence} ({left})" if left else sentence


def _opened(detail: Detail) -> tuple[str, frozenset[str]]:
    what = "the coded facts of a case" if detail.get("shown") == "coded_facts" else "a whole case"
    how = " by emergency access" if "emergency_access" in detail else ""
    return f"Opened {what}{how}", frozenset({"route", "shown"})


def _searched(detail: Detail) -> tuple[str, frozenset[str]]:
    where = {"queue": "the queue", "lookup": "violations by name", "incidents": "the list of incidents", "links": "links"}
    where |= {"dockets": "dockets", "contributors": "the violations behind a number", "exceptions": "exceptions", "changes": "changes"}
    route = str(detail.get("route"))
    return f"Searched {where.get(route, route)}: {detail.get('found')} found", frozenset({"route", "found"})


def _docket(detail: Detail) -> tuple[str, frozenset[str]]:
    return _searched(detail) if detail.get("route") == "dockets" else ("Read a docket with its reasons", frozenset({"route"}))


def _submission(detail: Detail) -> tuple[str, frozenset[str]]:
    if detail.get("route") == "submissions":
        return f"Listed submissions: {detail.get('found')} found", frozenset({"route", "found"})
    states = {"draft": "a draft submission", "signing": "an approved submission", "signed": "a signed submission"}
    return f"Opened {states.get(str(detail.get('state')), 'a submission')}", frozenset({"route", "state"})


def _denied(detail: Detail) -> tuple[str, frozenset[str]]:
    route = f" at {detail['route']}" if detail.get("route") else ""
    forged = ": another page made the request" if detail.get("code") == "csrf" else ""
    what = f"Was denied {detail.get('action', 'a request')}{route}, answer {detail.get('status')}{forged}"
    return what, frozenset({"action", "route", "status", "code"})


def _broke_the_glass(detail: Detail) -> tuple[str, frozenset[str]]:
    return f"Took emergency access to a case for {detail.get('minutes')} minutes", frozenset({"minutes"})


def _announced(detail: Detail) -> tuple[str, frozenset[str]]:
    return f"Read who took emergency access: {detail.get('found')} shown", frozenset({"found"})


def _decided(detail: Detail) -> tuple[str, frozenset[str]]:
    again = "Reopened: d" if detail.get("reopening") else "D"
    return f"{again}ecided {detail.get('outcome')} at stage {detail.get('stage')}", frozenset({"outcome", "stage", "reopening"})


def _history(detail: Detail) -> tuple[str, frozenset[str]]:
    return f"Read how a violation was decided: {detail.get('decisions')} decisions", frozenset({"decisions", "route"})


def _exported(detail: Detail) -> tuple[str, frozenset[str]]:
    return f"Exported {detail.get('count')} coded records", frozenset({"count", "route"})


_SPOKEN: Final[Mapping[str, Callable[[Detail], tuple[str, frozenset[str]]]]] = {
    "access.denied": _denied,
    "case.break_glass": _broke_the_glass,
    "case.open": _opened,
    "counts.read": _searched,
    "decision.read": _history,
    "decision.record": _decided,
    "docket.read": _docket,
    "emergency.read": _announced,
    "link.read": _searched,
    "queue.read": _searched,
    "records.export": _exported,
    "submission.read": _submission,
}


def _short(value: object) -> str:
    if isinstance(value, list):
        return "+".join(_short(one) for one in value)
    text = "yes" if value is True else "no" if value is False else str(value)
    is_id = len(text) == 36 and text.count("-") == 4
    return text[:ID_SHOWN] if is_id else text
