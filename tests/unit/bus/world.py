"""A broker with clocks that tests set and a ledger that stores when told."""

from __future__ import annotations

from typing import Any

from pentad.bus.v1.bus_pb2 import Message
from pentad_bus.broker import Broker, Caller, Wish
from pentad_bus.entry import Entry
from pentad_bus.ledger import Commit
from pentad_bus.limits import Limits
from pentad_bus.session import Session
from pentad_bus.store.journal import Changes
from pentad_common.errors import PentadError, Unavailable


class HandClock:
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def wall(self) -> float:
        return self.now

    steady = wall


class HandLedger:
    """Stores at once, or when told; keeps what it was given."""

    def __init__(self) -> None:
        self.later = Changes()
        self.stored = Changes()
        self.queue: list[Commit] = []
        self.holding = False

    def submit(self, commit: Commit) -> None:
        self.queue.append(commit)
        if not self.holding:
            self.store()

    def hurry(self) -> None:
        pass

    def store(self, error: PentadError | None = None) -> None:
        queue, self.queue = self.queue, []
        later, self.later = self.later, Changes()
        self.stored.extend(later)
        for commit in queue:
            if error is None:
                self.stored.extend(commit.changes)
            commit.done(error)


class World:
    """The broker under test."""

    def __init__(self, **limits: Any) -> None:
        self.clock = HandClock()
        self.ledger = HandLedger()
        self.broker = Broker(Limits(**limits), self.ledger, self.clock)

    def connect(
        self,
        agent: str,
        instance: str = "one",
        *wishes: Wish,
        credit: int = 100,
        size: int = 0,
        take_inbox: bool = True,
        tenant: str = "t",
    ) -> Session:
        session = self.broker.connect(
            Caller(tenant, agent, is_agent="." not in agent), instance, take_inbox, wishes, lambda: None
        )
        session.grant(credit, size)
        session.idle = True
        return session

    def publish(self, session: Session, *messages: Message, settles: int = 0) -> None:
        first = session.confirmed + 1
        items = [(first + n, message.SerializeToString(), settles) for n, message in enumerate(messages)]
        self.broker.publish_batch(session, items)

    def refusal(self, session: Session) -> str:
        """The reason of the one rejection that the session has to tell."""
        ((_, error),) = session.rejections
        session.rejections.clear()
        return error.reason

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.broker.tick()

    def dead(self) -> list[tuple[str, str]]:
        """(recipient, reason) of all dead letters."""
        rows = [*self.ledger.stored.dead, *self.ledger.later.dead]
        return [(row.recipient, row.reason) for row in rows]

    def settled(self) -> int:
        """Entries that the journal was told to delete."""
        return len(self.ledger.stored.settled) + len(self.ledger.later.settled)


def to(recipient: str, id: str = "", **fields: Any) -> Message:
    """A message to an agent."""
    return _with_spans(Message(id=id, recipient=recipient), fields)


def on(topic: str, id: str = "", **fields: Any) -> Message:
    """A message to a topic."""
    return _with_spans(Message(id=id, topic=topic), fields)


def to_all(id: str = "", **fields: Any) -> Message:
    """A broadcast."""
    return _with_spans(Message(id=id, broadcast={}), fields)


def _with_spans(message: Message, fields: dict[str, Any]) -> Message:
    for name in ("ttl", "delay"):
        if name in fields:
            getattr(message, name).FromMilliseconds(round(fields.pop(name) * 1000))
    message.MergeFrom(Message(**fields))
    return message


def ids(taken: list[tuple[int, Entry]]) -> list[str]:
    """The messages' ids."""
    return [entry.id for _, entry in taken]


FULL_DISK = Unavailable("JOURNAL_UNAVAILABLE", "the disk is full", retry_after=1.0)
