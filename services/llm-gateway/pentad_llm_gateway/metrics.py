"""Metrics of calls to models, by the names of OpenTelemetry's GenAI conventions in Prometheus' spelling.

The names are all here, because the conventions still move.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from pentad_llm_gateway.call_record import CallRecord

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)

DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds",
    "How long calls to models took, waits and retries included.",
    ["gen_ai_provider_name", "gen_ai_request_model", "error_type"],
    buckets=_SECONDS,
)
FIRST_CHUNK = Histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "How long streamed answers took to begin.",
    ["gen_ai_provider_name", "gen_ai_request_model"],
    buckets=_SECONDS,
)
TOKENS = Counter(
    "gen_ai_client_token_usage",
    "Tokens that calls to models used.",
    ["gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"],
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
    DURATION.labels(provider, model, "" if call.status == "OK" else call.status).observe(call.latency)
    first = call.time_to_first_token
    if first is not None:
        FIRST_CHUNK.labels(provider, model).observe(first)
    usage = call.usage
    TOKENS.labels(provider, model, "input").inc(usage.input_tokens)
    TOKENS.labels(provider, model, "output").inc(usage.output_tokens)
