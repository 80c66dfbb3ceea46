"""Requests as they come in over gRPC."""

from __future__ import annotations

import json

import pytest

from pentad.llm.v1 import llm_pb2 as pb
from pentad_client.llm import completion as build
from pentad_common.errors import InvalidArgument
from pentad_llm_gateway.completion import Sampling, Text, ToolChoice
from pentad_llm_gateway.conversion import read_completion


def test_everything_arrives() -> None:
    """What the client says arrives as it was said; what it left out is unset, and zero is not unset."""
    proto = build(
        "hi",
        system="Be kind.",
        messages=[("user", "first"), {"role": "assistant", "content": "second"}],
        json_schema={"type": "object"},
        temperature=0,
        seed=0,
        stop=["x"],
        tools=[pb.Tool(name="t", input_schema='{"type": "object"}')],
        tool_choice=pb.ToolChoice(mode="MODE_NAMED", name="t"),
        extras={"top_k": 5},
    )
    read = read_completion(proto)
    assert [(message.role, message.text) for message in read.messages] == [
        ("system", "Be kind."),
        ("user", "first"),
        ("assistant", "second"),
        ("user", "hi"),
    ]
    assert read.sampling == Sampling(temperature=0, seed=0, stop=("x",))
    assert read.response_format is not None and read.response_format.schema == {"type": "object"}
    assert (read.tool_choice, read.extras) == (ToolChoice("named", "t"), {"top_k": 5})


def user(*parts: pb.MessagePart) -> list[pb.Message]:
    """A conversation of one turn."""
    return [pb.Message(role="MESSAGE_ROLE_USER", parts=parts)]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.Completion(messages=user(pb.MessagePart())), "completion.messages[0].parts[0]"),
        (
            pb.Completion(messages=user(pb.MessagePart(image=pb.Image(url="file:///etc/passwd")))),
            "completion.messages[0].parts[0].image",
        ),
        (
            pb.Completion(messages=user(pb.MessagePart(tool_call=pb.ToolCall(arguments="{")))),
            "completion.messages[0].parts[0].tool_call.arguments",
        ),
        (pb.Completion(tools=[pb.Tool(name="t", input_schema="[]")]), "completion.tools[0].input_schema"),
        (
            pb.Completion(tool_choice=pb.ToolChoice(mode="MODE_NAMED", name="t")),
            "completion.tool_choice.name",
        ),
        (pb.Completion(tool_choice=pb.ToolChoice(mode="MODE_REQUIRED")), "completion.tool_choice.mode"),
        (
            pb.Completion(response_format=pb.ResponseFormat(json_schema="nope")),
            "completion.response_format.json_schema",
        ),
    ],
)
def test_mistakes_name_the_field(request_: pb.Completion, field: str) -> None:
    """What the contract's rules cannot tell is refused with the path of the field."""
    with pytest.raises(InvalidArgument) as caught:
        read_completion(request_)
    assert (caught.value.reason, caught.value.violations[0][0]) == ("INVALID_REQUEST", field)


def test_the_client_refuses_what_is_no_message() -> None:
    """The client says which messages it takes."""
    with pytest.raises(InvalidArgument, match="no role 'robot'"):
        build(messages=[("robot", "beep")])
    with pytest.raises(InvalidArgument, match="say something"):
        build()
    with pytest.raises(InvalidArgument, match="role and content"):
        build(messages=[{"text": "x"}])


def test_unicode_and_size() -> None:
    """Any text survives the way."""
    text = json.dumps({"ü": "雪" * 1000})
    assert read_completion(build(text)).messages[0].parts == (Text(text),)
