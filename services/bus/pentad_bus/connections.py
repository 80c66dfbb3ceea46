"""What brokers do alike, wherever their queues are: who connects, subscribes, and ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from pentad_bus.inbox import Inbox, Subscription
from pentad_bus.instances import instance_name
from pentad_bus.limits import Limits
from pentad_bus.policy import Policy
from pentad_bus.publisher import Origin
from pentad_bus.session import Session
from pentad_bus.tenant import Tenant
from pentad_bus.topics import check_pattern
from pentad_common.errors import Aborted, FailedPrecondition, PentadError, Unavailable

Wake = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """A subscription that a client asks for. `shared`: scope AGENT."""

    pattern: str
    filter: str = ""
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Caller:
    """Who connects or publishes. `is_agent` is False for a caller that acts as no agent, named `client.<key
    id>`.
    """

    tenant_id: str
    name: str
    is_agent: bool = True


class Known(Protocol):
    """The connections that a process has, by tenant."""

    def tenant(self, tenant_id: str) -> Tenant:
        """The tenant's part of the bus."""

    def sessions(self) -> Iterable[Session]:
        """All connections, of all tenants."""


class Connections(ABC):
    """A broker's door."""

    def __init__(self, directory: Known) -> None:
        self.on_ended: Callable[[], None] = lambda: None
        """Called when a connection has ended."""
        self._known = directory

    def origin(self, caller: Caller) -> Origin:
        """The caller as a sender."""
        return Origin(self._known.tenant(caller.tenant_id), caller.name)

    def connect(
        self,
        caller: Caller,
        instance: str,
        take_inbox: bool,
        wishes: Iterable[Wish],
        wake: Wake,
        policy: Policy | None = None,
    ) -> Session:
        """A connection without credit; that of the same instance, wherever it is, ends.

        Raises InvalidArgument INSTANCE_INVALID, PATTERN_INVALID, FILTER_INVALID; FailedPrecondition.
        """
        instance = instance_name(instance)
        wishes = list(wishes)
        tenant = self._known.tenant(caller.tenant_id)
        for wish in wishes:
            check_wish(tenant, caller, wish)
        earlier = tenant.sessions.get((caller.name, instance))
        if earlier is not None:
            self.end(earlier, taken_over(caller.name, instance))
        session = self._open(Origin(tenant, caller.name), instance, take_inbox and caller.is_agent, wake)
        tenant.sessions[caller.name, instance] = session
        if policy is not None:
            self._keep_to(session.inboxes[-1], policy)
        for inbox in session.inboxes:
            inbox.consumers.append(session)
        for wish in wishes:
            self._add(session, wish)
        return session

    @abstractmethod
    def _open(self, origin: Origin, instance: str, takes: bool, wake: Wake) -> Session:
        """A session with its inboxes; `takes`: with the one that its agent's instances share."""

    @abstractmethod
    def _keep_to(self, inbox: Inbox, policy: Policy) -> None: ...

    @abstractmethod
    def _add(self, session: Session, wish: Wish) -> None: ...

    @abstractmethod
    def _left(self, session: Session) -> None:
        """What becomes of its own inbox, and of what is ready for nobody else."""

    @abstractmethod
    def _subscriber(self, session: Session, wish: Wish) -> Inbox:
        """The inbox that a subscription leads into."""

    def end(self, session: Session, error: PentadError | None, *, meant: bool = False) -> None:
        """Ends a connection; what is open to it goes on at once. `error`: what its client is told, if
        anything.
        """
        if session.ended is not None:
            return
        session.ended = error or Unavailable("CONNECTION_ENDED", "the connection has ended")
        session.meant = meant
        tenant = session.origin.tenant
        if tenant.sessions.get((session.agent, session.instance)) is session:
            del tenant.sessions[session.agent, session.instance]
        for inbox in session.inboxes:
            inbox.consumers.remove(session)
        session.release_all()
        self._left(session)
        for inbox in session.inboxes:
            inbox.wake()
        session.wake()
        self.on_ended()

    def subscribe(self, session: Session, caller: Caller, wish: Wish) -> None:
        """Adds a subscription. Raises InvalidArgument PATTERN_INVALID, FILTER_INVALID; FailedPrecondition."""
        check_wish(session.origin.tenant, caller, wish)
        self._subscriber(session, wish).check_subscription(wish.pattern)
        self._add(session, wish)

    def drain(self) -> None:
        """Nothing is delivered from now on; acks and publishes still count."""
        for session in self._known.sessions():
            session.draining = True
            session.wake()


def check_wish(tenant: Tenant, caller: Caller, wish: Wish) -> None:
    """Raises InvalidArgument PATTERN_INVALID, FILTER_INVALID; FailedPrecondition SUBSCRIPTION_SCOPE,
    SUBSCRIPTIONS_TOO_MANY.
    """
    check_pattern(wish.pattern)
    if wish.shared and not caller.is_agent:
        raise FailedPrecondition(
            "SUBSCRIPTION_SCOPE",
            "only an agent has an inbox for subscriptions of scope AGENT; use SUBSCRIPTION_SCOPE_INSTANCE",
            pattern=wish.pattern,
        )
    Subscription(wish.pattern, wish.filter, _NOWHERE, shared=wish.shared)
    if wish.shared:
        tenant.inboxes.get(caller.name, _NOWHERE).check_subscription(wish.pattern)


def taken_over(agent: str, instance: str) -> Aborted:
    """What a connection is told when another of its instance came."""
    return Aborted(
        "INSTANCE_TAKEN_OVER",
        f"another connection of {agent}/{instance} is there now, and this one has ended; give each process "
        "an instance name of its own",
        agent=agent,
        instance=instance,
    )


_NOWHERE = Inbox(0, "", "", Limits())
