"""The two sides of the counts: statements are written for `counts_side` and run on one of them."""

from functools import cache
from typing import Final, Literal

from chassis.storage import Tx

Side = Literal["counts_a", "counts_b"]
FIRST_SIDE: Final[Side] = "counts_a"


def other_side(side: Side) -> Side:
    """Return the side that is not live."""
    return "counts_b" if side == "counts_a" else "counts_a"


@cache
def on(side: Side, statement: str) -> str:
    """Return a statement with its tables on one side."""
    return statement.replace("counts_side", side)


async def read_by_keys(tx: Tx) -> None:
    """Let the rest of a transaction find rows by their keys alone: a new side has no statistics, and tables would be read whole."""
    await tx.execute("select set_config(name, 'off', true) from unnest($1::text[]) as name", ["enable_seqscan", *_WHOLE_JOINS])


async def read_stretches(tx: Tx) -> None:
    """Let the rest of a transaction join whole stretches; without statistics, row by row would seem cheaper."""
    await tx.execute("select set_config('enable_nestloop', 'off', true)")


_WHOLE_JOINS: Final = ("enable_hashjoin", "enable_mergejoin")
