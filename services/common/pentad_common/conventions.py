"""The names of OpenTelemetry's conventions, as far as Pentad uses them: those of generative AI still move.

Prometheus' spelling of a metric is `prometheus(name)`.
"""

from __future__ import annotations

from dataclasses import dataclass

# ---------------------------------------------------------------------------------------------- attributes

ERROR_TYPE = "error.type"
RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_STATUS = "rpc.response.status_code"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_STOP = "gen_ai.request.stop_sequences"
REQUEST_STREAM = "gen_ai.request.stream"
OUTPUT_TYPE = "gen_ai.output.type"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
RESPONSE_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
CONVERSATION = "gen_ai.conversation.id"
AGENT = "gen_ai.agent.name"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_INPUT_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"

TENANT = "pentad.tenant.id"
CALL = "pentad.llm.call.id"
ATTEMPTS = "pentad.llm.attempts"
CACHED = "pentad.llm.cached"
COST = "pentad.llm.cost_micros"

# ---------------------------------------------------------------------------------------------- metrics


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram."""

    name: str
    unit: str
    description: str
    buckets: tuple[float, ...]


_CALL_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_CHUNK_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1.0,
    2.5,
)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_RPC_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

RPC_DURATION = Distribution(
    "rpc.server.call.duration", "s", "How long RPCs took, from first to last byte.", _RPC_SECONDS
)
OPERATION_DURATION = Distribution(
    "gen_ai.client.operation.duration",
    "s",
    "How long calls to models took, waits and retries included.",
    _CALL_SECONDS,
)
FIRST_CHUNK = Distribution(
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    "How long streamed answers took to begin.",
    _CALL_SECONDS,
)
OUTPUT_CHUNK = Distribution(
    "gen_ai.client.operation.time_per_output_chunk",
    "s",
    "How long each chunk of a streamed answer came after the one before.",
    _CHUNK_SECONDS,
)
TOKEN_USAGE = Distribution(
    "gen_ai.client.token.usage", "{token}", "Tokens that calls to models used.", tuple(map(float, _TOKENS))
)


def prometheus(name: str) -> str:
    """A name as Prometheus spells it."""
    return name.replace(".", "_")
