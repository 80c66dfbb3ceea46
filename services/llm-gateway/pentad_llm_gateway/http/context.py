"""An HTTP request as the interceptors see it, so that both doors do the same around a call."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from pentad_common.interceptors.chain import Rpc

TIMEOUT = "pentad-timeout"
"""The header with the seconds that a caller waits for the whole answer: HTTP has none of its own."""

_SERVICE = "/pentad.llm.v1.LlmGatewayService/"


class HttpContext:
    """The part of gRPC's context that interceptors use."""

    def __init__(self, request: web.BaseRequest, seconds: float | None) -> None:
        self._peer = f"http:{request.remote}"
        self._until = None if seconds is None else time.monotonic() + seconds

    def peer(self) -> str:
        """Who calls."""
        return self._peer

    def time_remaining(self) -> float | None:
        """Seconds that the caller still waits; None if it has not said."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def set_trailing_metadata(self, _pairs: Any) -> None:
        """Does nothing: the request's id is a header of the answer."""


def as_rpc(request: web.BaseRequest, method: str) -> Rpc:
    """The request as a call of `method` of the gateway's contract: its roles are those that may call it.

    All are streams to the interceptors, so that the end of a key ends them.
    """
    metadata = {name.lower(): value for name, value in request.headers.items()}
    metadata.setdefault("pentad-request-id", metadata.get("x-request-id", ""))
    context = HttpContext(request, _seconds(metadata.get(TIMEOUT, "")))
    return Rpc(f"{_SERVICE}{method}", True, True, context, metadata)


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 < seconds < 86_400 else None


RPC = web.RequestKey("pentad_rpc", Rpc)
STREAM = web.RequestKey("pentad_stream", web.StreamResponse)
"""The answer that has begun: an error can only be its last event."""


def request_id(request: web.Request) -> str:
    """The request's id: the caller's own, or a new one."""
    return request[RPC].request_id
