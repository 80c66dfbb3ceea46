"""Registrations that stay: one KeepAlive stream for all of a client's instances."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, cast

from pentad.registry.v1 import registry_pb2 as pb
from pentad_client.channel import Stream
from pentad_client.errors import InvalidArgument, PentadError
from pentad_client.resume import Backoff

_REPORTABLE = ("STARTING", "ACTIVE", "BUSY", "DRAINING")

_PAUSE_SECONDS = 0.02
"""Between rounds of heartbeats: what is reported meanwhile goes out together."""

OnDrain = Callable[["Registration"], Awaitable[None] | None]


class Registration:
    """An instance's place in the registry, kept by heartbeats until it is closed."""

    def __init__(self, keeper: Keeper, request: pb.RegisterRequest, on_drain: OnDrain | None) -> None:
        self._keeper = keeper
        self._on_drain = on_drain
        self.request = request
        """What it registers with, as it stands now."""
        self.epoch = 0
        self.interval = 1.0
        """Seconds between heartbeats."""
        self.due = 0.0
        """When to send the next heartbeat, in seconds of `time.monotonic()`."""
        self.draining = False
        """Whether the registry has ordered it to drain."""
        self.error: PentadError | None = None
        """Why it is not kept alive at the moment; None when all is well."""

    @property
    def agent(self) -> str:
        """The agent's name."""
        return self.request.card.name

    @property
    def instance(self) -> str:
        """The instance's name within the agent."""
        return self.request.instance

    def report(
        self,
        *,
        in_flight: int | None = None,
        capacity: int | None = None,
        queue_age: float | None = None,
        status: str | None = None,
    ) -> None:
        """Says how busy it is; what is None stays. `queue_age` in seconds; `status` as in `register`.

        Goes out at once, together with what else is reported until the stream takes it.
        """
        load = self.request.load
        if in_flight is not None:
            load.in_flight = in_flight
        if capacity is not None:
            load.capacity = capacity
        if queue_age is not None:
            load.queue_age.FromNanoseconds(round(queue_age * 1e9))
        if status is not None:
            self.request.status = status_number(status)
        self._keeper.send_soon(self)

    async def update_card(self, card: pb.AgentCard) -> None:
        """Registers again with another card of the same name. Raises as `RegistryClient.register`."""
        self.request.card.CopyFrom(card)
        await self._keeper.register(self)

    async def close(self, *, forget: bool = False) -> None:
        """Leaves the registry; `forget`: the agent too, if this was its last instance.

        Does not raise when the registry cannot be reached: the lease then runs out by itself.
        """
        await self._keeper.remove(self, forget=forget)

    async def drained(self) -> None:
        """Called when the registry orders to drain: notes it and calls back, once."""
        if self.draining:
            return
        self.draining = True
        self.request.status = pb.INSTANCE_STATUS_DRAINING
        result = self._on_drain(self) if self._on_drain else None
        if inspect.isawaitable(result):
            await result

    async def __aenter__(self) -> Registration:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Keeper:
    """Sends the heartbeats of a client's registrations over one stream, and does what comes back."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._kept: dict[tuple[str, str], Registration] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._jobs: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def add(self, registration: Registration) -> None:
        """Registers, and keeps it from then on. Raises as `RegistryClient.register`."""
        await self.register(registration)
        self._kept[registration.agent, registration.instance] = registration
        if self._task is None or self._task.done():
            # In a context of its own: the deadline of the task that registers is not the stream's.
            self._task = asyncio.create_task(self._keep(), context=contextvars.Context())
        self._wake.set()

    async def register(self, registration: Registration) -> None:
        """Takes a lease for it, or a new one."""
        response = await self._stub.Register(registration.request)
        registration.request.instance = response.instance.instance
        registration.epoch = response.instance.epoch
        registration.interval = max(0.05, response.heartbeat_interval.ToNanoseconds() / 1e9)
        registration.due = time.monotonic() + registration.interval
        registration.error = None

    async def remove(self, registration: Registration, *, forget: bool) -> None:
        """Deregisters it, and ends the stream with the last one."""
        key = (registration.agent, registration.instance)
        self._kept.pop(key, None)
        job = self._jobs.get(key)
        if job is not None and job is not asyncio.current_task():  # on_drain may close it
            job.cancel()
        if not self._kept and self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        request = pb.DeregisterRequest(agent=key[0], instance=key[1], forget=forget)
        with contextlib.suppress(PentadError):
            await self._stub.Deregister(request, timeout=5)

    def send_soon(self, registration: Registration) -> None:
        """Makes a heartbeat due now."""
        registration.due = 0.0
        self._wake.set()

    async def _keep(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._one_stream(backoff)
            except PentadError as error:
                if error.reason == "CLIENT_CLOSED":
                    return
                for registration in self._kept.values():
                    registration.error = error
            await backoff.wait()

    async def _one_stream(self, backoff: Backoff) -> None:
        """Heartbeats until the stream is lost; a new stream begins with one for each."""
        stream: Stream = self._stub.KeepAlive()
        for registration in self._kept.values():
            registration.due = 0.0
        sending = asyncio.create_task(self._send(stream))
        try:
            async for response in stream:
                backoff.reset()
                self._obey(response)
        finally:
            sending.cancel()
            stream.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, stream: Stream) -> None:
        while True:
            self._wake.clear()
            now = time.monotonic()
            for registration in [item for item in self._kept.values() if item.due <= now]:
                registration.due = now + registration.interval
                await stream.write(_heartbeat(registration))
            await asyncio.sleep(_PAUSE_SECONDS)
            due = min((item.due for item in self._kept.values()), default=now + 1)
            with contextlib.suppress(TimeoutError):
                # Not wait_for(), which loses a cancellation that comes together with the event (before 3.12).
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await self._wake.wait()

    def _obey(self, response: pb.KeepAliveResponse) -> None:
        key = (response.agent, response.instance)
        registration = self._kept.get(key)
        if registration is None or key in self._jobs:
            return
        registration.error = None
        if response.order == pb.KeepAliveResponse.ORDER_REGISTER:
            self._start(key, self._register_again(registration))
        elif response.order == pb.KeepAliveResponse.ORDER_DRAIN and not registration.draining:
            self._start(key, registration.drained())

    def _start(self, key: tuple[str, str], work: Any) -> None:
        """Beside the stream, so that other instances' answers do not wait. One at a time for an instance."""
        job = self._jobs[key] = asyncio.create_task(work)
        job.add_done_callback(lambda _: self._jobs.pop(key, None))

    async def _register_again(self, registration: Registration) -> None:
        """If it fails, the answer to the next heartbeat orders it again."""
        try:
            await self.register(registration)
        except PentadError as error:
            registration.error = error


def _heartbeat(registration: Registration) -> pb.KeepAliveRequest:
    request = registration.request
    return pb.KeepAliveRequest(
        agent=registration.agent,
        instance=registration.instance,
        epoch=registration.epoch,
        status=request.status,
        load=request.load,
    )


def status_number(name: str) -> pb.InstanceStatus:
    """The contract's number of a status. Raises InvalidArgument STATUS_INVALID unless it can be reported."""
    if name not in _REPORTABLE:
        raise InvalidArgument(
            "STATUS_INVALID",
            f"an instance cannot report {name!r}; it reports one of {', '.join(_REPORTABLE)}",
        )
    return cast("pb.InstanceStatus", pb.InstanceStatus.Value(f"INSTANCE_STATUS_{name}"))
