"""Requests in the providers' formats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentad_common.errors import InvalidArgument
from pentad_llm_gateway.completion import (
    Completion,
    Image,
    Message,
    ResponseFormat,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from pentad_llm_gateway.providers import anthropic_format, chat_format
from pentad_llm_gateway.schema import closed

TALK = Completion(
    "m",
    (
        Message("system", (Text("Be kind."),)),
        Message("user", (Text("What is this?"), Image("image/png", b"\x01"))),
        Message("assistant", (Text("Let me look."), ToolCall("c1", "look", '{"at": 1}'))),
        Message("tool", (ToolResult("c1", "a cat"),)),
        Message("user", (Text("And now?"),)),
    ),
    tools=(Tool("look", "Looks", {"type": "object"}),),
    tool_choice=ToolChoice("named", "look"),
    sampling=Sampling(0.5, 0.9, 100, ("END",), 7, "minimal"),
)
SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "string"}}}}
    },
}


def openai(completion: Completion) -> dict[str, Any]:
    """The request as OpenAI takes it."""
    return chat_format.request_body("m", completion, limit_field="max_completion_tokens", strict=True)


def anthropic(completion: Completion) -> dict[str, Any]:
    """The request as Anthropic takes it."""
    return anthropic_format.request_body("m", completion, 4096)


def test_openai() -> None:
    """Roles, pictures, tool calls and results, and sampling are where OpenAI looks for them."""
    body = openai(TALK)
    system, user, assistant, tool, again = body["messages"]
    assert system == {"role": "system", "content": "Be kind."}
    assert user["content"][1]["image_url"]["url"] == "data:image/png;base64,AQ=="
    assert assistant["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at": 1}'}
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "a cat"}
    assert again["content"] == "And now?"
    assert body["tool_choice"]["function"]["name"] == "look"
    assert (body["max_completion_tokens"], body["stop"], body["seed"]) == (100, ["END"], 7)
    assert body["reasoning_effort"] == "minimal"


def test_anthropic() -> None:
    """The system's words stand apart, neighbours of one side are one turn, efforts have other names."""
    body = anthropic(TALK)
    assert body["system"] == "Be kind."
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"][1]["source"] == {
        "type": "base64",
        "media_type": "image/png",
        "data": "AQ==",
    }
    assert body["messages"][1]["content"][1] == {
        "type": "tool_use",
        "id": "c1",
        "name": "look",
        "input": {"at": 1},
    }
    result, text = body["messages"][2]["content"]
    assert (result["tool_use_id"], text["text"]) == ("c1", "And now?")
    assert body["tool_choice"] == {"type": "tool", "name": "look"}
    assert (body["max_tokens"], body["stop_sequences"]) == (100, ["END"])
    assert body["output_config"] == {"effort": "low"}
    assert "seed" not in body


def test_unset_fields_are_not_sent() -> None:
    """What the caller left to the model stays with the model; only Anthropic wants a bound."""
    plain = Completion("m", (Message("user", (Text("hi"),)),))
    assert set(openai(plain)) == {"model", "messages"}
    assert anthropic(plain) == {
        "model": "m",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


def test_schemas() -> None:
    """Both get closed schemas; OpenAI's has all properties required."""
    asked = replace(TALK, response_format=ResponseFormat(SCHEMA, "list"))
    form = openai(asked)["response_format"]["json_schema"]
    assert (form["name"], form["strict"], form["schema"]["required"]) == ("list", True, ["a"])
    assert form["schema"]["properties"]["a"]["items"]["additionalProperties"] is False
    schema = anthropic(asked)["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False and "required" not in schema
    assert "additionalProperties" not in SCHEMA


def test_what_anthropic_has_no_form_for() -> None:
    """Any JSON object, and a conversation of the system alone, are refused with the field at fault."""
    with pytest.raises(InvalidArgument) as caught:
        anthropic(replace(TALK, response_format=ResponseFormat()))
    assert caught.value.violations[0][0] == "completion.response_format"
    with pytest.raises(InvalidArgument) as caught:
        anthropic(replace(TALK, messages=TALK.messages[:1]))
    assert caught.value.violations[0][0] == "completion.messages"


json_schemas: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([{"type": "string"}, {"enum": [1, 2]}, {}]),
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.text(max_size=3), inner)}
        ),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=8,
)


@given(schema=json_schemas)
def test_closing_closes_every_object(schema: dict[str, Any]) -> None:
    """Every object is closed and requires all it has; doing it twice changes nothing."""

    def check(value: Any) -> None:
        if isinstance(value, dict):
            if value.get("type") == "object":
                assert value["additionalProperties"] is False
                assert value["required"] == list(value["properties"])
            for inner in value.get("properties", {}).values():
                check(inner)
            check(value.get("items"))
            for inner in value.get("anyOf", ()):
                check(inner)

    once = closed(schema, all_required=True)
    check(once)
    assert closed(once, all_required=True) == once
