"""Errors as OpenAI's interface tells them, so that its clients raise what their users catch."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pentad_common.errors import Code, InvalidArgument, PentadError
from pentad_common.interceptors.chain import Interceptor, Rpc
from pentad_common.interceptors.errors import unexpected


@dataclass(frozen=True, slots=True)
class Form:
    """How a class of errors looks: HTTP's status, OpenAI's type and code."""

    status: int
    type: str
    code: str | None = None


_REQUEST, _SERVER = "invalid_request_error", "server_error"

BY_REASON = {
    "RATE_LIMITED": Form(429, "rate_limit_error", "rate_limit_exceeded"),
    "BUDGET_EXCEEDED": Form(429, "insufficient_quota", "insufficient_quota"),
    "CONTEXT_WINDOW_EXCEEDED": Form(400, _REQUEST, "context_length_exceeded"),
    "INVALID_REQUEST": Form(400, _REQUEST),
    "CONTENT_FILTERED": Form(400, _REQUEST, "content_filter"),
    # The caller's own key is fine: 401 would have it look for another.
    "PROVIDER_AUTHENTICATION": Form(502, _SERVER, "provider_authentication"),
    "PROVIDER_PERMISSION": Form(403, "permission_error", "provider_permission"),
    "MODEL_NOT_FOUND": Form(404, _REQUEST, "model_not_found"),
    "PROVIDER_TIMEOUT": Form(504, "timeout_error", "provider_timeout"),
    "PROVIDER_UNAVAILABLE": Form(503, _SERVER, "provider_unavailable"),
    "PROVIDER_ERROR": Form(502, _SERVER, "provider_error"),
    "BODY_TOO_LARGE": Form(413, _REQUEST, "request_too_large"),
    "METHOD_NOT_ALLOWED": Form(405, _REQUEST, "method_not_allowed"),
    "UNKNOWN_URL": Form(404, _REQUEST, "unknown_url"),
    "API_KEY_INVALID": Form(401, _REQUEST, "invalid_api_key"),
}

BY_CODE = {
    Code.CANCELLED: Form(499, _SERVER, "cancelled"),
    Code.INVALID_ARGUMENT: Form(400, _REQUEST),
    Code.DEADLINE_EXCEEDED: Form(504, "timeout_error", "deadline_exceeded"),
    Code.NOT_FOUND: Form(404, _REQUEST),
    Code.ALREADY_EXISTS: Form(409, _REQUEST),
    Code.PERMISSION_DENIED: Form(403, "permission_error"),
    Code.RESOURCE_EXHAUSTED: Form(429, "rate_limit_error", "rate_limit_exceeded"),
    Code.FAILED_PRECONDITION: Form(400, _REQUEST),
    Code.ABORTED: Form(409, _SERVER),
    Code.OUT_OF_RANGE: Form(400, _REQUEST),
    Code.UNIMPLEMENTED: Form(404, _REQUEST, "unknown_url"),
    Code.UNAVAILABLE: Form(503, _SERVER, "unavailable"),
    Code.UNAUTHENTICATED: Form(401, _REQUEST),
}

_OTHERWISE = Form(500, _SERVER, "internal_error")
_PREFIX = "completion."


def form(error: PentadError) -> Form:
    """How an error looks. What has no code of OpenAI's has its reason, in lower case."""
    found = BY_REASON.get(error.reason) or BY_CODE.get(error.code, _OTHERWISE)
    if found.code is None and error.reason != "INVALID_REQUEST":
        return Form(found.status, found.type, error.reason.lower())
    return found


def body(error: PentadError) -> dict[str, Any]:
    """The body: OpenAI's four fields, and beside them the reason and what else is known."""
    looks = form(error)
    return {
        "error": {
            "message": error.message,
            "type": looks.type,
            "param": _param(error),
            "code": looks.code,
            "reason": error.reason,
            "metadata": error.metadata,
        }
    }


def headers(error: PentadError) -> dict[str, str]:
    """Whether and when to try again.

    What the gateway has tried again itself, or cannot be helped by trying again, OpenAI's clients must not
    repeat: they do by default.
    """
    again = error.retry_after is not None and error.metadata.get("attempts", "0") == "0"
    found = {"x-should-retry": "true" if again else "false"}
    if error.retry_after is not None:
        found["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        found["retry-after-ms"] = str(max(1, math.ceil(error.retry_after * 1000)))
    if error.code is Code.UNAUTHENTICATED:
        found["www-authenticate"] = "Bearer"
    return found


def event(error: PentadError, **beside: Any) -> bytes:
    """The error of an answer that has begun, as a server-sent event; no more come after it."""
    return b"data: " + json.dumps(body(error) | beside, separators=(",", ":")).encode() + b"\n\n"


def invalid(param: str, message: str) -> InvalidArgument:
    """The error of a request that has something wrong at `param`, in OpenAI's names."""
    return InvalidArgument("INVALID_REQUEST", f"{param}: {message}", violations=[(param, message)])


def from_validation(error: ValidationError) -> InvalidArgument:
    """The error of a body that is not what it should be; names the first field at fault."""
    found = [
        (_path(item["loc"]), item["msg"]) for item in error.errors(include_url=False, include_input=False)
    ]
    path, message = found[0]
    text = f"{path}: {message}" if path else message
    return InvalidArgument("INVALID_REQUEST", text, violations=found[:20])


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for item in location:
        if isinstance(item, int):
            path += f"[{item}]"
        elif item not in ("str", "bool", "none") and "[" not in item:  # those name a branch of a union
            path += f".{item}" if path else item
    return path


def _param(error: PentadError) -> str | None:
    if not error.violations:
        return None
    path = error.violations[0][0].removeprefix(_PREFIX)
    return path.removeprefix("extras.").removeprefix("sampling.") or None


class HttpErrors(Interceptor):
    """What ends a call, as a PentadError whose code log and metrics know; the door makes an answer of it."""

    @asynccontextmanager
    async def around(self, rpc: Rpc) -> AsyncIterator[None]:
        """Raises PentadErrors and cancellation alone."""
        try:
            yield
        except asyncio.CancelledError:
            rpc.code = Code.CANCELLED
            raise
        except PentadError as error:
            rpc.code = error.code
            raise
        except Exception:
            rpc.code = Code.INTERNAL
            raise unexpected() from None
