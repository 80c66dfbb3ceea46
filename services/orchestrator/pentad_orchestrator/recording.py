"""What the core's commands come to: rows, events and messages of one move of a run."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Any

from pentad.orchestrator.v1 import orchestrator_pb2
from pentad_common.ids import new_id
from pentad_orchestrator.core import RunState, signals
from pentad_orchestrator.core.state import ACTIVE, ENDED, Phase
from pentad_orchestrator.inline import artifact_ids
from pentad_orchestrator.run import (
    LAST_EVENTS,
    AgentRun,
    Change,
    StoredRun,
    event_cursor,
    state_number,
    timestamp,
)
from pentad_orchestrator.tasks import cancel_message, task_message


class Recording:
    """Turns the commands of a move into a Change. `run` is as before the move."""

    def __init__(self, run: StoredRun, state: RunState, now: float) -> None:
        self._run = run
        self._after = _moved(run, state)
        self._now = now
        self.change = Change(state)

    def carry_out(self, commands: list[signals.Command]) -> Change:
        """All commands, in order."""
        for command in commands:
            self.take(command)
        return self.change

    def seen_on(self, step: str, attempt: int, instance: str) -> None:
        """Keeps which instance works on the attempt."""
        known = self._attempt(step, attempt)
        if instance and known is not None and known.instance != instance:
            self._edit(step, attempt).instance = instance[:129]

    @singledispatchmethod
    def take(self, command: Any) -> None:
        """One command."""
        raise TypeError(f"not a command: {command!r}")

    @take.register
    def _record(self, command: signals.Record) -> None:
        attempt = self._edit(command.step, command.attempt)
        attempt.agent = command.agent or attempt.agent
        attempt.state = state_number(command.phase)
        if command.phase in ACTIVE and not attempt.HasField("start_time"):
            attempt.start_time.CopyFrom(timestamp(self._now))
        elif command.phase is Phase.RUNNING:
            attempt.start_time.CopyFrom(timestamp(self._now))  # it was sent out now; before, it waited
        if command.phase in ENDED:
            attempt.end_time.CopyFrom(timestamp(self._now))
        attempt.outputs.extend(command.parts)
        self.change.used |= artifact_ids(command.parts)
        if command.failure is not None:
            attempt.error.CopyFrom(command.failure.proto())
        if command.usage is not None:
            attempt.usage.CopyFrom(command.usage)

    @take.register
    def _dispatch(self, command: signals.Dispatch) -> None:
        attempt = self._edit(command.step, command.attempt)
        self.change.messages.append(task_message(self._after, command, attempt, self._now))

    @take.register
    def _recall(self, command: signals.Recall) -> None:
        attempt = self._attempt(command.step, command.attempt) if command.step else None
        self.change.messages.append(cancel_message(self._after, command, attempt))

    @take.register
    def _resolve(self, command: signals.Resolve) -> None:
        self.change.lookups.append(command)

    @take.register
    def _emit(self, command: signals.Emit) -> None:
        sequence = self._run.sequence + len(self.change.events) + 1
        event = orchestrator_pb2.RunEvent(
            sequence=sequence,
            cursor=event_cursor(self._run.run_id, sequence),
            type=command.type,
            time=timestamp(self._now),
            run_id=self._run.run_id,
            step=command.step,
            state=state_number(self._phase_after(command)),
            message=command.message[:4096],
            fraction=command.fraction,
        )
        attempt = self._attempt(command.step, command.attempt)
        if attempt is not None:
            event.agent_run.CopyFrom(attempt)
        if command.due is not None:
            event.due_time.CopyFrom(timestamp(command.due))
        self.change.events.append(event)

    def _phase_after(self, command: signals.Emit) -> Phase:
        """The run's phase after the event: before the last event of its last move it has not ended."""
        final = self.change.state.phase
        return Phase.RUNNING if final in ENDED and command.type not in LAST_EVENTS else final

    def _attempt(self, step: str, number: int) -> AgentRun | None:
        key = (step, number)
        return self.change.attempts.get(key) or self._run.attempts.get(key)

    def _edit(self, step: str, number: int) -> AgentRun:
        """The attempt, to be changed and written."""
        key = (step, number)
        if key not in self.change.attempts:
            attempt = AgentRun(agent_run_id=new_id(), run_id=self._run.run_id, step=step, attempt=number)
            known = self._run.attempts.get(key)
            if known is not None:
                attempt.CopyFrom(known)
            self.change.attempts[key] = attempt
        return self.change.attempts[key]


def _moved(run: StoredRun, state: RunState) -> StoredRun:
    return StoredRun(
        run.tenant,
        run.run_id,
        run.epoch,
        run.sequence,
        run.header,
        run.inputs,
        run.graph,
        state,
        run.attempts,
    )
