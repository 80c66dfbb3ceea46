"""What models think, on both wire formats: told to callers, and given back with a tool's result."""

from __future__ import annotations

import pytest

from pentad.llm.v1 import llm_pb2
from pentad_client import Pentad
from tests.fixtures.upstream import Answer, Upstream

TOOL = llm_pb2.Tool(name="weather", input_schema='{"type":"object","properties":{}}')
THOUGHT = ("let me see", "seal-1")
CALLING = Answer(tool=("weather", '{"city": "Paris"}'), reasoning=THOUGHT)
ANTHROPIC, COMPATIBLE = "anthropic/claude-sonnet-5-5", "openai-compatible/some-model"


def told(call: llm_pb2.ToolCall) -> llm_pb2.Message:
    """The turn of the tool that was called."""
    result = llm_pb2.ToolResult(tool_call_id=call.id, content="sunny")
    return llm_pb2.Message(role="MESSAGE_ROLE_TOOL", parts=[llm_pb2.MessagePart(tool_result=result)])


async def test_anthropics_thoughts_go_back_as_they_came(upstream: Upstream, pentad: Pentad) -> None:
    """Thinking blocks come with their seals, encrypted ones too, and go back before the tool call they led
    to."""
    upstream.will(CALLING)
    answer = await pentad.llm.invoke("hi", model=ANTHROPIC, tools=[TOOL], reasoning_effort="high")
    assert answer.reasoning == "let me see"
    asked = upstream.requests[0].body
    assert asked["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert asked["output_config"] == {"effort": "high"}
    turns = [("user", "hi"), answer.message, told(answer.tool_calls[0])]
    await pentad.llm.invoke(messages=turns, model=ANTHROPIC, tools=[TOOL], reasoning_effort="high")
    thinking, redacted, call = upstream.requests[1].body["messages"][1]["content"]
    assert thinking == {"type": "thinking", "thinking": "let me see", "signature": "seal-1"}
    assert redacted == {"type": "redacted_thinking", "data": "sealed"}
    assert call["type"] == "tool_use"


async def test_anthropics_streamed_thoughts(upstream: Upstream, pentad: Pentad) -> None:
    """Streamed thoughts can be put together again: pieces by index, the seal in the last, then the answer."""
    upstream.will(Answer("done", reasoning=THOUGHT))
    async with pentad.llm.stream("hi", model=ANTHROPIC, reasoning_effort="low") as stream:
        deltas = [event.reasoning async for event in stream if isinstance(event, llm_pb2.Delta)]
    assert (stream.reasoning, stream.text) == ("let me see", "done")
    *first, second = [item for item in deltas if item.ByteSize()]
    assert {item.index for item in first} == {0}
    assert "".join(item.text for item in first) == "let me see"
    assert [item.signature for item in first if item.signature] == [first[-1].signature] == ["seal-1"]
    assert (second.index, second.redacted) == (1, "sealed")


async def test_a_tool_that_must_be_called_leaves_no_room(upstream: Upstream, pentad: Pentad) -> None:
    """Anthropic does not think before a tool that it has to call; the effort stays."""
    choice = llm_pb2.ToolChoice(mode="MODE_NAMED", name="weather")
    await pentad.llm.invoke("x", model=ANTHROPIC, tools=[TOOL], tool_choice=choice, reasoning_effort="low")
    assert "thinking" not in upstream.requests[0].body


async def test_compatible_servers_get_their_thoughts_back(upstream: Upstream, pentad: Pentad) -> None:
    """`reasoning_content` comes whole and streamed, and goes back with tool calls and nowhere else."""
    upstream.will(CALLING, CALLING)
    answer = await pentad.llm.invoke("hi", model=COMPATIBLE, tools=[TOOL], reasoning_effort="high")
    assert (answer.reasoning, upstream.requests[0].body["reasoning_effort"]) == ("let me see", "high")
    async with pentad.llm.stream("hi", model=COMPATIBLE, tools=[TOOL]) as stream:
        async for _ in stream:
            pass
    assert stream.reasoning == "let me see"
    turns = [("user", "hi"), answer.message, told(answer.tool_calls[0])]
    await pentad.llm.invoke(messages=turns, model=COMPATIBLE, tools=[TOOL])
    assert upstream.requests[2].body["messages"][1]["reasoning_content"] == "let me see"
    upstream.will(Answer("done", reasoning=THOUGHT))
    done = await pentad.llm.invoke("hi", model=COMPATIBLE)
    await pentad.llm.invoke("again", messages=[("user", "hi"), done.message], model=COMPATIBLE)
    assert upstream.requests[4].body["messages"][1] == {"role": "assistant", "content": "done"}


@pytest.mark.parametrize("model", ["openai/some-model", ANTHROPIC])
async def test_thoughts_of_others_are_left_out(upstream: Upstream, pentad: Pentad, model: str) -> None:
    """A conversation can go on with another provider: what it could not read is not sent to it."""
    upstream.will(CALLING)
    answer = await pentad.llm.invoke("hi", model=COMPATIBLE, tools=[TOOL])
    turns = [("user", "hi"), answer.message, told(answer.tool_calls[0])]
    await pentad.llm.invoke(messages=turns, model=model, tools=[TOOL])
    assert "let me see" not in str(upstream.requests[1].body)
