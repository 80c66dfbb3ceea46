"""Old messages on their way back into an inbox: dead letters, and what is replayed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.admission import seconds
from pentad_bus.publisher import stamp
from pentad_bus.redis.chunks import head


@dataclass(frozen=True, slots=True)
class Old:
    """A message as it was stored. `headers` are added to its own; `letter`: the dead letter that it was."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    letter: str = ""


def readmission(name: str, old: Sequence[Old], stop: bool) -> tuple[dict[str, Any], list[bytes]]:
    """A request of `lua/publishing.lua`, and its bytes. `stop`: at the first for which there is no room."""
    now = time.time()
    rows: list[list[Any]] = []
    blobs: list[bytes] = []
    for item in old:
        message = Message.FromString(item.body)
        body = item.body + stamp(message.sender, now)
        if item.headers:
            body += Message(headers=item.headers).SerializeToString()
        expires = now + seconds(message.ttl) if message.HasField("ttl") else 0.0
        blobs.append(head(len(body), 0, now, expires) + body)
        level = (message.priority or 2) - 1
        rows.append([len(blobs), len(body), level, round(expires * 1000), item.letter])
    return {"names": [name], "rows": rows, "stop": stop}, blobs
