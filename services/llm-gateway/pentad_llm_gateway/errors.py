"""What went wrong upstream, in the one taxonomy that callers see.

`UpstreamError` is what a provider said, whatever its dialect; `classify` makes of it a PentadError with a
reason of the contract. An error that may be retried, here or by the caller, has `retry_after`; no other has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pentad_common.errors import Code, PentadError, error_for_code
from pentad_common.telemetry import redact

_MOST_CHARACTERS = 400
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class UpstreamError:
    """A provider's refusal. `status` is HTTP's, None where there was no answer; `codes` are the provider's
    own words for it, the most exact first; `detail` has figures that came with it."""

    provider: str
    status: int | None = None
    codes: tuple[str, ...] = ()
    message: str = ""
    request_id: str = ""
    retry_after: float | None = None
    should_retry: bool | None = None
    """What the provider itself says about trying again, if it does."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """One class of errors, as callers see it."""

    reason: str
    code: Code
    retryable: bool
    advice: str


RATE_LIMITED = Kind("RATE_LIMITED", Code.RESOURCE_EXHAUSTED, True, "{provider} limits the rate of calls")
BUDGET = Kind(
    "BUDGET_EXCEEDED", Code.RESOURCE_EXHAUSTED, False, "the account at {provider} has no budget left"
)
CONTEXT = Kind(
    "CONTEXT_WINDOW_EXCEEDED",
    Code.INVALID_ARGUMENT,
    False,
    "the input is longer than the model's context window",
)
INVALID = Kind("INVALID_REQUEST", Code.INVALID_ARGUMENT, False, "{provider} refused the request")
FILTERED = Kind(
    "CONTENT_FILTERED", Code.FAILED_PRECONDITION, False, "{provider}'s content policy refused the request"
)
AUTHENTICATION = Kind(
    "PROVIDER_AUTHENTICATION",
    Code.FAILED_PRECONDITION,
    False,
    "{provider} does not accept the gateway's API key; whoever runs the gateway has to set a valid one",
)
PERMISSION = Kind(
    "PROVIDER_PERMISSION", Code.PERMISSION_DENIED, False, "the gateway's key at {provider} may not do this"
)
NOT_FOUND = Kind(
    "MODEL_NOT_FOUND",
    Code.NOT_FOUND,
    False,
    "{provider} has no such model; `pentad llm models` shows what there is",
)
TIMEOUT = Kind("PROVIDER_TIMEOUT", Code.DEADLINE_EXCEEDED, True, "{provider} took too long")
UNAVAILABLE = Kind(
    "PROVIDER_UNAVAILABLE", Code.UNAVAILABLE, True, "{provider} cannot be reached or is overloaded"
)
FAULT = Kind(
    "PROVIDER_ERROR", Code.INTERNAL, False, "{provider} answered something that cannot be understood"
)

CIRCUIT_OPEN = "circuit_open"
"""The `provider_code` of a model that was not asked."""

BY_CODE: Mapping[str, Kind] = {
    # OpenAI and those who speak its protocol
    "rate_limit_exceeded": RATE_LIMITED,
    "requests": RATE_LIMITED,
    "tokens": RATE_LIMITED,
    "slow_down": RATE_LIMITED,
    "insufficient_quota": BUDGET,
    "billing_hard_limit_reached": BUDGET,
    "billing_not_active": BUDGET,
    "context_length_exceeded": CONTEXT,
    "string_above_max_length": CONTEXT,
    "content_filter": FILTERED,
    "content_policy_violation": FILTERED,
    "moderation_blocked": FILTERED,
    "invalid_api_key": AUTHENTICATION,
    "account_deactivated": AUTHENTICATION,
    "invalid_authentication": AUTHENTICATION,
    "unsupported_country_region_territory": PERMISSION,
    "insufficient_permissions": PERMISSION,
    "model_not_found": NOT_FOUND,
    "deployment_not_found": NOT_FOUND,
    "DeploymentNotFound": NOT_FOUND,
    "model_overloaded": UNAVAILABLE,
    "engine_overloaded": UNAVAILABLE,
    "service_unavailable": UNAVAILABLE,
    "server_is_overloaded": UNAVAILABLE,
    "server_error": UNAVAILABLE,
    "internal_server_error": UNAVAILABLE,
    # llama.cpp
    "exceed_context_size_error": CONTEXT,
    "unavailable_error": UNAVAILABLE,
    "not_supported_error": INVALID,
    # Anthropic
    "authentication_error": AUTHENTICATION,
    "billing_error": BUDGET,
    "permission_error": PERMISSION,
    "not_found_error": NOT_FOUND,
    "request_too_large": INVALID,
    "rate_limit_error": RATE_LIMITED,
    "api_error": UNAVAILABLE,
    "timeout_error": TIMEOUT,
    "overloaded_error": UNAVAILABLE,
    # Both, and too vague to go before the message: see `_kind`
    "invalid_request_error": INVALID,
}

BY_STATUS: Mapping[int, Kind] = {
    400: INVALID,
    401: AUTHENTICATION,
    402: BUDGET,
    403: PERMISSION,
    404: NOT_FOUND,
    408: TIMEOUT,
    409: UNAVAILABLE,
    413: INVALID,
    422: INVALID,
    425: UNAVAILABLE,
    429: RATE_LIMITED,
    499: UNAVAILABLE,
    501: FAULT,
    504: TIMEOUT,
    524: TIMEOUT,
    529: UNAVAILABLE,
}

_VAGUE = {"invalid_request_error", "BadRequestError"}

# Providers that have no code for it say it in these words only.
_CONTEXT_WORDS = re.compile(
    r"prompt is too long|maximum context length|"
    r"exceeds? the (available |model's )?(context|maximum) (size|length|window)|"
    r"context (length|window) (is )?exceeded|input is too long|too many (input )?tokens",
    re.I,
)
_FILTER_WORDS = re.compile(r"content (filter(ing)?|management|policy)|blocked by .*polic", re.I)
_QUOTA_WORDS = re.compile(r"credit balance is too low|exceeded your current quota", re.I)
_COUNTS = re.compile(r"(\d{3,}) tokens? > (\d{3,})|\((\d{3,}) tokens\).*\((\d{3,}) tokens\)")


def classify(error: UpstreamError) -> PentadError:
    """The error that callers see, with `provider`, `provider_code` and `provider_request_id` in its
    metadata."""
    kind = _kind(error)
    metadata: dict[str, object] = {"provider": error.provider}
    if error.codes:
        metadata["provider_code"] = error.codes[0]
    elif error.status:
        metadata["provider_code"] = error.status
    if error.request_id:
        metadata["provider_request_id"] = error.request_id
    if error.retry_after is not None:
        metadata["retry_after_seconds"] = f"{error.retry_after:g}"
    if kind is CONTEXT:
        metadata |= _token_counts(error)
    return error_for_code(
        kind.code, kind.reason, _message(kind, error), metadata, _retry_after(kind, error), _violations(kind)
    )


def upstream_timeout(provider: str, phase: str, seconds: float, *, retryable: bool = True) -> PentadError:
    """The error of a call whose `phase` took more than `seconds`."""
    return error_for_code(
        TIMEOUT.code,
        TIMEOUT.reason,
        f"{provider} took too long: {phase} took more than {seconds:g} s",
        {"provider": provider, "phase": phase.replace(" ", "_"), "seconds": f"{seconds:g}"},
        _RETRY_SECONDS if retryable else None,
    )


def circuit_open(provider: str, model: str, reason: str, seconds: float) -> PentadError:
    """The error of a call that was not made, because the model failed too often of late with `reason`."""
    kind = {kind.reason: kind for kind in (RATE_LIMITED, AUTHENTICATION, BUDGET)}.get(reason, UNAVAILABLE)
    return error_for_code(
        kind.code,
        kind.reason,
        f"{provider}/{model} is not asked for another {seconds:.1f} s, because it failed: {reason}",
        {"provider": provider, "provider_code": CIRCUIT_OPEN, "opened_by": reason},
        seconds,
    )


def cut_short(provider: str) -> PentadError:
    """The error of an answer whose stream ended before its end."""
    return error_for_code(
        UNAVAILABLE.code,
        UNAVAILABLE.reason,
        f"{provider} ended its answer before it was complete",
        {"provider": provider, "provider_code": "stream_cut"},
        _RETRY_SECONDS,
    )


def invalid_request(provider: str, message: str, field_path: str) -> PentadError:
    """The error of a request that the gateway can tell not to fit the model."""
    return error_for_code(
        INVALID.code, INVALID.reason, message, {"provider": provider}, None, [(field_path, message)]
    )


def _kind(error: UpstreamError) -> Kind:
    exact = [BY_CODE[code] for code in error.codes if code in BY_CODE and code not in _VAGUE]
    refusal = error.status in (None, 200, 400, 413, 422)
    if exact and not (refusal and exact[0] is INVALID):
        return exact[0]
    if refusal and _CONTEXT_WORDS.search(error.message):
        return CONTEXT
    if refusal and _FILTER_WORDS.search(error.message):
        return FILTERED
    if (refusal or error.status == 429) and _QUOTA_WORDS.search(error.message):
        return BUDGET
    if any(code in _VAGUE for code in error.codes) and error.status in (None, 200):
        return INVALID
    return _by_status(error.status)


def _by_status(status: int | None) -> Kind:
    if status is None or status < 400:
        return FAULT
    return BY_STATUS.get(status, INVALID if status < 500 else UNAVAILABLE)


def _message(kind: Kind, error: UpstreamError) -> str:
    advice = kind.advice.format(provider=error.provider)
    if kind is AUTHENTICATION or not error.message:  # a provider may repeat a part of the key
        return advice
    said = redact(" ".join(error.message.split()))
    return f"{advice}: {said[:_MOST_CHARACTERS]}{'…' if len(said) > _MOST_CHARACTERS else ''}"


def _retry_after(kind: Kind, error: UpstreamError) -> float | None:
    if error.should_retry is False or not (kind.retryable or error.should_retry):
        return None
    return _RETRY_SECONDS if error.retry_after is None else error.retry_after


def _violations(kind: Kind) -> list[tuple[str, str]]:
    return [("completion.messages", "is longer than the model's context window")] if kind is CONTEXT else []


def _token_counts(error: UpstreamError) -> dict[str, object]:
    asked, window = error.detail.get("n_prompt_tokens"), error.detail.get("n_ctx")
    if asked is None and (found := _COUNTS.search(error.message)):
        asked, window = found[1] or found[3], found[2] or found[4]
    counts = {"input_tokens": asked, "context_window": window}
    return {name: value for name, value in counts.items() if value is not None}
