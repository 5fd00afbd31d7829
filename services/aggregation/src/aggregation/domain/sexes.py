"""A number of children by recorded sex."""

from collections.abc import Iterable
from typing import Final, NamedTuple


class Sexes(NamedTuple):
    """Boys, girls and children of unknown sex; never negative in a figure, signed in a posting."""

    boys: int = 0
    girls: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        """All children, whatever their sex (C4)."""
        return self.boys + self.girls + self.unknown

    def plus(self, other: "Sexes") -> "Sexes":
        """Add two numbers, sex by sex."""
        return Sexes(self.boys + other.boys, self.girls + other.girls, self.unknown + other.unknown)

    def times(self, factor: int) -> "Sexes":
        """Multiply every sex by a factor."""
        return Sexes(self.boys * factor, self.girls * factor, self.unknown * factor)

    def beyond(self, part: "Sexes") -> "Sexes":
        """Return what this number holds beyond a part of it, sex by sex, never below zero."""
        return Sexes(max(self.boys - part.boys, 0), max(self.girls - part.girls, 0), max(self.unknown - part.unknown, 0))

    def figures(self) -> dict[str, int]:
        """Return the four columns of an answer, zeros too."""
        return {"boys": self.boys, "girls": self.girls, "unknown": self.unknown, "total": self.total}


NOBODY: Final = Sexes()


def total_of(numbers: Iterable[Sexes]) -> Sexes:
    """Add up numbers, sex by sex."""
    result = Sexes()
    for number in numbers:
        result = result.plus(number)
    return result
