"""The broker beside a simple model of it: whatever happens in whatever order, nothing confirmed is lost."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pentad.bus.v1.bus_pb2 import DURABILITY_BEST_EFFORT
from pentad_bus.broker import Broker, Caller
from pentad_bus.entry import Entry
from pentad_bus.limits import Limits
from pentad_bus.policy import Policy
from pentad_bus.session import Nack, Session
from tests.unit.bus.paper import PaperLedger
from tests.unit.bus.world import FULL_DISK, HandClock, to

LIMITS = Limits(ack_wait=30, max_attempts=3, dedup_window=1e9, instance_linger=1e9, max_queue_messages=40)
AGENTS = ("keen", "narrow")
NARROW = Policy(4, 0, "drop_oldest")
INSTANCES = st.sampled_from([(agent, instance) for agent in AGENTS for instance in ("one", "two")])


class BusModel(RuleBasedStateMachine):
    """The model: which messages are owed to someone, were acked for good, or were given up.

    What a backend does in its own way is in methods whose names begin with an underscore.
    """

    second = 1.0
    """How long a second of the model is where it is not the clock that is moved by hand."""
    lossy_is_stored = False
    """Whether what may be lost is refused, too, when nothing can be stored."""
    in_order = True
    """Whether an agent's connections get new messages in order, all of them together."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.ledger = HandClock(), PaperLedger()
        self.tenant = "t"
        self.sent = 0
        self.owed: set[str] = set()
        """Durable and confirmed."""
        self.acked: set[str] = set()
        self.lossy: set[str] = set()
        self.delivered: set[str] = set()
        self.furthest: dict[tuple[str, int], int] = {}
        """Seq of the newest message that was delivered for the first time, by agent and level."""
        self.open: list[tuple[Session, int, Entry]] = []

    @initialize()
    def begin(self) -> None:
        self._start()

    def _start(self) -> None:
        self.broker = Broker(LIMITS, self.ledger, self.clock)
        self.broker.restore(self.ledger.recover())
        self.sessions: dict[tuple[str, str], Session] = {}
        self.open.clear()
        self.writer = self._connect("writer", "one")
        for agent in AGENTS:
            self._connect(agent, "one")

    def _connect(self, agent: str, instance: str) -> Session:
        policy = NARROW if agent == "narrow" else None
        caller = Caller(self.tenant, agent)
        broker = self._broker_of(instance)
        session: Session = broker.connect(caller, instance, True, (), lambda: None, policy)
        session.grant(5, 0)
        session.idle = True
        self.sessions[agent, instance] = session
        return session

    # ------------------------------------------------------------------------------------------ what happens

    @rule(
        agent=st.sampled_from(AGENTS),
        priority=st.integers(1, 4),
        lossy=st.booleans(),
        ttl=st.sampled_from([0, 0, 0, 60]),
        delay=st.sampled_from([0, 0, 0, 5]),
        fails=st.sampled_from([False, False, False, True]),
    )
    def publish(self, agent: str, priority: int, lossy: bool, ttl: int, delay: int, fails: bool) -> None:
        """A message of a new id; when the disk is full it is refused and never heard of again."""
        self.sent += 1
        name = f"m{self.sent}"
        wanted = (("ttl", ttl * self.second), ("delay", delay * self.second))
        spans: dict[str, Any] = {key: value for key, value in wanted if value}
        durability = DURABILITY_BEST_EFFORT if lossy else 0
        message = to(agent, name, priority=priority, durability=durability, **spans)
        full = self._is_full(agent)
        self._publish(self.writer, message.SerializeToString(), fails=fails)
        refused = bool(self.writer.rejections)
        assert refused == (full or (fails and (not lossy or self.lossy_is_stored)))
        self.writer.rejections.clear()
        if not refused:
            (self.lossy if lossy else self.owed).add(name)

    def _is_full(self, agent: str) -> bool:
        return not self.broker.directory.tenant("t").inboxes[agent].has_room(1)

    def _publish(self, session: Session, body: bytes, tag: int = 0, *, fails: bool = False) -> None:
        self.ledger.holding = fails
        self._broker_of(session.instance).publish_batch(session, [(session.confirmed + 1, body, tag)])
        if fails:
            self.ledger.holding = False
            self.ledger.store(FULL_DISK)

    @precondition(lambda self: self.owed)
    @rule(data=st.data())
    def publish_again(self, data: st.DataObject) -> None:
        """The same id once more is confirmed and not stored."""
        name = data.draw(st.sampled_from(sorted(self.owed)))
        before = self._count_stored()
        self._publish(self.writer, to("keen", name).SerializeToString())
        assert (self._count_stored(), self.writer.rejections) == (before, [])

    def _count_stored(self) -> int:
        return len(self.ledger.messages)

    def _broker_of(self, instance: str) -> Any:
        return self.broker

    @rule(who=INSTANCES)
    def connect(self, who: tuple[str, str]) -> None:
        """A new instance, or one that takes over from itself."""
        self._forget(self.sessions.get(who))
        self._connect(*who)

    @rule(who=INSTANCES, meant=st.booleans())
    def leave(self, who: tuple[str, str], meant: bool) -> None:
        """With a goodbye, or lost."""
        session = self.sessions.pop(who, None)
        if session is not None:
            self._broker_of(session.instance).end(session, None, meant=meant)
            self._forget(session)

    def _forget(self, session: Session | None) -> None:
        self.open = [item for item in self.open if item[0] is not session]

    @precondition(lambda self: self._takers())
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        """Nothing that was acked for good, nothing lossy twice, and new messages in order."""
        who = data.draw(st.sampled_from(self._takers()))
        session = self.sessions[who]
        for tag, entry in self._take(session):
            assert entry.id not in self.acked
            assert entry.id not in self.lossy & self.delivered
            if entry.id not in self.delivered and not entry.history and not entry.hops:
                self._check_order(who[0], entry)
            self.delivered.add(entry.id)
            self.open.append((session, tag, entry))

    def _takers(self) -> list[tuple[str, str]]:
        return sorted(who for who in self.sessions if who[0] in AGENTS)

    def _take(self, session: Session) -> list[tuple[int, Entry]]:
        return session.take()

    def _check_order(self, agent: str, entry: Entry) -> None:
        if not self.in_order or b"\x82\x01" in entry.body:  # a delay: it comes when it is due
            return
        key = (agent, entry.level)
        assert entry.seq > self.furthest.get(key, 0)
        self.furthest[key] = entry.seq

    @precondition(lambda self: self.open)
    @rule(data=st.data(), what=st.sampled_from(["ack", "ack", "nack", "later", "reject", "progress"]))
    def settle(self, data: st.DataObject, what: str) -> None:
        """One delivery is dealt with; if it had run out, it is stale and nothing happens."""
        session, tag, entry = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        stale = tag not in session.open
        session.stale.clear()
        if what == "ack":
            session.ack([tag])
            if not stale:
                self.acked.add(entry.id)
        elif what == "progress":
            session.progress(tag)
            if not stale:
                self.open.append((session, tag, entry))
        else:
            session.nack(Nack(tag, 0.0 if what == "nack" else 20.0 * self.second, "no", what == "reject"))
        assert bool(session.stale) == stale

    @precondition(lambda self: self.open)
    @rule(data=st.data(), fails=st.sampled_from([False, False, True]))
    def answer(self, data: st.DataObject, fails: bool) -> None:
        """A message and the ack of what it answers: both are stored, or neither."""
        session, tag, entry = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        wrong = tag not in session.open or self._is_full("keen")
        self.sent += 1
        before = self._count_stored()
        self._publish(session, to("keen", f"m{self.sent}").SerializeToString(), tag, fails=fails)
        assert bool(session.rejections) == (wrong or fails)
        session.rejections.clear()
        if self._count_stored() > before:
            self.acked.add(entry.id)
            self.owed.add(f"m{self.sent}")
        elif tag in session.open:
            self.open.append((session, tag, entry))

    @rule(seconds=st.sampled_from([1, 10, 40]))
    def wait(self, seconds: int) -> None:
        """Deliveries run out, delays end, messages expire."""
        self.clock.now += seconds
        self._tick(seconds)

    def _tick(self, seconds: int) -> None:
        self.broker.tick()

    @rule()
    def flush(self) -> None:
        """What nobody waits for is stored."""
        self._flush()

    def _flush(self) -> None:
        self.ledger.store()

    @rule(flushed=st.booleans())
    def crash(self, flushed: bool) -> None:
        """kill -9: what was not stored, such as the last acks, never happened."""
        self._crash(flushed)

    def _crash(self, flushed: bool) -> None:
        if flushed:
            self.ledger.store()
        self.ledger.later = type(self.ledger.later)()
        stored = {self.ledger.messages[seq][1] for seq, _ in self.ledger.entries}
        self.acked -= stored
        self._start()

    # -------------------------------------------------------------------------------------- what always holds

    def _held(self) -> list[Entry]:
        """All that inboxes hold; they count rightly."""
        found: list[Entry] = []
        for inbox in self.broker.directory.inboxes():
            waiting = [entry for level in inbox.ready._levels for entry in level]
            assert len(waiting) == len(inbox.ready)
            held = [*waiting, *inbox.delayed]
            held += [
                entry
                for session in self.broker.directory.sessions()
                for entry in session.open.values()
                if entry.inbox is inbox
            ]
            assert inbox.messages == len(held)
            assert inbox.size == sum(len(entry.body) for entry in held)
            assert inbox.in_flight == len(held) - len(waiting) - len(inbox.delayed)
            found += held
        assert self.broker.directory.tenant("t").usage.size == sum(len(entry.body) for entry in found)
        return found

    def _dead(self) -> set[str]:
        return {*self.ledger.dead.values(), *(row.message_id for row in self.ledger.later.dead)}

    @invariant()
    def nothing_is_lost(self) -> None:
        """What was confirmed waits, was acked, or is a dead letter; inboxes count rightly."""
        names = [entry.id for entry in self._held()]
        assert len(set(names)) == len(names)
        dead = self._dead()
        assert self.owed <= {*names, *self.acked, *dead}
        assert not self.acked & {*names, *dead}

    @invariant()
    def bounds_hold(self) -> None:
        """Credit, and the queue that drops its oldest."""
        assert all(len(session.open) <= 5 for session in self.sessions.values())
        self._check_narrow()

    def _check_narrow(self) -> None:
        narrow = self.broker.directory.tenant("t").inboxes["narrow"]
        assert len(narrow.ready) <= 1 or not narrow.over


BusModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBusModel = BusModel.TestCase
