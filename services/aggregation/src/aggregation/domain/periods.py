"""Windows, quarters and calendar parts: half-open, days in the situation's time zone (C3)."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise


class By(StrEnum):
    """Length of the parts of a trend."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class LateRule(StrEnum):
    """What makes a verified violation late: decided in a later quarter than it ended (C5), or ended before the window (C6)."""

    QUARTER = "quarter"
    WINDOW = "window"


_MONTHS = {By.MONTH: 1, By.QUARTER: 3, By.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Window:
    """The days from `start` up to, not including, `end`; empty if they are equal."""

    start: date
    end: date

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    def overlaps(self, other: "Window") -> bool:
        """Tell whether some day lies in both."""
        return max(self.start, other.start) < min(self.end, other.end)

    def previous(self) -> "Window":
        """Return the window of equal length that ends where this one starts; cut at the first day there is.

        A window of whole calendar months (a quarter, a year) is preceded by as many whole months, else by as many days.
        """
        if self.start.day == 1 and self.end.day == 1:
            months = _month_index(self.end) - _month_index(self.start)
            return Window(_month_start(max(_month_index(self.start) - months, _month_index(date.min))), self.start)
        days = (self.end - self.start).days
        return Window(date.fromordinal(max(self.start.toordinal() - days, 1)), self.start)

    def parts(self, by: By) -> list["Window"]:
        """Return every calendar part of the window in order; the first and the last may be cut."""
        step = _MONTHS[by]
        inner = [_month_start(index) for index in range(_month_index(self.start), _month_index(self.end) + 1) if index % step == 0]
        bounds = [self.start, *(day for day in inner if self.start < day < self.end), self.end]
        return [Window(start, end) for start, end in pairwise(bounds) if start < end]


def quarter_of(day: date) -> int:
    """Return the number of the calendar quarter a day lies in; later quarters have higher numbers."""
    return day.year * 4 + (day.month - 1) // 3


def late_by_quarter(*, ended_on: date, decided_on: date) -> bool:
    """Tell whether a decision falls in a later calendar quarter than the end of the incident (C5)."""
    return quarter_of(decided_on) > quarter_of(ended_on)


def _month_index(day: date) -> int:
    return day.year * 12 + day.month - 1


def _month_start(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)
