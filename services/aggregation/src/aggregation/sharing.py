"""The shared form (C14): all linked tables of a window are counted, and suppressed together, whichever of them is asked for."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from aggregation import answers
from aggregation.domain.disclosure import Name, Reason, count_reasons, suppress
from aggregation.domain.linking import DETAILS, SHARED, LinkedTables
from aggregation.domain.periods import By
from aggregation.domain.questions import Question, Refusal
from aggregation.domain.tables import GHN, TABLES
from aggregation.store import releases
from aggregation.store.ledger import Moment
from chassis.errors import Conflict
from chassis.storage import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSet:
    """The linked tables of a window in shared form. `known` holds every number that it shows."""

    threshold: int
    tables: dict[str, Any]
    left_out: dict[Name, Reason]
    known: list[tuple[Name, int]]
    linked: LinkedTables

    def document(self, tables: Collection[str] | None = None) -> dict[str, Any]:
        """Say how many numbers were left out and why, in these tables (None: all) and in the whole set."""
        chosen = self.tables if tables is None else tables
        names = {name for (table, _), name in self.linked.places.items() if table in chosen}
        here = {name: reason for name, reason in self.left_out.items() if name in names}
        return {"threshold": self.threshold, "left_out": count_reasons(here), "left_out_in_set": count_reasons(self.left_out)}


def shared_name(table: str, question: Question) -> str:
    """Return the name of a table in the shared set; raises Refusal for one that has no shared form."""
    if table == "by_detail" and question.field in DETAILS:
        return f"by_detail.{question.field}"
    if table not in SHARED or (table == "trend" and question.by is not By.QUARTER):
        raise Refusal("no_shared_form", "form")
    return table


async def share(tx: Tx, question: Question, moment: Moment, *, threshold: int) -> SharedSet:
    """Count the linked tables of a window and leave out what is small and what protects it.

    What was shared of the same window before counts as known. Raises Conflict if that was done with other parameters: the two
    together would tell more than either.
    """
    tables: dict[str, Any] = {}
    for name in SHARED:
        tables[name] = await answers.answer(tx, TABLES[name], replace(question, by=By.QUARTER), moment)
    for field in DETAILS:
        tables[f"by_detail.{field}"] = await answers.answer(tx, TABLES["by_detail"], replace(question, field=field), moment)
    linked = LinkedTables(tables, late_inside=question.late_inside)
    left_out = suppress(linked.linked(), k=threshold, known=await _known(tx, question, moment))
    return SharedSet(
        threshold=threshold,
        tables={name: linked.shared(name, tables[name], left_out) for name in tables},
        left_out=left_out,
        known=[(name, value) for name, value in linked.values.items() if name not in left_out],
        linked=linked,
    )


def ghn_of(shared: SharedSet) -> dict[str, Any]:
    """Return the fourteen tables; lists of single children and groups are null, for nothing protects them."""
    return {name: shared.tables.get(name) for name in GHN}


def params_of(question: Question) -> dict[str, str]:
    """Return the parameters that decide a shared set."""
    return {"late_rule": question.late_rule.value, "late": question.late.value}


async def _known(tx: Tx, question: Question, moment: Moment) -> dict[Name, set[int]]:
    known: dict[Name, set[int]] = defaultdict(set)
    for release in await releases.list_releases_of(tx, moment.situation, question.window):
        if release.params != params_of(question):
            raise Conflict("release.other_params", "This window was shared with other parameters; use the same ones.")
        for name, value in release.known():
            known[name].add(value)
    return known
