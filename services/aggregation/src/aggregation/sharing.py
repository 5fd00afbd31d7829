"""The shared form (C14): all linked tables of a window are counted, and suppressed together, whichever of them is asked for."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aggregation import answers
from aggregation.domain.knowledge import Numbers, suppress_linked, threshold_for
from aggregation.domain.linking import DETAILS, PREVIOUS, SHARED, LinkedTables, Number
from aggregation.domain.periods import By, Window
from aggregation.domain.questions import Question, Refusal
from aggregation.domain.tables import GHN, TABLES
from aggregation.store import releases
from aggregation.store.ledger import Moment
from aggregation.store.releases import Shared
from chassis.errors import Conflict
from chassis.storage import Tx
from contracts.answers import WHY_LEFT_OUT

_KEPT: Final = 16
"""So many shared sets are kept, for whoever asks for one table asks for the next; what a set says never changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSet:
    """The linked tables of a window in shared form."""

    threshold: int
    """The situation's, or a larger one under which something of the window has left before."""
    tables: dict[str, Any]
    left_out: frozenset[Number]
    linked: LinkedTables
    releases: int
    """So many releases of the situation were known."""

    def document(self, tables: Collection[str] | None = None) -> dict[str, Any]:
        """Say how many numbers were left out and why, in these tables (None: all) and in the whole set.

        How many for which reason is not said: it would tell more than the gaps do.
        """
        chosen = self.tables if tables is None else tables
        names = {name for (table, _), name in self.linked.places.items() if table in chosen}
        return {
            "threshold": self.threshold,
            "left_out": len(names & self.left_out),
            "left_out_in_set": len(self.left_out),
            "why": WHY_LEFT_OUT,
        }

    def numbers(self, *, shown: bool) -> list[tuple[Number, int]]:
        """Return the numbers that it shows, or those that it does not."""
        return [(name, value) for name, value in self.linked.values.items() if (name not in self.left_out) is shown]


_recent: OrderedDict[tuple[Any, ...], SharedSet] = OrderedDict()


def shared_name(table: str, question: Question) -> str:
    """Return the name of a table in the shared set; raises Refusal for one that has no shared form."""
    if table == "by_detail" and question.field in DETAILS:
        return f"by_detail.{question.field}"
    if table not in SHARED or (table == "trend" and question.by is not By.QUARTER):
        raise Refusal("no_shared_form", "form")
    return table


async def share(tx: Tx, question: Question, moment: Moment, *, threshold: int) -> SharedSet:
    """Count the linked tables of a window and leave out what is small and what protects it.

    What was shared before counts as known, and the threshold is never lower than one under which something of the window has left.
    Raises Conflict if the window overlaps one that was shared, or was shared with other parameters: the two together would tell more
    than either.
    """
    earlier = await releases.list_shared(tx, moment.situation)
    window, params = question.window, params_of(question)
    key = (moment.situation, moment.position, moment.instant, window, tuple(params.values()), threshold, len(earlier))
    if key in _recent:
        _recent.move_to_end(key)
        return _recent[key]
    _refuse_what_does_not_fit(window, params, earlier)
    tables = await _count(tx, question, moment, previous=_fits(window.previous(), params, earlier))
    linked = LinkedTables(tables)
    numbers = Numbers(window=window, late_inside=question.late_inside, values=linked.values)
    known = [entry.numbers for entry in earlier]
    k = threshold_for(numbers, known, k=threshold)
    reasons = await asyncio.to_thread(suppress_linked, numbers, known, k=k)
    _recent[key] = SharedSet(
        threshold=k,
        tables={name: linked.shared(name, table, reasons) for name, table in tables.items()},
        left_out=frozenset(reasons),
        linked=linked,
        releases=len(earlier),
    )
    if len(_recent) > _KEPT:
        _recent.popitem(last=False)
    return _recent[key]


def ghn_of(shared: SharedSet) -> dict[str, Any]:
    """Return the fourteen tables; lists of single children and groups are null, for nothing protects them."""
    return {name: shared.tables.get(name) for name in GHN}


def params_of(question: Question) -> dict[str, str]:
    """Return the parameters that decide a shared set."""
    return {"late_rule": question.late_rule.value, "late": question.late.value}


async def _count(tx: Tx, question: Question, moment: Moment, *, previous: bool) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for name in SHARED:
        tables[name] = await answers.answer(tx, TABLES[name], replace(question, by=By.QUARTER), moment)
    for field in DETAILS:
        tables[f"by_detail.{field}"] = await answers.answer(tx, TABLES["by_detail"], replace(question, field=field), moment)
    before = replace(question, window=question.window.previous())
    tables[PREVIOUS] = await answers.answer(tx, TABLES["summary"], before, moment) if previous else None
    return tables


def _refuse_what_does_not_fit(window: Window, params: dict[str, str], earlier: Sequence[Shared]) -> None:
    for entry in earlier:
        for other in entry.numbers.windows():
            if window.overlaps(other) and window != other:
                raise Conflict(
                    "release.overlapping_window",
                    "A window that overlaps this one was shared before; share that same one again, or one that overlaps none.",
                )
            if window == other and params != entry.params:
                raise Conflict("release.other_params", "This window was shared with other parameters; use the same ones.")


def _fits(window: Window, params: dict[str, str], earlier: Sequence[Shared]) -> bool:
    """Tell whether a window may be shared after what was shared before."""
    try:
        _refuse_what_does_not_fit(window, params, earlier)
    except Conflict:
        return False
    return True
