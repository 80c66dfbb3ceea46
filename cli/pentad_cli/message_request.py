"""The message that a command line asks to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from pentad_cli.content import guess_type, read_value
from pentad_cli.failure import UsageProblem

if TYPE_CHECKING:
    from pentad.bus.v1 import bus_pb2

_EXAMPLE = 'pentad messages send writer \'{"title": "Bees"}\' --type draft'


def message_request(
    words: Sequence[str],
    file: str | None,
    *,
    kind: str,
    topic: str,
    broadcast: bool,
    content_type: str,
    priority: str,
    headers: Sequence[tuple[str, str]],
    run_id: str,
    correlation_id: str,
    reply_to: str,
    delay: timedelta | None,
    ttl: timedelta | None,
    best_effort: bool,
    message_id: str,
) -> bus_pb2.Message:
    """`words` are the recipient, unless a topic or everyone is meant, and the value, unless a file has it."""
    from pentad.common.v1 import common_pb2
    from pentad_client.message import new_message

    recipient, value = _addressed(list(words), bool(topic), broadcast)
    data = read_value(value, file, _EXAMPLE)
    content = common_pb2.Content(content_type=content_type or guess_type(data, file), data=data)
    return new_message(
        kind,
        content,
        recipient=recipient,
        topic=topic,
        broadcast=broadcast,
        priority=priority,
        durable=not best_effort,
        headers=dict(headers),
        correlation_id=correlation_id,
        reply_to=reply_to,
        run_id=run_id,
        ttl=ttl.total_seconds() if ttl else None,
        delay=delay.total_seconds() if delay else None,
        message_id=message_id,
    )


def _addressed(words: list[str], topic: bool, broadcast: bool) -> tuple[str, str | None]:
    """Recipient and value. Raises UsageProblem unless there is exactly one destination."""
    if topic and broadcast:
        raise UsageProblem("a message has one destination", "Give --topic or --broadcast, not both.")
    named = not (topic or broadcast)
    if named and not words:
        raise UsageProblem("say who gets it: a RECIPIENT, --topic or --broadcast", f"As in: {_EXAMPLE}")
    recipient = words.pop(0) if named else ""
    if len(words) > 1:
        raise UsageProblem(
            f"one value at a time, and there are {len(words)}: put it in quotes"
            + ("" if named else "; with --topic or --broadcast there is no RECIPIENT"),
            f"As in: {_EXAMPLE}",
        )
    return recipient, words[0] if words else None
