"""What belongs to one tenant: nothing of it is seen by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pentad_bus.dedup import DedupWindow
from pentad_bus.inbox import Inbox, Subscribers, Subscription
from pentad_bus.policy import Rate, Usage
from pentad_bus.topics import TopicTrie
from pentad_common.call import RESERVED_PREFIX
from pentad_common.errors import NotFound

if TYPE_CHECKING:
    from pentad_bus.session import Session


class Tenant:
    """Its inboxes by name, its subscriptions, its connections, and the ids it used of late."""

    def __init__(self, tenant_id: str, dedup: DedupWindow, rate: Rate | None = None) -> None:
        self.id = tenant_id
        self.dedup = dedup
        self.rate = rate
        """What it may publish; None: as much as it likes."""
        self.usage = Usage()
        self.inboxes: dict[str, Inbox] = {}
        self.topics: Subscribers = TopicTrie()
        self.sessions: dict[tuple[str, str], Session] = {}

    def inbox(self, name: str) -> Inbox:
        """The inbox of an agent or instance. Raises NotFound RECIPIENT_UNKNOWN."""
        inbox = self.inboxes.get(name)
        if inbox is None:
            raise NotFound(
                "RECIPIENT_UNKNOWN",
                f"there is no inbox {name!r}: an agent gets one when it first connects; `pentad agents "
                "list` shows who is there",
                recipient=name,
            )
        return inbox

    def others(self, agent: str) -> list[Inbox]:
        """The shared inboxes of all agents but one, and not those of Pentad's own services."""
        return [
            inbox
            for inbox in self.inboxes.values()
            if not inbox.instance and inbox.agent != agent and not inbox.agent.startswith(RESERVED_PREFIX)
        ]

    def add(self, inbox: Inbox, subscriptions: list[tuple[str, str]]) -> Inbox:
        """Adds an inbox with its topic subscriptions."""
        self.inboxes[inbox.name] = inbox
        for pattern, expression in subscriptions:
            self.subscribe(Subscription(pattern, expression, inbox, shared=True))
        return inbox

    def subscribe(self, subscription: Subscription) -> None:
        """Adds a subscription, in place of the inbox's earlier one to the same pattern."""
        inbox = subscription.inbox
        self.unsubscribe(inbox, subscription.pattern)
        inbox.subscriptions[subscription.pattern] = subscription
        self.topics.add(subscription.pattern, subscription)

    def unsubscribe(self, inbox: Inbox, pattern: str) -> bool:
        """Ends a subscription; False if there was none."""
        subscription = inbox.subscriptions.pop(pattern, None)
        return subscription is not None and self.topics.remove(pattern, subscription)

    def remove(self, inbox: Inbox) -> None:
        """Takes an inbox away, with its subscriptions."""
        for pattern in list(inbox.subscriptions):
            self.unsubscribe(inbox, pattern)
        inbox.closed = True
        del self.inboxes[inbox.name]
