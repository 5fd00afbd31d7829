"""Reading JSON: depth, doubled names, encodings, and fuzz that never gets more than a problem."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from chassis.errors import BadRequest, Invalid, Problem
from chassis.http.bodies import MAX_DEPTH, json_body, parse_json, too_deep
from chassis.http.problems import document_of
from contracts.incident import IncidentReport
from contracts.model import Wire


class Anything(BaseModel):
    """Takes any object."""

    model_config = {"extra": "allow"}


def depth_of(document: Any) -> int:
    if isinstance(document, dict):
        return 1 + max((depth_of(value) for value in document.values()), default=0)
    return 1 + max((depth_of(value) for value in document), default=0) if isinstance(document, list) else 0


TEXTS = st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from('[]{}"\\'), max_size=20)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=60,
)


@given(DOCUMENTS, st.integers(0, 6))
@example(["]" * 50, "[" * 50, '\\"[[[['], 1)
def test_depth_is_counted_outside_texts(document: Any, limit: int) -> None:
    for ascii_only in (True, False):
        raw = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        assert too_deep(raw, limit=limit) == (depth_of(document) > limit)


@pytest.mark.parametrize("raw", [b'"' + b'\\"' * 300_000, b'"' * 300_000, b"[" * 300_000, b'"\\' * 200_000, b"\\" * 300_000])
def test_depth_of_hostile_texts_is_found_in_one_pass(raw: bytes) -> None:
    too_deep(b"[" * (MAX_DEPTH + 1) + raw)


def test_the_deepest_document_allowed_is_read() -> None:
    for depth, fits in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        raw = b'{"a":' * (depth - 1) + b"[]" + b"}" * (depth - 1)
        if fits:
            parse_json(raw, Anything)
        else:
            with pytest.raises(BadRequest, match="too_deep"):
                parse_json(raw, Anything)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"b":{"c":1,"c":2}}',
        b'{"a":[{"x":1},{"x":1,"x":1}]}',
        b'{"a":1,"\\u0061":2}',
    ],
)
def test_a_name_twice_in_one_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_json(raw, Anything)
    assert [error.code for error in refusal.value.errors] == ["twice"]


def test_a_name_in_two_objects_is_fine() -> None:
    parse_json(b'{"a":{"x":1},"b":{"x":1},"c":[{"x":1},{"x":1}]}', Anything)


@settings(max_examples=300)
@given(st.binary(max_size=200) | DOCUMENTS.map(lambda d: json.dumps(d).encode()))
@example(b"\xff\xfe{\x00}\x00")
@example("{}".encode("utf-16-le"))
@example(b"\x00")
@example(b'{"a": 1e999999}')
@example(b"9" * 5000)
def test_whatever_comes_is_read_or_refused_as_a_problem(raw: bytes) -> None:
    problems = []
    for model in (IncidentReport, Anything):
        try:
            parse_json(raw, model)
        except Problem as problem:
            problems.append(document_of(problem))
    assert {problem["status"] for problem in problems} <= {400, 422}
    json.dumps(problems)


def test_two_models_of_one_name_cannot_both_be_bodies() -> None:
    first = type("Doubled", (Wire,), {})
    second = type("Doubled", (Wire,), {})
    json_body(first)
    json_body(first)
    with pytest.raises(ValueError, match="Doubled"):
        json_body(second)


def test_no_more_than_a_hundred_errors_are_told() -> None:
    raw = json.dumps({"victims": [{}] * 1000}).encode()
    with pytest.raises(Invalid) as refusal:
        parse_json(raw, IncidentReport)
    assert len(refusal.value.errors) > 1000
    assert len(document_of(refusal.value)["errors"]) == 100
