import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from pentad.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Task(_message.Message):
    __slots__ = ("agent_run_id", "run_id", "step", "attempt", "agent", "instruction", "inputs", "previous", "candidates", "deadline", "parameters")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    AGENT_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    agent_run_id: str
    run_id: str
    step: str
    attempt: int
    agent: str
    instruction: str
    inputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Part]
    previous: _containers.RepeatedCompositeFieldContainer[StepOutput]
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    deadline: _timestamp_pb2.Timestamp
    parameters: _containers.ScalarMap[str, str]
    def __init__(self, agent_run_id: _Optional[str] = ..., run_id: _Optional[str] = ..., step: _Optional[str] = ..., attempt: _Optional[int] = ..., agent: _Optional[str] = ..., instruction: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_common_pb2.Part, _Mapping]]] = ..., previous: _Optional[_Iterable[_Union[StepOutput, _Mapping]]] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parameters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class StepOutput(_message.Message):
    __slots__ = ("step", "agent", "outputs", "error")
    STEP_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    step: str
    agent: str
    outputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Part]
    error: _common_pb2.Error
    def __init__(self, step: _Optional[str] = ..., agent: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[_common_pb2.Part, _Mapping]]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("agent", "description", "capabilities")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    agent: str
    description: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, agent: _Optional[str] = ..., description: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("agent_run_id", "run_id", "outputs", "error", "usage", "handoff", "final", "instance")
    AGENT_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    HANDOFF_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    agent_run_id: str
    run_id: str
    outputs: _containers.RepeatedCompositeFieldContainer[_common_pb2.Part]
    error: _common_pb2.Error
    usage: _common_pb2.Usage
    handoff: str
    final: bool
    instance: str
    def __init__(self, agent_run_id: _Optional[str] = ..., run_id: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[_common_pb2.Part, _Mapping]]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ..., usage: _Optional[_Union[_common_pb2.Usage, _Mapping]] = ..., handoff: _Optional[str] = ..., final: _Optional[bool] = ..., instance: _Optional[str] = ...) -> None: ...

class TaskProgress(_message.Message):
    __slots__ = ("agent_run_id", "run_id", "fraction", "message", "instance")
    AGENT_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    agent_run_id: str
    run_id: str
    fraction: float
    message: str
    instance: str
    def __init__(self, agent_run_id: _Optional[str] = ..., run_id: _Optional[str] = ..., fraction: _Optional[float] = ..., message: _Optional[str] = ..., instance: _Optional[str] = ...) -> None: ...

class TaskCancel(_message.Message):
    __slots__ = ("run_id", "agent_run_id", "reason")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    agent_run_id: str
    reason: str
    def __init__(self, run_id: _Optional[str] = ..., agent_run_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
