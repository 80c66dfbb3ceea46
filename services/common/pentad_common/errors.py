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
    from collections.abc import Iterable

    from google.rpc.error_details_pb2 import BadRequest
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


_MOST_MESSAGE_BYTES = 1000
_MOST_VALUE_BYTES = 256
_MOST_DETAIL_BYTES = 1200


def to_status(error: PentadError) -> Status:
    """The `google.rpc.Status` of an error: ErrorInfo always, BadRequest with INVALID_ARGUMENT, RetryInfo if
    it has one.

    Errors repeat what was asked. Statuses travel as headers, of which gRPC takes 8 KiB in all, so long texts
    are cut: otherwise the caller would learn of the headers' size instead.
    """
    from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
    from google.rpc.status_pb2 import Status

    message = _cut(error.message, _MOST_MESSAGE_BYTES)
    status = Status(code=int(error.code), message=message)
    info = ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in error.metadata.items():
        if info.ByteSize() < _MOST_DETAIL_BYTES:
            info.metadata[key] = _cut(value, _MOST_VALUE_BYTES)
    status.details.add().Pack(info)
    if error.code is Code.INVALID_ARGUMENT:
        status.details.add().Pack(_bad_request(error.violations or [("", message)]))
    if error.retry_after is not None:
        retry = RetryInfo()
        retry.retry_delay.FromMilliseconds(max(0, round(error.retry_after * 1000)))
        status.details.add().Pack(retry)
    return status


def _bad_request(violations: Iterable[tuple[str, str]]) -> BadRequest:
    from google.rpc.error_details_pb2 import BadRequest

    found = BadRequest()
    for field, text in violations:
        if found.ByteSize() < _MOST_DETAIL_BYTES:
            found.field_violations.add(
                field=_cut(field, _MOST_VALUE_BYTES), description=_cut(text, _MOST_VALUE_BYTES)
            )
    return found


def _cut(text: str, most: int) -> str:
    """The text within so many bytes of a header, in which a byte beyond ASCII takes three."""
    if len(text) <= most // 12:
        return text
    size = 0
    for position, character in enumerate(text):
        size += 1 if " " <= character <= "~" else 3 * len(character.encode("utf-8", "replace"))
        if size > most:
            return text[:position] + "…"
    return text
