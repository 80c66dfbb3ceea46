"""A span for each call to a model, by OpenTelemetry's GenAI conventions. Nobody's words are in it unless the
operator asks for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from pentad_client.envelope import current_envelope, set_envelope
from pentad_common import conventions as names
from pentad_common import otel
from pentad_common.otel import Value
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.completion import Completion, Message

_MOST_CHARACTERS = 64 * 1024
"""Of words in an attribute or a line of the log."""


@contextmanager
def spanned(call: CallRecord) -> Iterator[None]:
    """Around a call; requests to the provider made meanwhile belong to the span. Enter it before the call
    begins, leave it when the record is complete."""
    if not otel.spans_wanted():
        yield
        return
    envelope = current_envelope()
    parent = envelope.traceparent or call.caller.traceparent
    operation, model = call.operation, call.target.model
    span = otel.start_span(f"{operation} {model}", "client", parent, {names.OPERATION: operation})
    set_envelope(replace(envelope, traceparent=span.traceparent))
    try:
        yield
    finally:
        # Not by a token: a generator may be closed from elsewhere.
        set_envelope(replace(current_envelope(), traceparent=envelope.traceparent))
        span.note(_attributes(call))
        if call.words is not None:
            span.note({names.INPUT_MESSAGES: asked(call.requested), names.OUTPUT_MESSAGES: said(call.words)})
        span.end("" if call.status == "OK" else call.status)


def _attributes(call: CallRecord) -> Mapping[str, Value | None]:
    caller, sampling, usage = call.caller, call.requested.sampling, call.usage
    return {
        names.PROVIDER: call.target.provider.name,
        names.REQUEST_MODEL: call.target.model,
        names.REQUEST_STREAM: call.streamed or None,
        names.REQUEST_MAX_TOKENS: sampling.max_output_tokens,
        names.REQUEST_TEMPERATURE: sampling.temperature,
        names.REQUEST_TOP_P: sampling.top_p,
        names.REQUEST_SEED: sampling.seed,
        names.OUTPUT_TYPE: "json" if call.requested.response_format else None,
        names.RESPONSE_MODEL: call.model or None,
        names.RESPONSE_ID: call.provider_request_id or None,
        names.RESPONSE_FINISH_REASONS: [call.finish_reason] if call.finish_reason else None,
        names.RESPONSE_FIRST_CHUNK: call.time_to_first_token,
        names.CONVERSATION: caller.run_id,
        names.AGENT: caller.agent,
        names.INPUT_TOKENS: usage.input_tokens,
        names.OUTPUT_TOKENS: usage.output_tokens,
        names.CACHED_INPUT_TOKENS: usage.cached_input_tokens or None,
        names.CACHE_WRITE_TOKENS: usage.cache_write_tokens or None,
        names.REASONING_TOKENS: usage.reasoning_tokens or None,
        names.TENANT: caller.tenant_id,
        names.CALL: call.id,
        names.ATTEMPTS: call.attempts,
        names.COST: call.cost_micros,
    }


def asked(completion: Completion) -> str:
    """What was said to the model, as JSON; pictures by their size."""
    return json.dumps([_turn(item) for item in completion.messages], ensure_ascii=False)[:_MOST_CHARACTERS]


def said(words: list[str]) -> str:
    """What the model said, as JSON."""
    return json.dumps([{"role": "assistant", "content": "".join(words)}], ensure_ascii=False)[
        :_MOST_CHARACTERS
    ]


def _turn(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(asdict(part)) for part in message.parts]}


def _part(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: f"{len(value)} bytes" if isinstance(value, bytes) else value
        for name, value in fields.items()
        if value
    }
