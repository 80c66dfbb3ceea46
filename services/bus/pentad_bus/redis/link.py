"""One tenant's line to Redis: one exchange at a time, and what gathered meanwhile is the next one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pentad_bus.publisher import Target
from pentad_bus.redis.drafts import Draft, RemoteEntry, route
from pentad_bus.redis.replica import Replica
from pentad_bus.redis.request import Names, Settled, write_draft_row
from pentad_bus.redis.script import OUTAGES, TENANTS, Client, call, unavailable
from pentad_bus.redis.settlement import RemoteInbox
from pentad_common.errors import Aborted, FailedPrecondition, PentadError, ResourceExhausted, Unavailable
from pentad_common.telemetry import get_logger

if TYPE_CHECKING:
    from pentad_bus.limits import Limits
    from pentad_bus.session import Session

log = get_logger(__name__)

RETRY = 0.2
"""Seconds until Redis is tried again."""
_MOST_MESSAGES = 1024
_MOST_BYTES = 4 * 1024 * 1024
_MOST_PULLED = 1024
"""Of one inbox in one exchange: what one process fetched no other can have."""

Routed = list[tuple[Draft, list[Target]]]
Refused = dict[int, PentadError]
"""By the identity of the draft."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What a link needs to know. `lease`: seconds after which a silent process counts as dead."""

    process: str
    limits: Limits
    lease: float


@dataclass(slots=True)
class Frame:
    """Publishes that are answered together, in order."""

    drafts: list[Draft]
    done: Callable[[], None]

    def fail(self, error: PentadError) -> None:
        """None of them was taken, as far as is known."""
        for draft in self.drafts:
            draft.finish(draft, error, False)
        self.done()


@dataclass(slots=True)
class _State:
    attached: bool = False
    failing: bool = False
    healthy_since: float = 0.0
    epoch: int = 1
    number: int = 0
    wanted: set[str] = field(default_factory=set)
    """Inboxes that may have something to fetch."""


class Link:
    """Everything a bus process says and asks about one tenant goes through here, in order."""

    def __init__(self, client: Client, tenant_id: str, options: LinkOptions) -> None:
        self.tenant_id = tenant_id
        self.options = options
        self.replica = Replica(tenant_id, self)
        self.on_fenced: Callable[[Link], None] = lambda link: None
        self.on_history: Callable[[str], None] = lambda tenant_id: None
        self.on_sooner: Callable[[Link, float], None] = lambda link, due: None
        """Called when something is due (epoch seconds) that was not known to be."""
        self.ready = asyncio.Event()
        """Set once the directory is known."""
        self._client = client
        self._state = _State()
        self._settled = Settled()
        self._untold: tuple[int, Settled] | None = None
        """What an exchange said whose answer did not come: said again under the same number."""
        self._frames: deque[Frame] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()
        """Held while Redis is asked: answers bring changes of the directory, which must come in order."""
        self._task: asyncio.Task[None] | None = None

    @property
    def tenant(self) -> Any:
        """Its part of the directory."""
        return self.replica.tenant

    @property
    def process(self) -> str:
        """Who this process is to the tenant: another one after every time it was taken for dead."""
        return f"{self.options.process}-{self._state.epoch}"

    @property
    def failing(self) -> bool:
        """Whether Redis did not answer last time."""
        return self._state.failing

    @property
    def busy(self) -> bool:
        """Whether something was said that is not stored yet, or cannot be at the moment."""
        return bool(
            self._settled or self._frames or self._untold or self._state.failing or self._lock.locked()
        )

    def start(self) -> None:
        """Begins to talk to Redis."""
        self._task = asyncio.create_task(self._run(), name=f"redis-{self.tenant_id}")

    async def close(self) -> None:
        """Says what is left, gives back what nobody took, and leaves."""
        try:
            async with asyncio.timeout(5):
                await self.flushed()
                if self._state.attached:
                    await call(
                        self._client, self.tenant_id, "detach", self._header(None) | {"linger": self._linger}
                    )
        except (PentadError, *OUTAGES) as error:
            log.warning("the bus could not leave in order", error=str(error))
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _linger(self) -> int:
        return round(self.options.limits.instance_linger * 1000)

    # ---------------------------------------------------------------- what is to be said

    def kick(self) -> None:
        """There is something to say or to ask."""
        self._wanted.set()

    def submit(self, frame: Frame) -> None:
        """Publishes. While Redis is away they fail at once."""
        if self._state.failing:
            frame.fail(unavailable())
            return
        self._frames.append(frame)
        self._wanted.set()

    def ack(self, entry: RemoteEntry) -> None:
        """A delivery is done."""
        self._settled.acks.setdefault((entry.inbox.name, entry.level), []).append(entry)
        self._wanted.set()

    def give_back(self, entry: RemoteEntry, delay: float) -> None:
        """A delivery is to come again."""
        self._settled.returned.append((entry, entry.attempts, _wall() + delay if delay > 0 else 0.0))
        self._state.wanted.add(entry.inbox.name)
        if delay > 0:
            self.on_sooner(self, _wall() + delay)
        self._wanted.set()

    def bury(self, entry: RemoteEntry, reason: str, detail: str) -> None:
        """A delivery goes to the dead letters."""
        self._settled.dead.append((entry, reason, detail))
        self._wanted.set()

    def drop(self, entry: RemoteEntry) -> None:
        """A delivery is of no use to anyone."""
        self._settled.dropped.append(entry)
        self._wanted.set()

    def change(self, *change: Any) -> None:
        """Something in the directory; `tenant.lua` has the kinds."""
        self._settled.directory.append(list(change))
        self._wanted.set()

    def hungry(self) -> None:
        """There is room for more."""
        if self._state.wanted:
            self._wanted.set()

    def look(self, names: list[str]) -> None:
        """These inboxes may have something; none means that the directory has changed."""
        known = self.replica.tenant.inboxes
        mine = [name for name in names if name in known and known[name].consumers]
        self._state.wanted.update(mine)
        if mine:
            self._wanted.set()

    async def flushed(self) -> None:
        """Waits until all that was said so far, publishes apart, is stored. Raises Unavailable."""
        if self._state.failing:
            raise unavailable()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wanted.set()
        await waiter

    # ---------------------------------------------------------------- the loop

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                async with self._lock:
                    await self._catch_up()
                while await self._locked_exchange():
                    pass
            except OUTAGES as error:
                self._fail(error)
                await asyncio.sleep(RETRY)
                self._wanted.set()
            except Exception:
                log.exception("an exchange with Redis failed")
                self._fail(None)
                await asyncio.sleep(RETRY)
                self._wanted.set()

    async def _locked_exchange(self) -> bool:
        async with self._lock:
            return await self._exchange()

    def _fail(self, error: Exception | None) -> None:
        if not self._state.failing and error is not None:
            log.error("Redis cannot be used", error=str(error) or type(error).__name__)
        self._state.failing = True
        frames, self._frames = self._frames, deque()
        for frame in frames:
            frame.fail(unavailable())
        self._wake_waiters(unavailable())

    def _wake_waiters(self, error: PentadError | None, until: int | None = None) -> None:
        waiters, self._waiters = self._waiters[:until], self._waiters[len(self._waiters[:until]) :]
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    async def _catch_up(self) -> None:
        """Makes itself known at first, and looks what was lost after an outage."""
        state = self._state
        if not state.attached:
            await self._client.sadd(TENANTS, self.tenant_id)
            answer = await self._call("attach", {})
            self.replica.follow(answer)
            state.attached = True
            self._recovered()
            self.ready.set()
        elif state.failing:
            if self._untold is not None:
                await self._say(*self._untold, [])
            if state.attached:
                answer = await self._call("resync", {"known": self._known(), "most_attempts": 1 << 30})
                self._recovered()
                self.look(list(answer.get("woken", ())))
                state.wanted.update(
                    inbox.name for inbox in self.replica.tenant.inboxes.values() if inbox.consumers
                )

    def _recovered(self) -> None:
        if self._state.failing:
            log.info("Redis can be used again")
        self._state.failing = False
        self._state.healthy_since = _steady()

    def _known(self) -> list[str]:
        entries: list[Any] = []
        for session in self.replica.tenant.sessions.values():
            entries += session.open.values()
        for inbox in self.replica.tenant.inboxes.values():
            entries += inbox.ready.peek()
        entries += [entry for entry, *_ in self._settled.returned] + [
            entry for entry, *_ in self._settled.dead
        ]
        entries += [entry for found in self._settled.acks.values() for entry in found]
        return [f"{entry.level}|{entry.place}|{entry.inbox.name}" for entry in entries]

    async def _call(self, operation: str, ask: dict[str, Any], blob: bytes = b"") -> dict[str, Any]:
        answer: dict[str, Any] = await call(self._client, self.tenant_id, operation, self._header(ask), blob)
        if answer["st"] == "fenced":
            self._fenced()
        return answer

    def _header(self, ask: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "p": self.process,
            "v": self.replica.version,
            "lease": round(self.options.lease * 1000),
            "linger": self._linger,
            "most_attempts": self.options.limits.max_attempts,
            **(ask or {}),
        }

    def _fenced(self) -> None:
        """Others took this process for dead, and have what it had: nothing it holds counts any more."""
        log.error("this process was taken for dead by others; its connections end", tenant=self.tenant_id)
        self._state.attached = False
        self._untold = None
        self.on_fenced(self)
        self._state.epoch += 1
        for inbox in self.replica.tenant.inboxes.values():
            inbox.ready.drain()
            inbox.in_flight = 0
        self._settled = Settled()
        self._wanted.set()

    # ---------------------------------------------------------------- exchanges

    async def _exchange(self) -> bool:
        """One exchange, if there is anything to say or to ask; whether there was."""
        waiting = len(self._waiters)
        if not self._state.attached:
            self._wanted.set()
            return False
        frames = [] if self._settled.directory else self._next_frames()
        if not frames and not self._settled and not self._pulls(Names(), []):
            self._wake_waiters(None, waiting)
            return False
        self._state.number += 1
        said, self._settled = self._settled, Settled()
        try:
            await self._say(self._state.number, said, frames)
        except BaseException:
            for frame in frames:
                frame.fail(unavailable())
            raise
        self._wake_waiters(None, waiting)  # nobody waits for publishes this way
        return True

    def _next_frames(self) -> list[Frame]:
        frames: list[Frame] = []
        messages = size = 0
        while self._frames and messages < _MOST_MESSAGES and size < _MOST_BYTES:
            frame = self._frames.popleft()
            frames.append(frame)
            messages += len(frame.drafts)
            size += sum(len(draft.body) for draft in frame.drafts)
        return frames

    async def _say(self, number: int, said: Settled, frames: list[Frame]) -> None:
        while True:
            names = Names()
            routed, refused = self._route(frames)
            ask = said.write(names)
            ask["pub"] = [write_draft_row(draft, targets, names) for draft, targets in routed]
            blob = b"".join([part for draft, _ in routed for part in (draft.meta, draft.body)])
            touched = [inbox for _, targets in routed for inbox, _, _ in targets]
            pulls = self._pulls(names, touched) if not said.directory and not self._state.failing else {}
            ask["check"] = bool(refused)
            ask |= {"n": number, "names": names.list, "pull": list(pulls.items()), "own": list(pulls)}
            ask |= self._bounds()
            self._untold = (number, said)
            self._state.wanted -= {names.list[place - 1] for place in pulls}  # a wake-up from now on is news
            answer = await self._call("exchange", ask, blob)
            self._untold = None
            if answer["st"] == "fenced":
                for frame in frames:
                    frame.fail(unavailable())
                return
            self.replica.follow(answer)
            if answer["st"] != "stale":
                break
            self._state.wanted |= {names.list[place - 1] for place in pulls}
        if answer["st"] == "ok":
            self._take(answer, names.list)
            self._answer(frames, routed, refused, answer)

    def _bounds(self) -> dict[str, Any]:
        limits = self.options.limits
        return {
            "most": limits.max_queue_messages,
            "most_bytes": limits.max_queue_bytes,
            "window": max(1, round(limits.dedup_window * 1000)),
            "most_ids": limits.dedup_max_ids,
        }

    def _route(self, frames: list[Frame]) -> tuple[Routed, Refused]:
        """Where each message goes; what goes nowhere is refused, if the directory is still the one known."""
        routed: Routed = []
        refused: Refused = {}
        for frame in frames:
            for draft in frame.drafts:
                try:
                    routed.append((draft, route(self.replica.tenant, draft)))
                except PentadError as error:
                    refused[id(draft)] = error
        return routed, refused

    def _pulls(self, names: Names, touched: list[Any]) -> dict[int, int]:
        """How much to fetch of which inbox (by place): as much as its connections here have room for."""
        wanted = self._state.wanted
        for inbox in touched:
            if inbox.consumers:
                wanted.add(inbox.name)
        pulls: dict[int, int] = {}
        for name in list(wanted):
            inbox = self.replica.tenant.inboxes.get(name)
            if inbox is None or not inbox.consumers:
                wanted.discard(name)
                continue
            sessions = cast("list[Session]", inbox.consumers)
            room = sum(session.room for session in sessions if not session.draining and not session.ended)
            room -= len(inbox.ready)
            if room > 0:
                pulls[names.place(name)] = min(room, _MOST_PULLED)
        return pulls

    def _take(self, answer: dict[str, Any], names: list[str]) -> None:
        """Puts what was fetched into the inboxes here."""
        blob, at = answer["bytes"], 0
        inboxes = self.replica.tenant.inboxes
        touched: dict[str, RemoteInbox] = {}
        more = {names[place - 1] for place in answer["more"]}
        self._state.wanted |= more
        for place, level, position, attempts, meta_size, size, pattern, fleeting in answer["got"]:
            name = names[place - 1]
            inbox = cast(RemoteInbox, inboxes[name])
            meta = blob[at : at + meta_size]
            body = blob[at + meta_size : at + meta_size + size]
            at += meta_size + size
            inbox.ready.push(
                RemoteEntry(inbox, level, position, attempts, meta, body, pattern, bool(fleeting))
            )
            touched[name] = inbox
        for inbox in touched.values():
            inbox.wake()

    def _answer(self, frames: list[Frame], routed: Routed, refused: Refused, answer: dict[str, Any]) -> None:
        results = iter(zip(routed, answer.get("res") or (), strict=True))
        stored = False
        for frame in frames:
            for draft in frame.drafts:
                error = refused.get(id(draft))
                if error is not None:
                    draft.finish(draft, error, False)
                    continue
                (_, targets), result = next(results)
                stored = stored or result == 0
                draft.finish(draft, _refusal(targets, result), result == 1)
                if result == 0 and draft.due:
                    self.on_sooner(self, draft.due)
            frame.done()
        if stored:
            self.on_history(self.tenant_id)

    # ---------------------------------------------------------------- time

    async def tick(self) -> float | None:
        """Says that this process lives, and does what is due; seconds until something is."""
        if not self._state.attached or self._state.failing:
            self.kick()
            return None
        reap = _steady() - self._state.healthy_since > self.options.lease
        async with self._lock:
            answer = await self._call("tick", {"reap": reap})
            if answer["st"] == "fenced":
                return None
            self.replica.follow(answer)
        for process in answer.get("reaped", ()):
            log.warning("a bus process has died; what it had goes to others", process=process)
        self.look([inbox.name for inbox in self.replica.tenant.inboxes.values() if inbox.consumers])
        due: float | None = answer.get("due")
        return due / 1000 if due is not None else None


def _refusal(targets: list[Target], result: Any) -> PentadError | None:
    if result == 2:
        return FailedPrecondition(
            "DELIVERY_EXPIRED", "the delivery that the message settles is not open any more"
        )
    if isinstance(result, list):
        name = targets[0][0].name
        return ResourceExhausted(
            "QUEUE_FULL",
            f"inbox {name!r} is full: {result[0]} messages, {result[1]} bytes; try again when its agent "
            "has caught up",
            retry_after=1.0,
            recipient=name,
            messages=result[0],
            bytes=result[1],
        )
    return None


_wall = time.time
_steady = time.monotonic


def taken_over(session: Session) -> Aborted:
    """What a connection is told when another of its instance came."""
    return Aborted(
        "INSTANCE_TAKEN_OVER",
        f"another connection of {session.agent}/{session.instance} is there now, and this one has ended; "
        "give each process an instance name of its own",
        agent=session.agent,
        instance=session.instance,
    )


def fenced() -> Unavailable:
    """What a connection is told when its bus process was taken for dead."""
    return Unavailable("BUS_FENCED", "this bus was cut off for too long; connect again", retry_after=0.2)
