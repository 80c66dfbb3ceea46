"""What is held against every message before it is taken: the rules of the contract, by hand, for they are many a second."""

from __future__ import annotations

from typing import Any

import protovalidate
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from pentad.bus.v1.bus_pb2 import Message
from pentad_common.errors import InvalidArgument
from pentad_common.interceptors.validation import path_text

_parse = Message.FromString


def read_message(body: bytes, most_bytes: int) -> Message:
    """The message. Raises InvalidArgument MESSAGE_TOO_LARGE, MESSAGE_MALFORMED or INVALID_REQUEST."""
    if len(body) > most_bytes:
        raise InvalidArgument(
            "MESSAGE_TOO_LARGE",
            f"the message has {len(body)} bytes, and {most_bytes} are the most; larger payloads go by reference, as "
            "an Artifact",
            size=len(body),
            limit=most_bytes,
        )
    try:
        return _parse(body)
    except DecodeError:
        raise InvalidArgument("MESSAGE_MALFORMED", "the bytes are not a pentad.bus.v1.Message") from None


def check_common(message: Message, type_: str, run_id: str, correlation_id: str) -> None:
    """The rules for what nearly every message has. Raises InvalidArgument INVALID_REQUEST."""
    message_id = message.id
    if len(message_id) > 64 or len(type_) > 128 or len(correlation_id) > 128 or len(run_id) > 64:
        raise _first_violation(message)
    if "\0" in f"{message_id}{type_}{run_id}{correlation_id}":
        raise _invalid("message", "texts must not contain the character NUL")
    if message.priority > 4 or message.durability > 2 or message.priority < 0 or message.durability < 0:
        raise _first_violation(message)
    if len(message.headers) > 64 or len(message.reply_to) > 128 or message.hops < 0:
        raise _first_violation(message)
    if len(message.traceparent) > 128 or len(message.payload.content_type) > 255:
        raise _first_violation(message)


def _first_violation(message: Message) -> InvalidArgument:
    """The slow and exact check, for a message that is known to break some rule."""
    try:
        check_rules(message, "message.")
    except InvalidArgument as error:
        return error
    return _invalid("message", "breaks a rule of the contract")


def check_rules(message: ProtoMessage, prefix: str = "") -> None:
    """Holds a message against its contract's rules. Raises InvalidArgument INVALID_REQUEST."""
    violations = protovalidate.collect_violations(message)
    if violations:
        proto: Any = violations[0].proto
        raise _invalid(prefix + path_text(proto.field.elements), proto.message or proto.rule_id)


def _invalid(field: str, rule: str) -> InvalidArgument:
    return InvalidArgument("INVALID_REQUEST", f"{field}: {rule}", field=field, violations=[(field, rule)])


def seconds(message: Message, name: str) -> float:
    """A duration field in seconds; 0 if it is unset. Raises InvalidArgument INVALID_REQUEST if it is negative."""
    if not message.HasField(name):
        return 0.0
    span = getattr(message, name)
    value = span.seconds + span.nanos / 1e9
    if value < 0:
        raise _invalid(f"message.{name}", "must not be negative")
    return float(value)
