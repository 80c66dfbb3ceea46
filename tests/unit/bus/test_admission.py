"""The checks by hand, held against the contract's own rules."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration

from buf.validate import validate_pb2
from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.admission import check_message, read_message, seconds
from pentad_common.errors import InvalidArgument

CHECKED_ELSEWHERE = {"sender"}
"""Set by the server."""


def check(message: Message) -> None:
    check_message(message, message.SerializeToString(), message.id)


def string_limits() -> list[tuple[str, int]]:
    found = []
    for field in Message.DESCRIPTOR.fields:
        rules: Any = field.GetOptions().Extensions[validate_pb2.field]  # type: ignore[index]
        if field.type == FieldDescriptor.TYPE_STRING and rules.string.HasField("max_len"):
            found.append((field.name, rules.string.max_len))
    return [item for item in found if item[0] not in CHECKED_ELSEWHERE]


@pytest.mark.parametrize(("name", "limit"), string_limits())
def test_every_length_in_the_contract_is_held(name: str, limit: int) -> None:
    """A text of exactly the contract's length passes, one character more is refused, naming the field."""
    check(Message(**{name: "x" * limit}))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument) as caught:
        check(Message(**{name: "x" * (limit + 1)}))  # type: ignore[arg-type]
    assert caught.value.reason == "INVALID_REQUEST"
    assert caught.value.metadata["field"] == f"message.{name}"


@pytest.mark.parametrize(
    "message",
    [
        Message(headers={str(number): "" for number in range(65)}),
        Message(hops=-1),
        Message(priority=9),  # type: ignore[arg-type]
        Message(durability=-1),  # type: ignore[arg-type]
        Message(payload={"content_type": "x" * 256}),
        Message(type="a\0b"),
    ],
    ids=["headers", "hops", "priority", "durability", "content_type", "nul"],
)
def test_other_rules_are_held(message: Message) -> None:
    """What the contract forbids is refused."""
    with pytest.raises(InvalidArgument) as caught:
        check(message)
    assert caught.value.reason == "INVALID_REQUEST"


def test_sizes_and_damage_have_their_own_reasons() -> None:
    """Too large and malformed are told apart."""
    with pytest.raises(InvalidArgument) as caught:
        read_message(b"x" * 11, 10)
    assert caught.value.reason == "MESSAGE_TOO_LARGE"
    with pytest.raises(InvalidArgument) as caught:
        read_message(b"\xff\xff\xff", 10)
    assert caught.value.reason == "MESSAGE_MALFORMED"


def test_spans_are_neither_negative_nor_endless() -> None:
    """A negative delay or ttl is refused, and one of more than a century, as in unary calls."""
    assert seconds(Duration(seconds=1, nanos=500_000_000)) == 1.5
    for span in (Duration(nanos=-1), Duration(seconds=2**62)):
        with pytest.raises(InvalidArgument):
            seconds(span)
