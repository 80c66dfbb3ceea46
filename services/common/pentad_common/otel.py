"""OpenTelemetry: spans and metrics for a collector, by the variables that its SDK documents.

Nothing is imported, made or sent unless OTEL_EXPORTER_OTLP_ENDPOINT (or _TRACES_ENDPOINT, _METRICS_ENDPOINT)
names a collector; then the packages of the extra `otel` are needed. Endpoint, headers, protocol, sampling,
intervals and resource attributes are read from the environment by the SDK.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pentad_common.conventions import ERROR_TYPE, Distribution
from pentad_common.errors import StartupError

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

Value = str | bool | int | float | Sequence[str]
Kind = Literal["server", "client"]
Signal = Literal["traces", "metrics"]

_FLUSH_MILLISECONDS = 3_000
_NO_EXTRA = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, and the packages that export are not installed: "
    "pip install 'pentad[otel]', or unset it"
)


class Span(Protocol):
    """Something that goes on. Times are taken when it is made and when it ends."""

    @property
    def traceparent(self) -> str:
        """For what happens within it; "" if it is none."""

    def note(self, attributes: Mapping[str, Value | None]) -> None:
        """Adds what is known of it; what is None is left out."""

    def end(self, error_type: str = "") -> None:
        """It is over; `error_type`: why it failed, if it did."""


class _NoSpan:
    """Nobody looks."""

    traceparent = ""

    def note(self, attributes: Mapping[str, Value | None]) -> None:
        """See Span."""

    def end(self, error_type: str = "") -> None:
        """See Span."""


NO_SPAN: Span = _NoSpan()


class _Exporting:
    """Where spans and figures go."""

    def __init__(self, tracing: TracerProvider | None, metering: MeterProvider | None) -> None:
        self._tracing = tracing
        self._metering = metering
        self._tracer = tracing.get_tracer("pentad") if tracing else None
        self._meter = metering.get_meter("pentad") if metering else None
        self._histograms: dict[str, Any] = {}

    @property
    def spans(self) -> bool:
        """Whether spans are wanted."""
        return self._tracer is not None

    def span(self, name: str, kind: Kind, parent: str, attributes: Mapping[str, Value | None]) -> Span:
        """A span that begins now."""
        if self._tracer is None:
            return NO_SPAN
        from opentelemetry.trace import SpanKind

        known = {key: value for key, value in attributes.items() if value is not None}
        kinds = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
        return _Recorded(
            self._tracer.start_span(name, context=_context(parent), kind=kinds[kind], attributes=known)
        )

    def record(self, what: Distribution, value: float, attributes: Mapping[str, str]) -> None:
        """Takes in a figure."""
        if self._meter is None:
            return
        histogram = self._histograms.get(what.name)
        if histogram is None:
            histogram = self._histograms[what.name] = self._meter.create_histogram(
                what.name, what.unit, what.description, explicit_bucket_boundaries_advisory=what.buckets
            )
        histogram.record(value, attributes)

    def stop(self) -> None:
        """Sends what is left, for a few seconds at most. Blocks."""
        if self._tracing is not None:
            self._tracing.force_flush(_FLUSH_MILLISECONDS)
            self._tracing.shutdown()
        if self._metering is not None:
            self._metering.shutdown(_FLUSH_MILLISECONDS)


class _Recorded:
    """A span of the SDK's."""

    def __init__(self, span: Any) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """See Span."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def note(self, attributes: Mapping[str, Value | None]) -> None:
        """See Span."""
        for name, value in attributes.items():
            if value is not None:
                self._span.set_attribute(name, value)

    def end(self, error_type: str = "") -> None:
        """See Span. What an exception says is left out: it may be anybody's words."""
        if error_type:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute(ERROR_TYPE, error_type)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


_exporting = _Exporting(None, None)


def spans_wanted() -> bool:
    """Whether anybody looks at spans."""
    return _exporting.spans


def start_span(
    name: str, kind: Kind, parent: str = "", attributes: Mapping[str, Value | None] | None = None
) -> Span:
    """A span within `parent`, a traceparent; "" begins a trace. Whoever starts it ends it."""
    return _exporting.span(name, kind, parent, attributes or {})


def record(what: Distribution, value: float, attributes: Mapping[str, str]) -> None:
    """Takes in a figure for the collector."""
    _exporting.record(what, value, attributes)


def start_exporting(service: str) -> Callable[[], None]:
    """Begins to export if the environment asks for it; returns what ends it (and blocks while it sends the
    rest). Raises StartupError if it cannot."""
    global _exporting
    if not (wanted("traces") or wanted("metrics")):
        return lambda: None
    try:
        resource = _resource(service)
        tracing = _tracing(resource) if wanted("traces") else None
        metering = _metering(resource) if wanted("metrics") else None
    except ImportError:
        raise StartupError(_NO_EXTRA) from None
    started = _exporting = _Exporting(tracing, metering)

    def stop() -> None:
        global _exporting
        if _exporting is started:
            _exporting = _Exporting(None, None)
        started.stop()

    return stop


def wanted(signal: Signal) -> bool:
    """Whether the environment names a collector of such."""
    name = signal.upper()
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if os.environ.get(f"OTEL_{name}_EXPORTER", "otlp") != "otlp":
        return False
    places = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT")
    return any(os.environ.get(place) for place in places)


_EXPORTERS = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
}


def _exporter(signal: Signal) -> Any:
    """The exporter of the protocol that is set; HTTP unless said."""
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", protocol)
    if protocol not in ("http/protobuf", "grpc"):
        raise StartupError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is neither http/protobuf nor grpc")
    module, kind = _EXPORTERS[signal]
    return getattr(import_module(f"opentelemetry.exporter.otlp.proto.{protocol[:4]}.{module}"), kind)()


def _resource(service: str) -> Resource:
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource

    own = {SERVICE_NAME: service, SERVICE_NAMESPACE: "pentad"}
    name = os.environ.get("OTEL_SERVICE_NAME")
    return Resource.create(own | ({SERVICE_NAME: name} if name else {}))


def _tracing(resource: Resource) -> TracerProvider:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter("traces")))
    return provider


def _metering(resource: Resource) -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(_exporter("metrics"))
    return MeterProvider([reader], resource=resource, shutdown_on_exit=False)


def _context(parent: str) -> Any:
    """The context of a traceparent; an empty one for "", so that a trace begins."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if not parent:
        return Context()
    _, trace, span, flags = parent.split("-")
    context = SpanContext(
        int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
    return set_span_in_context(NonRecordingSpan(context), Context())
