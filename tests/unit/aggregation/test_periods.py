"""Windows: which days lie in two of them, and which window comes before (C3)."""

from datetime import date

import pytest

from aggregation.domain.periods import Window


def window(start: str, end: str) -> Window:
    return Window(date.fromisoformat(start), date.fromisoformat(end))


QUARTER = window("2022-04-01", "2022-07-01")


@pytest.mark.parametrize(
    ("other", "overlaps"),
    [
        (("2022-04-01", "2022-07-01"), True),
        (("2022-01-01", "2023-01-01"), True),
        (("2022-05-01", "2022-06-01"), True),
        (("2022-06-30", "2022-08-01"), True),
        (("2022-01-01", "2022-04-02"), True),
        (("2022-01-01", "2022-04-01"), False),
        (("2022-07-01", "2022-10-01"), False),
        (("2022-05-01", "2022-05-01"), False),
    ],
)
def test_windows_overlap_if_a_day_lies_in_both(other: tuple[str, str], overlaps: bool) -> None:
    assert QUARTER.overlaps(window(*other)) is overlaps
    assert window(*other).overlaps(QUARTER) is overlaps


@pytest.mark.parametrize(
    ("one", "before"),
    [
        (("2022-04-01", "2022-07-01"), ("2022-01-01", "2022-04-01")),
        (("2022-01-01", "2023-01-01"), ("2021-01-01", "2022-01-01")),
        (("2022-03-05", "2022-03-08"), ("2022-03-02", "2022-03-05")),
    ],
)
def test_the_window_before_is_as_long_in_months_or_else_in_days(one: tuple[str, str], before: tuple[str, str]) -> None:
    assert window(*one).previous() == window(*before)
