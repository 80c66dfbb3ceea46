"""The broker: connections, publishes and time, on one event loop, in plain Python.

It stores nothing itself: what must not be lost is written to a `Ledger`, and goes on once that says it is
stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.admission import REPLAYED
from pentad_bus.clock import Clock, SystemClock
from pentad_bus.connections import Caller, Connections, Wake, Wish
from pentad_bus.counters import Counters
from pentad_bus.directory import Directory
from pentad_bus.entry import Entry
from pentad_bus.inbox import Inbox, Subscription
from pentad_bus.ledger import Commit, Done, Ledger, nothing
from pentad_bus.likeness import FEW, Item
from pentad_bus.limits import Limits
from pentad_bus.message_types import MessageTypes
from pentad_bus.policy import Policy
from pentad_bus.publisher import Origin, Publisher, stamp
from pentad_bus.session import Session
from pentad_bus.settlement import Settlement
from pentad_bus.store.journal import DeadRow, HistoryRow, Needed, Recovered, WaitingRow
from pentad_bus.tenant import Tenant
from pentad_common.errors import PentadError

__all__ = ["Broker", "Caller", "Wish"]


class Broker(Connections):
    """Everything that is waiting, and everyone who waits for it."""

    def __init__(
        self,
        limits: Limits,
        ledger: Ledger,
        clock: Clock | None = None,
        counters: Counters | None = None,
        types: MessageTypes | None = None,
    ) -> None:
        self.limits = limits
        self.clock = clock or SystemClock()
        self.counters = counters or Counters()
        self.settlement = Settlement(limits, ledger, self.clock, self.counters)
        self.publisher = Publisher(self.settlement, types=types)
        self.directory = Directory(self.settlement, ledger)
        super().__init__(self.directory)
        self.stored_seq = 0
        """Everything up to here is stored, or never will be."""
        self.on_stored: Callable[[], None] = lambda: None
        self._ledger = ledger

    # ---------------------------------------------------------------------------------------------- recovery

    def restore(self, found: Recovered) -> int:
        """Puts back what the journal holds; how many messages wait."""
        self.publisher.last_seq = self.stored_seq = found.last_seq
        inboxes = self.directory.restore(found.inboxes)
        for tenant_id, message_id in found.recent:
            self.directory.tenant(tenant_id).dedup.add(message_id)
        for waiting in found.waiting:
            entry = waiting.entry(inboxes.get(waiting.inbox_id) or _gone(waiting))
            entry.inbox.admit(len(entry.body))
            self.settlement.arrive(entry)
        return len(found.waiting)

    # -------------------------------------------------------------------------------------------- connections

    def _open(self, origin: Origin, instance: str, takes: bool, wake: Wake) -> Session:
        tenant, agent = origin.tenant, origin.name
        own = self.directory.inbox(tenant, f"{agent}/{instance}")
        session = Session(origin, agent, own, self.settlement, wake)
        if takes:
            session.inboxes.append(self.directory.inbox(tenant, agent))
        return session

    def _keep_to(self, inbox: Inbox, policy: Policy) -> None:
        self.directory.keep_to(inbox, policy)

    def _left(self, session: Session) -> None:
        self.directory.leave(session)

    # ------------------------------------------------------------------------------------------ subscriptions

    def _add(self, session: Session, wish: Wish) -> None:
        inbox = self._subscriber(session, wish)
        known = inbox.subscriptions.get(wish.pattern)
        if known is not None and known.filter == wish.filter:
            return
        session.origin.tenant.subscribe(Subscription(wish.pattern, wish.filter, inbox, shared=wish.shared))
        if wish.shared:
            self.directory.save(inbox)

    def unsubscribe(self, session: Session, wish: Wish) -> None:
        """Ends a subscription; what it brought stays. Ending what is not there does nothing."""
        tenant = session.origin.tenant
        inbox = tenant.inboxes.get(session.agent) if wish.shared else session.own
        if inbox is not None and tenant.unsubscribe(inbox, wish.pattern) and wish.shared:
            self.directory.save(inbox)

    def _subscriber(self, session: Session, wish: Wish) -> Inbox:
        if wish.shared:
            return self.directory.inbox(session.origin.tenant, session.agent)
        return session.own

    # --------------------------------------------------------------------------------------------- publishing

    def publish_batch(self, session: Session, items: Sequence[Item]) -> None:
        """Takes a frame's publishes (seq, encoded message, tag that it settles or 0); each is confirmed or
        rejected.
        """
        commit = Commit()
        seqs, aside = self._admit(session, commit, items)
        seq = items[-1][0]

        def done(error: PentadError | None) -> None:
            for tag, entry in aside:
                if error is None:
                    self.settlement.settled_by_commit(entry)
                else:
                    session.reopen(tag, entry)
            if error is not None:
                session.rejections += [(number, error) for number in seqs]
            session.confirmed = seq
            session.wake()

        session.outstanding += 1
        self._count(commit)
        self._submit(
            commit, session.origin.tenant, self._counted(session, done), at_once=session.outstanding == 1
        )

    def _admit(
        self, session: Session, commit: Commit, items: Sequence[Item]
    ) -> tuple[list[int], list[tuple[int, Entry]]]:
        """The numbers of those that are in the commit, and the deliveries that they settle, by tag."""
        origin, alike = session.origin, session.alike
        now = self.clock.wall()
        mark = stamp(origin.name, now)
        seqs: list[int] = []
        aside: list[tuple[int, Entry]] = []
        place, one_by_one = 0, len(items) < FEW
        while place < len(items):
            like = alike.latest
            if like is not None and not one_by_one and (bodies := like.run(items, place)):
                if self.publisher.admit_alike(commit, origin, like, bodies, mark):
                    seqs += [item[0] for item in items[place : place + len(bodies)]]
                    place += len(bodies)
                    alike.found(len(bodies))
                    continue
                one_by_one = True
            seq, body, tag = items[place]
            place += 1
            settle = partial(session.settleable, tag) if tag else None
            try:
                _, settled = self.publisher.admit(commit, origin, body, now, mark, settle)
            except PentadError as error:
                self.counters.rejected[error.reason] += 1
                session.rejections.append((seq, error))
                continue
            seqs.append(seq)
            if settled is None:
                alike.missed(body)
            else:
                session.set_aside(tag)
                aside.append((tag, settled))
                if settled.stored:
                    commit.changes.settled.append((settled.seq, settled.inbox.id))
        return seqs, aside

    def _count(self, commit: Commit) -> None:
        self.counters.published += len(commit.ids)
        self.counters.published_bytes += commit.size

    def _counted(self, session: Session, done: Done) -> Done:
        def counted(error: PentadError | None) -> None:
            session.outstanding -= 1
            done(error)

        return counted

    def publish(self, origin: Origin, body: bytes, done: Done) -> tuple[str, bool]:
        """Takes one message: its id, and whether it is a duplicate. `done` is called when it is stored.
        Raises as `admit`.
        """
        commit = Commit()
        now = self.clock.wall()
        message_id, _ = self.publisher.admit(commit, origin, body, now, stamp(origin.name, now))
        self._count(commit)
        self._submit(commit, origin.tenant, done, at_once=True)
        return message_id, not message_id

    def redrive(self, tenant: Tenant, letters: Iterable[tuple[DeadRow, Inbox]]) -> int:
        """Puts dead letters back into inboxes, as new messages of the same id that were never delivered.

        How many: those whose inbox has no room stay.
        """
        now = self.clock.wall()
        commit = Commit()
        for letter, inbox in letters:
            if self.publisher.readmit(commit, letter.body, inbox, now):
                commit.changes.redriven.append(letter.id)
        if commit.fresh:
            self._submit(commit, tenant, nothing, at_once=False)
        return len(commit.fresh)

    def replay(self, tenant: Tenant, inbox: Inbox, rows: Iterable[HistoryRow]) -> tuple[int, int]:
        """Puts old messages into an inbox until it is full: how many, and the seq of the last row that was
        dealt with.
        """
        now = self.clock.wall()
        commit = Commit()
        last = 0
        for row in rows:
            message = Message.FromString(row.body)
            if REPLAYED not in message.headers:
                mark = {REPLAYED: message.create_time.ToJsonString()}
                if not self.publisher.readmit(commit, row.body, inbox, now, mark):
                    break
            last = row.seq
        if commit.fresh:
            self._submit(commit, tenant, nothing, at_once=False)
        return len(commit.fresh), last

    def _submit(self, commit: Commit, tenant: Tenant, done: Done, *, at_once: bool) -> None:
        last_seq = self.publisher.last_seq

        def stored(error: PentadError | None) -> None:
            if error is None:
                self._deliver(commit.fresh)
            else:
                self._withdraw(commit, tenant)
            done(error)

        def committed(error: PentadError | None) -> None:
            self.stored_seq = last_seq
            stored(error)
            if commit.changes.messages:
                self.on_stored()

        if at_once and not commit.behind and not commit.changes:
            stored(None)
        else:
            commit.done = committed
            self._ledger.submit(commit)

    def _deliver(self, entries: Iterable[Entry]) -> None:
        arrive = self.settlement.arrive
        last: Inbox | None = None
        touched: dict[Inbox, None] = {}
        for entry in entries:
            inbox = entry.inbox
            if inbox is not last:
                last = inbox
                touched[inbox] = None
                push = inbox.ready.push
            if entry.expires or entry.due or inbox.closed or inbox.drops_oldest:
                arrive(entry)
            else:
                push(entry)
        for inbox in touched:
            inbox.wake()

    def _withdraw(self, commit: Commit, tenant: Tenant) -> None:
        tenant.dedup.forget(commit.ids)
        self.counters.stored_bytes -= sum(len(row[-1]) for row in commit.changes.messages)
        for entry in commit.fresh:
            entry.inbox.release(len(entry.body))

    # ---------------------------------------------------------------------------------------------- time

    def next_due(self) -> float | None:
        """When something is scheduled next, in epoch seconds."""
        times = (self.settlement.schedule.next_due(), self.settlement.expiry.next_due())
        return min((time for time in times if time is not None), default=None)

    def tick(self) -> None:
        """Does what time asks for. Call it a few times a second, and when `next_due` comes."""
        now = self.clock.wall()
        self.settlement.schedule.run(now)
        self.settlement.expire(now)
        steady = self.clock.steady()
        for tenant in self.directory.tenants.values():
            tenant.dedup.advance(steady)
            for session in list(tenant.sessions.values()):
                session.run_out(steady)

    def expire_older(self, taken_before: float) -> None:
        """Gives up what has waited since before `taken_before`."""
        for inbox in self.directory.inboxes():
            self.settlement.expire_older(inbox, taken_before)

    def still_needed(self) -> Needed:
        """What waits, or is being worked on."""
        oldest: dict[str, int] = {}
        for tenant in self.directory.tenants.values():
            seqs = [
                entry.seq
                for inbox in tenant.inboxes.values()
                for entry in chain(inbox.ready.heads(), inbox.delayed)
            ]
            seqs += [entry.seq for session in tenant.sessions.values() for entry in session.open.values()]
            if seqs:
                oldest[tenant.id] = min(seqs)
        return Needed(self.stored_seq + 1, oldest)


def _gone(waiting: WaitingRow) -> Inbox:
    """Stands for an inbox that was removed while a message for it was being stored."""
    inbox = Inbox(waiting.inbox_id, waiting.tenant_id, "", Limits())
    inbox.closed = True
    return inbox
