"""An agent's line to the bus, which reconnects by itself for as long as it is open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from itertools import islice
from types import TracebackType

from pentad.bus.v1 import bus_pb2 as pb
from pentad_client.channel import Stream
from pentad_client.delivery import Delivery
from pentad_client.errors import Code, DeadlineExceeded, PentadError, Unavailable, from_proto
from pentad_client.handlers import H, Handlers
from pentad_client.link import MOST_MESSAGES, Link
from pentad_client.message import complete, new_message_id
from pentad_client.publication import Publication, Publications
from pentad_client.replies import Replies, answered
from pentad_client.subscription import SCOPES, Scope, Subscription

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0
GREETING_SECONDS = 10.0
PARTING_SECONDS = 4.0
MOST_IN_HELLO = 256
"""Subscriptions that a Hello may have."""
MOST_UNCONFIRMED = 8192
"""Publishes under way before `publish` waits for room."""

UNKNOWN_SECONDS = 0.25
"""That a request which no handler takes waits for another handler, or for an iteration to begin."""

_LASTING = {
    Code.UNAUTHENTICATED,
    Code.PERMISSION_DENIED,
    Code.INVALID_ARGUMENT,
    Code.FAILED_PRECONDITION,
    Code.NOT_FOUND,
    Code.ALREADY_EXISTS,
    Code.UNIMPLEMENTED,
}


class Connection:
    """Iterate over it for deliveries; publish on it. Made by `BusClient.connect`.

    Whenever its stream is lost it connects again, as the same instance, and sends again what was not
    confirmed, with the same ids, so that nothing is stored twice. Deliveries that were open on the lost
    stream are stale: their messages come again. It ends for good by `close`, or by an error that trying again
    does not mend; that error is raised by the iteration and by whatever is waiting.
    """

    def __init__(
        self,
        open_stream: Callable[[], Stream],
        hello: pb.Hello,
        subscriptions: Iterable[Subscription] = (),
        *,
        keep_trying: bool = False,
    ) -> None:
        self.agent = hello.agent
        self.instance = hello.instance
        """`agent/instance` is this connection's address, as the bus calls it; known once connected."""
        self.waiting: deque[Publication | bytes] = deque()
        """Not yet sent on the present link; of what was handed to `send`, the encoded message alone."""
        self.on_refused: Callable[[PentadError], None] | None = None
        """Called when the bus refuses what was handed to `send`, and why."""
        self.on_stale: Callable[[int, PentadError], None] | None = None
        """Called with the tag of an ack, nack or progress that came too late, and why."""
        self._open_stream = open_stream
        self._hello = hello
        self._subscriptions = {(item.pattern, item.scope): item for item in subscriptions}
        self._keep_trying = keep_trying
        self._link: Link | None = None
        self._connected = asyncio.Event()
        """Set by the first welcome."""
        self._failures = 0
        self._deliveries: deque[Delivery] = deque()
        self._news = asyncio.Event()
        self._credit: pb.Credit | None = None
        self.many_acks = _many_acks(hello.credit)
        """So many are sent at once; fewer wait a little for others."""
        self._moved = asyncio.Event()
        self._answers: dict[tuple[str, int], list[asyncio.Future[bool]]] = {}
        self._replies = Replies()
        self._handlers = Handlers(lambda: self.ack_wait)
        self._iterated = False
        self._closing = False
        self._error: PentadError | None = None
        self._last_failure: PentadError | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None

    # ---------------------------------------------------------------------------------------------- life

    async def start(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109 - as in `connect`
        """Connects; returns when the bus has said welcome. Raises PentadError if it never will, or after
        `timeout`.
        """
        self._task = asyncio.create_task(self._run(), name=f"bus connection of {self.agent or 'a client'}")
        connected = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait({self._task, connected}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connected.cancel()
        if self._error is not None:
            raise self._error
        if not self._connected.is_set():
            await self.close()
            raise self._last_failure or DeadlineExceeded(
                "CONNECT_TIMEOUT", f"the bus did not answer in {timeout} s"
            )
        return self

    @property
    def connected(self) -> bool:
        """Whether there is a stream at the moment."""
        return self._link is not None

    @property
    def ack_wait(self) -> float:
        """Seconds that a delivery stays this client's without an ack or progress; 30 until the bus has said
        it.
        """
        welcome = self._link.welcome if self._link else None
        known = welcome is not None and welcome.HasField("ack_wait")
        return welcome.ack_wait.ToNanoseconds() / 1e9 if welcome is not None and known else 30.0

    @property
    def address(self) -> str:
        """Where messages for this very instance go: `agent/instance`."""
        return f"{self.agent}/{self.instance}"

    async def drain(self) -> None:
        """Takes nothing more, and returns when all that was delivered is settled and all published is
        confirmed.
        """
        self.set_credit(0)
        self._hello.credit.messages = 0
        await self._until(lambda: self._quiet and not (self._link and self._link.open))

    async def close(self) -> None:
        """Sends what is left and says goodbye. What is still open goes to another instance, or waits."""
        if self._closing:
            return
        self._closing = True
        link = self._link
        if link is not None and self._error is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PARTING_SECONDS):
                    await self._until(lambda: self._quiet or link.ended)
                    link.send(pb.ConnectRequest(goodbye=pb.Goodbye(reason="closed")))
                    await self._until(lambda: link.ended)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._end(Unavailable("CONNECTION_CLOSED", "this connection to the bus was closed"))

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self._connect_once()
            except PentadError as error:
                self._last_failure = error
                if self._is_lasting(error):
                    self._end(error)
                    return
                log.debug("the bus connection was lost: %s", error.reason)
            except Exception as error:
                log.exception("the bus connection failed")
                self._last_failure = Unavailable("CONNECTION_LOST", f"the bus connection failed: {error!r}")
            if not self._closing:
                await asyncio.sleep(self._wait())

    def _is_lasting(self, error: PentadError) -> bool:
        if error.reason == "INSTANCE_TAKEN_OVER":
            return True
        return error.code in _LASTING and not self._keep_trying

    def _wait(self) -> float:
        """Full jitter: clients that lost the same bus do not come back all at once."""
        longest = min(FIRST_WAIT_SECONDS * 2**self._failures, LONGEST_WAIT_SECONDS)
        self._failures = min(self._failures + 1, 16)
        return random.uniform(0, longest)

    async def _connect_once(self) -> None:
        link = Link(self, self._open_stream())
        self._hello.instance = self.instance
        wanted = [item.to_proto() for item in self._subscriptions.values()]
        del self._hello.subscriptions[:]
        self._hello.subscriptions.extend(wanted[:MOST_IN_HELLO])
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                await link.greet(self._hello)
            self.agent, self.instance = link.welcome.agent, link.welcome.instance
            self._failures = 0
            for item in wanted[MOST_IN_HELLO:]:
                link.send(pb.ConnectRequest(subscribe=item))
            self._link = link
            self._connected.set()
            self.moved()
            await link.run()
        except TimeoutError:
            raise Unavailable("CONNECTION_LOST", "the bus did not say welcome in time") from None
        finally:
            self._lose(link)

    def _lose(self, link: Link) -> None:
        """Keeps what must be sent again; drops what will be delivered again."""
        link.ended = True
        link.cancel()
        self._link = None
        again = [publication for publication in link.unconfirmed if not publication.done]
        self.waiting.extendleft(reversed(again))
        link.unconfirmed.clear()
        link.open.clear()
        self._deliveries.clear()
        for answers in self._answers.values():
            for future in answers:
                if not future.done():
                    future.set_result(False)
        self._answers.clear()
        self.moved()

    def _end(self, error: PentadError) -> None:
        self._error = self._error or error
        for publication in self.waiting:
            if isinstance(publication, Publication):
                publication.refuse(self._error)
        self.waiting.clear()
        self._replies.fail(self._error)
        self._handlers.cancel()
        self._news.set()
        self.moved()

    async def _until(self, condition: Callable[[], object]) -> None:
        """Waits until it is true, or the connection has ended for good."""
        while not condition() and self._error is None:
            self._moved.clear()
            await self._moved.wait()

    @property
    def _quiet(self) -> bool:
        """Whether nothing is left to say or to be confirmed."""
        return not self.waiting and (self._link is None or self._link.settled)

    # --------------------------------------------------------------------------------------------- publishing

    def publish_soon(self, message: pb.Message, *, settles: Delivery | None = None) -> asyncio.Future[None]:
        """Publishes with the next frame: a future that is done when the bus has stored it, or has a
        PentadError.

        Costs no task, and the bus confirms several together, up to 5 ms later than for `publish`; the caller
        bounds how much is under way.
        """
        return self._publish(message, settles, awaited=False)

    def _publish(
        self, message: pb.Message, settles: Delivery | None, *, awaited: bool
    ) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if (error := self._cannot_send()) is not None:
            future.set_exception(error)
            return future
        self.waiting.append(Publication(complete(message), settles, future, awaited))
        if self._link is not None:
            self._link.wake()
        return future

    def _cannot_send(self) -> PentadError | None:
        if self._error is None and not self._closing:
            return None
        return self._error or Unavailable("CONNECTION_CLOSED", "this connection was closed")

    async def publish(self, message: pb.Message, *, settles: Delivery | None = None) -> None:
        """Publishes, and returns when the bus has stored it. Raises PentadError if it refused.

        Waits out a lost connection; cancelling it does not take the message back. `settles`: a delivery that
        is acked in the same atomic step.
        """
        if self._under_way() >= MOST_UNCONFIRMED:
            await self._until(lambda: self._under_way() < MOST_UNCONFIRMED)
        await self._publish(message, settles, awaited=True)

    async def send(self, message: pb.Message) -> None:
        """Fire and forget: hands over a message that may be lost, and returns at once, or when there is room.

        It goes as best effort, and once: what is under way is lost with the connection, and with its
        recipient. What the bus refuses goes to `on_refused`. `flush` waits for all of it. Raises PentadError
        if the connection has ended for good.
        """
        if len(self.waiting) >= MOST_UNCONFIRMED:
            await self._until(lambda: len(self.waiting) < MOST_UNCONFIRMED)
        if self._error is not None or self._closing:
            raise self._cannot_send() or RuntimeError
        message.durability = pb.DURABILITY_BEST_EFFORT
        self.waiting.append(complete(message).SerializeToString())
        if self._link is not None:
            self._link.wake()

    async def flush(self) -> None:
        """Returns when the bus has taken or refused all that was published or sent so far.

        Raises PentadError if the connection ended for good before.
        """
        await self._until(lambda: self._quiet)
        if self._error is not None:
            raise self._error

    async def publish_many(self, messages: Iterable[pb.Message]) -> list[tuple[int, PentadError]]:
        """Publishes messages in order, and returns when each is stored or refused: those that were refused,
        as (place, why). One await for any number, without a task for each.

        Raises PentadError if the connection has ended, or ends for good before the last was handed over; what
        was handed over before may be stored. Cancelling it takes no message back.
        """
        together, rest = Publications(), iter(messages)
        while some := list(islice(rest, MOST_MESSAGES)):
            if self._under_way() >= MOST_UNCONFIRMED:
                await self._until(lambda: self._under_way() < MOST_UNCONFIRMED)
            if (error := self._cannot_send()) is not None:
                raise error
            self.waiting.extend([together.add(complete(message)) for message in some])
            if self._link is not None:
                self._link.wake()
        await together.finished()
        return together.refused

    def _under_way(self) -> int:
        return len(self.waiting) + (len(self._link.unconfirmed) if self._link else 0)

    async def request(
        self,
        message: pb.Message,
        timeout: float = 60.0,  # noqa: ASYNC109 - callers think of it as part of the request
    ) -> pb.Message:
        """Publishes, and returns the first answer with the same correlation id, acked.

        Raises DeadlineExceeded REPLY_TIMEOUT after `timeout` seconds, or PentadError: if the message was
        refused, or if the other side says that no answer will come, such as Unimplemented
        MESSAGE_TYPE_UNKNOWN when it has no handler of the type. Needs credit, and no iteration.
        """
        complete(message)
        message.correlation_id = message.correlation_id or new_message_id()
        message.reply_to = self.address
        reply = self._replies.expect(message.correlation_id)
        try:
            async with asyncio.timeout(timeout):
                await self.publish(message)
                return answered(await reply)
        except TimeoutError:
            raise DeadlineExceeded(
                "REPLY_TIMEOUT", f"no answer came in {timeout} s", correlation_id=message.correlation_id
            ) from None
        finally:
            self._replies.stop(message.correlation_id)

    # --------------------------------------------------------------------------------------------- deliveries

    def __aiter__(self) -> AsyncIterator[Delivery]:
        return self

    async def __anext__(self) -> Delivery:
        """The next delivery. Ends when the connection is closed; raises the PentadError that ended it for
        good.
        """
        self._iterated = True
        while not self._deliveries:
            if self._closing:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._news.clear()
            await self._news.wait()
        return self._deliveries.popleft()

    def on(self, type: str) -> Callable[[H], H]:
        """Registers a handler of a message type (`*`: of all that have none), as a decorator.

        What it returns, unless None, goes back to the sender as the answer, and the delivery is acked in the
        same step; if the handler has acked it itself, the answer is sent all the same, but not in one step
        with the ack. If it raises, the delivery is given back with the reason; a requester is told by the
        last attempt. While it works the delivery is kept. Such messages do not come to the iteration.

        Of other types there is the iteration. While nothing has iterated over a connection with handlers, a
        request (`reply_to`) of another type is refused with MESSAGE_TYPE_UNKNOWN, which its sender is told.
        Raises ValueError if the type has one.
        """

        def register(handler: H) -> H:
            self._handlers.add(type, handler)
            waiting, self._deliveries = self._deliveries, deque()
            self.arrived(waiting)
            return handler

        return register

    def set_credit(self, messages: int, size: int = 0) -> None:
        """How many deliveries, and bytes of them (0: no bound), may be open at a time."""
        self._hello.credit.CopyFrom(pb.Credit(messages=messages, bytes=size))
        self._credit = pb.Credit(messages=messages, bytes=size)
        self.many_acks = _many_acks(self._credit)
        if self._link is not None:
            self._link.wake()

    async def subscribe(self, pattern: str, filter: str = "", scope: Scope = "agent") -> None:
        """Subscribes to topics, for as long as the connection is open (scope `instance`) or for good
        (`agent`).

        Raises InvalidArgument PATTERN_INVALID or FILTER_INVALID, FailedPrecondition SUBSCRIPTION_SCOPE.
        """
        wanted = Subscription(pattern, filter, scope)
        key = (pattern, scope)
        before = self._subscriptions.get(key)
        self._subscriptions[key] = wanted
        try:
            await self._ask(pb.ConnectRequest(subscribe=wanted.to_proto()), pattern, scope)
        except PentadError:
            self._subscriptions.pop(key)
            if before is not None:
                self._subscriptions[key] = before
            raise

    async def unsubscribe(self, pattern: str, scope: Scope = "agent") -> None:
        """Ends a subscription."""
        self._subscriptions.pop((pattern, scope), None)
        frame = pb.ConnectRequest(unsubscribe=pb.Unsubscribe(pattern=pattern, scope=SCOPES[scope]))
        await self._ask(frame, pattern, scope)

    async def _ask(self, frame: pb.ConnectRequest, pattern: str, scope: Scope) -> None:
        """Sends a frame and waits for the answer, on the next link if this one is lost meanwhile."""
        answered = False
        while not answered:
            await self._until(lambda: self._link)
            if self._link is None:
                raise self._error or Unavailable("CONNECTION_CLOSED", "this connection was closed")
            future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._answers.setdefault((pattern, SCOPES[scope]), []).append(future)
            self._link.send(frame)
            answered = await future

    # ------------------------------------------------------------------------------------------- for its link

    def take_credit(self) -> pb.Credit | None:
        """New credit to tell the bus, once."""
        credit, self._credit = self._credit, None
        return credit

    def arrived(self, deliveries: Collection[Delivery]) -> None:
        """Deliveries came: answers go to who waits for them, then to handlers, all else to the iteration."""
        if not (self._replies.wanted or self._handlers):
            self._deliveries.extend(deliveries)
        else:
            for delivery in deliveries:
                if self._replies.take(delivery.message):
                    delivery.link.ack(delivery.tag)
                elif not self._handlers.take(delivery):
                    self._deliveries.append(delivery)
                    if self._handlers and not self._iterated and delivery.message.reply_to:
                        loop = asyncio.get_running_loop()
                        loop.call_later(UNKNOWN_SECONDS, self._refuse_unknown, delivery)
        self._news.set()

    def _refuse_unknown(self, delivery: Delivery) -> None:
        """A request came that no handler takes: an iteration may, if there ever was one."""
        if not self._iterated and delivery in self._deliveries:
            self._deliveries.remove(delivery)
            self._handlers.refuse(delivery, self.agent)

    def moved(self) -> None:
        """Something was sent, settled or confirmed, or the link has ended."""
        self._moved.set()

    def subscription_answered(self, result: pb.SubscribeResult) -> None:
        """The bus answered a subscribe or unsubscribe."""
        waiting = self._answers.get((result.pattern, result.scope))
        if not waiting:
            return
        future = waiting.pop(0)
        if future.done():
            return
        if result.HasField("error"):
            future.set_exception(from_proto(result.error))
        else:
            future.set_result(True)

    def refused(self, error: PentadError) -> None:
        """The bus refused something that was sent."""
        log.debug("a message that was sent was refused: %s", error.reason)
        if self.on_refused is not None:
            self.on_refused(error)

    def went_stale(self, tag: int, error: PentadError) -> None:
        """Something was said too late about a delivery."""
        log.debug("delivery %s was stale: %s", tag, error.reason)
        if self.on_stale is not None:
            self.on_stale(tag, error)

    def server_drains(self, link: Link) -> None:
        """The bus goes away: what is being worked on is finished, what was not begun goes back, then to the
        next bus.
        """
        for delivery in self._deliveries:
            link.open.pop(delivery.tag, None)
        self._deliveries.clear()
        self._leaving = asyncio.create_task(self._leave(link))

    async def _leave(self, link: Link) -> None:
        await self._until(lambda: link.ended or (link.settled and not link.open))
        if not link.ended:
            link.send(pb.ConnectRequest(goodbye=pb.Goodbye(reason="drain")))


def _many_acks(credit: pb.Credit) -> int:
    """Where credit is scarce no ack waits: the bus could send nothing meanwhile."""
    return 1 if credit.bytes else max(1, credit.messages // 4)
