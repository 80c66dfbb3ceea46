"""Anthropic's Messages format: requests, answers and the events of a stream, to and from the gateway's
values."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from pentad_llm_gateway.completion import (
    Answer,
    Completion,
    Event,
    Finished,
    FinishReason,
    Image,
    Message,
    Opened,
    Part,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    Usage,
)
from pentad_llm_gateway.errors import invalid_request
from pentad_llm_gateway.schema import closed

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_EFFORTS = {"minimal": "low"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}


def request_body(model: str, completion: Completion, default_max_tokens: int) -> dict[str, Any]:
    """The request's fields. Raises InvalidArgument INVALID_REQUEST for what Anthropic has no form for."""
    sampling = completion.sampling
    fields = {
        "model": model,
        "max_tokens": sampling.max_output_tokens or default_max_tokens,
        "system": "\n\n".join(item.text for item in completion.messages if item.role == "system") or None,
        "messages": _conversation(completion.messages),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop_sequences": list(sampling.stop) or None,
        "output_config": _output_config(completion),
        "thinking": _thinking(completion),
    }
    if completion.tools:
        fields["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": dict(tool.input_schema)}
            for tool in completion.tools
        ]
        fields["tool_choice"] = _tool_choice(completion)
    return {name: value for name, value in fields.items() if value is not None}


def _output_config(completion: Completion) -> dict[str, Any] | None:
    config: dict[str, Any] = {}
    form, effort = completion.response_format, completion.sampling.reasoning_effort
    if form is not None:
        if form.schema is None:
            raise invalid_request(
                "anthropic",
                "say which JSON: Anthropic's models take a json_schema",
                "completion.response_format",
            )
        config["format"] = {"type": "json_schema", "schema": closed(form.schema, all_required=False)}
    if effort and effort != "none":
        config["effort"] = _EFFORTS.get(effort, effort)
    return config or None


def _thinking(completion: Completion) -> dict[str, str] | None:
    """Thoughts are asked for, in words, where an effort is: without that the newer models think and keep it
    to themselves. A tool that must be called leaves no room for them."""
    effort = completion.sampling.reasoning_effort
    if effort in ("", "none") or completion.tool_choice.mode in ("required", "named"):
        return None
    return {"type": "adaptive", "display": "summarized"}


def _tool_choice(completion: Completion) -> dict[str, Any]:
    choice = completion.tool_choice
    kind: dict[str, Any] = {"type": _CHOICES[choice.mode]}
    if choice.mode == "named":
        kind["name"] = choice.name
    if completion.hints.get("parallel_tool_calls") is False and choice.mode != "none":
        kind["disable_parallel_tool_use"] = True
    return kind


def _conversation(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """User's and assistant's turns in alternation: neighbours of the same side become one."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        side = "assistant" if message.role == "assistant" else "user"
        blocks = [_block(part) for part in message.parts if _is_sent(part)]
        if turns and turns[-1]["role"] == side:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": side, "content": blocks})
    if not turns:
        raise invalid_request(
            "anthropic", "there must be a message that is not the system's", "completion.messages"
        )
    return turns


def _is_sent(part: Part) -> bool:
    """Neither empty words, which Anthropic refuses, nor thoughts that are not its own models'."""
    if isinstance(part, Reasoning):
        return bool(part.signature or part.redacted)
    return not isinstance(part, Text) or bool(part.text)


def _block(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case ToolCall(call_id, name, arguments):
            return {"type": "tool_use", "id": call_id, "name": name, "input": json.loads(arguments or "{}")}
        case ToolResult(call_id, content, is_error):
            return {"type": "tool_result", "tool_use_id": call_id, "content": content, "is_error": is_error}
        case Reasoning(_, _, redacted) if redacted:
            return {"type": "redacted_thinking", "data": redacted}
        case Reasoning(text, signature, _):
            return {"type": "thinking", "thinking": text, "signature": signature}
        case Image(_, _, url) if url:
            return {"type": "image", "source": {"type": "url", "url": url}}
        case Image(content_type, data, _):
            encoded = base64.b64encode(data).decode()
            return {
                "type": "image",
                "source": {"type": "base64", "media_type": content_type, "data": encoded},
            }


def read_answer(message: Any, request_id: str) -> Answer:
    """An SDK's Message as an Answer."""
    parts: list[Part] = []
    for block in message.content:
        if block.type == "text":
            parts.append(Text(block.text))
        elif block.type == "tool_use":
            parts.append(ToolCall(block.id, block.name, json.dumps(block.input)))
        elif block.type == "thinking":
            parts.append(Reasoning(block.thinking, block.signature))
        elif block.type == "redacted_thinking":
            parts.append(Reasoning(redacted=block.data))
    finish = _FINISH.get(message.stop_reason or "", "")
    usage = read_usage(message.usage, Usage())
    return Answer(Message("assistant", tuple(parts)), finish, message.model, usage, request_id)


def read_usage(usage: Any, begun: Usage) -> Usage:
    """An SDK's Usage or MessageDeltaUsage; what it does not tell is as in `begun`.

    Anthropic's input tokens leave out those read from the cache and written to it; ours have them.
    """

    def told(name: str, otherwise: int) -> int:
        value = getattr(usage, name, None)
        return otherwise if value is None else int(value)

    cached = told("cache_read_input_tokens", begun.cached_input_tokens)
    written = told("cache_creation_input_tokens", begun.cache_write_tokens)
    fresh = told("input_tokens", begun.input_tokens - begun.cached_input_tokens - begun.cache_write_tokens)
    details = getattr(usage, "output_tokens_details", None)
    return Usage(
        input_tokens=fresh + cached + written,
        output_tokens=told("output_tokens", begun.output_tokens),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=getattr(details, "thinking_tokens", None) or begun.reasoning_tokens,
    )


class EventReader:
    """Reads the events of one stream."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._usage = Usage()
        self._finish_reason: FinishReason = ""
        self._tools: dict[int, int] = {}
        """Numbers of the tool calls, by their places among the answer's blocks."""
        self._thoughts: dict[int, int] = {}
        """The same of what the model thinks."""

    def read(self, event: Any) -> Iterator[Event]:
        """What an event says; Finished comes with the last."""
        match event.type:
            case "message_start":
                self._usage = read_usage(event.message.usage, self._usage)
                yield Opened(event.message.model, self._request_id, self._usage)
            case "content_block_start" if event.content_block.type == "tool_use":
                number = self._tools[event.index] = len(self._tools)
                yield ToolCallDelta(number, event.content_block.id, event.content_block.name)
            case "content_block_start" if event.content_block.type == "redacted_thinking":
                yield ReasoningDelta(self._thought(event.index), redacted=event.content_block.data)
            case "content_block_delta":
                yield from self._delta(event)
            case "message_delta":
                self._usage = read_usage(event.usage, self._usage)
                self._finish_reason = _FINISH.get(event.delta.stop_reason or "", "")
            case "message_stop":
                yield Finished(self._finish_reason, self._usage)

    def _delta(self, event: Any) -> Iterator[Event]:
        match event.delta.type:
            case "text_delta":
                yield TextDelta(event.delta.text)
            case "input_json_delta" if event.index in self._tools:
                yield ToolCallDelta(self._tools[event.index], arguments=event.delta.partial_json)
            case "thinking_delta" if event.delta.thinking:
                yield ReasoningDelta(self._thought(event.index), event.delta.thinking)
            case "signature_delta":
                yield ReasoningDelta(self._thought(event.index), signature=event.delta.signature)
            case _:
                yield Opened()  # a sign of life

    def _thought(self, block: int) -> int:
        return self._thoughts.setdefault(block, len(self._thoughts))
