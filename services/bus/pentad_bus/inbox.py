"""An inbox: what waits for an agent or for one of its instances, and who takes from it."""

from __future__ import annotations

from typing import Protocol

from pentad_bus.entry import Entry
from pentad_bus.limits import Limits
from pentad_bus.policy import Policy, Usage
from pentad_bus.queue import PriorityQueue
from pentad_bus.topics import TopicTrie
from pentad_common.errors import FailedPrecondition

Subscribers = TopicTrie["Subscription"]
MOST_SUBSCRIPTIONS = 1024
"""Of one inbox: each change stores them all, and each message of a topic may be held against them all."""


class Consumer(Protocol):
    """A connection that takes from an inbox."""

    silent: bool
    """A delivery to it ran out, and nothing was heard of it since."""

    @property
    def hungry(self) -> bool:
        """Whether it could take something right now."""

    @property
    def open_count(self) -> int:
        """Deliveries that it has not settled."""

    def wake(self) -> None:
        """Tells it that there is something to take."""


class Inbox:
    """Counts what it holds from the moment a message is admitted, so that its bound holds for what is being
    stored too.
    """

    __slots__ = (
        "agent",
        "closed",
        "consumers",
        "delayed",
        "dropped",
        "drops_oldest",
        "id",
        "in_flight",
        "instance",
        "left",
        "max_bytes",
        "max_messages",
        "messages",
        "name",
        "policy",
        "ready",
        "size",
        "subscriptions",
        "tenant_id",
        "usage",
    )

    def __init__(
        self, id: int, tenant_id: str, name: str, limits: Limits, usage: Usage | None = None
    ) -> None:
        self.id = id
        self.tenant_id = tenant_id
        self.name = name
        self.agent, _, self.instance = name.partition("/")
        """`instance` is empty for an inbox that the agent's instances share."""
        self.ready: PriorityQueue[Entry] = PriorityQueue()
        self.delayed: set[Entry] = set()
        self.in_flight = 0
        self.messages = 0
        """All that is held: ready, delayed, in flight or being stored."""
        self.size = 0
        """Bytes of these."""
        self.dropped = 0
        self.consumers: list[Consumer] = []
        self.subscriptions: dict[str, Subscription] = {}
        """By pattern: those of the inbox, not of one connection."""
        self.closed = False
        self.left = 0.0
        """When an instance's inbox goes, if nobody came back for it."""
        self.usage = usage or Usage()
        self.keep_to(Policy(), limits)

    def keep_to(self, policy: Policy, limits: Limits) -> None:
        """Takes over what its agent asked for, within the bus's own bounds."""
        self.policy = policy
        self.max_messages = min(policy.max_messages or limits.max_queue_messages, limits.max_queue_messages)
        self.max_bytes = min(policy.max_bytes or limits.max_queue_bytes, limits.max_queue_bytes)
        self.drops_oldest = (policy.overflow or limits.queue_overflow) == "drop_oldest"

    @property
    def over(self) -> bool:
        """Whether it holds more than it should."""
        return self.messages > self.max_messages or self.size > self.max_bytes

    def has_room(self, size: int) -> bool:
        """Whether a message of `size` bytes can be admitted, be it that another makes room for it."""
        if self.drops_oldest:
            return len(self.delayed) < self.max_messages  # those are not dropped
        return self.messages < self.max_messages and self.size + size <= self.max_bytes

    def check_subscription(self, pattern: str) -> None:
        """Raises FailedPrecondition SUBSCRIPTIONS_TOO_MANY if there is no room for one to `pattern`."""
        count = len(self.subscriptions)
        if count >= MOST_SUBSCRIPTIONS and pattern not in self.subscriptions:
            raise FailedPrecondition(
                "SUBSCRIPTIONS_TOO_MANY",
                f"{self.name!r} has {count} subscriptions, and {MOST_SUBSCRIPTIONS} are the most; end some, "
                "or take several topics with `*` or `>`",
                limit=MOST_SUBSCRIPTIONS,
            )

    def has_room_for(self, count: int, size: int) -> bool:
        """Whether so many messages of together `size` bytes can be admitted, without any making room."""
        return (
            not self.drops_oldest
            and self.messages + count <= self.max_messages
            and self.size + size <= self.max_bytes
        )

    def admit(self, size: int, count: int = 1) -> None:
        """Counts messages in, of together `size` bytes."""
        self.messages += count
        self.size += size
        self.usage.size += size

    def release(self, size: int, count: int = 1) -> None:
        """Counts messages out, of together `size` bytes."""
        self.messages -= count
        self.size -= size
        self.usage.size -= size

    def share(self, consumer: Consumer) -> int:
        """How many of what is ready a consumer may take now, so that others who are free get theirs.

        Nothing for one that has fallen silent, while another is free.
        """
        consumers = self.consumers
        if len(consumers) < 2:
            return len(self.ready)
        others = [other for other in consumers if other is not consumer and other.hungry]
        if consumer.silent and any(not other.silent for other in others):
            return 0
        return -(-len(self.ready) // (len(others) + 1))

    def wake(self) -> None:
        """Tells as many consumers as there are messages, those with the least to do first."""
        consumers = self.consumers
        if len(consumers) < 2:
            for consumer in consumers:
                consumer.wake()
            return
        hungry = [consumer for consumer in consumers if consumer.hungry]
        hungry.sort(key=lambda consumer: (consumer.silent, consumer.open_count))
        for consumer in hungry[: len(self.ready)]:
            consumer.wake()


class Subscription:
    """A topic pattern with a filter that leads into an inbox. `shared`: scope AGENT; otherwise one
    connection's.
    """

    __slots__ = ("condition", "filter", "inbox", "pattern", "shared")

    def __init__(self, pattern: str, filter: str, inbox: Inbox, *, shared: bool) -> None:
        from pentad_bus.filters import compile_filter

        self.pattern = pattern
        self.filter = filter
        self.condition = compile_filter(filter)
        self.inbox = inbox
        self.shared = shared
