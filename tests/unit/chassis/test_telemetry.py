"""What leaves the process for its operators: names, counts and places; never a word of a report."""

import ast
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceState

import chassis
from chassis import telemetry, tracing
from chassis.delivery.messages import HANDLER_FAILED, SEQUENCE_TAKEN
from chassis.sealing.errors import SealCode
from chassis.service import Job
from chassis.telemetry import allowed, describe, get_logger
from chassis.tracing import Telemetry

ROOT = Path(__file__).parents[3]
CANARY = "canary ng-41 zainab"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogRecordFactory(), sys.excepthook, threading.excepthook, sys.unraisablehook
    written = io.StringIO()
    telemetry.configure("intake", level="INFO", stream=written)
    yield written
    root.handlers[:], root.level = before[0], before[1]
    logging.setLogRecordFactory(before[2])
    sys.excepthook, threading.excepthook, sys.unraisablehook = before[3:]
    logging.captureWarnings(capture=False)
    telemetry.configure_nothing()


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_time_level_and_service(log: io.StringIO) -> None:
    get_logger().info("batch_applied", topic="intake.incidents", count=5, seconds=0.25, event_id=UUID(int=7))
    (line,) = lines(log)
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "event": "batch_applied",
        "level": "info",
        "service": "intake",
        "topic": "intake.incidents",
        "count": 5,
        "seconds": 0.25,
        "event_id": str(UUID(int=7)),
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("narrative", "x"),
        ("subject", "amina"),
        ("topic", CANARY),
        ("topic", "x" * 200),
        ("topic", {"a": CANARY}),
        ("topic", b"bytes"),
        ("topic", ValueError(CANARY)),
        ("code", None),
    ],
)
def test_what_is_not_on_the_list_or_could_be_a_sentence_is_dropped(log: io.StringIO, key: str, value: object) -> None:
    get_logger().info("something_happened", **{key: value})
    (line,) = lines(log)
    assert set(line) == {"at", "level", "event", "service"}


CLOSED = ("name", "reason", "situation", "where")


@pytest.mark.parametrize("key", CLOSED)
@pytest.mark.parametrize(
    "value",
    [
        "Amina",
        "amina",
        "AMINA",
        "زينب",
        "Amina7",
        "rejected:amina",
        "amina/naseri",
        "amina.py",
        "http,amina",
        "",
        7,
        ["amina"],
        UUID(int=7),
    ],
)
def test_a_single_word_that_could_be_somebodys_is_dropped_and_counted(log: io.StringIO, key: str, value: object) -> None:
    get_logger().warning("something_happened", count=1, **{key: value})
    (line,) = lines(log)
    assert (set(line), line["dropped"]) == ({"at", "level", "event", "service", "count", "dropped"}, 1)
    assert "amina" not in log.getvalue().lower()


def test_a_childs_name_appears_under_no_key_that_asks_for_a_word(log: io.StringIO) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - any text
        failing("Zainab")
    get_logger().failure("job_failed", caught.value, name="Zainab", reason="Zainab", situation="Zainab", where="Zainab")
    (line,) = lines(log)
    assert line["dropped"] == len(CLOSED)
    assert "zainab" not in log.getvalue().lower()


def test_what_is_known_beforehand_is_written(log: io.StringIO) -> None:
    get_logger().info("something_happened", name="relay", reason="forged", situation="AFG-2024", where="discovery")
    get_logger().info("something_happened", where="chassis/telemetry.py:12")
    first, second = lines(log)
    assert [first[key] for key in CLOSED] == ["relay", "forged", "AFG-2024", "discovery"]
    assert second["where"] == "chassis/telemetry.py:12"
    assert "dropped" not in first.keys() | second.keys()


def test_a_job_may_be_named(log: io.StringIO) -> None:
    async def nothing() -> None:
        """Do nothing."""

    assert allowed({"name": "count_storks"}) == {}
    Job(name="count_storks", every_seconds=1, run=nothing)
    get_logger().info("part_ended", name="job_count_storks")
    assert lines(log)[0]["name"] == "job_count_storks"
    for name in ("Amina", "two words", "", "x" * 65):
        with pytest.raises(ValueError, match="lower-case word"):
            Job(name=name, every_seconds=1, run=nothing)


def test_every_reason_to_refuse_a_message_has_its_word() -> None:
    hidden = {SealCode.UNKNOWN_KEY, SealCode.WRONG_WRITER}  # both are told as forged
    reasons = {code.value for code in SealCode if code not in hidden} | {HANDLER_FAILED, SEQUENCE_TAKEN.partition(":")[0]}
    assert [reason for reason in sorted(reasons) if allowed({"reason": reason}) != {"reason": reason}] == []


def test_what_our_own_code_writes_is_known() -> None:
    """Every text that stands in the code as the value of a closed key."""
    found = 0
    for file in (*Path(chassis.__file__).parent.rglob("*.py"), *(ROOT / "services").glob("*/src/**/*.py")):
        for call in (node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)):
            of_log = isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) and call.func.value.id == "log"
            for word in call.keywords if of_log else ():
                if word.arg in CLOSED and isinstance(word.value, ast.Constant):
                    found += 1
                    assert allowed({word.arg: word.value.value}), f"{file.name}:{call.lineno}"
    assert found


def test_an_event_name_is_a_word_of_ours(log: io.StringIO) -> None:
    for name in (CANARY, "Upper", "with-dash", "", "x" * 65, "a\nb"):
        get_logger().warning(name)
    assert {line["event"] for line in lines(log)} == {"unnamed_event"}


def test_levels_are_kept(log: io.StringIO) -> None:
    get_logger().debug("too_quiet")
    get_logger().info("a")
    get_logger().warning("b")
    get_logger().error("c")
    assert [(line["event"], line["level"]) for line in lines(log)] == [("a", "info"), ("b", "warning"), ("c", "error")]


def failing(narrative: str) -> None:
    local = narrative  # noqa: F841 - a local that must not leak
    try:
        raise KeyError(narrative)
    except KeyError as error:
        raise ValueError(narrative) from error


def test_an_error_is_told_by_type_and_place(log: io.StringIO) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - any text
        failing(CANARY)
    get_logger().failure("job_failed", caught.value, name="relay")
    (line,) = lines(log)
    assert line["error"] == "builtins.ValueError<builtins.KeyError"
    assert any(frame.startswith("chassis/test_telemetry.py:") and frame.endswith(":failing") for frame in line["frames"])
    assert "canary" not in log.getvalue()


def test_endless_and_circular_causes_come_to_an_end() -> None:
    first, second = ValueError(CANARY), KeyError(CANARY)
    first.__cause__, second.__cause__ = second, first
    assert describe(first)["error"] == "builtins.ValueError<builtins.KeyError"
    group = ExceptionGroup(CANARY, [ValueError(CANARY)])
    assert "canary" not in json.dumps(describe(group))


def test_libraries_keep_their_words_to_themselves(log: io.StringIO) -> None:
    other = io.StringIO()
    handler = logging.StreamHandler(other)
    handler.setFormatter(logging.Formatter("%(message)s %(args)s %(exc_text)s"))
    logger = logging.getLogger("some.library")
    logger.addHandler(handler)
    try:
        logger.error("failed for %s", CANARY)
        logger.warning(f"plain {CANARY}")  # noqa: G004 - what libraries do
        try:
            failing(CANARY)
        except ValueError:
            logger.exception("again %(name)s", {"name": CANARY}, stack_info=True)
        logging.getLogger("uvicorn.error").info("Started server process [%d]", 4711)
        logging.getLogger("aiokafka.conn").error("Unable connect to node with id %s: %s", 1, CANARY)
        warnings.warn(CANARY, UserWarning, stacklevel=1)
    finally:
        logger.removeHandler(handler)
    assert "canary" not in log.getvalue() + other.getvalue()
    assert "4711" not in log.getvalue()
    events = [(line["event"], line["logger"]) for line in lines(log)]
    assert ("server_started", "uvicorn.error") in events
    assert ("library_message", "aiokafka.conn") in events
    assert ("library_message", "py.warnings") in events
    places = [line["where"] for line in lines(log) if line["logger"] == "some.library"]
    assert all(place.startswith("chassis/test_telemetry.py:") for place in places)
    assert [line["error"] for line in lines(log) if "error" in line] == ["builtins.ValueError<builtins.KeyError"]


def test_a_dying_thread_and_process_leave_no_words(log: io.StringIO) -> None:
    thread = threading.Thread(target=failing, args=(CANARY,))
    thread.start()
    thread.join()
    try:
        failing(CANARY)
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert [line["event"] for line in lines(log)] == ["thread_failed", "process_failed"]
    assert "canary" not in log.getvalue()


def test_the_allow_list_keeps_plain_values_only() -> None:
    kept = allowed({"count": 1, "seconds": 0.5, "code": "a.b", "frames": ["x.py:1:f", CANARY, 5], "narrative": "x", "status": True})
    assert kept == {"count": 1, "seconds": 0.5, "code": "a.b", "frames": ["x.py:1:f", 5], "status": True}


@pytest.fixture
def recorded() -> tuple[Telemetry, InMemorySpanExporter, InMemoryMetricReader]:
    spans, metrics, made = InMemorySpanExporter(), InMemoryMetricReader(), Telemetry()
    made.configure("intake", spans=SimpleSpanProcessor(spans), readers=[metrics])
    return made, spans, metrics


Recorded = tuple[Telemetry, InMemorySpanExporter, InMemoryMetricReader]


def test_a_span_carries_allowed_attributes_only(recorded: Recorded) -> None:
    made, spans, _ = recorded
    context = SpanContext(1, 2, is_remote=True, trace_state=TraceState([("a", "canary")]))
    with made.span("apply_batch", topic="intake.incidents", narrative=CANARY, code=CANARY):
        span = trace.get_current_span()
        span.set_attribute("narrative", CANARY)
        span.set_attribute("reason", CANARY)
        span.set_attribute("count", 3)
        span.add_event(CANARY, {"x": CANARY})
        span.record_exception(ValueError(CANARY))
        span.add_link(context, {"x": CANARY})
        span.set_status(Status(StatusCode.ERROR, CANARY))
        span.update_name("apply_batch")
    (ended,) = spans.get_finished_spans()
    assert (ended.name, dict(ended.attributes or {})) == ("apply_batch", {"topic": "intake.incidents", "count": 3})
    assert (list(ended.events), ended.status.description, ended.status.status_code) == ([], None, StatusCode.ERROR)
    assert "canary" not in ended.to_json()
    assert dict(ended.resource.attributes) == {"service.name": "intake"}


def test_an_error_in_a_span_leaves_its_type(recorded: Recorded) -> None:
    made, spans, _ = recorded
    with pytest.raises(ValueError, match="canary"), made.span("apply_batch"):
        failing(CANARY)
    (ended,) = spans.get_finished_spans()
    assert dict(ended.attributes or {}) == {"error": "ValueError"}
    assert "canary" not in ended.to_json()


def test_a_span_name_is_a_word_of_ours(recorded: Recorded) -> None:
    made, spans, _ = recorded
    with made.span(CANARY):
        pass
    assert [span.name for span in spans.get_finished_spans()] == ["unnamed_span"]


def test_metrics_carry_allowed_attributes_only(recorded: Recorded) -> None:
    made, _, metrics = recorded
    made.meter.create_counter("mrm.things").add(2, {"topic": "t", "narrative": CANARY, "name": "canary", "reason": "canary"})
    scope = {"route": type("Route", (), {"path": "/v1/incidents/{incident}/status"})(), "method": "GET", "path": CANARY}
    made.request_ended(scope, 200, 0.01)
    made.request_ended({"method": "CANARY", "path": CANARY}, None, 0.01)
    data = metrics.get_metrics_data()
    assert data is not None
    text = data.to_json()
    assert "canary" not in text.lower()
    assert '"topic": "t"' in text
    assert "/v1/incidents/{incident}/status" in text


def test_nothing_is_recorded_unless_somebody_wants_it() -> None:
    made = Telemetry()
    with made.span("apply_batch"):
        assert not trace.get_current_span().is_recording()
    made.request_ended({}, 200, 0.1)
    made.meter.create_counter("mrm.things").add(1)


def test_the_sample_is_about_as_large_as_asked() -> None:
    spans, made = InMemorySpanExporter(), Telemetry()
    made.configure("intake", spans=SimpleSpanProcessor(spans), sample=0.0)
    with made.span("a"):
        pass
    assert spans.get_finished_spans() == ()
    made.configure("intake", spans=SimpleSpanProcessor(spans), sample=0.5)
    for _ in range(1000):
        with made.span("a"):
            pass
    assert 350 < len(spans.get_finished_spans()) < 650


def test_the_console_is_asked_for_by_name_and_gets_clean_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
    tracing.configure_from_environment("intake")
    try:
        with tracing.span("apply_batch", count=2, narrative=CANARY):
            pass
        tracing.flush()
    finally:
        tracing.configure("intake")
    line = json.loads(capsys.readouterr().err)
    assert (line["name"], line["attributes"]) == ("apply_batch", {"count": 2})
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    tracing.configure_from_environment("intake")
    with tracing.span("apply_batch"):
        assert not trace.get_current_span().is_recording()
