"""Errors of the domain (the client's hierarchy, shared) and their form on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pentad_client.errors import (
    DOMAIN,
    Aborted,
    AlreadyExists,
    Cancelled,
    Code,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PentadError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    error_for_code,
    from_proto,
    from_rpc_error,
    from_status,
    to_proto,
)

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

__all__ = [
    "DOMAIN",
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "Code",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "PentadError",
    "PermissionDenied",
    "ResourceExhausted",
    "StartupError",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "error_for_code",
    "from_proto",
    "from_rpc_error",
    "from_status",
    "to_proto",
    "to_status",
]


class StartupError(Exception):
    """A mistake of whoever starts the process: its message is printed in one line, and the exit code is 2."""


def to_status(error: PentadError) -> Status:
    """The `google.rpc.Status` of an error: ErrorInfo always, BadRequest with INVALID_ARGUMENT, RetryInfo if
    it has one.
    """
    from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
    from google.rpc.status_pb2 import Status

    status = Status(code=int(error.code), message=error.message)
    info = ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    status.details.add().Pack(info)
    if error.code is Code.INVALID_ARGUMENT:
        violations = [
            BadRequest.FieldViolation(field=field, description=text)
            for field, text in error.violations or [("", error.message)]
        ]
        status.details.add().Pack(BadRequest(field_violations=violations))
    if error.retry_after is not None:
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(max(0, round(error.retry_after * 1000)))
        status.details.add().Pack(retry)
    return status
