"""One tenant's line to Redis: one exchange at a time, and what gathered meanwhile is the next one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import OutOfMemoryError

from pentad_bus.counters import Counters
from pentad_bus.limits import Limits
from pentad_bus.publisher import queue_full
from pentad_bus.redis.chunks import DONE
from pentad_bus.redis.drafts import Draft, Frame
from pentad_bus.redis.outbox import Outbox
from pentad_bus.redis.publishing import Publishing
from pentad_bus.redis.readmission import Old, readmission
from pentad_bus.redis.replica import Replica
from pentad_bus.redis.script import (
    OUTAGES,
    SETTLING,
    TAKING,
    TENANTS,
    Answer,
    Client,
    call,
    out_of_memory,
    unavailable,
)
from pentad_bus.redis.settled import Blobs, Names, Settled
from pentad_bus.redis.tasks import stop
from pentad_bus.redis.wire import open_wire
from pentad_bus.tenant import Tenant
from pentad_common.errors import PentadError, Unavailable
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

RETRY = 0.2
"""Seconds until Redis is tried again."""
_MOST_ROUNDS = 50
"""Answers to one exchange that say that it must be put otherwise."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What a link needs to know. `lease`: seconds after which a silent process counts as dead."""

    process: str
    limits: Limits
    lease: float
    counters: Counters
    calm: bool
    """Whether Redis has been up for a while, so that who is not heard of is not there."""


class Link(Outbox):
    """Everything a bus process says and asks about one tenant goes through here, in order."""

    def __init__(self, client: Client, tenant_id: str, options: LinkOptions) -> None:
        self.tenant_id = tenant_id
        self.options = options
        self.replica = Replica(tenant_id, self)
        super().__init__(self.replica.tenant)
        self.on_fenced: Callable[[Link], None] = lambda link: None
        self.guarded: Callable[[str], bool] = lambda tenant_id: False
        """Whether the end of this process's connection would be noticed."""
        self.ready = asyncio.Event()
        """Set once the directory is known."""
        self._client = client
        self._wire = open_wire(client)
        self._epoch = 1
        self._number = 0
        self._healthy_since = -math.inf if options.calm else time.monotonic()
        self._untold: tuple[int, Settled, list[tuple[Frame, Draft]]] | None = None
        """What an exchange said whose answer did not come: said again under the same number, without its
        publishes; and those that would settle something.
        """
        self._lock = asyncio.Lock()
        """Held while Redis is asked: answers bring changes of the directory, which must come in order."""
        self._task: asyncio.Task[None] | None = None

    @property
    def tenant(self) -> Tenant:
        """Its part of the directory."""
        return self.replica.tenant

    @property
    def process(self) -> str:
        """Who this process is to the tenant: another one after every time it was taken for dead."""
        return f"{self.options.process}-{self._epoch}"

    @property
    def busy(self) -> bool:
        """Whether something was said that is not stored yet, or cannot be at the moment."""
        return super().busy or self._untold is not None or self._lock.locked()

    def start(self) -> None:
        """Begins to talk to Redis."""
        self._task = asyncio.create_task(self._run(), name=f"redis-{self.tenant_id}")

    async def close(self) -> None:
        """Says what is left, gives back what nobody took, and leaves."""
        try:
            async with asyncio.timeout(5):
                await self.flushed()
                if self.attached:
                    await call(self._wire, self.tenant_id, "detach", self._header({}))
        except (PentadError, *OUTAGES) as error:
            log.warning("the bus could not leave in order", error=str(error))
        await stop([self._task])
        if self._wire is not self._client:
            await self._wire.aclose()

    # ---------------------------------------------------------------- the loop

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                async with self._lock:
                    await self._catch_up()
                    while await self._exchange():
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

    def _fail(self, error: Exception | None) -> None:
        if not self.failing and error is not None:
            log.error("Redis cannot be used", error=str(error) or type(error).__name__)
        self.failing = True
        self._refuse(unavailable())
        self._wake_waiters(unavailable())

    async def _catch_up(self) -> None:
        """Makes itself known at first, and looks what was lost after an outage."""
        if not self.attached:
            await self._client.sadd(TENANTS, self.tenant_id)
            answer = await self._call("attach", {"reap": self._calm})
            self.replica.follow(answer)
            self._report_reaped(answer)
            self.attached = True
            self._recovered()
            self.ready.set()
        elif self.failing:
            if self._untold is not None:
                await self._say_again(*self._untold)
            if self.attached:
                answer = await self._call("resync", {"known": self._known()})
                self._recovered()
                self.replica.follow(answer)
                self.look(list(answer.get("woken") or ()))
                self.fetching.want_all()

    def _recovered(self) -> None:
        if self.failing:
            log.info("Redis can be used again")
            self._healthy_since = time.monotonic()
        self.failing = False

    @property
    def _calm(self) -> bool:
        """Whether who is silent has had the time to be heard."""
        return time.monotonic() - self._healthy_since > self.options.lease

    def _known(self) -> list[str]:
        entries: list[Any] = []
        for session in self.tenant.sessions.values():
            entries += session.open.values()
        for inbox in self.tenant.inboxes.values():
            entries += inbox.ready.peek()
        chunks = {entry.chunk for entry in entries if not entry.once}
        chunks.update(self._settled.chunks())
        return [chunk.member for chunk in chunks]

    async def _call(self, operation: str, ask: dict[str, Any], **more: Any) -> Answer:
        answer: Answer = await call(self._wire, self.tenant_id, operation, self._header(ask), **more)
        if answer["st"] == "fenced":
            self._fenced()
        return answer

    def _header(self, ask: dict[str, Any]) -> dict[str, Any]:
        limits = self.options.limits
        return {
            "p": self.process,
            "v": self.replica.version,
            "lease": round(self.options.lease * 1000),
            "linger": round(limits.instance_linger * 1000),
            "most_attempts": limits.max_attempts,
            "bounds": [limits.max_queue_messages, limits.max_queue_bytes, limits.queue_overflow],
            "guard": self.guarded(self.tenant_id),
            **ask,
        }

    def _fenced(self) -> None:
        """Others took this process for dead, and have what it had: nothing it holds counts any more."""
        log.error("this process was taken for dead by others; its connections end", tenant=self.tenant_id)
        self.attached = False
        self._untold = None
        self.on_fenced(self)
        self._refuse(unavailable())
        self._epoch += 1
        for inbox in self.tenant.inboxes.values():
            inbox.ready.drain()
            inbox.in_flight = 0
        self._let_go()
        self._wanted.set()

    def _let_go(self) -> None:
        """What it had is others' now: nothing is said of it."""
        self._settled = Settled()
        self._handed.clear()

    # ---------------------------------------------------------------- exchanges

    async def _exchange(self) -> bool:
        """One exchange, if there is anything to say or to ask; whether there was."""
        waiting = len(self._waiters)
        if not self.attached:
            self._wanted.set()
            return False
        frames = [] if self._settled.has_directory else self._next_frames()
        if not frames and not self._pressing and not self.fetching.ask(Names()):
            self._wake_waiters(None, waiting)
            return False
        self._number += 1
        number, said, self._settled, self._late = self._number, self._settled, Settled(), False
        round_ = Publishing(frames, self.tenant, self.options.limits)
        try:
            await self._say_what_fits(number, said, round_)
        except BaseException:
            self._in_doubt(number, said, round_)
            raise
        self._wake_waiters(None, waiting)  # nobody waits for publishes this way
        return True

    async def _say_what_fits(self, number: int, said: Settled, round_: Publishing) -> None:
        try:
            if await self._say(number, said, round_):
                raise TimeoutError("asked twice by the cluster's client: the first answer is lost")
        except OutOfMemoryError:  # nothing was done
            self._no_memory()
            round_.withdraw(said)
            frames, round_.frames = round_.frames, []
            for frame in frames:
                frame.fail(out_of_memory())
            await self._say(number, said, round_)

    def _no_memory(self) -> None:
        if not self.full:
            log.error("Redis has no memory left: publishes are refused")
        self.full = True
        self._refuse(out_of_memory())

    def _in_doubt(self, number: int, said: Settled, round_: Publishing) -> None:
        """An exchange without an answer: its publishes count as refused, what it settled is said again."""
        limbo = round_.withdraw(said)
        self._untold = (number, said, limbo)
        unsure = {id(draft) for _, draft in limbo}
        for frame in round_.frames:
            for draft in frame.drafts:
                frame.told(draft, unavailable(), False)
                if draft.settled is not None and id(draft) not in unsure:
                    frame.settled(draft, False)
            frame.done()

    async def _say_again(self, number: int, said: Settled, limbo: list[tuple[Frame, Draft]]) -> None:
        nothing = Publishing([], self.tenant, self.options.limits)
        known = await self._say(number, said, nothing)
        self._untold = None
        for frame, draft in limbo:
            if known and draft.settled is not None:
                draft.settled.chunk.done[draft.settled.index] = DONE
            frame.settled(draft, known)

    async def _say(self, number: int, said: Settled, round_: Publishing) -> bool:
        """Says it until Redis takes it; True if it had taken it before."""
        for _ in range(_MOST_ROUNDS):
            names, blobs = Names(), Blobs()
            published = round_.write(said, names, blobs)
            ask = said.write(names, blobs) | published
            round_.overflow(ask, names, blobs, None)
            pulls = {} if said.has_directory or self.failing else self.fetching.ask(names, round_.touched)
            ask |= {"n": number, "names": names.list, "pull": list(pulls.items())} | self._bounds(said)
            self.fetching.asked(names.list, pulls)
            function = SETTLING if round_.empty else TAKING
            answer = await self._call("exchange", ask, blobs=blobs.list, function=function)
            if answer["st"] == "fenced":
                for frame in round_.frames:
                    frame.fail(unavailable())
                self._let_go()
                return False
            self.replica.follow(answer)
            if answer["st"] in ("ok", "done"):
                break
            self.fetching.want(names.list[place - 1] for place in pulls)
            if answer["st"] == "conflict":
                round_.resolve(answer, names.list)
        else:
            raise TimeoutError("an exchange did not come to an end")
        said.told()
        if answer["st"] == "done":
            return True
        self._report_reaped(answer)
        self.fetching.take(answer, names.list)
        round_.overflow(ask, names, blobs, self.options.counters)
        self._count(round_.report(answer))
        self.options.counters.commits += 1
        return False

    def _bounds(self, said: Settled) -> dict[str, Any]:
        limits = self.options.limits
        return {
            "window": max(1, round(limits.dedup_window * 1000)),
            "most_ids": limits.dedup_max_ids,
            "quota": limits.tenant_queued_bytes,
            "rate": limits.tenant_messages_per_second,
            "reap": said.has_directory and self._calm,
        }

    def _count(self, taken: list[Draft]) -> None:
        if not taken:
            return
        counters = self.options.counters
        counters.published += len(taken)
        for draft in taken:
            size = len(draft.body)
            counters.published_bytes += size
            if draft.due or draft.expires:
                self.on_sooner(min(time for time in (draft.due, draft.expires) if time))

    def _report_reaped(self, answer: Answer) -> None:
        for process in answer.get("reaped") or ():
            log.warning("a bus process has died; what it had goes to others", process=process)
            self.fetching.want_all()

    # ---------------------------------------------------------------- beside the exchanges

    async def tick(self) -> float | None:
        """Says that this process lives, and does what is due; seconds until something is."""
        if not self.attached or self.failing:
            self.kick()
            return None
        async with self._lock:
            answer = await self._call("tick", {"reap": self._calm})
            if answer["st"] == "fenced":
                return None
            self.replica.follow(answer)
        self._report_reaped(answer)
        self.fetching.want_all()
        self.kick()
        due: float | None = answer.get("due")
        return due / 1000 if due is not None else None

    async def probe(self) -> None:
        """Looks whether Redis has memory again."""
        try:
            await call(self._client, self.tenant_id, "probe", self._header({}), function=TAKING)
        except OutOfMemoryError:
            return
        if self.full:
            log.info("Redis has memory again")
        self.full = False

    async def readmit(
        self, name: str, old: Sequence[Old], *, stop: bool
    ) -> tuple[list[int], PentadError | None]:
        """Puts old messages into one inbox: 1 for each that went, 0 for others, up to the first without room
        if it is to `stop` there; and what to say if there was none. Raises Unavailable.
        """
        ask, blobs = readmission(name, old, stop)
        try:
            async with self._lock:
                answer = await self._call("readmit", ask, blobs=blobs, function=TAKING)
        except OutOfMemoryError:
            raise out_of_memory() from None
        except OUTAGES:
            raise unavailable() from None
        self.look(list(answer.get("woken") or ()))
        done = list(answer["done"] or ())
        full = queue_full(name, answer["n"], answer["b"]) if sum(done) < len(old) else None
        return done, full


def fenced() -> Unavailable:
    """What a connection is told when its bus process was taken for dead."""
    return Unavailable("BUS_FENCED", "this bus was cut off for too long; connect again", retry_after=0.2)
