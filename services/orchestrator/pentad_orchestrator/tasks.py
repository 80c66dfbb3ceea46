"""The messages that an orchestrator sends to agents, and those that it takes from them."""

from __future__ import annotations

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2, task_pb2
from pentad_common.errors import InvalidArgument
from pentad_common.ids import new_id
from pentad_common.well_formed import flaws
from pentad_orchestrator.core import signals
from pentad_orchestrator.core.plan import duration
from pentad_orchestrator.run import AgentRun, StoredRun, timestamp

ORCHESTRATOR = "pentad.orchestrator"
TASK, RESULT, PROGRESS, CANCEL = "pentad.task", "pentad.result", "pentad.progress", "pentad.cancel"
ERROR = "pentad.error"
_CANCEL_SECONDS = 600.0


def task_message(
    run: StoredRun, dispatch: signals.Dispatch, attempt: AgentRun, now: float
) -> bus_pb2.Message:
    """The message that brings an attempt to its agent; its id is the attempt's: repeats are recognised."""
    task = _task(run, dispatch, attempt)
    message = bus_pb2.Message(
        id=attempt.agent_run_id,
        recipient=dispatch.agent,
        type=TASK,
        payload=_payload(task),
        correlation_id=attempt.agent_run_id,
        reply_to=ORCHESTRATOR,
        run_id=run.run_id,
        traceparent=run.state.traceparent,
    )
    message.ttl.CopyFrom(duration(max(0.001, dispatch.due - now)))
    budget = _budget(run)
    if budget:
        message.headers["pentad-budget"] = budget
    return message


def _task(run: StoredRun, dispatch: signals.Dispatch, attempt: AgentRun) -> task_pb2.Task:
    wanted = None if dispatch.inputs is None else set(dispatch.inputs)
    return task_pb2.Task(
        agent_run_id=attempt.agent_run_id,
        run_id=run.run_id,
        step=dispatch.step,
        attempt=dispatch.attempt,
        agent=dispatch.agent,
        instruction=dispatch.instruction or run.header.instruction,
        inputs=[part for part in run.inputs if wanted is None or part.name in wanted],
        previous=[_outcome(run, name) for name in dispatch.previous],
        candidates=[
            task_pb2.Candidate(agent=info.name, description=info.description, capabilities=info.capabilities)
            for info in dispatch.candidates
        ],
        deadline=timestamp(dispatch.due),
        parameters=dispatch.parameters,
    )


def _outcome(run: StoredRun, step: str) -> task_pb2.StepOutput:
    output = run.state.outputs[step]
    return task_pb2.StepOutput(
        step=step,
        agent=output.agent,
        outputs=output.parts,
        error=output.failure.proto() if output.failure else None,
    )


def _budget(run: StoredRun) -> str:
    """What is left of the run's limits, and what there was (`max_…`), as `pentad-budget` has it."""
    limits, usage = run.header.limits, run.state.usage
    left = []
    if most := limits.max_tokens:
        used = usage.input_tokens + usage.output_tokens
        left.append(f"tokens={max(0, most - used)},max_tokens={most}")
    if most := limits.max_cost.micros:
        left.append(f"cost_micros={max(0, most - usage.cost.micros)},max_cost_micros={most}")
    return ",".join(left)


def cancel_message(run: StoredRun, recall: signals.Recall, attempt: AgentRun | None) -> bus_pb2.Message:
    """Tells agents to stop working on an attempt, or on all of the run."""
    agent_run_id = attempt.agent_run_id if attempt else ""
    cancel = task_pb2.TaskCancel(run_id=run.run_id, agent_run_id=agent_run_id, reason=recall.reason)
    message = bus_pb2.Message(
        id=new_id(),
        topic=f"{CANCEL}.{run.run_id}",
        type=CANCEL,
        priority=bus_pb2.PRIORITY_CRITICAL,
        payload=_payload(cancel),
        correlation_id=agent_run_id,
        run_id=run.run_id,
        traceparent=run.state.traceparent,
    )
    message.ttl.CopyFrom(duration(_CANCEL_SECONDS))
    return message


def _payload(message: Message) -> common_pb2.Content:
    kind = f"application/protobuf; messageType={message.DESCRIPTOR.full_name}"
    return common_pb2.Content(content_type=kind, data=message.SerializeToString())


def read_result(message: bus_pb2.Message) -> task_pb2.TaskResult:
    """The result in a message, or the error of one that says there is none: a client without a handler for
    tasks. Raises InvalidArgument RESULT_MALFORMED.
    """
    result = task_pb2.TaskResult()
    _read(message.payload, result.error if message.type == ERROR else result)
    result.agent_run_id = result.agent_run_id or message.correlation_id
    return result


def read_progress(message: bus_pb2.Message) -> task_pb2.TaskProgress:
    """The progress in a message. Raises InvalidArgument RESULT_MALFORMED if there is none in it."""
    progress = task_pb2.TaskProgress()
    _read(message.payload, progress)
    progress.agent_run_id = progress.agent_run_id or message.correlation_id
    return progress


def _read(payload: common_pb2.Content, into: Message) -> None:
    kind = payload.content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/json" or kind.endswith("+json"):
            json_format.Parse(payload.data, into, ignore_unknown_fields=True)
        else:
            into.ParseFromString(payload.data)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
        name = into.DESCRIPTOR.name
        raise InvalidArgument(
            "RESULT_MALFORMED", f"the payload ({kind or 'no content type'}) is no {name}: {error}"[:500]
        ) from None
    for field, flaw in flaws(into):
        raise InvalidArgument("RESULT_MALFORMED", f"{into.DESCRIPTOR.name}.{field} {flaw}"[:500])
