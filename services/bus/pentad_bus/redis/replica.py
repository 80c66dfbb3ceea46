"""What this process knows of a tenant's directory: who has an inbox, who subscribes to what."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from pentad_bus.dedup import DedupWindow
from pentad_bus.inbox import Subscription
from pentad_bus.policy import Policy
from pentad_bus.redis.settlement import RemoteInbox
from pentad_bus.tenant import Tenant

if TYPE_CHECKING:
    from pentad_bus.redis.link import Link


class Replica:
    """Follows the changes of the directory by version: what is routed by an old one, Redis refuses."""

    def __init__(self, tenant_id: str, link: Link) -> None:
        self.tenant = Tenant(tenant_id, DedupWindow(0, 1))
        self.version = -1
        self.on_owner: Callable[[RemoteInbox], None] = lambda inbox: None
        """Called when an inbox is said to be someone's."""
        self._link = link
        self._last_id = 0

    def inbox(self, name: str) -> RemoteInbox:
        """The inbox of that name, as far as this process is concerned; made if it is missing."""
        inbox = self.tenant.inboxes.get(name)
        if inbox is None:
            self._last_id += 1
            limits, tenant = self._link.options.limits, self.tenant
            made = RemoteInbox(self._last_id, tenant.id, name, limits, tenant.usage, self._link)
            inbox = tenant.add(made, [])
        return cast(RemoteInbox, inbox)

    def follow(self, answer: dict[str, Any]) -> bool:
        """Takes the changes that an answer brings; False if there are none."""
        if "ch" not in answer:
            return False
        changes: Iterable[list[Any]] = answer["ch"]
        if answer.get("all"):
            self._forget_others({item[1] for item in changes})
        for kind, name, *rest in changes:
            getattr(self, f"_{kind}")(name, *rest)
        self.version = answer["v"]
        return True

    def _forget_others(self, names: set[str]) -> None:
        for inbox in list(self.tenant.inboxes.values()):
            for pattern in list(inbox.subscriptions):
                self.tenant.unsubscribe(inbox, pattern)
            if inbox.name not in names and not inbox.consumers:
                self.tenant.remove(inbox)

    def _inbox(self, name: str) -> None:
        self.inbox(name)

    def _own(self, name: str, value: str) -> None:
        inbox = self.inbox(name)
        if inbox.claim and inbox.claim != value:
            return  # from before this process asked
        inbox.claim, inbox.value = "", value
        self.on_owner(inbox)

    def _keep(self, name: str, policy: list[Any]) -> None:
        self.inbox(name).keep_to(Policy(*policy), self._link.options.limits)

    def _sub(self, name: str, pattern: str, filter: str, shared: bool) -> None:
        self.tenant.subscribe(Subscription(pattern, filter, self.inbox(name), shared=shared))

    def _unsub(self, name: str, pattern: str) -> None:
        if name in self.tenant.inboxes:
            self.tenant.unsubscribe(self.tenant.inboxes[name], pattern)

    def _drop(self, name: str) -> None:
        inbox = self.tenant.inboxes.get(name)
        if inbox is not None and not inbox.consumers:
            self.tenant.remove(inbox)

    def consumers(self) -> Counter[str]:
        """How many connections take from each inbox, on whatever process."""
        found: Counter[str] = Counter()
        for inbox in self.tenant.inboxes.values():
            value = cast(RemoteInbox, inbox).value
            if value.startswith("own:"):
                found[inbox.name] += bool(inbox.instance)
                found[inbox.agent] += value.endswith(":1")
        return found


def woken(data: bytes) -> tuple[str, list[str]]:
    """What a wake-up says: the process that caused it, and the inboxes that have something."""
    process, names = json.loads(data)
    return process, list(names)
