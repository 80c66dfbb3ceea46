"""The one hierarchy of errors: services raise it, the wire carries it, clients get it back.

An error is told apart by its `reason` (UPPER_SNAKE_CASE), never by its message. This module imports no gRPC
at load time, so that domain code can raise these without knowing about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, cast

if TYPE_CHECKING:
    import grpc.aio
    from google.rpc.status_pb2 import Status

    from pentad.common.v1.common_pb2 import Error

DOMAIN = "pentad.dev"


class Code(IntEnum):
    """The canonical status codes, by the numbers of `google.rpc.Code`."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class PentadError(Exception):
    """An error with everything a gRPC status carries.

    `code`: the status code. `reason`: stable, UPPER_SNAKE_CASE. `message`: one or two sentences for people,
    with what to do next. `metadata`: the variables of the error, as strings. `retry_after`: seconds to wait
    before trying again, or None where that cannot help. `violations`: (field path, rule it broke) pairs of an
    INVALID_ARGUMENT.
    """

    code: Code

    def __init__(
        self,
        code: Code | int,
        reason: str,
        message: str,
        metadata: Mapping[str, object] | None = None,
        retry_after: float | None = None,
        violations: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = Code(code)
        self.reason = reason
        self.message = message
        self.metadata = {key: str(value) for key, value in (metadata or {}).items()}
        self.retry_after = retry_after
        self.violations = list(violations)

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code.name}, {self.reason!r}, {self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.code, self.reason, self.message, self.metadata, self.retry_after, self.violations)
        return error_for_code, state


class _Coded(PentadError):
    """An error whose class says its code: `raise NotFound("RUN_NOT_FOUND", "run 'x' does not exist",
    run="x")`.
    """

    CODE: ClassVar[Code]

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        violations: Iterable[tuple[str, str]] = (),
        **metadata: object,
    ) -> None:
        super().__init__(self.CODE, reason, message, metadata, retry_after, violations)


class Cancelled(_Coded):
    """The caller gave up, or the work was cancelled."""

    CODE = Code.CANCELLED


class InvalidArgument(_Coded):
    """The request is wrong whatever the state of the system; `violations` says where."""

    CODE = Code.INVALID_ARGUMENT


class DeadlineExceeded(_Coded):
    """Time ran out before the work was done."""

    CODE = Code.DEADLINE_EXCEEDED


class NotFound(_Coded):
    """There is no such thing, or none that the caller may see."""

    CODE = Code.NOT_FOUND


class AlreadyExists(_Coded):
    """What should be created is there already."""

    CODE = Code.ALREADY_EXISTS


class PermissionDenied(_Coded):
    """The caller is known and may not do this."""

    CODE = Code.PERMISSION_DENIED


class ResourceExhausted(_Coded):
    """A bound is reached: a full queue, a used-up budget, a rate limit."""

    CODE = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(_Coded):
    """The system is not in the state that the call needs; trying again alone does not help."""

    CODE = Code.FAILED_PRECONDITION


class Aborted(_Coded):
    """A concurrent change won: read again, then try again."""

    CODE = Code.ABORTED


class OutOfRange(_Coded):
    """A position outside of what is kept."""

    CODE = Code.OUT_OF_RANGE


class Unimplemented(_Coded):
    """There is no such method here."""

    CODE = Code.UNIMPLEMENTED


class Internal(_Coded):
    """A fault of Pentad itself."""

    CODE = Code.INTERNAL


class Unavailable(_Coded):
    """Not reachable at the moment; trying again can help."""

    CODE = Code.UNAVAILABLE


class Unauthenticated(_Coded):
    """No valid API key."""

    CODE = Code.UNAUTHENTICATED


_BY_CODE: dict[Code, type[_Coded]] = {kind.CODE: kind for kind in _Coded.__subclasses__()}

_REASON_WITHOUT_INFO = {
    Code.CANCELLED: "CANCELLED",
    Code.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    Code.UNAVAILABLE: "SERVICE_UNREACHABLE",
    Code.UNIMPLEMENTED: "METHOD_NOT_IMPLEMENTED",
    Code.RESOURCE_EXHAUSTED: "TRANSPORT_LIMIT",
}


def error_for_code(
    code: Code | int,
    reason: str,
    message: str,
    metadata: Mapping[str, object] | None = None,
    retry_after: float | None = None,
    violations: Iterable[tuple[str, str]] = (),
) -> PentadError:
    """The error of the class that belongs to `code`; a plain PentadError for codes without a class."""
    kind = _BY_CODE.get(Code(code))
    if kind is None:
        return PentadError(code, reason, message, metadata, retry_after, violations)
    error = kind.__new__(kind)
    PentadError.__init__(error, code, reason, message, metadata, retry_after, violations)
    return error


_CUT_OFF = "Internal error from Core"
"""What grpc.aio makes of a message that is written while the other side ends the call; the status is lost."""


def from_rpc_error(error: grpc.aio.AioRpcError) -> PentadError:
    """The PentadError that a failed call carries in its status details.

    A status without details (the transport's own, or another server's) gets a reason made from its code.
    """
    from google.rpc.status_pb2 import Status

    code = Code[error.code().name]
    message = error.details() or code.name
    for key, value in cast("Iterable[tuple[str, bytes]]", error.trailing_metadata() or ()):
        if key == "grpc-status-details-bin":
            return from_status(Status.FromString(value))
    if code is Code.INTERNAL and message == _CUT_OFF:
        return Unavailable("CALL_CUT_OFF", "the service ended the call before all was sent", retry_after=1.0)
    if code is Code.UNAVAILABLE:
        return Unavailable(
            "SERVICE_UNREACHABLE", f"the service cannot be reached: {message}", retry_after=1.0
        )
    return error_for_code(code, _REASON_WITHOUT_INFO.get(code, code.name), message)


def from_status(status: Status) -> PentadError:
    """The PentadError in a `google.rpc.Status`."""
    from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

    reason, metadata, retry_after = "", {}, None
    violations: list[tuple[str, str]] = []
    for detail in status.details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            info = ErrorInfo.FromString(detail.value)
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Is(RetryInfo.DESCRIPTOR):
            retry_after = RetryInfo.FromString(detail.value).retry_delay.ToTimedelta().total_seconds()
        elif detail.Is(BadRequest.DESCRIPTOR):
            bad = BadRequest.FromString(detail.value)
            violations += [(item.field, item.description) for item in bad.field_violations]
    code = Code(status.code)
    return error_for_code(code, reason or code.name, status.message, metadata, retry_after, violations)


def to_proto(error: PentadError) -> Error:
    """The error as the `pentad.common.v1.Error` that travels inside a message or a stream."""
    from pentad.common.v1.common_pb2 import Error, FieldViolation

    proto = Error(
        code=int(error.code),
        reason=error.reason,
        message=error.message,
        metadata=error.metadata,
        violations=[FieldViolation(field=field, description=text) for field, text in error.violations],
    )
    if error.retry_after is not None:
        proto.retry_after.FromMilliseconds(round(error.retry_after * 1000))
    return proto


def from_proto(proto: Error) -> PentadError:
    """The PentadError in a `pentad.common.v1.Error`."""
    retry_after = proto.retry_after.ToTimedelta().total_seconds() if proto.HasField("retry_after") else None
    violations = [(item.field, item.description) for item in proto.violations]
    code = Code(proto.code or Code.UNKNOWN)
    return error_for_code(code, proto.reason, proto.message, dict(proto.metadata), retry_after, violations)
