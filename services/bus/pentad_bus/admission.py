"""What is held against every message before it is taken: the rules of the contract, by hand, for they are
many a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import protovalidate
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from pentad.bus.v1.bus_pb2 import Message
from pentad_common.call import RESERVED_PREFIX
from pentad_common.errors import InvalidArgument
from pentad_common.interceptors.validation import path_text
from pentad_common.well_formed import LONGEST_SECONDS

MOST_HEADER_BYTES = 64 * 1024
"""Filters look at headers, message by message: what is large belongs into the payload."""

REPLAYED = "pentad-replayed"
"""The header of a replayed message: when it was first taken. Only the bus sets it."""
RESERVED_HEADERS = "pentad-"

_parse = Message.FromString
_SHORT = 64
"""In so few bytes beside its id and data, a message breaks no rule of a field's length."""
SMALL = 4096
"""Up to here the data are looked at for that; copying more costs more than the rules."""
HEADER, LONG_HEADER = 0x52, 0xD2
"""What a header in an encoded message begins with, one or the other; 30 ns to look for, where looking at the
headers takes 100 (measured).
"""


def read_message(body: bytes, most_bytes: int) -> Message:
    """The message. Raises InvalidArgument MESSAGE_TOO_LARGE, MESSAGE_MALFORMED or INVALID_REQUEST."""
    if len(body) > most_bytes:
        raise InvalidArgument(
            "MESSAGE_TOO_LARGE",
            f"the message has {len(body)} bytes, and {most_bytes} are the most; larger payloads go by "
            "reference, as "
            "an Artifact",
            size=len(body),
            limit=most_bytes,
        )
    try:
        return _parse(body)
    except DecodeError:
        raise InvalidArgument("MESSAGE_MALFORMED", "the bytes are not a pentad.bus.v1.Message") from None


def check_message(message: Message, body: bytes, message_id: str) -> None:
    """Holds a message, encoded as `body`, against the contract. Raises InvalidArgument INVALID_REQUEST.

    What is checked by whoever uses it is not checked here: the form of recipient and topic, ttl, delay.
    """
    if (
        len(message_id) > 64
        or not 0 <= message.priority <= 4
        or not 0 <= message.durability <= 2
        or message.hops < 0
    ):
        raise _first_violation(message)
    payload = message.payload
    size = len(body)
    if (size > SMALL or size - len(payload.data) - len(message_id) > _SHORT) and (
        len(message.type) > 128
        or len(message.run_id) > 64
        or len(message.correlation_id) > 128
        or len(message.reply_to) > 128
        or len(message.traceparent) > 128
        or len(message.recipient) > 128
        or len(message.topic) > 255
        or len(message.headers) > 64
        or len(payload.content_type) > 255
    ):
        raise _first_violation(message)
    if len(body) > MOST_HEADER_BYTES and message.headers:
        _check_headers(message)
    if "\0" in message_id or "\0" in message.type or "\0" in message.run_id + message.correlation_id:
        raise _invalid("message", "texts must not contain the character NUL")


def check_marks(names: Iterable[str], sender: str) -> None:
    """Raises InvalidArgument HEADER_RESERVED for a header of the platform's that is not the sender's to set:
    who could write `pentad-budget` could spend what is not its own.
    """
    for name in names:
        own = name[: len(RESERVED_HEADERS)].lower() == RESERVED_HEADERS
        if own and (name.lower() == REPLAYED or not sender.startswith(RESERVED_PREFIX)):
            raise InvalidArgument(
                "HEADER_RESERVED",
                f"header {name[:128]!r} is not yours to set: names that begin with `{RESERVED_HEADERS}` are "
                "the platform's; leave it out, or call it something else, such as "
                f"'x-{name[len(RESERVED_HEADERS) : 128]}'",
                header=name[:128],
                violations=[("message.headers", f"names must not begin with `{RESERVED_HEADERS}`")],
            )


def _check_headers(message: Message) -> None:
    size = sum(len(name) + len(value) for name, value in message.headers.items())
    if size > MOST_HEADER_BYTES:
        raise _invalid(
            "message.headers", f"have {size} characters together, and {MOST_HEADER_BYTES} are the most"
        )


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


def seconds(span: Duration) -> float:
    """A duration in seconds. Raises InvalidArgument INVALID_REQUEST if it is negative or over a century."""
    value = span.seconds + span.nanos / 1e9
    if value < 0:
        raise _invalid("message", "ttl and delay must not be negative")
    if value > LONGEST_SECONDS:
        raise _invalid("message", "ttl and delay must be spans of at most 100 years")
    return value
