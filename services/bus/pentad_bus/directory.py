"""Which inboxes there are, and for how long."""

from __future__ import annotations

from pentad_bus.dedup import DedupWindow
from pentad_bus.inbox import Inbox
from pentad_bus.ledger import Ledger
from pentad_bus.policy import Policy, Rate
from pentad_bus.session import Session
from pentad_bus.settlement import EXPIRED, Settlement
from pentad_bus.store.journal import InboxRow
from pentad_bus.tenant import Tenant


class Directory:
    """The tenants' inboxes. An agent's stays; an instance's goes some time after the instance."""

    def __init__(self, settlement: Settlement, ledger: Ledger) -> None:
        self.tenants: dict[str, Tenant] = {}
        self._settlement = settlement
        self._ledger = ledger
        self._last_id = 0

    def tenant(self, tenant_id: str) -> Tenant:
        """The tenant's part of the bus."""
        tenant = self.tenants.get(tenant_id)
        if tenant is None:
            limits, now = self._settlement.limits, self._settlement.clock.steady()
            dedup = DedupWindow(limits.dedup_window, limits.dedup_max_ids, now)
            per_second = limits.tenant_messages_per_second
            rate = Rate(per_second, now) if per_second else None
            tenant = self.tenants[tenant_id] = Tenant(tenant_id, dedup, rate)
        return tenant

    def restore(self, rows: list[InboxRow]) -> dict[int, Inbox]:
        """The inboxes of these rows, by id."""
        found: dict[int, Inbox] = {}
        for row in rows:
            tenant = self.tenant(row.tenant_id)
            inbox = self._new(row.id, tenant, row.name)
            inbox.keep_to(row.policy, self._settlement.limits)
            found[row.id] = tenant.add(inbox, row.subscriptions)
            self._last_id = max(self._last_id, row.id)
            if inbox.instance:
                self._linger(inbox)
        return found

    def inbox(self, tenant: Tenant, name: str) -> Inbox:
        """The inbox of that name, made if it is missing."""
        inbox = tenant.inboxes.get(name)
        if inbox is None:
            self._last_id += 1
            inbox = tenant.add(self._new(self._last_id, tenant, name), [])
            self.save(inbox)
        return inbox

    def _new(self, inbox_id: int, tenant: Tenant, name: str) -> Inbox:
        return Inbox(inbox_id, tenant.id, name, self._settlement.limits, tenant.usage)

    def keep_to(self, inbox: Inbox, policy: Policy) -> None:
        """Changes how much an inbox holds; what is too much goes at once if it drops the oldest."""
        if policy == inbox.policy:
            return
        inbox.keep_to(policy, self._settlement.limits)
        self.save(inbox)
        if inbox.drops_oldest:
            self._settlement.make_room(inbox)

    def save(self, inbox: Inbox) -> None:
        """Has the inbox stored, with its subscriptions as they are now."""
        shared = [(item.pattern, item.filter) for item in inbox.subscriptions.values() if item.shared]
        row = InboxRow(inbox.id, inbox.tenant_id, inbox.name, shared, inbox.policy)
        self._ledger.later.inboxes.append(row)
        self._ledger.hurry()

    def leave(self, session: Session) -> None:
        """A connection ended: what was for it alone goes with it, the rest of its own inbox waits for it."""
        own, tenant = session.own, session.origin.tenant
        for pattern in list(own.subscriptions):
            tenant.unsubscribe(own, pattern)
        for entry in own.ready.drain():
            if entry.subscription and not entry.stored:
                self._settlement.drop(entry)
            else:
                own.ready.push(entry)
        if session.meant and not own.messages:
            self._retire(own)
        else:
            self._linger(own)

    def _linger(self, inbox: Inbox) -> None:
        due = self._settlement.clock.wall() + self._settlement.limits.instance_linger
        inbox.left = due
        self._settlement.schedule.at(due, lambda: self._retire(inbox) if inbox.left == due else None)

    def _retire(self, inbox: Inbox) -> None:
        """Removes the inbox of an instance that is gone; what is left in it goes to the dead letters."""
        if inbox.consumers or inbox.closed:
            return
        self.tenant(inbox.tenant_id).remove(inbox)
        for entry in [*inbox.ready.drain(), *inbox.delayed]:
            self._settlement.bury(entry, EXPIRED, "the instance is gone")
        inbox.delayed.clear()
        self._ledger.later.removed.append(inbox.id)
        self._ledger.hurry()

    def inboxes(self) -> list[Inbox]:
        """All of them, of all tenants."""
        return [inbox for tenant in self.tenants.values() for inbox in tenant.inboxes.values()]

    def sessions(self) -> list[Session]:
        """All connections, of all tenants."""
        return [session for tenant in self.tenants.values() for session in tenant.sessions.values()]
