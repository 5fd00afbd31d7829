"""What a person reads of an answer that is not the one expected: the places, by the paths that `cell` takes."""

from pathlib import Path
from typing import Any

import pytest

from mrm.check import read_files
from mrm.console import MISUSED, CommandError
from mrm.exchange_differences import ABSENT, as_text, differing_places, question_in_words

EXAMPLE = Path(__file__).parents[2] / "data" / "exchange" / "example.json"


@pytest.mark.parametrize(
    ("expected", "answered", "places"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [("a/c", 2, 3)]),
        ({"a": 1}, {"b": 1}, [("a", 1, ABSENT), ("b", ABSENT, 1)]),
        ([{"n": 1}, {"n": 2}], [{"n": 1}], [("1", {"n": 2}, ABSENT)]),
        ([{"n": 1}], [{"n": 2}], [("0/n", 1, 2)]),
        ({}, [], [("the answer", {}, [])]),
        (1, True, [("the answer", 1, True)]),
        ({"a": 1}, {"a": 1.0}, [("a", 1, 1.0)]),
        ({"a": None}, {}, [("a", None, ABSENT)]),
    ],
)
def test_the_places_that_differ_are_named(expected: Any, answered: Any, places: list[Any]) -> None:
    assert list(differing_places(expected, answered)) == places


def test_what_is_not_there_reads_as_nothing() -> None:
    assert (as_text(ABSENT), as_text(None), as_text({"b": 1, "a": 2})) == ("nothing", "null", '{"a": 2, "b": 1}')


def test_a_question_reads_with_everything_it_asks() -> None:
    query = {"number": 3, "table": "trend", "from": "2022-01-01", "to": "2022-04-01", "after_step": 2, "params": {"by": "month"}}
    assert question_in_words(query) == "query 3: trend 2022-01-01 to 2022-04-01, after step 2, by=month"


def test_every_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("no", "utf-8")
    with pytest.raises(CommandError) as refused:
        read_files([EXAMPLE, tmp_path / "text.json", tmp_path / "none.json", tmp_path])
    assert refused.value.code == MISUSED
    named = [line for line in refused.value.sentence.splitlines() if not line.startswith(" ")]
    assert named == [
        f"{tmp_path}/text.json is not a valid exchange file:",
        f"{tmp_path}/none.json cannot be read.",
        f"{tmp_path} cannot be read.",
    ]
