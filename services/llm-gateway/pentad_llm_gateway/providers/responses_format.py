"""OpenAI's Responses format, as far as its counting of input tokens needs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pentad_llm_gateway.completion import (
    Completion,
    Image,
    Message,
    Part,
    Text,
    ToolCall,
    ToolResult,
)
from pentad_llm_gateway.providers.chat_format import data_url
from pentad_llm_gateway.schema import closed


def count_body(model: str, completion: Completion) -> dict[str, Any]:
    """The fields of a request to count the input of `completion`."""
    body: dict[str, Any] = {
        "model": model,
        "input": [item for message in completion.messages for item in _items(message)],
    }
    if completion.tools:
        body["tools"] = [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.input_schema),
                "strict": False,
            }
            for tool in completion.tools
        ]
    form = completion.response_format
    if form is not None and form.schema is not None:
        schema = closed(form.schema, all_required=True)
        body["text"] = {
            "format": {"type": "json_schema", "name": form.name, "schema": schema, "strict": True}
        }
    return body


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """One of ours can be several of theirs: tool calls and results stand by themselves."""
    content = [block for part in message.parts if (block := _block(message.role, part))]
    if content:
        yield {"role": "user" if message.role == "tool" else message.role, "content": content}
    for part in message.parts:
        if isinstance(part, ToolCall):
            yield {
                "type": "function_call",
                "call_id": part.id,
                "name": part.name,
                "arguments": part.arguments or "{}",
            }
        elif isinstance(part, ToolResult):
            yield {"type": "function_call_output", "call_id": part.tool_call_id, "output": part.content}


def _block(role: str, part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text) if text:
            return {"type": "output_text" if role == "assistant" else "input_text", "text": text}
        case Image(url=url):
            return {"type": "input_image", "image_url": url or data_url(part), "detail": "auto"}
        case _:
            return None
