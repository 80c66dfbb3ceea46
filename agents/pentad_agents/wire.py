"""Between the contract's messages and what agents see of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2, task_pb2
from pentad.registry.v1 import registry_pb2
from pentad_agents.context import Message
from pentad_agents.errors import AgentError
from pentad_agents.folder import FileReport
from pentad_agents.inspection import AgentSpec
from pentad_agents.task import Candidate, Fetch, Part, StepOutput, Task
from pentad_client.errors import Code, PentadError, to_proto

Payload = TypeVar("Payload", bound=ProtoMessage)
FetchArtifact = Callable[[common_pb2.Artifact], Fetch]

MAX_MESSAGE, MAX_DETAIL = 4096, 65536


def read_payload(message: bus_pb2.Message, kind: type[Payload]) -> Payload:
    """The payload, in its binary or its JSON form. Raises ValueError if it is neither."""
    content_type, data = message.payload.content_type, message.payload.data
    found = kind()
    try:
        if content_type.partition(";")[0].strip().lower() == "application/json":
            json_format.Parse(data, found, ignore_unknown_fields=True)
        else:
            found.ParseFromString(data)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(f"the payload is no {kind.__name__}: {error}") from None
    return found


def to_task(proto: task_pb2.Task, fetch: FetchArtifact) -> Task:
    """The task as the agent sees it."""
    return Task(
        instruction=proto.instruction,
        inputs=[to_part(part, fetch) for part in proto.inputs],
        previous=[
            StepOutput(
                step=step.step,
                agent=step.agent,
                outputs=[to_part(part, fetch) for part in step.outputs],
                reason=step.error.reason or ("FAILED" if step.HasField("error") else ""),
                message=step.error.message,
            )
            for step in proto.previous
        ],
        candidates=[
            Candidate(one.agent, one.description, tuple(one.capabilities)) for one in proto.candidates
        ],
        parameters=dict(proto.parameters),
        id=proto.agent_run_id,
        run_id=proto.run_id,
        step=proto.step,
        agent=proto.agent,
        attempt=proto.attempt or 1,
        deadline=proto.deadline.ToDatetime(UTC) if proto.HasField("deadline") else None,
    )


def to_part(proto: common_pb2.Part, fetch: FetchArtifact) -> Part:
    """A piece; one that the orchestrator keeps is fetched when first asked for."""
    if proto.WhichOneof("source") == "artifact":
        kept = proto.artifact
        return Part(proto.name, kept.content_type, size=kept.size, fetch=fetch(kept), artifact=kept)
    return Part(proto.name, proto.content.content_type, proto.content.data)


def to_message(proto: bus_pb2.Message) -> Message:
    """A message as the agent sees it; what cannot be read as its content type says stays bytes."""
    return Message(
        id=proto.id,
        sender=proto.sender,
        type=proto.type,
        content=decode_content(proto.payload),
        content_type=proto.payload.content_type,
        headers=dict(proto.headers),
        correlation_id=proto.correlation_id,
        reply_to=proto.reply_to,
        run_id=proto.run_id,
        topic=proto.topic,
    )


def decode_content(content: common_pb2.Content) -> Any:
    """str for texts, the value for JSON, else bytes."""
    kind = content.content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/json" or kind.endswith("+json"):
            return json.loads(content.data)
        if kind.startswith("text/"):
            return content.data.decode()
    except ValueError:
        return content.data
    return content.data


def to_error(error: BaseException) -> common_pb2.Error:
    """Why a task failed: an AgentError's or PentadError's own words, else AGENT_FAILED, which is tried
    again."""
    if isinstance(error, AgentError):
        code = Code.UNAVAILABLE if error.retryable else Code.FAILED_PRECONDITION
        retry_after = error.retry_after if error.retryable else None
        return to_proto(PentadError(code, error.reason, error.message, error.metadata, retry_after))
    if isinstance(error, PentadError):
        return to_proto(error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return to_proto(PentadError(Code.UNKNOWN, "AGENT_FAILED", text[:MAX_MESSAGE], retry_after=0.0))


def to_card(spec: AgentSpec, source: str) -> registry_pb2.AgentCard:
    """What an agent of the file `source` says of itself."""
    return registry_pb2.AgentCard(
        name=spec.name,
        version=spec.version,
        description=spec.description,
        capabilities=spec.capabilities,
        tags=spec.tags,
        input_schema=spec.input_schema,
        output_schema=spec.output_schema,
        source=source,
    )


def to_files(reports: Iterable[FileReport], refused: dict[str, str]) -> list[registry_pb2.AgentFile]:
    """What became of the files. `refused`: why the registry does not take an agent, by its name."""
    files = []
    for report in reports:
        reason, message = report.reason, report.message
        problems = [refused[name] for name in report.agents if name in refused]
        if problems and not reason:
            reason, message = "INVALID_AGENT", "; ".join(problems)
        status = registry_pb2.AgentFile.STATUS_FAILED if reason else registry_pb2.AgentFile.STATUS_LOADED
        file = registry_pb2.AgentFile(
            path=report.path,
            status=status,
            agents=report.agents[:256],
            reason=reason,
            message=message[:MAX_MESSAGE],
            detail=report.detail[-MAX_DETAIL:],
        )
        file.load_time.FromDatetime(report.load_time)
        files.append(file)
    return files
