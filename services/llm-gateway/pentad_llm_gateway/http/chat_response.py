"""Answers as `/v1/chat/completions` has them, whole and in chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from pentad_llm_gateway.call_record import Served
from pentad_llm_gateway.completion import (
    Message,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from pentad_llm_gateway.gateway import Done, Failed, Frame, Reply
from pentad_llm_gateway.http import errors

DONE = b"data: [DONE]\n\n"


def usage_document(usage: Usage) -> dict[str, Any]:
    """Tokens in OpenAI's names."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def served_document(
    served: Served, usage: Usage, cost_micros: int | None, ignored: Sequence[str] = ()
) -> dict[str, Any]:
    """What OpenAI's format has no place for: what was asked for, what served, what it cost."""
    return {
        "call_id": served.call_id,
        "requested_model": served.requested_model,
        "model": served.model,
        "provider": served.provider,
        "attempts": served.attempts,
        "cached": served.cached,
        "provider_request_id": served.provider_request_id,
        "ignored_fields": [*served.ignored_fields, *ignored],
        "failed_models": [
            {"model": item.model, "provider": item.provider, "reason": item.reason}
            for item in served.failed_models
        ],
        "estimated": usage.estimated,
        "cost_micros": cost_micros,
    }


def served_headers(served: Served) -> dict[str, str]:
    """The most of it for those who read headers."""
    return {
        "pentad-call-id": served.call_id,
        "pentad-model": _plain(f"{served.provider}/{served.model}"),
        "pentad-cached": "true" if served.cached else "false",
    }


def _plain(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)[:300]


def completion_document(
    reply: Reply, request_id: str, created: int, legacy: bool, ignored: Sequence[str]
) -> dict[str, Any]:
    """A whole answer."""
    choice = {
        "index": 0,
        "message": _message(reply.message, legacy),
        "logprobs": None,
        "finish_reason": _finish(reply.finish_reason, legacy),
    }
    return {
        "id": f"chatcmpl-{request_id}",
        "object": "chat.completion",
        "created": created,
        "model": reply.served.model,
        "choices": [choice],
        "usage": usage_document(reply.usage),
        "pentad": served_document(reply.served, reply.usage, reply.cost_micros, ignored),
    }


def _message(message: Message, legacy: bool) -> dict[str, Any]:
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    thought = "".join(part.text for part in message.parts if isinstance(part, Reasoning))
    said: dict[str, Any] = {"role": "assistant", "content": message.text, "refusal": None}
    if thought:
        said["reasoning_content"] = thought  # as DeepSeek, vLLM and llama.cpp have it; OpenAI has no place
    if calls:
        said["content"] = message.text or None
        functions = [{"name": call.name, "arguments": call.arguments or "{}"} for call in calls]
        if legacy:
            said["function_call"] = functions[0]
        else:
            said["tool_calls"] = [
                {"id": call.id, "type": "function", "function": function}
                for call, function in zip(calls, functions, strict=True)
            ]
    return said


def _finish(reason: str, legacy: bool) -> str:
    if reason == "tool_calls" and legacy:
        return "function_call"
    return reason or "stop"


class ChunkWriter:
    """Writes the frames of one answer as server-sent events."""

    def __init__(
        self,
        request_id: str,
        created: int,
        model: str,
        include_usage: bool,
        legacy: bool,
        ignored: Sequence[str],
    ) -> None:
        self._head = {
            "id": f"chatcmpl-{request_id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._include_usage = include_usage
        self._legacy = legacy
        self._ignored = ignored

    def begin(self) -> bytes:
        """Who speaks: the first chunk."""
        return self._delta({"role": "assistant", "content": "", "refusal": None})

    def write(self, frame: Frame) -> bytes:
        """A frame; the last one with what comes after it."""
        match frame:
            case TextDelta(text):
                return self._delta({"content": text})
            case ReasoningDelta():
                return self._delta({"reasoning_content": frame.text})
            case ToolCallDelta():
                return self._delta(self._tool_call(frame))
            case Done():
                return b"".join(self._end(frame))
            case Failed(error, usage, cost, served):
                about = served_document(served, usage, cost, self._ignored)
                return errors.event(error, usage=usage_document(usage), pentad=about)

    def _tool_call(self, frame: ToolCallDelta) -> dict[str, Any]:
        function = {"arguments": frame.arguments} | ({"name": frame.name} if frame.name else {})
        if self._legacy:
            return {"function_call": function}
        named = {"id": frame.id, "type": "function"} if frame.id else {}
        return {"tool_calls": [{"index": frame.index, **named, "function": function}]}

    def _end(self, done: Done) -> Iterator[bytes]:
        self._head["model"] = done.served.model
        about = served_document(done.served, done.usage, done.cost_micros, self._ignored)
        finish = _finish(done.finish_reason, self._legacy)
        yield self._event(
            [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish}], pentad=about
        )
        if self._include_usage:
            yield self._event([], usage=usage_document(done.usage))
        yield DONE

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])

    def _event(self, choices: list[dict[str, Any]], **beside: Any) -> bytes:
        body = self._head | {"choices": choices} | ({"usage": None} if self._include_usage else {}) | beside
        return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
