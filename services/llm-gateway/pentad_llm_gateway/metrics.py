"""Metrics of calls to models, by OpenTelemetry's GenAI conventions: for Prometheus in its spelling, and for a
collector where one is set."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from pentad_common import conventions as names
from pentad_common import otel
from pentad_llm_gateway.call_record import CallRecord

_LABELS = ["gen_ai_provider_name", "gen_ai_request_model"]


def _histogram(what: names.Distribution, *more: str) -> Histogram:
    name = f"{names.prometheus(what.name)}_seconds"
    return Histogram(name, what.description, [*_LABELS, *more], buckets=what.buckets)


DURATION = _histogram(names.OPERATION_DURATION, "error_type")
FIRST_CHUNK = _histogram(names.FIRST_CHUNK)
OUTPUT_CHUNK = _histogram(names.OUTPUT_CHUNK)
TOKENS = Counter(
    names.prometheus(names.TOKEN_USAGE.name),
    names.TOKEN_USAGE.description,
    [*_LABELS, "gen_ai_token_type"],
)
RETRIES = Counter(
    "pentad_llm_retries", "Attempts that failed and were tried again.", ["gen_ai_provider_name", "error_type"]
)
OPEN_CALLS = Gauge("pentad_llm_open_calls", "Calls to models under way.", ["gen_ai_provider_name"])
CIRCUITS = Gauge(
    "pentad_llm_circuit_state",
    "Circuit of a deployment: 0 closed, 1 half open, 2 open or cooling down.",
    ["gen_ai_provider_name", "gen_ai_request_model"],
)
CIRCUIT_OPENINGS = Counter(
    "pentad_llm_circuit_openings",
    "Times that the circuit of a deployment opened.",
    ["gen_ai_provider_name", "gen_ai_request_model", "error_type"],
)
FALLBACKS = Counter(
    "pentad_llm_fallbacks",
    "Models that could not answer, so that another was asked.",
    ["gen_ai_provider_name", "error_type"],
)
CATALOG_RELOADS = Counter("pentad_llm_catalog_reloads", "Changes of the catalog file, by result.", ["result"])
CATALOG_REFUSED = Gauge(
    "pentad_llm_catalog_refused", "1 while the catalog's file is wrong and the one before it is in force."
)
CACHE = Counter(
    "pentad_llm_cache",
    "Calls that the cache is on for: answered from it (hit), by a call under way (shared), or asked (miss).",
    ["result"],
)
LOST_RECORDS = Counter(
    "pentad_llm_lost_records", "Records of calls that were given up while the database was away."
)


def observe(call: CallRecord) -> None:
    """Counts a call that has ended; one that the cache answered asked no model."""
    if call.cached:
        return
    provider, model = call.target.provider.name, call.target.label
    usage, failed = call.usage, "" if call.status == "OK" else call.status
    about = {names.OPERATION: call.operation, names.PROVIDER: provider, names.REQUEST_MODEL: model}
    DURATION.labels(provider, model, failed).observe(call.latency)
    otel.record(
        names.OPERATION_DURATION, call.latency, about | ({names.ERROR_TYPE: failed} if failed else {})
    )
    if call.time_to_first_token is not None:
        FIRST_CHUNK.labels(provider, model).observe(call.time_to_first_token)
        otel.record(names.FIRST_CHUNK, call.time_to_first_token, about)
    if call.chunk_seconds:
        _observe_chunks(OUTPUT_CHUNK.labels(provider, model), call, about)
    for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
        TOKENS.labels(provider, model, kind).inc(tokens)
        otel.record(names.TOKEN_USAGE, tokens, about | {names.TOKEN_TYPE: kind})


def _observe_chunks(histogram: Histogram, call: CallRecord, about: dict[str, str]) -> None:
    for seconds in call.chunk_seconds:
        histogram.observe(seconds)
        otel.record(names.OUTPUT_CHUNK, seconds, about)
