"""The exceptions of the providers' SDKs, read into `UpstreamError`.

Both SDKs are made by the same generator: their classes have the same names and attributes. So this reads
those instead of importing either SDK.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

from pentad_common.errors import PentadError, error_for_code
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.errors import (
    AUTHENTICATION,
    FILTERED,
    TIMEOUT,
    UNAVAILABLE,
    Kind,
    UpstreamError,
    classify,
)

log = get_logger(__name__)

_BY_CLASS = {
    "ContentFilterFinishReasonError": FILTERED,
    "CredentialsError": AUTHENTICATION,
    "RetryableError": UNAVAILABLE,
    "SubjectTokenProviderError": AUTHENTICATION,
    "WebSocketConnectionClosedError": UNAVAILABLE,
    "WebSocketQueueFullError": UNAVAILABLE,
    "WorkloadIdentityError": AUTHENTICATION,
}
"""What the SDKs raise that is no APIError."""


@contextmanager
def translated(provider: str) -> Iterator[None]:
    """Within the block, what an SDK raises comes out as a PentadError."""
    try:
        yield
    except PentadError:
        raise
    except Exception as error:
        raise translate(provider, error) from None


def translate(provider: str, error: Exception) -> PentadError:
    """The PentadError of an exception that an SDK raised, or that its answer's shape led to."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"APITimeoutError", "TimeoutException"}:
        return _transport(provider, TIMEOUT, error)
    if names & {"APIConnectionError", "TransportError"}:
        return _transport(provider, UNAVAILABLE, error)
    if names & {"APIResponseValidationError"}:
        return classify(UpstreamError(provider, codes=(type(error).__name__,)))
    if names & {"APIError"}:
        return classify(read_api_error(provider, error))
    if kind := next((_BY_CLASS[name] for name in names if name in _BY_CLASS), None):
        return _without_answer(provider, kind, error)
    log.warning("answer not understood", provider=provider, error=type(error).__name__, at=_place(error))
    return classify(UpstreamError(provider, codes=(type(error).__name__,)))


def read_api_error(provider: str, error: Any) -> UpstreamError:
    """What an SDK's APIError says."""
    body = _mapping(error.body)
    inner = _mapping(body.get("error")) or body
    details = _mapping(inner.get("details"))
    codes = [details.get("error_code"), inner.get("code"), inner.get("type")]
    response = getattr(error, "response", None)
    headers = response.headers if response is not None else {}
    return UpstreamError(
        provider=provider,
        status=getattr(error, "status_code", None),
        codes=tuple(code for code in codes if isinstance(code, str) and code),
        message=str(inner.get("message") or "") or (str(error.message) if not body else ""),
        request_id=headers.get("x-request-id") or headers.get("request-id") or "",
        retry_after=read_retry_after(headers),
        should_retry={"true": True, "false": False}.get(headers.get("x-should-retry", "")),
        detail=inner,
    )


def _place(error: Exception) -> str:
    """Where it was raised. Not what it says: that may be the model's words."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds or a date); None if it says
    neither."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds:
            return max(0.0, float(milliseconds) / 1000)
        return max(0.0, float(value)) if value else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value or "").timestamp() - time.time())
    except ValueError:
        return None


def _without_answer(provider: str, kind: Kind, error: Exception) -> PentadError:
    """An SDK's error that is no answer of the provider's. Its words may have a path or a key in them."""
    message = kind.advice.format(provider=provider)
    metadata = {"class": kind.name, "provider": provider, "provider_code": type(error).__name__}
    return error_for_code(kind.code, kind.reason, message, metadata, 1.0 if kind.retryable else None)


def _transport(provider: str, kind: Kind, error: Exception) -> PentadError:
    """Nothing was answered, or the answer broke off."""
    cause = type(error.__cause__ or error).__name__
    message = kind.advice.format(provider=provider) + f" ({cause})"
    return error_for_code(
        kind.code,
        kind.reason,
        message,
        {"class": kind.name, "provider": provider, "provider_code": cause},
        1.0,
    )
