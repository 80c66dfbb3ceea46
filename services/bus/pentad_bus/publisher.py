"""Taking messages: who may get them, whether they are refused, what is stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT, Message
from pentad_bus.admission import (
    HEADER,
    LONG_HEADER,
    SMALL,
    check_marks,
    check_message,
    read_message,
    seconds,
)
from pentad_bus.entry import Entry
from pentad_bus.filters import MOST_SECONDS, filters_too_slow, variables
from pentad_bus.inbox import Inbox, Subscription
from pentad_bus.ledger import Commit
from pentad_bus.likeness import Likeness
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_bus.policy import Usage
from pentad_bus.settlement import OVERFLOW, Settlement
from pentad_bus.tenant import Tenant
from pentad_bus.topics import check_topic
from pentad_common.call import RESERVED_PREFIX
from pentad_common.errors import FailedPrecondition, InvalidArgument, PermissionDenied, ResourceExhausted
from pentad_common.ids import new_id

Target = tuple[Inbox, str, bool]
"""An inbox, the pattern that led there, and whether the copy outlives the connection."""

Facts = tuple[int, bytes, int, float, float]
"""What all copies of a message share: seq, body, level, expires, due."""

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
    # a zero is not written, and overrides nothing
    time = Timestamp(seconds=whole, nanos=int((now - whole) * 1e9) or 1).SerializeToString()
    return b"%b%b%c%b" % (_sent_by(sender), _CREATE_TIME, len(time), time)


@lru_cache(maxsize=1024)
def _sent_by(sender: str) -> bytes:
    return Message(sender=sender).SerializeToString()


_CREATE_TIME = Message(create_time={}).SerializeToString()[:-1]
"""What is before the length of `create_time`."""


class Publisher:
    """Admits messages one by one into a commit."""

    def __init__(self, settlement: Settlement, last_seq: int = 0, types: MessageTypes | None = None) -> None:
        self._settlement = settlement
        self._limits = settlement.limits
        self._counters = settlement.counters
        self.last_seq = last_seq
        self._types = types or MessageTypes()
        self._quotas = self._limits.tenant_messages_per_second > 0 or self._limits.tenant_queued_bytes > 0

    def admit(
        self,
        commit: Commit,
        origin: Origin,
        body: bytes,
        now: float,
        mark: bytes,
        settle: Settle | None = None,
    ) -> tuple[str, Entry | None]:
        """Adds a message to `commit`: its id ("" for a duplicate, which is not added again), and the delivery
        that it settles.

        Raises InvalidArgument, NotFound RECIPIENT_UNKNOWN, ResourceExhausted QUEUE_FULL, RATE_QUOTA_EXCEEDED,
        STORAGE_QUOTA_EXCEEDED, FailedPrecondition HOP_LIMIT_EXCEEDED, DELIVERY_EXPIRED, and what a handler
        of its type raises: then nothing was added.
        """
        limits = self._limits
        message = read_message(body, limits.max_message_bytes)
        message_id = message.id
        check_message(message, body, message_id)
        if (len(body) > SMALL or HEADER in body or LONG_HEADER in body) and message.headers:
            check_marks(message.headers, origin.name)
        tenant = origin.tenant
        dedup = tenant.dedup
        if message_id and (message_id in dedup.young or message_id in dedup.old):
            self._counters.duplicates += 1
            commit.behind = True
            return "", _still_open(settle)
        if message.type in self._types:
            message, body = self._types.handle(message, self._limits.max_message_bytes)
        settled = settle() if settle else None
        hops = message.hops
        if settled is not None or hops > limits.max_hops:
            hops = check_hops(hops, settled, limits)
        expires = now + seconds(message.ttl) if message.HasField("ttl") else 0.0
        due = now + seconds(message.delay) if message.HasField("delay") else 0.0
        recipient = message.recipient
        if recipient:
            inbox = tenant.inboxes.get(recipient) or tenant.inbox(recipient)
            self._check_room(inbox, len(body) + len(mark))
        else:
            targets = route_to_many(origin, message)
        if self._quotas:
            copies = 1 if recipient else len(targets)
            self._check_quotas(tenant, (len(body) + len(mark)) * copies)
        body += mark
        if not message_id or hops != message.hops:
            message_id = message_id or new_id()
            body += Message(id=message_id, hops=hops).SerializeToString()
        self.last_seq = seq = self.last_seq + 1
        durable = message.durability != DURABILITY_BEST_EFFORT
        if durable:
            commit.changes.messages.append((seq, message_id, tenant.id, body))
            self._counters.stored_bytes += len(body)
        facts = (seq, body, (message.priority or 2) - 1, expires, due)
        if recipient:
            self._enter_one(commit, facts, inbox, durable)
        else:
            self._enter(commit, facts, targets, durable)
        dedup.add(message_id)
        commit.ids.append(message_id)
        commit.size += len(body)
        return message_id, settled

    def admit_alike(
        self, commit: Commit, origin: Origin, like: Likeness, bodies: Sequence[bytes], mark: bytes
    ) -> bool:
        """Adds messages that are like one which was admitted; False, and nothing was added, if each must be
        looked at.
        """
        tenant, recipient = origin.tenant, like.recipient
        inbox = tenant.inboxes.get(recipient)
        size = (len(bodies[0]) + len(mark)) * len(bodies)
        if inbox is None or self._quotas or like.type in self._types:
            return False
        if not inbox.has_room_for(len(bodies), size):
            return False
        try:
            ids = like.ids(bodies)
        except UnicodeDecodeError:
            return False
        if "\0" in "".join(ids) or not tenant.dedup.all_new(ids):
            return False
        first = self.last_seq + 1
        self.last_seq += len(bodies)
        seqs = range(first, self.last_seq + 1)
        durable, level = like.durable, like.level
        bodies = [body + mark for body in bodies]
        commit.fresh += [
            Entry(inbox, "", durable, not durable, seq, body, level)
            for seq, body in zip(seqs, bodies, strict=True)
        ]
        if durable:
            changes, tenant_id, inbox_id = commit.changes, tenant.id, inbox.id
            changes.messages += zip(seqs, ids, repeat(tenant_id), bodies)
            changes.entries += [(seq, inbox_id, tenant_id, "", 0.0) for seq in seqs]
            self._counters.stored_bytes += size
        inbox.admit(size, len(bodies))
        tenant.dedup.update(ids)
        commit.ids += ids
        commit.size += size
        return True

    def readmit(
        self, commit: Commit, body: bytes, inbox: Inbox, now: float, headers: Mapping[str, str] | None = None
    ) -> bool:
        """Adds an old message to `commit`, for an inbox; its time to live starts anew. False: no room.

        `headers`: added to its own.
        """
        message = Message.FromString(body)
        body += stamp(message.sender, now)
        if headers:
            body += Message(headers=headers).SerializeToString()
        if not inbox.has_room(len(body)) or self._over_quota(inbox.usage, len(body)):
            return False
        expires = now + seconds(message.ttl) if message.HasField("ttl") else 0.0
        self.last_seq = seq = self.last_seq + 1
        commit.changes.messages.append((seq, message.id, inbox.tenant_id, body))
        commit.size += len(body)
        self._counters.stored_bytes += len(body)
        facts = (seq, body, (message.priority or 2) - 1, expires, 0.0)
        self._enter(commit, facts, [(inbox, "", True)], True)
        return True

    def _check_room(self, inbox: Inbox, size: int) -> None:
        if inbox.has_room(size):
            return
        if size > inbox.max_bytes:
            raise InvalidArgument(
                "MESSAGE_TOO_LARGE",
                f"the message has {size} bytes, and inbox {inbox.name!r} holds {inbox.max_bytes} at most",
                recipient=inbox.name,
                size=size,
                limit=inbox.max_bytes,
            )
        raise queue_full(inbox.name, inbox.messages, inbox.size)

    def _over_quota(self, usage: Usage, size: int) -> bool:
        most = self._limits.tenant_queued_bytes
        return bool(most) and usage.size + size > most

    def _check_quotas(self, tenant: Tenant, size: int) -> None:
        if self._over_quota(tenant.usage, size):
            raise storage_exceeded(tenant.usage.size, self._limits)
        wait = tenant.rate.take(self._settlement.clock.steady()) if tenant.rate is not None else 0.0
        if wait:
            raise rate_exceeded(wait, self._limits)

    def _enter_one(self, commit: Commit, facts: Facts, inbox: Inbox, durable: bool) -> None:
        """As `_enter`, for the one recipient of most messages, whose inbox is known to have room."""
        inbox.admit(len(facts[1]))
        commit.fresh.append(Entry(inbox, "", durable, not durable, *facts))
        if durable:
            commit.changes.entries.append((facts[0], inbox.id, inbox.tenant_id, "", facts[4]))

    def _enter(self, commit: Commit, facts: Facts, targets: list[Target], durable: bool) -> None:
        seq, size, due = facts[0], len(facts[1]), facts[4]
        for inbox, pattern, lasting in targets:
            stored = durable and lasting
            entry = Entry(inbox, pattern, stored, not durable, *facts)
            fits = inbox.has_room(size)
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


def _still_open(settle: Settle | None) -> Entry | None:
    """What a message that is stored already settles: a delivery that came again is done with, too."""
    try:
        return settle() if settle else None
    except FailedPrecondition:
        return None


def check_hops(hops: int, settled: Entry | None, limits: Limits) -> int:
    """How many messages led to this one. Raises FailedPrecondition HOP_LIMIT_EXCEEDED."""
    hops = max(hops, settled.hops + 1) if settled else hops
    if hops > limits.max_hops:
        raise FailedPrecondition(
            "HOP_LIMIT_EXCEEDED",
            f"the message is the {hops}th in a chain that leads from one message to the next, and "
            f"{limits.max_hops} are the most: agents are probably answering each other in a loop",
            hops=hops,
            limit=limits.max_hops,
        )
    return hops


def route_to_many(origin: Origin, message: Message) -> list[Target]:
    """Where a message without a recipient goes. Raises InvalidArgument, PermissionDenied TOPIC_RESERVED,
    NotFound for an empty recipient.
    """
    kind = message.WhichOneof("destination")
    if kind == "recipient":
        origin.tenant.inbox("")  # raises: nobody is called that
    if kind == "topic":
        return _subscribers(origin, message)
    if kind == "broadcast":
        return [(inbox, "", True) for inbox in origin.tenant.others(origin.name)]
    raise InvalidArgument(
        "DESTINATION_MISSING",
        "the message says not where it goes: set recipient, topic or broadcast",
        violations=[("message.destination", "one of recipient, topic, broadcast is required")],
    )


def queue_full(name: str, messages: int, size: int) -> ResourceExhausted:
    """What is said of a message for an inbox without room, that holds so many messages and bytes."""
    return ResourceExhausted(
        "QUEUE_FULL",
        f"inbox {name!r} is full: {messages} messages, {size} bytes; try again when its agent has caught up",
        retry_after=1.0,
        recipient=name,
        messages=messages,
        bytes=size,
    )


def storage_exceeded(size: int, limits: Limits) -> ResourceExhausted:
    """What is said when the inboxes of a tenant hold `size` bytes, and no more fits."""
    return ResourceExhausted(
        "STORAGE_QUOTA_EXCEEDED",
        f"the inboxes of this tenant hold {size} bytes, and {limits.tenant_queued_bytes} are the most; "
        "try again when its agents have caught up",
        retry_after=1.0,
        bytes=size,
        limit=limits.tenant_queued_bytes,
    )


def rate_exceeded(wait: float, limits: Limits) -> ResourceExhausted:
    """What is said when a tenant may publish its next message in `wait` seconds."""
    rate = limits.tenant_messages_per_second
    return ResourceExhausted(
        "RATE_QUOTA_EXCEEDED",
        f"this tenant may publish {rate:g} messages a second; try again in {wait:.3f} s",
        retry_after=wait,
        limit=rate,
    )


def _subscribers(origin: Origin, message: Message) -> list[Target]:
    """One target for each inbox that the topic reaches, however many of its subscriptions match."""
    topic = check_topic(message.topic)
    _check_free(topic, origin)
    values: dict[str, Any] | None = None
    found: dict[int, Target] = {}
    until = 0.0
    subscription: Subscription
    for subscription in origin.tenant.topics.match(topic):
        inbox = subscription.inbox
        if inbox.id in found:
            continue
        if subscription.condition is not None:
            if values is None:
                values = variables(message.type, message.priority or 2, origin.name, message.headers, topic)
                until = time.thread_time() + MOST_SECONDS
            passes = subscription.condition(values)
            if time.thread_time() > until:
                raise filters_too_slow(topic)
            if not passes:
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
