"""SQL of what stood at a moment: statements are written for `postings_then`, whose signs add up to it in one of three ways."""

from functools import cache
from typing import Final

from aggregation.store.ledger import Moment, Reading
from aggregation.store.sides import Side, on

COLUMNS: Final = (
    "violation, type, standing, decided_on, occurred_from, ended_on, late_by_quarter, amount, boys, girls, unknown,"
    " beyond_boys, beyond_girls, beyond_unknown, lines, region, details"
)
"""What a violation stands under, besides its name."""
_STANDS: Final = f"select 1::smallint as sign, situation, {COLUMNS} from counts_side.net_postings where situation = $1"  # noqa: S608 - our own words
_POSTED: Final = f"situation, {COLUMNS} from counts_side.postings where situation = $1 and position"
_THEN: Final = {
    Reading.NOW: f"{_STANDS} and $2::bigint is not null",
    Reading.BACKWARD: f"{_STANDS} union all select (-sign)::smallint, {_POSTED} > $2",
    Reading.FORWARD: f"select sign, {_POSTED} <= $2",
}
"""Read with the situation as the first argument of a statement and the position as its second."""


def at(moment: Moment, statement: str) -> str:
    """Return a statement on the side that is live, with `postings_then` as they stood at a moment."""
    return _at(moment.side, moment.reading, statement)


@cache
def _at(side: Side, reading: Reading, statement: str) -> str:
    return on(side, statement.replace("postings_then", f"({_THEN[reading]}) as postings_then"))
