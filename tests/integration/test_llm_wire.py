"""All that a request can say, as the providers' servers get it from the real SDKs."""

from __future__ import annotations

from typing import Any

import pytest

from pentad.llm.v1 import llm_pb2
from pentad_client import Pentad
from tests.fixtures.upstream import Upstream

SCHEMA = {"type": "object", "properties": {"at": {"type": "integer"}}}
TOOL = llm_pb2.Tool(name="look", description="Looks", input_schema='{"type": "object"}')
DATA, URL = llm_pb2.Image(content_type="image/png", data=b"\x01"), llm_pb2.Image(url="https://x/y.png")
CALL = llm_pb2.ToolCall(id="c1", name="look", arguments='{"at": 1}')
RESULT = llm_pb2.ToolResult(tool_call_id="c1", content="a cat", is_error=True)


def said(role: str, *parts: llm_pb2.MessagePart) -> llm_pb2.Message:
    """A turn."""
    return llm_pb2.Message(role=f"MESSAGE_ROLE_{role}", parts=parts)


TURNS = [
    said("USER", llm_pb2.MessagePart(text="what?"), *(llm_pb2.MessagePart(image=it) for it in (DATA, URL))),
    said("ASSISTANT", llm_pb2.MessagePart(text="looking"), llm_pb2.MessagePart(tool_call=CALL)),
    said("TOOL", llm_pb2.MessagePart(tool_result=RESULT)),
]
REQUEST: dict[str, Any] = {
    "system": "Be kind.",
    "messages": TURNS,
    "tools": [TOOL],
    "tool_choice": llm_pb2.ToolChoice(mode="MODE_REQUIRED"),
    "json_schema": SCHEMA,
    "temperature": 0.25,
    "top_p": 0.5,
    "max_output_tokens": 77,
    "stop": ["END", "STOP"],
    "seed": 7,
    "extras": {"user": "u-1", "nested": {"list": [1, "a", None, True]}},
}
NESTED = {"list": [1, "a", None, True]}


async def body(pentad: Pentad, upstream: Upstream, model: str, streamed: bool) -> dict[str, Any]:
    """What the provider's server gets."""
    if streamed:
        async with pentad.llm.stream("and now?", model=model, **REQUEST) as stream:
            async for _ in stream:
                pass
    else:
        await pentad.llm.invoke("and now?", model=model, **REQUEST)
    return upstream.requests[-1].body


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("provider", ["openai", "openai-compatible"])
async def test_openai(upstream: Upstream, pentad: Pentad, provider: str, streamed: bool) -> None:
    """Everything is where OpenAI's protocol has it; only the bound on output has another name elsewhere."""
    sent = await body(pentad, upstream, f"{provider}/m", streamed)
    system, user, assistant, tool, again = sent["messages"]
    assert (system["content"], again["content"]) == ("Be kind.", "and now?")
    assert [block["type"] for block in user["content"]] == ["text", "image_url", "image_url"]
    assert user["content"][1]["image_url"]["url"] == "data:image/png;base64,AQ=="
    assert user["content"][2]["image_url"]["url"] == "https://x/y.png"
    assert assistant["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at": 1}'}
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "a cat"}
    assert sent["tools"][0]["function"]["parameters"] == {"type": "object"}
    assert sent["tool_choice"] == "required"
    assert sent["response_format"]["json_schema"]["schema"]["properties"] == SCHEMA["properties"]
    assert (sent["temperature"], sent["top_p"], sent["seed"]) == (0.25, 0.5, 7)
    assert sent["max_completion_tokens" if provider == "openai" else "max_tokens"] == 77
    assert sent["stop"] == ["END", "STOP"]
    assert (sent["user"], sent["nested"]) == ("u-1", NESTED)
    assert sent.get("stream_options") == ({"include_usage": True} if streamed else None)


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropic(upstream: Upstream, pentad: Pentad, streamed: bool) -> None:
    """Everything is where Anthropic's protocol has it, but the seed, which it has not."""
    sent = await body(pentad, upstream, "anthropic/claude-haiku-4-5", streamed)
    user, assistant, tool = sent["messages"]
    assert sent["system"] == "Be kind."
    assert user["content"][1]["source"] == {"type": "base64", "media_type": "image/png", "data": "AQ=="}
    assert user["content"][2]["source"] == {"type": "url", "url": "https://x/y.png"}
    assert [block["type"] for block in assistant["content"]] == ["text", "tool_use"]
    assert assistant["content"][1]["input"] == {"at": 1}
    result, again = tool["content"]
    assert (result["tool_use_id"], result["is_error"], again["text"]) == ("c1", True, "and now?")
    assert (sent["tools"][0]["name"], sent["tool_choice"]) == ("look", {"type": "any"})
    assert sent["output_config"]["format"]["schema"]["properties"] == SCHEMA["properties"]
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.25, 0.5, 77)
    assert sent["stop_sequences"] == ["END", "STOP"]
    assert (sent["user"], sent["nested"]) == ("u-1", NESTED)
    assert "seed" not in sent
