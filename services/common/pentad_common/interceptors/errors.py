"""Errors: the one place where exceptions become statuses, for unary calls and in the middle of streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from grpc import aio
from grpc_status import rpc_status

from pentad_common.errors import Code, Internal, PentadError, Unimplemented, to_status
from pentad_common.ids import new_id
from pentad_common.interceptors.chain import Interceptor, Rpc
from pentad_common.telemetry import get_logger

log = get_logger(__name__)

_SOON_SECONDS = 2.0


class Errors(Interceptor):
    """A PentadError keeps its code and reason; any other exception is INTERNAL, with an id that finds it in
    the log.
    """

    @asynccontextmanager
    async def around(self, rpc: Rpc) -> AsyncIterator[None]:
        """Ends the call with a status that carries ErrorInfo, BadRequest and RetryInfo where they belong."""
        try:
            yield
        except aio.AbortError:  # the handler ended the call itself, as the health service does
            rpc.code = Code(_number(rpc.context.code()))
            raise
        except asyncio.CancelledError:
            left = rpc.context.time_remaining()
            rpc.code = Code.CANCELLED if left is None or left > 0 else Code.DEADLINE_EXCEEDED
            raise
        except PentadError as error:
            await _abort(rpc, error)
        except NotImplementedError:
            await _abort(rpc, Unimplemented("METHOD_NOT_IMPLEMENTED", f"{rpc.method} is not implemented yet"))
        except Exception:
            await _abort(rpc, unexpected())


def unexpected() -> Internal:
    """The error that callers see for the exception being handled, which the log has in full."""
    error_id = new_id()
    log.exception("unexpected error", error_id=error_id)
    return Internal(
        "INTERNAL", f"internal error {error_id}; the service's log has the details", error_id=error_id
    )


async def _abort(rpc: Rpc, error: PentadError) -> NoReturn:
    rpc.code = error.code
    if error.code is not Code.INTERNAL:  # not what it says: that may be the caller's words, or a provider's
        log.debug("refused", code=error.code.name, reason=error.reason)
    status = rpc_status.to_status(to_status(error))
    trailing = (*status.trailing_metadata, ("pentad-request-id", rpc.request_id), *_pushback(error))
    await rpc.context.abort(status.code, status.details, trailing)
    raise AssertionError("abort raises")


def _pushback(error: PentadError) -> list[tuple[str, str]]:
    """What stops gRPC's clients from repeating an UNAVAILABLE that is an answer and no lost connection.

    They may, after its `retry_after`, if that is short; else it is for the caller to decide.
    """
    if error.code is not Code.UNAVAILABLE:
        return []
    wait = error.retry_after
    milliseconds = -1 if wait is None or wait > _SOON_SECONDS else round(wait * 1000)
    return [("grpc-retry-pushback-ms", str(milliseconds))]


def _number(code: Any) -> int:
    """gRPC's code, which is a number or an enum with one, as a number."""
    value = getattr(code, "value", code)
    return int(value[0] if isinstance(value, tuple) else value)
