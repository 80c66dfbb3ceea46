"""Messages on their way into Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, Message
from pentad_bus.admission import check_marks, check_message, read_message, seconds
from pentad_bus.inbox import Inbox
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_bus.publisher import Origin, Settle, Target, check_hops, route_to_many
from pentad_bus.redis.chunks import RemoteEntry
from pentad_bus.tenant import Tenant
from pentad_common.errors import PentadError
from pentad_common.ids import new_id

NO_TARGETS: list[Target] = []


@dataclass(slots=True)
class Draft:
    """A message that waits to be taken."""

    message: Message
    sender: str
    id: str
    body: bytes
    level: int
    created: float
    expires: float
    due: float
    once: bool
    """Best effort."""
    settled: RemoteEntry | None
    """The delivery that it settles."""
    refusal: PentadError | None = None
    """Why it cannot be taken, unless it was taken before."""
    seq: int = 0
    tag: int = 0

    @property
    def recipient(self) -> str:
        """ "" if it goes to a topic, or to all."""
        return self.message.recipient


@dataclass(slots=True)
class Frame:
    """Publishes that are answered together, in order."""

    drafts: list[Draft]
    told: Callable[[Draft, PentadError | None, bool], None]
    """Of each that is refused, or that was taken before (True)."""
    settled: Callable[[Draft, bool], None]
    """Of each that settles a delivery, once it is known: whether it did."""
    done: Callable[[], None]

    def fail(self, error: PentadError) -> None:
        """None of them was taken."""
        for draft in self.drafts:
            self.told(draft, error, False)
            if draft.settled is not None:
                self.settled(draft, False)
        self.done()


def write_draft(
    body: bytes,
    sender: str,
    now: float,
    mark: bytes,
    limits: Limits,
    types: MessageTypes,
    settle: Settle | None = None,
) -> Draft:
    """A message held against the rules. Raises InvalidArgument if it can be no message of this contract."""
    message = read_message(body, limits.max_message_bytes)
    message_id = message.id
    check_message(message, body, message_id)
    if headers := message.headers:
        check_marks(headers, sender)
    refusal: PentadError | None = None
    settled, hops, expires, due = None, message.hops, 0.0, 0.0
    try:
        if message.type in types:
            message, body = types.handle(message, limits.max_message_bytes)
        found = settle() if settle is not None else None
        hops = check_hops(message.hops, found, limits)
        expires = now + seconds(message.ttl) if message.HasField("ttl") else 0.0
        due = now + seconds(message.delay) if message.HasField("delay") else 0.0
        settled = found if isinstance(found, RemoteEntry) else None
    except PentadError as error:
        if not message_id:
            raise
        refusal = error
    body += mark
    if not message_id or hops != message.hops:
        message_id = message_id or new_id()
        body += Message(id=message_id, hops=hops).SerializeToString()
    once = message.durability == DURABILITY_BEST_EFFORT
    level = (message.priority or 2) - 1
    return Draft(message, sender, message_id, body, level, now, expires, due, once, settled, refusal)


def route(tenant: Tenant, draft: Draft) -> list[Target]:
    """Where a message goes, by what is known of the directory. Raises NotFound RECIPIENT_UNKNOWN,
    InvalidArgument TOPIC_INVALID, DESTINATION_MISSING, PermissionDenied TOPIC_RESERVED.
    """
    recipient = draft.message.recipient
    if recipient:
        inbox: Inbox = tenant.inboxes.get(recipient) or tenant.inbox(recipient)
        return [(inbox, "", True)]
    return route_to_many(Origin(tenant, draft.sender), draft.message)
