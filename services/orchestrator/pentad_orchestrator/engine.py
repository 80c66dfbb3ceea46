"""The engine: the thin shell around the core.

Everything that happens to a run goes through `move`: the run is locked, the core says what follows, and
state, events, attempts and outgoing messages are committed together. Only then are messages published,
questions asked and timers set. All of that can be lost: whoever looks at the run next finds in its state what
is owed.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import task_pb2
from pentad_client import Pentad
from pentad_common.errors import InvalidArgument, NotFound, PentadError, Unavailable
from pentad_common.telemetry import get_logger
from pentad_orchestrator import metrics
from pentad_orchestrator.alarms import Alarms
from pentad_orchestrator.background import Background
from pentad_orchestrator.core import Policy, advance, next_wake, signals
from pentad_orchestrator.core.state import Failure, Wait, dump_state
from pentad_orchestrator.core.steps import RETRYABLE_CODES
from pentad_orchestrator.directory import Directories
from pentad_orchestrator.inline import spill
from pentad_orchestrator.lines import Lines
from pentad_orchestrator.listeners import Listeners
from pentad_orchestrator.outbox import Outbox
from pentad_orchestrator.progress import ProgressFilter
from pentad_orchestrator.recording import Recording
from pentad_orchestrator.run import AgentRun, Change, NewArtifact, Owed, StoredRun
from pentad_orchestrator.store.move import Moved
from pentad_orchestrator.store.runs import RunStore
from pentad_orchestrator.tasks import ERROR, PROGRESS, RESULT, TASK, read_progress, read_result

log = get_logger(__name__)

MOST_CACHED = 2000
Happening = Callable[[StoredRun], signals.Event | None]
"""What happens to a run, once the run is known; None if nothing does."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """An agent's word on its work."""

    tenant: str
    run_id: str
    agent: str
    report: task_pb2.TaskProgress


class Engine:
    """Moves runs. One an instance of the service; any number of instances share the runs."""

    def __init__(self, pentad: Pentad, store: RunStore, policy: Policy, inline_bytes: int) -> None:
        self.listeners = Listeners()
        self.background = Background()
        self._store = store
        self._policy = policy
        self._inline_bytes = inline_bytes
        self._runs: OrderedDict[str, StoredRun] = OrderedDict()
        self._attempts: dict[str, str] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._waiting: dict[str, str] = {}
        self._alarms = Alarms(self.look)
        self._progress: ProgressFilter[_Heard] = ProgressFilter(self._on_progress)
        self.directories = Directories(pentad, self.background, self._on_agents)
        self.lines = Lines(pentad, self.background, self._on_message)
        self.outbox = Outbox(store, self.lines, self.background, self._on_refusal)

    async def close(self) -> None:
        """Stops. Nothing is lost: what is owed is in the database."""
        self._alarms.clear()
        await self.background.close()

    # Moving.

    async def move(self, tenant: str, run_id: str, happening: Happening, instance: str = "") -> StoredRun:
        """Applies what happens to the run; returns the run as it is then.

        Raises NotFound RUN_NOT_FOUND, and FailedPrecondition for what may not happen to it now.
        """
        lock = self._locks.setdefault(run_id, asyncio.Lock())
        async with lock:
            directory = await self.directories.of(tenant).snapshot()

            def change(run: StoredRun) -> Change | None:
                return self._change(run, happening(run), directory, instance)

            moved = await self._store.move(tenant, run_id, self._runs.get(run_id), change)
            self._keep(moved.run)
        self._follow(moved)
        return moved.run

    def _change(
        self, run: StoredRun, event: signals.Event | None, directory: signals.Directory | None, instance: str
    ) -> Change | None:
        """What the event changes; None if nothing. Pure but for the clock and new ids."""
        if event is None:
            return None
        artifacts: list[NewArtifact] = []
        inline = run.state.inline_bytes
        if isinstance(event, signals.Result | signals.Input):
            parts, inline, artifacts = spill(event.parts, inline, self._inline_bytes)
            event = replace(event, parts=parts)
        now = time.time()
        state, commands = advance(
            run.graph,
            run.state,
            event,
            now=now,
            directory=directory,
            limits=run.header.limits,
            policy=self._policy,
        )
        if not commands and dump_state(state) == dump_state(run.state):
            return None
        state.inline_bytes = inline
        recording = Recording(run, state, now)
        if isinstance(event, signals.Result | signals.Progress):
            recording.seen_on(event.step, event.attempt, instance)
        change = recording.carry_out(commands)
        change.artifacts = artifacts
        return change

    def _keep(self, run: StoredRun) -> None:
        if run.state.over:
            self._runs.pop(run.run_id, None)
            self._waiting.pop(run.run_id, None)
            return
        self._runs[run.run_id] = run
        self._runs.move_to_end(run.run_id)
        if len(self._runs) > MOST_CACHED:
            self._runs.popitem(last=False)
        waits = {step.wait for step in run.state.steps.values()}
        if waits & {Wait.AGENT, Wait.LOOKUP}:
            self._waiting[run.run_id] = run.tenant
        else:
            self._waiting.pop(run.run_id, None)

    def _follow(self, moved: Moved) -> None:
        """Does what a committed move asks for."""
        run, change = moved.run, moved.change
        self._alarms.set(run.tenant, run.run_id, next_wake(run.state))
        if change is None:
            return
        for attempt in change.attempts.values():
            self._note_attempt(run, attempt)
        metrics.count(run, change)
        self.outbox.send(moved.owed)
        self.listeners.tell(run.run_id, change.events)
        for question in change.lookups:
            self.background.spawn(self._ask(run.tenant, run.run_id, question), run.tenant)

    def _note_attempt(self, run: StoredRun, attempt: AgentRun) -> None:
        if attempt.HasField("end_time"):
            self._attempts.pop(attempt.agent_run_id, None)
            self._progress.end(attempt.agent_run_id)
        else:
            self._attempts[attempt.agent_run_id] = run.run_id

    async def _ask(self, tenant: str, run_id: str, question: signals.Resolve) -> None:
        answer = await self.directories.of(tenant).resolve(run_id, question)
        await self.move(tenant, run_id, lambda _run: answer)

    # What sets off moves.

    def start(self, tenant: str, run_id: str) -> None:
        """A new run is stored: begins it."""
        self.lines.of(tenant)
        self.background.spawn(self._quietly(tenant, run_id, signals.Start()), tenant)

    def look(self, tenant: str, run_id: str, again: bool = False) -> None:
        """Looks whether something is due. `again`: what was asked of others before may be lost."""
        self.lines.of(tenant)
        self.background.spawn(self._look(tenant, run_id, again), tenant)

    async def _look(self, tenant: str, run_id: str, again: bool) -> None:
        def happening(run: StoredRun) -> signals.Event:
            return signals.Start() if run.state.phase == "PENDING" else signals.Tick(again)

        with suppress(NotFound):
            await self.move(tenant, run_id, happening)

    async def _quietly(self, tenant: str, run_id: str, event: signals.Event) -> None:
        with suppress(NotFound):
            await self.move(tenant, run_id, lambda _run: event)

    def _on_agents(self, tenant: str) -> None:
        for run_id, owner in list(self._waiting.items()):
            if owner == tenant:
                self.look(tenant, run_id, again=True)

    async def _on_refusal(self, owed: Owed, error: PentadError) -> None:
        """The bus does not take a task: the attempt fails. Other messages are given up."""
        if owed.message.type != TASK:
            return
        failure = _refusal(error)

        def happening(run: StoredRun) -> signals.Event | None:
            attempt = _find(run, owed.message.id)
            return signals.Refused(attempt.step, attempt.attempt, failure) if attempt else None

        with suppress(NotFound):
            await self.move(owed.tenant, owed.run_id, happening)

    # What comes from agents.

    async def _on_message(self, tenant: str, message: bus_pb2.Message) -> None:
        """Returns when what it says is committed, or found to be of no use."""
        if message.type in (RESULT, ERROR):
            await self._on_result(tenant, message)
        elif message.type == PROGRESS:
            with suppress(InvalidArgument):
                report = read_progress(message)
                heard = _Heard(tenant, message.run_id or report.run_id, _agent(message), report)
                self._progress.report(report.agent_run_id, heard)

    async def _on_result(self, tenant: str, message: bus_pb2.Message) -> None:
        try:
            result = read_result(message)
        except InvalidArgument as error:
            log.warning("a malformed result", sender=message.sender, error=str(error))
            result = task_pb2.TaskResult(agent_run_id=message.correlation_id)
            result.error.CopyFrom(Failure.of(error).proto())
        run_id = await self._run_of(tenant, result.agent_run_id)
        if run_id is None:
            log.warning("a result of no run", sender=message.sender, agent_run=result.agent_run_id)
            return
        agent = _agent(message)

        def happening(run: StoredRun) -> signals.Event | None:
            attempt = _find(run, result.agent_run_id)
            return _answer(attempt, result) if attempt is not None and attempt.agent == agent else None

        with suppress(NotFound):
            await self.move(tenant, run_id, happening, result.instance or message.sender)

    async def _run_of(self, tenant: str, agent_run_id: str) -> str | None:
        known = self._attempts.get(agent_run_id)
        return known or await self._store.run_of_attempt(tenant, agent_run_id)

    def _on_progress(self, heard: _Heard) -> None:
        report = heard.report
        fraction = min(1.0, max(0.0, report.fraction)) if report.HasField("fraction") else None

        def happening(run: StoredRun) -> signals.Event | None:
            attempt = _find(run, report.agent_run_id)
            if attempt is None or attempt.agent != heard.agent:
                return None
            return signals.Progress(attempt.step, attempt.attempt, fraction, report.message[:1024])

        run_id = self._attempts.get(report.agent_run_id) or heard.run_id
        instance = report.instance or heard.agent
        self.background.spawn(self._tell(heard.tenant, run_id, happening, instance), heard.tenant)

    async def _tell(self, tenant: str, run_id: str, happening: Happening, instance: str) -> None:
        with suppress(NotFound, Unavailable):
            await self.move(tenant, run_id, happening, instance)


def _agent(message: bus_pb2.Message) -> str:
    """The agent that sent the message, which the bus vouches for."""
    return message.sender.partition("/")[0]


def _find(run: StoredRun, agent_run_id: str) -> AgentRun | None:
    """The run's attempt of this id."""
    return next((item for item in run.attempts.values() if item.agent_run_id == agent_run_id), None)


def _answer(attempt: AgentRun, result: task_pb2.TaskResult) -> signals.Result:
    return signals.Result(
        step=attempt.step,
        attempt=attempt.attempt,
        parts=tuple(result.outputs),
        failure=Failure.from_proto(result.error) if result.HasField("error") else None,
        usage=result.usage if result.HasField("usage") else None,
        handoff=result.handoff,
        final=result.final,
    )


def _refusal(error: PentadError) -> Failure:
    """The failure of an attempt that the bus refused. An inbox that does not exist yet may exist soon."""
    failure = Failure.of(error)
    again = int(error.code) in RETRYABLE_CODES or error.reason == "RECIPIENT_UNKNOWN"
    if again and failure.retry_after is None:
        return Failure(failure.code, failure.reason, failure.message, failure.metadata, 0.0)
    return failure
