"""One task at work: time-out, cancellation, progress, and the result in the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from pentad.common.v1 import common_pb2, task_pb2
from pentad_agents.artifacts import Artifacts
from pentad_agents.context import Context
from pentad_agents.errors import AgentError
from pentad_agents.guard import guarded
from pentad_agents.loader import LoadedAgent
from pentad_agents.output import Final, Handoff, outputs_of
from pentad_agents.telemetry import get_logger
from pentad_agents.wire import to_error, to_task
from pentad_client.delivery import Delivery
from pentad_client.errors import Cancelled

PROGRESS_SECONDS = 0.1  # between two progress messages
GRACE_SECONDS = 5.0  # for an agent to end once it is cancelled

log = get_logger(__name__)


class Metered(Protocol):
    """What counts the calls to models; `usage` is None where there are none."""

    usage: common_pb2.Usage


class Execution:
    """An agent at work on one task. `delivery` is the newest that brought the task: its answer settles that
    one."""

    def __init__(
        self,
        loaded: LoadedAgent,
        task: task_pb2.Task,
        delivery: Delivery,
        instance: str,
        artifacts: Artifacts,
        send_progress: Callable[[Execution, task_pb2.TaskProgress], None],
    ) -> None:
        self.loaded = loaded
        self.task = task
        self.delivery = delivery
        self._instance = instance
        self._artifacts = artifacts
        self._send_progress = send_progress
        self._progress: task_pb2.TaskProgress | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._stop: asyncio.Future[None] = self._loop.create_future()
        self._stop_reason = ""

    @property
    def abandoned(self) -> bool:
        """Whether it was cancelled."""
        return self._stop.done()

    def cancel(self, reason: str) -> None:
        """Stops the agent; the result says CANCELLED."""
        if not self._stop.done():
            self._stop_reason = reason or "the run was cancelled"
            self._stop.set_result(None)

    async def run(self, ctx: Context, llm: Metered | None) -> task_pb2.TaskResult:
        """The result; never raises but when it is cancelled itself."""
        result = task_pb2.TaskResult(
            agent_run_id=self.task.agent_run_id, run_id=self.task.run_id, instance=self._instance
        )
        try:
            await self._fill(result, ctx)
        except Exception as error:
            result.error.CopyFrom(self._error(error, ctx))
        finally:
            self._stop_progress()
            self._artifacts.close()
        if llm is not None and llm.usage.calls:
            result.usage.CopyFrom(llm.usage)
        return result

    async def _fill(self, result: task_pb2.TaskResult, ctx: Context) -> None:
        value = await self._execute(ctx)
        if isinstance(value, Handoff):
            result.handoff, value = value.agent, value.output
        elif isinstance(value, Final):
            result.final, value = True, value.output
        if value is not None or not (result.handoff or result.final):
            result.outputs.extend(await self._artifacts.encode(outputs_of(value)))

    async def _execute(self, ctx: Context) -> Any:
        """What `execute()` returns. Raises what it raises, AgentError AGENT_TIMEOUT, or Cancelled."""
        task = to_task(self.task, self._artifacts.fetch)
        left = (task.deadline - datetime.now(UTC)).total_seconds() if task.deadline else None
        work = asyncio.create_task(guarded(self.loaded.agent.execute(task, ctx)), name=f"execute {task.id}")
        try:
            await asyncio.wait({work, self._stop}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if self.abandoned:
                raise Cancelled("CANCELLED", self._stop_reason)
            if not work.done():
                raise AgentError("AGENT_TIMEOUT", "the agent was not done at the task's deadline", True)
            if work.cancelled():
                raise AgentError("AGENT_FAILED", "execute() ended with CancelledError", True)
            return work.result()
        finally:
            if not work.done():
                await self._end(work, ctx)

    async def _end(self, work: asyncio.Task[Any], ctx: Context) -> None:
        """Cancels the agent's own work, and leaves it behind if it does not end soon."""
        ctx.cancelled = True
        work.cancel()
        _, pending = await asyncio.wait({work}, timeout=GRACE_SECONDS)
        if pending:
            log.warning("the agent goes on though it was cancelled", agent=self.loaded.spec.name)

    def _error(self, error: Exception, ctx: Context) -> common_pb2.Error:
        proto = to_error(error)
        if proto.reason == "AGENT_FAILED":
            ctx.log.exception("the agent failed")
        else:
            ctx.log.info("the agent could not do the task", reason=proto.reason, error=proto.message)
        return proto

    # -------------------------------------------------------------------------------- progress

    def report(self, fraction: float | None, message: str) -> None:
        """The latest progress goes out; what comes too fast is left out. May be called from any thread."""
        progress = task_pb2.TaskProgress(
            agent_run_id=self.task.agent_run_id, run_id=self.task.run_id, instance=self._instance
        )
        progress.message = message[:1000]
        if fraction is not None:
            progress.fraction = fraction
        self._loop.call_soon_threadsafe(self._take_progress, progress)

    def _take_progress(self, progress: task_pb2.TaskProgress) -> None:
        self._progress = progress
        if self._timer is None and not self._ended:
            self._flush()

    def _flush(self) -> None:
        self._timer = None
        if self._progress is None:
            return
        with contextlib.suppress(Exception):
            self._send_progress(self, self._progress)
        self._progress = None
        self._timer = self._loop.call_later(PROGRESS_SECONDS, self._flush)

    def _stop_progress(self) -> None:
        self._ended = True
        self._progress = None
        if self._timer:
            self._timer.cancel()
