"""Messages of the bus, as `pentad messages` prints them."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2, task_pb2
from pentad_cli.parts import content_value, media_type
from pentad_cli.run_document import moment
from pentad_cli.units import iso_time, size

HEADINGS = ("time", "type", "from", "to", "run", "what")
DEAD_HEADINGS = ("id", "time", "inbox", "reason", "attempts", "type", "what")
ATTEMPT_HEADINGS = ("attempt", "time", "instance", "outcome", "detail")
_KNOWN: dict[str, type[Message]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (task_pb2.Task, task_pb2.TaskResult, task_pb2.TaskProgress, task_pb2.TaskCancel)
}
_MOST_SHOWN = 80


def message_document(message: bus_pb2.Message) -> dict[str, Any]:
    """A message with its payload; those of the orchestrator and the agents as the JSON of their contract."""
    return {
        "id": message.id,
        "time": iso_time(moment(message, "create_time")),
        "type": message.type,
        "sender": message.sender,
        "to": destination(message),
        "priority": bus_pb2.Priority.Name(message.priority).removeprefix("PRIORITY_").lower(),
        "run_id": message.run_id,
        "correlation_id": message.correlation_id,
        "reply_to": message.reply_to,
        "headers": dict(message.headers),
        "hops": message.hops,
        "content_type": message.payload.content_type,
        "payload": payload_value(message.payload),
    }


def message_row(message: bus_pb2.Message) -> list[Any]:
    """A message under HEADINGS."""
    time = moment(message, "create_time")
    when = time.astimezone().strftime("%H:%M:%S.%f")[:-3] if time else ""
    return [when, message.type, message.sender, destination(message), message.run_id, gist(message)]


def dead_letter_document(letter: bus_pb2.DeadLetter) -> dict[str, Any]:
    """A message that was given up on, with the reason."""
    return {
        "dead_letter_id": letter.dead_letter_id,
        "recipient": letter.recipient,
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "time": iso_time(moment(letter, "dead_time")),
        "history": [_attempt_document(one) for one in letter.history],
        "message": message_document(letter.message),
    }


def dead_letter_row(letter: bus_pb2.DeadLetter) -> list[Any]:
    """A dead letter under DEAD_HEADINGS."""
    time = moment(letter, "dead_time")
    when = time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""
    reason = letter.reason + (f": {letter.detail}" if letter.detail else "")
    what = gist(letter.message)
    return [letter.dead_letter_id, when, letter.recipient, reason, letter.attempts, letter.message.type, what]


def attempt_row(attempt: bus_pb2.DeliveryAttempt) -> list[Any]:
    """A delivery that failed under ATTEMPT_HEADINGS."""
    time = moment(attempt, "end_time")
    when = time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""
    return [attempt.attempt, when, attempt.instance, attempt.outcome, attempt.detail]


def _attempt_document(attempt: bus_pb2.DeliveryAttempt) -> dict[str, Any]:
    return {
        "attempt": attempt.attempt,
        "instance": attempt.instance,
        "time": iso_time(moment(attempt, "end_time")),
        "outcome": attempt.outcome,
        "detail": attempt.detail,
    }


def destination(message: bus_pb2.Message) -> str:
    """An agent, `topic:…`, or `*` for all."""
    kind = message.WhichOneof("destination")
    if kind == "recipient":
        return message.recipient
    return f"topic:{message.topic}" if kind == "topic" else "*"


def payload_value(payload: common_pb2.Content) -> Any:
    """What the payload says."""
    decoded = _decoded(payload)
    if decoded is not None:
        return MessageToDict(decoded, preserving_proto_field_name=True)
    return content_value(payload.content_type, payload.data)


def gist(message: bus_pb2.Message) -> str:
    """What it is about, in a few words."""
    decoded = _decoded(message.payload)
    match decoded:
        case task_pb2.Task():
            text = f"{decoded.step} (attempt {decoded.attempt}): {decoded.instruction}"
        case task_pb2.TaskResult() if decoded.HasField("error"):
            text = f"{decoded.error.reason}: {decoded.error.message}"
        case task_pb2.TaskResult():
            names = ", ".join(part.name or "output" for part in decoded.outputs)
            text = f"{names or 'nothing'}{f', hands off to {decoded.handoff}' if decoded.handoff else ''}"
        case task_pb2.TaskProgress():
            text = decoded.message
        case task_pb2.TaskCancel():
            text = decoded.reason
        case _:
            text = _content_gist(message.payload)
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"


def _content_gist(payload: common_pb2.Content) -> str:
    value = content_value(payload.content_type, payload.data)
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "base64" in value:
        return f"{size(len(payload.data))} of {payload.content_type or 'unknown type'}"
    return json.dumps(value, ensure_ascii=False)


def _decoded(payload: common_pb2.Content) -> Message | None:
    """The task or result in it; None for anything else."""
    if media_type(payload.content_type) != "application/protobuf":
        return None
    kind = _KNOWN.get(payload.content_type.partition("messageType=")[2].strip(' "'))
    try:
        return kind.FromString(payload.data) if kind else None
    except DecodeError:
        return None
