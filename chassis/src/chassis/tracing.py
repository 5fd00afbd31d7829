"""Spans and metrics (OpenTelemetry) by the same allow-list as the log; nothing is recorded unless somebody wants it."""

import os
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Link, SpanContext, Status

from chassis.telemetry import ALLOWED_KEYS, CLOSED_KEYS, allowed

DEFAULT_SAMPLE: Final = 0.01
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NAME: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")


class AllowListProcessor(SpanProcessor):
    """Hands ended spans on without unknown attributes, without events and without the text of a status."""

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner

    def on_start(self, span: Span, parent_context: Any = None) -> None:  # noqa: ANN401 - OpenTelemetry's own type
        """Nothing leaves before the end."""

    def on_end(self, span: ReadableSpan) -> None:
        """Hand on what may be known of a span."""
        self._inner.on_end(cleaned(span))

    def shutdown(self) -> None:
        """Stop."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Hand on what is waiting."""
        return self._inner.force_flush(timeout_millis)


def cleaned(span: ReadableSpan) -> ReadableSpan:
    """Return what may be known of a span."""
    return ReadableSpan(
        name=span.name if _NAME.fullmatch(span.name) else "unnamed_span",
        context=_plain_context(span.get_span_context()),
        parent=_plain_context(span.parent),
        resource=span.resource,
        attributes=allowed(span.attributes or {}),
        links=[Link(context) for link in span.links if (context := _plain_context(link.context)) is not None],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _plain_context(context: SpanContext | None) -> SpanContext | None:
    """Drop the trace state: whoever calls us could write into it."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, is_remote=context.is_remote, trace_flags=context.trace_flags)


class Telemetry:
    """The tracer and meter of a process. Until `configure` there is none and a span costs next to nothing."""

    def __init__(self) -> None:
        self._tracer: trace.Tracer | None = None
        self._provider: TracerProvider | None = None
        self._sample = 1.0
        self._requests: metrics.Histogram | None = None
        self.meter: metrics.Meter = metrics.NoOpMeter("mrm")

    def configure(
        self, service: str, *, spans: SpanProcessor | None = None, readers: Sequence[MetricReader] = (), sample: float = 1.0
    ) -> None:
        """Record spans to `spans` and metrics to `readers`; of all spans that begin here, the share `sample` is recorded."""
        resource = Resource({"service.name": service})
        self._sample = sample
        self._tracer = None
        if spans is not None:
            provider = TracerProvider(resource=resource, sampler=TraceIdRatioBased(1.0), shutdown_on_exit=False)
            provider.add_span_processor(AllowListProcessor(spans))
            self._tracer, self._provider = provider.get_tracer("mrm"), provider
        self.meter, self._requests = metrics.NoOpMeter("mrm"), None
        if readers:
            view = View(instrument_name="*", attribute_keys=set(ALLOWED_KEYS - CLOSED_KEYS))
            self.meter = MeterProvider(readers, resource=resource, views=[view], shutdown_on_exit=False).get_meter("mrm")
            self._requests = self.meter.create_histogram("mrm.requests", unit="s", description="Requests answered, by route and status.")

    @contextmanager
    def span(self, name: str, **attributes: object) -> Iterator[None]:
        """Record a span around a block: the sampling is decided before anything is made; an error leaves only its type."""
        if self._tracer is None or random.random() >= self._sample:  # noqa: S311 - a sample, not a secret
            yield
            return
        with self._tracer.start_as_current_span(
            name, attributes=allowed(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(Status(trace.StatusCode.ERROR))
                span.set_attributes(allowed({"error": type(error).__qualname__}))
                raise

    def flush(self) -> None:
        """Hand on the spans that wait; for the end of a process."""
        if self._provider is not None:
            self._provider.force_flush()

    def request_ended(self, scope: Mapping[str, Any], status: int | None, seconds: float) -> None:
        """Count an answered request, and say in its span, if it has one, what it was."""
        if self._requests is None and self._tracer is None:
            return
        route = scope.get("route")
        path = getattr(route, "path", "unknown")
        method = scope.get("method")
        labels = {"route": path, "method": method if method in _METHODS else "other", "status": status or 0}
        trace.get_current_span().set_attributes(allowed(labels))
        if self._requests is not None:
            self._requests.record(seconds, allowed(labels))


_TELEMETRY: Final = Telemetry()
configure = _TELEMETRY.configure
span = _TELEMETRY.span
request_ended = _TELEMETRY.request_ended
flush = _TELEMETRY.flush


def configure_from_environment(service: str) -> None:
    """Record what OpenTelemetry's own variables ask for: `OTEL_TRACES_EXPORTER` and `OTEL_METRICS_EXPORTER` know `console`.

    Of all requests the share `OTEL_TRACES_SAMPLER_ARG` (0.01) gets a span. Everything else is as if it were not asked for.
    """
    wants_spans = os.environ.get("OTEL_TRACES_EXPORTER") == "console"
    wants_metrics = os.environ.get("OTEL_METRICS_EXPORTER") == "console"
    exporter = ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: f"{span.to_json(indent=None)}\n")
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(out=sys.stderr)) if wants_metrics else None
    _TELEMETRY.configure(
        service,
        spans=BatchSpanProcessor(exporter) if wants_spans else None,
        readers=[reader] if reader is not None else [],
        sample=float(os.environ.get("OTEL_TRACES_SAMPLER_ARG", DEFAULT_SAMPLE)),
    )


def meter() -> metrics.Meter:
    """Return the meter of this process; it records nothing until metrics are configured."""
    return _TELEMETRY.meter
