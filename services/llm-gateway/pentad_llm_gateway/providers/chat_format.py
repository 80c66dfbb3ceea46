"""OpenAI's chat format: requests, answers and the chunks of a stream, to and from the gateway's values."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Iterator
from sys import byteorder
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
    ResponseFormat,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    Usage,
)
from pentad_llm_gateway.embedding import Vectors
from pentad_llm_gateway.schema import closed

CHAT_HINTS = frozenset({"frequency_penalty", "logit_bias", "parallel_tool_calls", "presence_penalty"})
"""What most servers that speak this format take beside what all do; those who do not pass it over."""
OPENAI_HINTS = CHAT_HINTS | {
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "verbosity",
    "web_search_options",
}
"""What OpenAI itself takes: more than the contract has a place for."""

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def request_body(
    model: str, completion: Completion, *, limit_field: str, strict: bool, thoughts: bool = False
) -> dict[str, Any]:
    """The request's fields. `limit_field`: what the bound on output tokens is called. `strict`: close
    schemas. `thoughts`: whether the server takes back what its model thought."""
    sampling = completion.sampling
    fields = {
        "model": model,
        "messages": [item for message in completion.messages for item in _messages(message, thoughts)],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        limit_field: sampling.max_output_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "reasoning_effort": sampling.reasoning_effort or None,
        "response_format": _response_format(completion.response_format, strict),
    }
    if completion.tools:
        fields["tools"] = [{"type": "function", "function": _function(tool)} for tool in completion.tools]
        fields["tool_choice"] = _tool_choice(completion.tool_choice)
    return {name: value for name, value in fields.items() if value is not None}


def _function(tool: Any) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.input_schema)}
    return function if tool.strict is None else function | {"strict": tool.strict}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _response_format(form: ResponseFormat | None, strict: bool) -> dict[str, Any] | None:
    if form is None:
        return None
    if form.schema is None:
        return {"type": "json_object"}
    schema = closed(form.schema, all_required=True) if strict else dict(form.schema)
    return {"type": "json_schema", "json_schema": {"name": form.name, "schema": schema, "strict": True}}


def _messages(message: Message, thoughts: bool) -> Iterator[dict[str, Any]]:
    """One of ours can be several of theirs: each tool's result is a message of its own."""
    for part in message.parts:
        if isinstance(part, ToolResult):
            yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.content}
    calls = [_call(part) for part in message.parts if isinstance(part, ToolCall)]
    content = _content(message.parts)
    if calls:
        # Only in these turns: elsewhere thoughts are ignored at best, as DeepSeek does, and cost tokens.
        thought = (
            "".join(part.text for part in message.parts if isinstance(part, Reasoning)) if thoughts else ""
        )
        kept = {"reasoning_content": thought} if thought else {}
        yield {"role": "assistant", "content": content or None, "tool_calls": calls} | kept
    elif content or not any(isinstance(part, ToolResult) for part in message.parts):
        yield {"role": message.role, "content": content}


def _call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if not any(isinstance(part, Image) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    blocks: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            blocks.append({"type": "text", "text": part.text})
        elif isinstance(part, Image):
            blocks.append({"type": "image_url", "image_url": {"url": part.url or data_url(part)}})
    return blocks


def data_url(image: Image) -> str:
    """A picture's bytes as an address."""
    return f"data:{image.content_type};base64,{base64.b64encode(image.data).decode()}"


def read_answer(response: Any, request_id: str) -> Answer:
    """An SDK's ChatCompletion as an Answer."""
    choice = response.choices[0]
    parts: list[Part] = [Reasoning(thought)] if (thought := _thought(choice.message)) else []
    if choice.message.content:
        parts.append(Text(choice.message.content))
    for call in choice.message.tool_calls or ():
        parts.append(ToolCall(call.id, call.function.name, call.function.arguments))
    if not (choice.message.content or choice.message.tool_calls) and getattr(choice.message, "refusal", None):
        return Answer(
            Message("assistant", (Text(choice.message.refusal),)),
            "content_filter",
            response.model or "",
            read_usage(response.usage),
            request_id,
        )
    return Answer(
        Message("assistant", tuple(parts)),
        _FINISH.get(choice.finish_reason or "", ""),
        response.model or "",
        read_usage(response.usage),
        request_id,
    )


def _thought(message: Any) -> str:
    """What the model thought, or the next of it: DeepSeek, vLLM and llama.cpp say `reasoning_content`, newer
    vLLM and OpenRouter `reasoning`; OpenAI itself keeps it."""
    for name in ("reasoning_content", "reasoning"):
        value = getattr(message, name, None)
        if isinstance(value, str) and value:
            return value
    return ""


def read_vectors(response: Any, request_id: str, count: int) -> Vectors:
    """An SDK's CreateEmbeddingResponse. Raises ValueError unless it has a vector for each of `count`
    texts."""
    found = sorted(response.data, key=lambda item: item.index)
    if [item.index for item in found] != list(range(count)):
        raise ValueError(f"{len(found)} vectors for {count} texts")
    usage = response.usage
    tokens = Usage(input_tokens=usage.prompt_tokens or 0) if usage else None
    return Vectors([_vector(item.embedding) for item in found], response.model or "", tokens, request_id)


def _vector(embedding: list[float] | str) -> array[float]:
    """Its numbers, also from base64 of little-endian 32-bit floats."""
    if not isinstance(embedding, str):
        return array("f", embedding)
    vector = array("f")
    vector.frombytes(base64.b64decode(embedding))
    if byteorder == "big":
        vector.byteswap()
    return vector


def read_usage(usage: Any) -> Usage | None:
    """An SDK's CompletionUsage; None if there is none."""
    if usage is None:
        return None
    prompt, output = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_input_tokens=getattr(prompt, "cached_tokens", None) or 0,
        cache_write_tokens=getattr(prompt, "cache_write_tokens", None) or 0,
        reasoning_tokens=getattr(output, "reasoning_tokens", None) or 0,
    )


class ChunkReader:
    """Reads the chunks of one stream; `finished()` once they are over."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._opened = False
        self._finish_reason: str | None = None
        self._usage: Usage | None = None

    def read(self, chunk: Any) -> Iterator[Event]:
        """The deltas in a chunk; Opened for one that has none."""
        self._usage = read_usage(chunk.usage) or self._usage
        events = list(self._deltas(chunk)) if chunk.choices else []
        if not (events and self._opened):
            self._opened = True
            yield Opened(chunk.model or "", self._request_id)
        yield from events

    def _deltas(self, chunk: Any) -> Iterator[Event]:
        choice = chunk.choices[0]
        self._finish_reason = choice.finish_reason or self._finish_reason
        if thought := _thought(choice.delta):
            yield ReasoningDelta(0, thought)
        text = choice.delta.content or getattr(choice.delta, "refusal", None)
        if text:
            yield TextDelta(text)
        for call in choice.delta.tool_calls or ():
            function = call.function
            yield ToolCallDelta(
                call.index,
                call.id or "",
                (function.name if function else "") or "",
                (function.arguments if function else "") or "",
            )

    def finished(self) -> Finished | None:
        """The end; None if the stream was over before the provider said why it stopped: it was cut."""
        if self._finish_reason is None:
            return None
        return Finished(_FINISH.get(self._finish_reason, ""), self._usage)
