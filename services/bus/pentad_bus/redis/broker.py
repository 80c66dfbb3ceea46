"""The broker's part that connections see: who is here, what they publish, what they settle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

from pentad_bus.clock import SystemClock
from pentad_bus.connections import Connections, Wake, Wish, taken_over
from pentad_bus.counters import Counters
from pentad_bus.inbox import Inbox
from pentad_bus.ledger import Commit
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_bus.policy import Policy
from pentad_bus.publisher import Origin, stamp
from pentad_bus.redis.chunks import RemoteEntry
from pentad_bus.redis.drafts import Draft, Frame, write_draft
from pentad_bus.redis.link import Link, fenced
from pentad_bus.redis.outbox import Given
from pentad_bus.redis.settlement import RemoteInbox, RemoteSettlement
from pentad_bus.session import Session
from pentad_bus.store.journal import Changes
from pentad_bus.tenant import Tenant
from pentad_common.errors import PentadError

OpenLink = Callable[[str], Link]


class _NoLedger:
    """What is to be stored goes through the links."""

    later = Changes()

    def submit(self, commit: Commit) -> None:
        """Nothing comes this way."""

    def hurry(self) -> None:
        """Links do by themselves."""


class RemoteSession(Session):
    """A connection on this process. When it has room again, its inboxes are asked for more."""

    _written: Given = ()
    """What was taken last: its frame is with the agent when the next one is asked for."""

    def take(self) -> Any:
        """Takes what is next, by tag."""
        link = cast(RemoteInbox, self.own).link
        if self._written:
            link.handed(self._written, self.open)
        taken = self._written = super().take()
        if self.room > 0 and not self.draining and not self.ended:
            link.hungry()
        return taken


class RemoteDirectory:
    """The connections and inboxes that this process knows."""

    def __init__(self, open_link: Callable[[str], Link]) -> None:
        self.links: dict[str, Link] = {}
        self._open = open_link

    def tenant(self, tenant_id: str) -> Tenant:
        """The tenant's part of the bus."""
        return self._open(tenant_id).tenant

    def sessions(self) -> list[Session]:
        """All connections here, of all tenants."""
        return [session for link in self.links.values() for session in link.tenant.sessions.values()]

    def inboxes(self) -> list[Inbox]:
        """All inboxes that are known here, of all tenants."""
        return [inbox for link in self.links.values() for inbox in link.tenant.inboxes.values()]


class RedisBroker(Connections):
    """As `Broker`, for many processes. What it says is stored when the tenant's link is flushed."""

    def __init__(
        self, limits: Limits, counters: Counters, open_link: OpenLink, types: MessageTypes | None = None
    ) -> None:
        self.limits = limits
        self.types = types or MessageTypes()
        self.clock = SystemClock()
        self.counters = counters
        self.settlement = RemoteSettlement(limits, _NoLedger(), self.clock, counters)
        self.directory = RemoteDirectory(self.link)
        super().__init__(self.directory)
        self.stored_seq = 0
        """The last of the history that this process knows of."""
        self._open_link = open_link
        self._connections = 0

    def link(self, tenant_id: str) -> Link:
        """The tenant's line to Redis."""
        link = self.directory.links.get(tenant_id)
        if link is None:
            link = self.directory.links[tenant_id] = self._open_link(tenant_id)
            link.replica.on_owner = self._owned
            link.on_fenced = self._fenced
            link.start()
        return link

    # -------------------------------------------------------------------------------------------- connections

    def _open(self, origin: Origin, instance: str, takes: bool, wake: Wake) -> Session:
        agent = origin.name
        link = self.link(origin.tenant.id)
        own = link.replica.inbox(f"{agent}/{instance}")
        session = RemoteSession(origin, agent, own, self.settlement, wake)
        if takes:
            session.inboxes.append(self._shared_inbox(link, agent))
        self._connections += 1
        own.value = f"own:{link.process}:{self._connections}:{int(takes)}"
        own.claim = own.value
        link.change("own", own.name, own.value)
        link.look([inbox.name for inbox in session.inboxes])
        return session

    def _keep_to(self, inbox: Inbox, policy: Policy) -> None:
        if policy != inbox.policy:
            cast(RemoteInbox, inbox).link.change("keep", inbox.name, list(policy))

    def _shared_inbox(self, link: Link, name: str) -> RemoteInbox:
        link.change("inbox", name)
        return link.replica.inbox(name)

    def _left(self, session: Session) -> None:
        own = cast(RemoteInbox, session.own)
        for inbox in session.inboxes:
            if not inbox.consumers:
                self._return_fetched(inbox)
        if own.value.startswith(f"own:{own.link.process}:"):
            linger = round(self.limits.instance_linger * 1000)
            own.link.change("gone", own.name, own.value, linger, session.meant)

    def _return_fetched(self, inbox: Inbox) -> None:
        for entry in inbox.ready.drain():
            self.settlement.put_back(entry)

    def _owned(self, inbox: RemoteInbox) -> None:
        """The directory says whose an inbox is: if another process's, the connection here is over."""
        session = inbox.link.tenant.sessions.get((inbox.agent, inbox.instance))
        if session is None or inbox.value.startswith(f"own:{inbox.link.process}:"):
            return
        if inbox.value.startswith("own:"):
            self.end(session, taken_over(session.agent, session.instance))

    def _fenced(self, link: Link) -> None:
        for session in list(link.tenant.sessions.values()):
            self.end(session, fenced())

    # ------------------------------------------------------------------------------------------ subscriptions

    def _subscriber(self, session: Session, wish: Wish) -> Inbox:
        own = cast(RemoteInbox, session.own)
        return self._shared_inbox(own.link, session.agent) if wish.shared else own

    def _add(self, session: Session, wish: Wish) -> None:
        inbox = cast(RemoteInbox, self._subscriber(session, wish))
        known = inbox.subscriptions.get(wish.pattern)
        if known is None or known.filter != wish.filter:
            inbox.link.change("sub", inbox.name, wish.pattern, wish.filter, wish.shared)

    def unsubscribe(self, session: Session, wish: Wish) -> None:
        """Ends a subscription; what it brought stays. Ending what is not there does nothing."""
        name = session.agent if wish.shared else session.own.name
        cast(RemoteInbox, session.own).link.change("unsub", name, wish.pattern)

    # --------------------------------------------------------------------------------------------- publishing

    def publish_batch(self, session: Session, items: Iterable[tuple[int, bytes, int]]) -> None:
        """Takes a frame's publishes (seq, encoded message, tag that it settles or 0); each is confirmed or
        rejected.
        """
        now = self.clock.wall()
        sender = session.origin.name
        mark = stamp(sender, now)
        drafts: list[Draft] = []
        seq = session.confirmed
        for seq, body, tag in items:
            settle = partial(session.settleable, tag) if tag else None
            try:
                draft = write_draft(body, sender, now, mark, self.limits, self.types, settle)
            except PentadError as error:
                self._reject(session, seq, error)
                continue
            draft.seq, draft.tag = seq, tag
            if draft.settled is not None:
                session.set_aside(tag)
            drafts.append(draft)

        def done() -> None:
            session.outstanding -= 1
            session.confirmed = seq
            session.wake()

        def told(draft: Draft, error: PentadError | None, duplicate: bool) -> None:
            if error is not None:
                self._reject(session, draft.seq, error)
            self.counters.duplicates += duplicate

        session.outstanding += 1
        frame = Frame(drafts, told, partial(self._settled, session), done)
        cast(RemoteInbox, session.own).link.submit(frame)

    def _reject(self, session: Session, seq: int, error: PentadError) -> None:
        self.counters.rejected[error.reason] += 1
        session.rejections.append((seq, error))

    def _settled(self, session: Session, draft: Draft, settled: bool) -> None:
        entry = cast(RemoteEntry, draft.settled)
        if settled:
            self.settlement.settled_by_commit(entry)
        else:
            session.reopen(draft.tag, entry)

    def draft(self, origin: Origin, body: bytes) -> Draft:
        """One message of a unary publish. Raises PentadError."""
        now = self.clock.wall()
        return write_draft(body, origin.name, now, stamp(origin.name, now), self.limits, self.types)

    # --------------------------------------------------------------------------------------------------- time

    def tick(self) -> None:
        """Takes back deliveries whose ack_wait is over. Call it a few times a second."""
        steady = self.clock.steady()
        for session in self.directory.sessions():
            session.run_out(steady)
