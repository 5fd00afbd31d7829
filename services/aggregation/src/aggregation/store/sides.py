"""The two sides of the counts: statements are written for `counts_side` and run on one of them."""

from functools import cache
from typing import Final, Literal

Side = Literal["counts_a", "counts_b"]
FIRST_SIDE: Final[Side] = "counts_a"


def other_side(side: Side) -> Side:
    """Return the side that is not live."""
    return "counts_b" if side == "counts_a" else "counts_a"


@cache
def on(side: Side, statement: str) -> str:
    """Return a statement with its tables on one side."""
    return statement.replace("counts_side", side)
