"""Serves one agent: its place in the registry, its lines to the bus, its tasks.

Two lines to the bus: one takes from the agent's inbox, with as much credit as the agent works on at once; the
other is for what must come through when the agent is busy: cancellations, and answers to its own requests.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from pentad.common.v1 import task_pb2
from pentad_agents.agent import message_handlers
from pentad_agents.artifacts import Artifacts
from pentad_agents.cancellations import Cancellations
from pentad_agents.context import Context, NoLlm
from pentad_agents.execution import Execution
from pentad_agents.guard import guarded
from pentad_agents.loader import LoadedAgent
from pentad_agents.services import BusMessages, ContextState, GatewayLlm, Models, content_of
from pentad_agents.telemetry import agent_log, get_logger
from pentad_agents.wire import read_payload, to_card, to_error, to_message
from pentad_client import Pentad
from pentad_client.bus import Connection, Delivery, Subscription
from pentad_client.envelope import Envelope, parse_budget, set_envelope
from pentad_client.errors import Code, InvalidArgument, PentadError, from_proto, to_proto
from pentad_client.handlers import unknown_type
from pentad_client.message import MessageType, answer_to
from pentad_client.registration import Registration
from pentad_client.resume import Backoff

CANCELS = Subscription(f"{MessageType.CANCEL}.*", scope="instance")
MAIL_CREDIT = 256
KEPT_RESULTS = 32
REFUSED_SECONDS = 10.0  # before a registration that was refused is tried again
SERVICES = "pentad."  # what the names of Pentad's own services begin with: nobody else stops an agent's work
LOST = ("DELIVERY_EXPIRED", "DELIVERY_UNKNOWN", "CONNECTION_CLOSED")
REFUSED = (Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all workers of a host share."""

    pentad: Pentad
    instance: str
    models: Models
    cancellations: Cancellations
    llm_off: bool = False


class Worker:
    """An agent in service, until `stop`. A new version takes over with `replace`."""

    def __init__(
        self,
        loaded: LoadedAgent,
        source: str,
        around: Surroundings,
        on_refused: Callable[[str, str], None] = lambda name, why: None,
    ) -> None:
        self.name = loaded.spec.name
        self.ready = asyncio.Event()
        """Set once it is registered and takes tasks."""
        self._loaded = loaded
        self._source = source
        self._around = around
        self._on_refused = on_refused
        self._running: dict[str, Execution] = {}
        self._finished: OrderedDict[str, task_pb2.TaskResult] = OrderedDict()
        self._jobs: dict[asyncio.Task[None], LoadedAgent] = {}
        self._inbox: Connection | None = None
        self._mail: Connection | None = None
        self._registration: Registration | None = None
        self._draining = False
        self._service = asyncio.create_task(self._serve(), name=f"serve {self.name}")

    # -------------------------------------------------------------------------------- life

    def replace(self, loaded: LoadedAgent, source: str) -> None:
        """Tasks that come from now on go to a new version; those at work finish on the old one."""
        self._loaded, self._source = loaded, source
        self._start(self._announce())

    async def finished(self, version: LoadedAgent) -> None:
        """Returns when no task is at work on a version any more."""
        while jobs := [job for job, loaded in self._jobs.items() if loaded is version]:
            await asyncio.wait(jobs)

    async def stop(self, seconds: float | None = None, *, forget: bool = False) -> None:
        """Takes nothing new, lets tasks finish (at most `seconds`), gives back the others, and leaves.

        `forget`: the agent itself is gone, not just this instance.
        """
        self._draining = True
        if self._registration:
            self._registration.report(status="DRAINING")
        if self._inbox:
            self._inbox.set_credit(0)
        if self._jobs:
            await asyncio.wait(list(self._jobs), timeout=seconds)
        for job in list(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        if self._registration:
            await self._registration.close(forget=forget)
        self._service.cancel()
        await asyncio.gather(self._service, return_exceptions=True)
        await asyncio.gather(*(line.close() for line in (self._inbox, self._mail) if line))

    async def _serve(self) -> None:
        """Connects, registers, and takes what comes; again whenever that ends."""
        backoff = Backoff()
        while True:
            try:
                await self._connect()
                await self._announce()
                backoff.reset()
                async with asyncio.TaskGroup() as lines:
                    lines.create_task(self._take_inbox())
                    lines.create_task(self._take_mail())
                    lines.create_task(self._keep_leases())
            except* PentadError as group:
                for error in group.exceptions:
                    log.warning("the agent is out of service for now", agent=self.name, error=str(error))
            self.ready.clear()
            await backoff.wait()

    async def _connect(self) -> None:
        for line in (self._inbox, self._mail):
            if line:
                await line.close()
        bus, instance = self._around.pentad.bus, self._around.instance
        self._mail = await bus.connect(
            self.name, f"{instance}.mail", [CANCELS], MAIL_CREDIT, take_inbox=False, keep_trying=True
        )
        credit = 0 if self._draining else self._loaded.spec.max_concurrency
        self._inbox = await bus.connect(self.name, instance, (), credit, keep_trying=True)

    async def _announce(self) -> None:
        """Tells bus and registry what is served now; goes on trying until the registry takes or refuses
        it."""
        backoff = Backoff()
        while not self._draining:
            try:
                await self._register()
                return
            except PentadError as error:
                if error.code in REFUSED:
                    log.error("the registry refuses the agent", agent=self.name, error=error.message)
                    self._on_refused(self.name, f"the registry refuses agent {self.name!r}: {error.message}")
                    await asyncio.sleep(REFUSED_SECONDS)
                await backoff.wait()

    async def _register(self) -> None:
        spec = self._loaded.spec
        card = to_card(spec, self._source)
        if self._registration is None:
            self._registration = await self._around.pentad.registry.register(
                card, self._around.instance, capacity=spec.max_concurrency, on_drain=self._drained
            )
        else:
            await self._registration.update_card(card)
            self._registration.report(capacity=spec.max_concurrency)
        if self._inbox and not self._draining:
            self._inbox.set_credit(spec.max_concurrency)
        self._on_refused(self.name, "")
        self.ready.set()

    async def _drained(self, _registration: Registration) -> None:
        """The registry orders this instance to take nothing new, to finish and to leave."""
        log.info("drained by the registry", agent=self.name)
        self._leaving = asyncio.create_task(self.stop())

    # -------------------------------------------------------------------------------- what comes

    async def _take_inbox(self) -> None:
        assert self._inbox is not None
        async for delivery in self._inbox:
            if delivery.message.type == MessageType.TASK:
                await self._take_task(delivery)
            else:
                self._start(self._answer_message(delivery))

    async def _take_mail(self) -> None:
        assert self._mail is not None
        async for delivery in self._mail:
            if delivery.message.type == MessageType.CANCEL and delivery.message.sender.startswith(SERVICES):
                await self._cancel(delivery)
            else:
                self._start(self._answer_message(delivery))

    async def _cancel(self, delivery: Delivery) -> None:
        await delivery.ack()
        with contextlib.suppress(ValueError):
            order = read_payload(delivery.message, task_pb2.TaskCancel)
            self._around.cancellations.note(order.run_id, order.agent_run_id, delivery.message.id)
            for execution in list(self._running.values()):
                if self._around.cancellations.covers(execution.task):
                    execution.cancel(order.reason)

    async def _take_task(self, delivery: Delivery) -> None:
        try:
            task = read_payload(delivery.message, task_pb2.Task)
        except ValueError as error:
            self._start(self._refuse(delivery, InvalidArgument("TASK_MALFORMED", str(error))))
            return
        task.agent_run_id = task.agent_run_id or delivery.message.id
        task.run_id = task.run_id or delivery.message.run_id
        if known := self._running.get(task.agent_run_id):
            known.delivery = delivery  # it came again while it is at work: the answer settles the newest
        elif done := self._finished.get(task.agent_run_id):
            self._start(self._answer(delivery, done))
        else:
            self._begin(task, delivery)

    @staticmethod
    async def _refuse(delivery: Delivery, error: PentadError) -> None:
        await delivery.refuse(error)

    def _begin(self, task: task_pb2.Task, delivery: Delivery) -> None:
        around = self._around
        artifacts = Artifacts(around.pentad.orchestrator, task.run_id)
        instance = f"{self.name}/{around.instance}"
        execution = Execution(self._loaded, task, delivery, instance, artifacts, self._send_progress)
        if around.cancellations.covers(task):
            execution.cancel("the run was cancelled before the task came")
        self._running[task.agent_run_id] = execution
        self._start(self._work(execution))
        self._report_load()

    async def _work(self, execution: Execution) -> None:
        task, message = execution.task, execution.delivery.message
        set_envelope(
            Envelope(
                run_id=task.run_id or None,
                agent=self.name,
                traceparent=message.traceparent or None,
                deadline=task.deadline.ToNanoseconds() / 1e9 if task.HasField("deadline") else None,
                budget=parse_budget(message.headers.get("pentad-budget", "")),
                hops=message.hops + 1,
            )
        )
        off = self._around.llm_off or task.parameters.get("llm") == "off"
        llm = None if off else self._llm(task.parameters.get("model", ""))
        try:
            ctx = self._context(task.run_id, llm, execution, step=task.step)
            result = await execution.run(ctx, llm)
            self._keep(result)
            await self._answer(execution.delivery, result)
        except asyncio.CancelledError:
            await execution.delivery.nack(delay=0, reason="the host of the agent stops")
            raise
        finally:
            self._running.pop(task.agent_run_id, None)
            self._report_load()

    def _llm(self, model: str) -> GatewayLlm:
        return GatewayLlm(self._around.pentad.llm, self._around.models, model)

    def _context(
        self, run_id: str, llm: GatewayLlm | None, execution: Execution | None = None, **fields: str
    ) -> Context:
        assert self._mail is not None
        return Context(
            agent=self.name,
            llm=llm or NoLlm(),
            state=ContextState(self._around.pentad.context, self.name, run_id),
            messages=BusMessages(self._mail),
            log=agent_log(agent=self.name, run=run_id, **fields),
            report=execution.report if execution else lambda fraction, message: None,
            instance=self._around.instance,
            run_id=run_id,
        )

    # -------------------------------------------------------------------------------- what goes out

    async def _answer(self, delivery: Delivery, result: task_pb2.TaskResult) -> None:
        """The result, and with it the end of the delivery."""
        backoff = Backoff()
        while True:
            try:
                await delivery.reply(MessageType.RESULT, result)
                return
            except PentadError as error:
                if error.reason in LOST:
                    await self._answer_lost(delivery, result)
                    return
                if error.reason == "MESSAGE_TOO_LARGE":
                    del result.outputs[:]
                    result.error.CopyFrom(to_proto(error))
                elif error.retry_after is None:
                    log.error("the result cannot be delivered", task=result.agent_run_id, error=error.message)
                    await delivery.nack(reason=f"the result was refused: {error.reason}")
                    return
            await backoff.wait()

    async def _answer_lost(self, delivery: Delivery, result: task_pb2.TaskResult) -> None:
        """The result of a task whose delivery was lost with its connection.

        It goes out at once, so that nobody waits for the delivery to come again. When it does, it is answered
        again; the orchestrator takes the first.
        """
        log.info("the delivery was lost, its result is sent all the same", task=result.agent_run_id)
        assert self._inbox is not None
        try:
            await self._inbox.publish(answer_to(delivery.message, MessageType.RESULT, result))
        except PentadError as error:
            log.warning("the result waits for the task to come again", error=error.message)

    async def _answer_message(self, delivery: Delivery) -> None:
        """Gives a message that is no task to the agent's `on_message`."""
        message = delivery.message
        set_envelope(Envelope(run_id=message.run_id or None, agent=self.name, hops=message.hops + 1))
        ctx = self._context(message.run_id, None if self._around.llm_off else self._llm(""))
        try:
            value = await guarded(self._handler(message.type)(to_message(message), ctx))
            if value is None:
                await delivery.ack()
            else:
                await delivery.reply("response", content_of(value))
        except NotImplementedError:
            if message.HasField("broadcast"):  # to whom it may concern: this one it does not
                await delivery.ack()
                return
            handled = (type_ for type_, _ in message_handlers(self._loaded.agent.__class__))
            await delivery.refuse(unknown_type(self.name, message.type, handled))
        except PentadError as error:
            ctx.log.warning("a message was not answered", type=message.type, error=error.message)
            await delivery.fail(error)
        except Exception as error:
            ctx.log.exception("a message could not be handled", type=message.type)
            await delivery.fail(from_proto(to_error(error)))

    def _handler(self, type: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The agent's method for a message of that type: one marked with `on`, or `on_message`."""
        agent = self._loaded.agent
        name = dict(message_handlers(agent.__class__)).get(type, "on_message")
        handler: Callable[..., Coroutine[Any, Any, Any]] = getattr(agent, name)
        return handler

    def _send_progress(self, execution: Execution, progress: task_pb2.TaskProgress) -> None:
        if self._inbox and self._inbox.connected:
            message = answer_to(execution.delivery.message, MessageType.PROGRESS, progress, durable=False)
            self._inbox.publish_soon(message).add_done_callback(lambda sent: sent.exception())

    def _keep(self, result: task_pb2.TaskResult) -> None:
        self._finished[result.agent_run_id] = result
        while len(self._finished) > KEPT_RESULTS:
            self._finished.popitem(last=False)

    def _report_load(self) -> None:
        if self._registration and not self._draining:
            full = len(self._running) >= self._loaded.spec.max_concurrency
            self._registration.report(in_flight=len(self._running), status="BUSY" if full else "ACTIVE")

    async def _keep_leases(self) -> None:
        """Tells the bus that what is at work is at work."""
        assert self._inbox is not None
        while True:
            await asyncio.sleep(min(5.0, max(0.1, self._inbox.ack_wait / 3)))
            for execution in self._running.values():
                execution.delivery.progress()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work)
        self._jobs[job] = self._loaded
        job.add_done_callback(lambda done: self._jobs.pop(done, None))
