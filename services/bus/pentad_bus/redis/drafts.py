"""Messages on their way into Redis and out of it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, Message
from pentad_bus.admission import check_message, read_message, seconds
from pentad_bus.entry import Entry
from pentad_bus.inbox import Inbox
from pentad_bus.limits import Limits
from pentad_bus.publisher import Origin, Settle, Target, subscribers
from pentad_bus.tenant import Tenant
from pentad_common.errors import FailedPrecondition, InvalidArgument, PentadError
from pentad_common.ids import new_id

_META = struct.Struct(
    ">ddHB"
)  # created, expires (epoch seconds, 0: never), hops, flags (1: best effort); then the id

Finish = Callable[["Draft", PentadError | None, bool], None]
"""Called once: with an error, or with whether the message was a duplicate."""


@dataclass(slots=True)
class Draft:
    """A message that waits to be taken."""

    message: Message
    sender: str
    id: str
    meta: bytes
    body: bytes
    expires: float
    due: float
    settled: Entry | None
    finish: Finish
    seq: int = 0
    tag: int = 0
    redriven: str = ""
    inbox: str = ""
    """Where a dead letter goes back to."""

    @property
    def once(self) -> bool:
        """Best effort."""
        return self.message.durability == DURABILITY_BEST_EFFORT


def write_draft(
    body: bytes, sender: str, now: float, mark: bytes, limits: Limits, settle: Settle | None, finish: Finish
) -> Draft:
    """A message held against the rules. Raises InvalidArgument; FailedPrecondition HOP_LIMIT_EXCEEDED,
    DELIVERY_EXPIRED.
    """
    message = read_message(body, limits.max_message_bytes)
    check_message(message, body)
    settled = settle() if settle else None
    hops = max(message.hops, settled.hops + 1) if settled else message.hops
    if hops > limits.max_hops:
        raise _too_many_hops(hops, limits.max_hops)
    expires = now + seconds(message.ttl) if message.HasField("ttl") else 0.0
    due = now + seconds(message.delay) if message.HasField("delay") else 0.0
    body += mark
    message_id = message.id
    if not message_id or hops != message.hops:
        message_id = message_id or new_id()
        body += Message(id=message_id, hops=hops).SerializeToString()
    meta = pack_meta(now, expires, hops, message.durability == DURABILITY_BEST_EFFORT, message_id)
    return Draft(message, sender, message_id, meta, body, expires, due, settled, finish)


def pack_meta(created: float, expires: float, hops: int, once: bool, message_id: str) -> bytes:
    """What a delivery must know of a message without reading it."""
    return _META.pack(created, expires, min(hops, 65535), int(once)) + message_id.encode()


def _too_many_hops(hops: int, most: int) -> FailedPrecondition:
    return FailedPrecondition(
        "HOP_LIMIT_EXCEEDED",
        f"the message is the {hops}th in a chain that leads from one message to the next, and {most} are the "
        "most: agents are probably answering each other in a loop",
        hops=hops,
        limit=most,
    )


def route(tenant: Tenant, draft: Draft) -> list[Target]:
    """Where a message goes, by what is known of the directory. Raises NotFound RECIPIENT_UNKNOWN,
    InvalidArgument TOPIC_INVALID, DESTINATION_MISSING, PermissionDenied TOPIC_RESERVED.
    """
    message = draft.message
    if draft.inbox:
        return [(tenant.inbox(draft.inbox), "", True)]
    kind = message.WhichOneof("destination")
    if kind == "recipient":
        return [(tenant.inbox(message.recipient), "", True)]
    if kind == "topic":
        return subscribers(Origin(tenant, draft.sender), message)
    if kind == "broadcast":
        return [(inbox, "", True) for inbox in tenant.others(draft.sender)]
    raise InvalidArgument(
        "DESTINATION_MISSING",
        "the message says not where it goes: set recipient, topic or broadcast",
        violations=[("message.destination", "one of recipient, topic, broadcast is required")],
    )


class RemoteEntry(Entry):
    """A delivery that Redis holds for this process. `place`: its id in the stream of its inbox and level."""

    __slots__ = ("place",)

    def __init__(
        self,
        inbox: Inbox,
        level: int,
        place: str,
        attempts: int,
        meta: bytes,
        body: bytes,
        pattern: str,
        fleeting: bool,
    ) -> None:
        """`fleeting`: a copy for one connection alone."""
        created, expires, hops, flags = _META.unpack_from(meta)
        milliseconds, _, number = place.partition("-")
        seq = int(milliseconds) * 4096 + min(int(number), 4095)
        message_id = meta[_META.size :].decode()
        once = bool(flags & 1)
        stored = not (once or fleeting)
        super().__init__(
            inbox, pattern, stored, once, seq, message_id, body, level, created, expires, 0.0, hops
        )
        self.attempts = attempts - 1
        self.place = place
