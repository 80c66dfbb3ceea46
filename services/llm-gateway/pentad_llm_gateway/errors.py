"""What went wrong upstream, in the one taxonomy that callers see.

`UpstreamError` is what a provider said, whatever its dialect; `classify` makes of it a PentadError with a
reason of the contract. An error that may be retried, here or by the caller, has `retry_after`; no other has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    """One class of errors, as callers see it. `name` is the class, `reason` what ErrorInfo says."""

    name: str
    reason: str
    code: Code
    retryable: bool
    advice: str


RATE_LIMITED = Kind(
    "rate_limited", "RATE_LIMITED", Code.RESOURCE_EXHAUSTED, True, "{provider} limits the rate of calls"
)
BUDGET = Kind(
    "budget_exceeded",
    "BUDGET_EXCEEDED",
    Code.RESOURCE_EXHAUSTED,
    False,
    "the account at {provider} has no budget left",
)
CONTEXT = Kind(
    "context_window_exceeded",
    "CONTEXT_WINDOW_EXCEEDED",
    Code.INVALID_ARGUMENT,
    False,
    "the input is longer than the model's context window",
)
INVALID = Kind(
    "invalid_request", "INVALID_REQUEST", Code.INVALID_ARGUMENT, False, "{provider} refused the request"
)
FILTERED = Kind(
    "content_filtered",
    "CONTENT_FILTERED",
    Code.FAILED_PRECONDITION,
    False,
    "{provider}'s content policy refused the request",
)
AUTHENTICATION = Kind(
    "authentication",
    "PROVIDER_AUTHENTICATION",
    Code.FAILED_PRECONDITION,
    False,
    "{provider} does not accept the gateway's API key; whoever runs the gateway has to set a valid one",
)
PERMISSION = Kind(
    "permission",
    "PROVIDER_PERMISSION",
    Code.PERMISSION_DENIED,
    False,
    "the gateway's key at {provider} may not do this",
)
NOT_FOUND = Kind(
    "not_found",
    "MODEL_NOT_FOUND",
    Code.NOT_FOUND,
    False,
    "{provider} has no such model; `pentad llm models` shows what there is",
)
TIMEOUT = Kind("timeout", "PROVIDER_TIMEOUT", Code.DEADLINE_EXCEEDED, True, "{provider} took too long")
UNAVAILABLE = Kind(
    "unavailable",
    "PROVIDER_UNAVAILABLE",
    Code.UNAVAILABLE,
    True,
    "{provider} cannot be reached or is overloaded",
)
CANCELLED = Kind(
    "cancelled", "CANCELLED", Code.CANCELLED, False, "{provider} says that the call was cancelled"
)
FAULT = Kind(
    "internal",
    "PROVIDER_ERROR",
    Code.INTERNAL,
    False,
    "{provider} answered something that cannot be understood",
)

KINDS = (
    RATE_LIMITED,
    BUDGET,
    CONTEXT,
    INVALID,
    FILTERED,
    AUTHENTICATION,
    PERMISSION,
    NOT_FOUND,
    TIMEOUT,
    UNAVAILABLE,
    CANCELLED,
    FAULT,
)
"""The whole taxonomy."""

_BY_REASON = {kind.reason: kind for kind in KINDS}
_OF_CODE = {
    Code.CANCELLED: CANCELLED,
    Code.DEADLINE_EXCEEDED: TIMEOUT,
    Code.INVALID_ARGUMENT: INVALID,
    Code.NOT_FOUND: NOT_FOUND,
    Code.PERMISSION_DENIED: PERMISSION,
    Code.RESOURCE_EXHAUSTED: RATE_LIMITED,
    Code.UNAUTHENTICATED: AUTHENTICATION,
    Code.UNAVAILABLE: UNAVAILABLE,
}


@contextmanager
def classified() -> Iterator[None]:
    """Within the block every error gets its class of the taxonomy into its metadata, whichever part of the
    gateway raised it."""
    try:
        yield
    except PentadError as error:
        kind = _BY_REASON.get(error.reason) or _OF_CODE.get(error.code, FAULT)
        error.metadata.setdefault("class", kind.name)
        raise


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
    "data_residency_mismatch": PERMISSION,
    "vector_store_timeout": TIMEOUT,
    "empty_image_file": INVALID,
    "failed_to_download_image": INVALID,
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
    "contract_spend_limit_reached": BUDGET,
    "enforced_spend_limit_reached": BUDGET,
    "linked_organization_billing_unavailable": BUDGET,
    "linked_organization_spend_limit_reached": BUDGET,
    "ramp_limit_exceeded": RATE_LIMITED,
    "organization_on_hold": PERMISSION,
    "organization_not_enrolled_in_beta": PERMISSION,
    "organization_type_not_supported": PERMISSION,
    "parent_organization_required": PERMISSION,
    "workspace_policy_violation": PERMISSION,
    "cmek_key_disabled": PERMISSION,
    "cmek_key_network_blocked": PERMISSION,
    "request_body_timeout": TIMEOUT,
    "conflict_error": UNAVAILABLE,
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
    499: CANCELLED,
    501: FAULT,
    504: TIMEOUT,
    524: TIMEOUT,
    529: UNAVAILABLE,
}

_VAGUE = {"invalid_request_error", "BadRequestError"}

_POLICIES = ("_policy_violation", "bio_policy", "cyber_policy")
_ABOUT_THE_REQUEST = ("invalid_", "image_", "unsupported_")

# Providers that have no code for it say it in these words only.
_CONTEXT_WORDS = re.compile(
    r"prompt is too long|maximum context length|longer than the maximum model length|"
    r"exceeds? the (available |model's )?(context|maximum) (size|length|window)|exceeds? context limit|"
    r"exceeds the maximum number of (input )?tokens|reduce the length of the (messages|prompt|input)|"
    r"`inputs` tokens \+ `max_new_tokens`|"
    r"context (length|window) (is )?exceeded|input is too long|too many (input )?tokens",
    re.I,
)
_FILTER_WORDS = re.compile(
    r"content (filter(ing)?|management|policy)|blocked by .*polic|flagged as (potentially )?violating", re.I
)
_QUOTA_WORDS = re.compile(r"credit balance is too low|exceeded your current quota", re.I)
_COUNTS = re.compile(r"(\d{3,}) tokens? > (\d{3,})|\((\d{3,}) tokens\).*\((\d{3,}) tokens\)")


def classify(error: UpstreamError) -> PentadError:
    """The error that callers see, with `provider`, `provider_code` and `provider_request_id` in its
    metadata."""
    kind = _kind(error)
    metadata: dict[str, object] = {"class": kind.name, "provider": error.provider}
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
        {
            "class": TIMEOUT.name,
            "provider": provider,
            "phase": phase.replace(" ", "_"),
            "seconds": f"{seconds:g}",
        },
        _RETRY_SECONDS if retryable else None,
    )


def circuit_open(provider: str, model: str, reason: str, seconds: float) -> PentadError:
    """The error of a call that was not made, because the model failed too often of late with `reason`."""
    told = {kind.reason: kind for kind in (RATE_LIMITED, AUTHENTICATION, BUDGET)}
    kind = told.get(reason, UNAVAILABLE)
    return error_for_code(
        kind.code,
        kind.reason,
        f"{provider}/{model} is not asked for another {seconds:.1f} s, because it failed: {reason}",
        {
            "class": kind.name,
            "provider": provider,
            "provider_code": CIRCUIT_OPEN,
            "opened_by": reason,
            "retry_after_seconds": f"{seconds:.3f}",
        },
        seconds,
    )


def cut_short(provider: str) -> PentadError:
    """The error of an answer whose stream ended before its end."""
    return error_for_code(
        UNAVAILABLE.code,
        UNAVAILABLE.reason,
        f"{provider} ended its answer before it was complete",
        {"class": UNAVAILABLE.name, "provider": provider, "provider_code": "stream_cut"},
        _RETRY_SECONDS,
    )


def invalid_request(provider: str, message: str, field_path: str) -> PentadError:
    """The error of a request that the gateway can tell not to fit the model."""
    return error_for_code(
        INVALID.code,
        INVALID.reason,
        message,
        {"class": INVALID.name, "provider": provider},
        None,
        [(field_path, message)],
    )


def _kind(error: UpstreamError) -> Kind:
    exact = [BY_CODE[code] for code in error.codes if code in BY_CODE and code not in _VAGUE]
    if not exact and any(code.endswith(_POLICIES) for code in error.codes):
        return FILTERED
    refusal = error.status in (None, 200, 400, 413, 422)
    if exact and not (refusal and exact[0] is INVALID):
        return exact[0]
    if refusal and _CONTEXT_WORDS.search(error.message):
        return CONTEXT
    if refusal and _FILTER_WORDS.search(error.message):
        return FILTERED
    if (refusal or error.status == 429) and _QUOTA_WORDS.search(error.message):
        return BUDGET
    in_stream = error.status in (None, 200)
    if in_stream and (
        exact or any(code in _VAGUE or code.startswith(_ABOUT_THE_REQUEST) for code in error.codes)
    ):
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
