"""Messages: making them, and reading what is in them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2
from pentad_client.envelope import current_envelope

PRIORITIES = {
    "low": bus_pb2.PRIORITY_LOW,
    "normal": bus_pb2.PRIORITY_NORMAL,
    "high": bus_pb2.PRIORITY_HIGH,
    "critical": bus_pb2.PRIORITY_CRITICAL,
}


_DURABLE = bus_pb2.DURABILITY_DURABLE
_BEST_EFFORT = bus_pb2.DURABILITY_BEST_EFFORT


class MessageType(StrEnum):
    """The well-known types. Any other text is a user's own."""

    TASK = "pentad.task"
    RESULT = "pentad.result"
    PROGRESS = "pentad.progress"
    CANCEL = "pentad.cancel"
    EVENT = "pentad.event"
    HANDOFF = "pentad.handoff"
    ERROR = "pentad.error"


class _Ids:
    """Makes UUIDv7s: the time once a millisecond, and random digits for some hundred ids at once."""

    def __init__(self) -> None:
        self._time = 0
        self._head = ""
        self._tails: list[str] = []
        os.register_at_fork(after_in_child=self._tails.clear)  # or both would make the same ids

    def next(self) -> str:
        """One, as text."""
        now = time.time_ns() // 1_000_000
        if now != self._time:
            self._time = now
            digits = f"{now:012x}"
            self._head = f"{digits[:8]}-{digits[8:]}-7"
        if not self._tails:
            self._fill()
        return self._head + self._tails.pop()

    def _fill(self) -> None:
        digits = os.urandom(_IDS_AT_A_TIME * _ID_DIGITS // 2).hex()
        for i in range(0, len(digits), _ID_DIGITS):
            some = digits[i : i + _ID_DIGITS]
            self._tails.append(f"{some[:3]}-{_VARIANT[some[3]]}{some[4:7]}-{some[7:19]}")


_ID_DIGITS = 20
_IDS_AT_A_TIME = 256
_VARIANT = {digit: "89ab"[number % 4] for number, digit in enumerate("0123456789abcdef")}

new_message_id = _Ids().next


def to_content(value: Any) -> common_pb2.Content:
    """A value as Content: bytes as they are, str as text, a Content itself, a protobuf message in its
    encoding, all else as JSON.
    """
    if isinstance(value, common_pb2.Content):
        return value
    content = common_pb2.Content()
    set_content(content, value)
    return content


def set_content(content: common_pb2.Content, value: Any) -> None:
    """Writes a value into an empty Content; as `to_content`."""
    if isinstance(value, bytes):
        content.content_type = "application/octet-stream"
        content.data = value
    elif isinstance(value, str):
        content.content_type = "text/plain; charset=utf-8"
        content.data = value.encode()
    elif isinstance(value, (bytearray, memoryview)):
        content.content_type = "application/octet-stream"
        content.data = bytes(value)
    elif isinstance(value, common_pb2.Content):
        content.CopyFrom(value)
    elif hasattr(value, "DESCRIPTOR") and hasattr(value, "SerializeToString"):
        content.content_type = f"application/protobuf; messageType={value.DESCRIPTOR.full_name}"
        content.data = value.SerializeToString()
    else:
        content.content_type = "application/json"
        content.data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def new_message(
    type: str,
    content: Any = None,
    *,
    recipient: str = "",
    topic: str = "",
    broadcast: bool = False,
    priority: str = "normal",
    durable: bool = True,
    headers: Mapping[str, str] | None = None,
    correlation_id: str = "",
    reply_to: str = "",
    run_id: str = "",
    ttl: float | None = None,
    delay: float | None = None,
    message_id: str = "",
) -> bus_pb2.Message:
    """A message to one of `recipient`, `topic` and `broadcast`. Times in seconds; `content` as in
    `to_content`. Raises ValueError for several destinations, or an unknown priority.
    """
    if (recipient and (topic or broadcast)) or (topic and broadcast):
        raise ValueError("a message has one destination: recipient, topic or broadcast")
    level = PRIORITIES.get(priority)
    if level is None:
        raise ValueError(f"there is no priority {priority!r}; there are {', '.join(PRIORITIES)}")
    message = bus_pb2.Message()
    message.id = message_id or new_message_id()
    message.type = type
    message.priority = level
    message.durability = _DURABLE if durable else _BEST_EFFORT
    if headers:
        message.headers.update(headers)
    if correlation_id:
        message.correlation_id = correlation_id
    if reply_to:
        message.reply_to = reply_to
    if run_id:
        message.run_id = run_id
    if content is not None:
        set_content(message.payload, content)
    if recipient:
        message.recipient = recipient
    elif topic:
        message.topic = topic
    elif broadcast:
        message.broadcast.SetInParent()
    if ttl is not None:
        message.ttl.FromNanoseconds(round(ttl * 1e9))
    if delay is not None:
        message.delay.FromNanoseconds(round(delay * 1e9))
    return message


def answer_to(message: bus_pb2.Message, type: str, content: Any = None, **fields: Any) -> bus_pb2.Message:
    """A message to whoever `message` wants answered, with its correlation id, run and trace, one hop further.

    `fields` as in `new_message`.
    """
    fields.setdefault("recipient", message.reply_to or message.sender)
    fields.setdefault("correlation_id", message.correlation_id or message.id)
    fields.setdefault("run_id", message.run_id)
    answer = new_message(type, content, **fields)
    answer.traceparent = message.traceparent
    answer.hops = message.hops + 1
    return answer


def complete(message: bus_pb2.Message) -> bus_pb2.Message:
    """The message with an id, and with the run, trace and hops of the envelope where it has none
    of its own.
    """
    if not message.id:
        message.id = new_message_id()
    envelope = current_envelope()
    if envelope.run_id and not message.run_id:
        message.run_id = envelope.run_id
    if envelope.traceparent and not message.traceparent:
        message.traceparent = envelope.traceparent
    if envelope.hops > message.hops:
        message.hops = envelope.hops
    return message
