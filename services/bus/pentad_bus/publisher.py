"""Taking messages: who may get them, whether they are refused, what is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, Message
from pentad_bus.admission import check_message, read_message, seconds
from pentad_bus.entry import Entry
from pentad_bus.filters import variables
from pentad_bus.inbox import Inbox, Subscription
from pentad_bus.ledger import Commit
from pentad_bus.settlement import OVERFLOW, Settlement
from pentad_bus.store.journal import DeadRow, MessageRow
from pentad_bus.tenant import Tenant
from pentad_bus.topics import check_topic
from pentad_common.call import RESERVED_PREFIX
from pentad_common.errors import FailedPrecondition, InvalidArgument, PermissionDenied, ResourceExhausted
from pentad_common.ids import new_id

Target = tuple[Inbox, str, bool]
"""An inbox, the pattern that led there, and whether the copy outlives the connection."""

Facts = tuple[int, str, bytes, int, float, float, float, int]
"""What all copies of a message share: seq, id, body, level, created, expires, due, hops."""

Settle = Callable[[], Entry]
"""Finds the delivery that a message settles. Raises FailedPrecondition if there is none any more."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sends: `name` is an agent, or `client.<key id>`."""

    tenant: Tenant
    name: str


def stamp(sender: str, now: float) -> bytes:
    """What the server says of every message, in the encoding: appended to a message, it overrides what was
    there.
    """
    whole = int(now)
    time = Timestamp(
        seconds=whole, nanos=int((now - whole) * 1e9) or 1
    )  # a zero is not written, and overrides nothing
    return Message(sender=sender, create_time=time).SerializeToString()


class Publisher:
    """Admits messages one by one into a commit."""

    def __init__(self, settlement: Settlement, last_seq: int = 0) -> None:
        self._settlement = settlement
        self._limits = settlement.limits
        self._counters = settlement.counters
        self.last_seq = last_seq

    def admit(
        self,
        commit: Commit,
        origin: Origin,
        body: bytes,
        now: float,
        mark: bytes,
        settle: Settle | None = None,
    ) -> tuple[str, Entry | None]:
        """Adds a message to `commit`: its id ("" for a duplicate), and the delivery that it settles.

        Raises InvalidArgument, NotFound RECIPIENT_UNKNOWN, ResourceExhausted QUEUE_FULL, FailedPrecondition
        HOP_LIMIT_EXCEEDED, DELIVERY_EXPIRED: then nothing was added.
        """
        message = read_message(body, self._limits.max_message_bytes)
        check_message(message, body)
        tenant = origin.tenant
        message_id = message.id
        if message_id and message_id in tenant.dedup:
            self._counters.duplicates += 1
            commit.behind = True
            return "", None
        settled = settle() if settle else None
        hops = self._hops(message, settled)
        expires = now + seconds(message.ttl) if message.HasField("ttl") else 0.0
        due = now + seconds(message.delay) if message.HasField("delay") else 0.0
        targets = self._route(origin, message, len(body) + len(mark))
        body += mark
        if not message_id or hops != message.hops:
            message_id = message_id or new_id()
            body += Message(id=message_id, hops=hops).SerializeToString()
        self.last_seq = seq = self.last_seq + 1
        durable = message.durability != DURABILITY_BEST_EFFORT
        if durable:
            row = message_row(seq, message_id, tenant.id, origin.name, message, now, body)
            commit.changes.messages.append(row)
        facts = (seq, message_id, body, (message.priority or 2) - 1, now, expires, due, hops)
        self._enter(commit, facts, targets, durable)
        tenant.dedup.add(message_id)
        commit.ids.append(message_id)
        self._counters.published += 1
        self._counters.published_bytes += len(body)
        return message_id, settled

    def readmit(self, commit: Commit, letter: DeadRow, inbox: Inbox, now: float) -> None:
        """Adds a dead letter to `commit`, to go back into its inbox; its time to live starts anew."""
        message = Message.FromString(letter.body)
        body = letter.body + stamp(message.sender, now)
        expires = now + seconds(message.ttl) if message.HasField("ttl") else 0.0
        self.last_seq = seq = self.last_seq + 1
        row = message_row(seq, message.id, inbox.tenant_id, message.sender, message, now, body)
        commit.changes.messages.append(row)
        commit.changes.redriven.append(letter.id)
        facts = (seq, message.id, body, (message.priority or 2) - 1, now, expires, 0.0, message.hops)
        self._enter(commit, facts, [(inbox, "", True)], True)

    def _hops(self, message: Message, settled: Entry | None) -> int:
        hops = max(message.hops, settled.hops + 1) if settled else message.hops
        if hops > self._limits.max_hops:
            raise FailedPrecondition(
                "HOP_LIMIT_EXCEEDED",
                f"the message is the {hops}th in a chain that leads from one message to the next, and "
                f"{self._limits.max_hops} are the most: agents are probably answering each other in a loop",
                hops=hops,
                limit=self._limits.max_hops,
            )
        return hops

    def _route(self, origin: Origin, message: Message, size: int) -> list[Target]:
        kind = message.WhichOneof("destination")
        if kind == "recipient":
            inbox = origin.tenant.inbox(message.recipient)
            self._check_room(inbox, size)
            return [(inbox, "", True)]
        if kind == "topic":
            return subscribers(origin, message)
        if kind == "broadcast":
            return [(inbox, "", True) for inbox in origin.tenant.others(origin.name)]
        raise InvalidArgument(
            "DESTINATION_MISSING",
            "the message says not where it goes: set recipient, topic or broadcast",
            violations=[("message.destination", "one of recipient, topic, broadcast is required")],
        )

    def _has_room(self, inbox: Inbox, size: int) -> bool:
        limits = self._limits
        return inbox.messages < limits.max_queue_messages and inbox.size + size <= limits.max_queue_bytes

    def _check_room(self, inbox: Inbox, size: int) -> None:
        if not self._has_room(inbox, size):
            raise ResourceExhausted(
                "QUEUE_FULL",
                f"inbox {inbox.name!r} is full: {inbox.messages} messages, {inbox.size} bytes; try again "
                "when its agent "
                "has caught up",
                retry_after=1.0,
                recipient=inbox.name,
                messages=inbox.messages,
                bytes=inbox.size,
            )

    def _enter(self, commit: Commit, facts: Facts, targets: list[Target], durable: bool) -> None:
        seq, size, due = facts[0], len(facts[2]), facts[6]
        for inbox, pattern, lasting in targets:
            stored = durable and lasting
            entry = Entry(inbox, pattern, stored, not durable, *facts)
            fits = self._has_room(inbox, size)
            inbox.admit(size)
            if not fits:  # the copies of others must not wait for this one
                self._overflow(entry, lasting)
                continue
            commit.fresh.append(entry)
            if stored:
                commit.changes.entries.append((seq, inbox.id, inbox.tenant_id, pattern, due))

    def _overflow(self, entry: Entry, lasting: bool) -> None:
        entry.stored = False  # no row of it was made
        entry.expires = 0.0
        if lasting:
            self._settlement.bury(entry, OVERFLOW, "the inbox was full")
        else:
            self._settlement.drop(entry)


def subscribers(origin: Origin, message: Message) -> list[Target]:
    """One target for each inbox that the topic reaches, however many of its subscriptions match."""
    topic = check_topic(message.topic)
    _check_free(topic, origin)
    values: dict[str, Any] | None = None
    found: dict[int, Target] = {}
    subscription: Subscription
    for subscription in origin.tenant.topics.match(topic):
        inbox = subscription.inbox
        if inbox.id in found:
            continue
        if subscription.condition is not None:
            values = values or variables(
                message.type, message.priority or 2, origin.name, message.headers, topic
            )
            if not subscription.condition(values):
                continue
        found[inbox.id] = (inbox, subscription.pattern, subscription.shared)
    return list(found.values())


def _check_free(topic: str, origin: Origin) -> None:
    """Raises PermissionDenied TOPIC_RESERVED for a service's topic: who could publish `pentad.cancel.<run>`
    could stop work that is not its own.
    """
    if topic.startswith(RESERVED_PREFIX) and not origin.name.startswith(RESERVED_PREFIX):
        raise PermissionDenied(
            "TOPIC_RESERVED", f"topics that begin with `{RESERVED_PREFIX}` are for services", topic=topic
        )


def message_row(
    seq: int, message_id: str, tenant_id: str, sender: str, message: Message, now: float, body: bytes
) -> MessageRow:
    recipient, topic = message.recipient or None, message.topic or None
    run_id, correlation_id = message.run_id or None, message.correlation_id or None
    return (
        seq,
        message_id,
        tenant_id,
        sender,
        recipient,
        topic,
        message.type,
        run_id,
        correlation_id,
        now,
        body,
    )
