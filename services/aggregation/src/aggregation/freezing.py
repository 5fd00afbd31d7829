"""Makes a snapshot's tables: everything the products of one window need, at one position (C12)."""

from dataclasses import replace
from typing import Any

from aggregation import answers
from aggregation.domain.linking import DETAILS
from aggregation.domain.periods import Window
from aggregation.domain.questions import Question
from aggregation.domain.tables import TABLES
from aggregation.store.ledger import Moment
from chassis.storage import Tx


async def freeze(tx: Tx, question: Question, moment: Moment) -> dict[str, Any]:
    """Return the tables of a snapshot by name; `summary_previous` is the summary of the window of equal length before."""
    frozen: dict[str, Any] = {}
    for name, table in TABLES.items():
        if not table.asks_field:
            frozen[name] = await answers.answer(tx, table, question, moment)
    for field in DETAILS:
        frozen[f"by_detail.{field}"] = await answers.answer(tx, TABLES["by_detail"], replace(question, field=field), moment)
    before: Window = question.window.previous()
    frozen["summary_previous"] = await answers.answer(tx, TABLES["summary"], replace(question, window=before), moment)
    return frozen
