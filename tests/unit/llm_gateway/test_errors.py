"""The taxonomy: what providers say, and what callers see."""

from __future__ import annotations

import pytest

from pentad_common.errors import Code
from pentad_llm_gateway.errors import BY_CODE, BY_STATUS, UpstreamError, classify
from pentad_llm_gateway.providers.sdk_errors import read_retry_after

REASONS = {
    "RATE_LIMITED": Code.RESOURCE_EXHAUSTED,
    "BUDGET_EXCEEDED": Code.RESOURCE_EXHAUSTED,
    "CONTEXT_WINDOW_EXCEEDED": Code.INVALID_ARGUMENT,
    "INVALID_REQUEST": Code.INVALID_ARGUMENT,
    "CONTENT_FILTERED": Code.FAILED_PRECONDITION,
    "PROVIDER_AUTHENTICATION": Code.FAILED_PRECONDITION,
    "PROVIDER_PERMISSION": Code.PERMISSION_DENIED,
    "MODEL_NOT_FOUND": Code.NOT_FOUND,
    "PROVIDER_TIMEOUT": Code.DEADLINE_EXCEEDED,
    "PROVIDER_UNAVAILABLE": Code.UNAVAILABLE,
    "CANCELLED": Code.CANCELLED,
    "PROVIDER_ERROR": Code.INTERNAL,
}
RETRYABLE = {"RATE_LIMITED", "PROVIDER_TIMEOUT", "PROVIDER_UNAVAILABLE"}

# (status, the provider's codes, its message, reason)
SAID = [
    # OpenAI
    (400, ("context_length_exceeded", "invalid_request_error"), "too long", "CONTEXT_WINDOW_EXCEEDED"),
    (400, ("content_filter",), "", "CONTENT_FILTERED"),
    (400, ("content_policy_violation", "invalid_request_error"), "", "CONTENT_FILTERED"),
    (400, ("invalid_request_error",), "Unsupported parameter", "INVALID_REQUEST"),
    (401, ("invalid_api_key", "invalid_request_error"), "", "PROVIDER_AUTHENTICATION"),
    (403, ("unsupported_country_region_territory",), "", "PROVIDER_PERMISSION"),
    (404, ("model_not_found", "invalid_request_error"), "", "MODEL_NOT_FOUND"),
    (429, ("rate_limit_exceeded", "tokens"), "", "RATE_LIMITED"),
    (429, ("insufficient_quota", "insufficient_quota"), "", "BUDGET_EXCEEDED"),
    (429, (), "You exceeded your current quota, please check your plan", "BUDGET_EXCEEDED"),
    (429, (), "slow", "RATE_LIMITED"),
    (500, ("server_error",), "", "PROVIDER_UNAVAILABLE"),
    (503, ("engine_overloaded",), "", "PROVIDER_UNAVAILABLE"),
    (None, ("server_error",), "in the stream", "PROVIDER_UNAVAILABLE"),
    # vLLM, Ollama, llama.cpp
    (
        400,
        ("BadRequestError",),
        "This model's maximum context length is 4096 tokens",
        "CONTEXT_WINDOW_EXCEEDED",
    ),
    (400, ("exceed_context_size_error",), "", "CONTEXT_WINDOW_EXCEEDED"),
    (503, ("unavailable_error",), "Loading model", "PROVIDER_UNAVAILABLE"),
    (400, (), "The response was filtered by Azure's content management policy", "CONTENT_FILTERED"),
    # Anthropic
    (
        400,
        ("invalid_request_error",),
        "prompt is too long: 210000 tokens > 200000 maximum",
        "CONTEXT_WINDOW_EXCEEDED",
    ),
    (400, ("invalid_request_error",), "Your credit balance is too low", "BUDGET_EXCEEDED"),
    (400, ("invalid_request_error",), "Output blocked by content filtering policy", "CONTENT_FILTERED"),
    (401, ("authentication_error",), "", "PROVIDER_AUTHENTICATION"),
    (402, ("billing_error",), "", "BUDGET_EXCEEDED"),
    (403, ("permission_error",), "", "PROVIDER_PERMISSION"),
    (404, ("not_found_error",), "", "MODEL_NOT_FOUND"),
    (413, ("request_too_large",), "", "INVALID_REQUEST"),
    (429, ("rate_limit_error",), "", "RATE_LIMITED"),
    (500, ("api_error",), "", "PROVIDER_UNAVAILABLE"),
    (504, ("timeout_error",), "", "PROVIDER_TIMEOUT"),
    (529, ("overloaded_error",), "", "PROVIDER_UNAVAILABLE"),
    (200, ("overloaded_error",), "in the stream", "PROVIDER_UNAVAILABLE"),
    (200, ("invalid_request_error",), "in the stream", "INVALID_REQUEST"),
    # nobody's
    (418, (), "", "INVALID_REQUEST"),
    (502, (), "<html>", "PROVIDER_UNAVAILABLE"),
    (520, (), "", "PROVIDER_UNAVAILABLE"),
    (None, ("JSONDecodeError",), "", "PROVIDER_ERROR"),
    (200, (), "", "PROVIDER_ERROR"),
]


@pytest.mark.parametrize(("status", "codes", "message", "reason"), SAID)
def test_said(status: int | None, codes: tuple[str, ...], message: str, reason: str) -> None:
    """Each thing a provider says has one reason, with its code and whether to try again."""
    error = classify(UpstreamError("openai", status, codes, message, "req_9"))
    assert (error.reason, error.code) == (reason, REASONS[reason])
    assert (error.retry_after is not None) == (reason in RETRYABLE)
    assert error.metadata["provider"] == "openai"
    assert error.metadata["provider_request_id"] == "req_9"
    if codes or status:
        assert error.metadata["provider_code"] == (codes[0] if codes else str(status))


def test_every_kind_is_in_the_contract() -> None:
    """Codes and statuses lead only to reasons that the contract names."""
    for kind in {*BY_CODE.values(), *BY_STATUS.values()}:
        assert kind.code is REASONS[kind.reason]
        assert kind.retryable == (kind.reason in RETRYABLE)


def test_every_status_has_a_reason() -> None:
    """No status of an error is without a reason, and those of servers are never the caller's fault."""
    for status in range(400, 600):
        error = classify(UpstreamError("openai", status))
        assert error.reason in REASONS
        callers_fault = error.code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.PERMISSION_DENIED)
        assert not (status >= 500 and callers_fault)


def test_counts_of_a_long_input() -> None:
    """The counts that came with a refusal of a long input are in the metadata, from figures or from words."""
    told = UpstreamError(
        "local", 400, ("exceed_context_size_error",), detail={"n_prompt_tokens": 50, "n_ctx": 40}
    )
    said = UpstreamError("anthropic", 400, (), "prompt is too long: 210000 tokens > 200000 maximum")
    for error, tokens, window in ((told, "50", "40"), (said, "210000", "200000")):
        metadata = classify(error).metadata
        assert (metadata["input_tokens"], metadata["context_window"]) == (tokens, window)


def test_the_providers_word_on_retries_counts() -> None:
    """`x-should-retry` overrules the class, and Retry-After the usual wait."""
    assert classify(UpstreamError("openai", 503, should_retry=False)).retry_after is None
    assert classify(UpstreamError("openai", 400, should_retry=True)).retry_after is not None
    assert classify(UpstreamError("openai", 429, retry_after=17)).retry_after == 17


def test_keys_do_not_come_back() -> None:
    """A provider that repeats a key in its message is not repeated to the caller."""
    said = "Incorrect API key provided: sk-abcdefghijkl. You can find it…"
    assert "abcdefghijkl" not in classify(UpstreamError("openai", 401, (), said)).message
    assert "abcdefghijkl" not in classify(UpstreamError("openai", 400, (), said)).message
    assert len(classify(UpstreamError("openai", 400, (), "x" * 5000)).message) < 600


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-1"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Retry-After is seconds, a date, or milliseconds in OpenAI's own header; nonsense is nothing."""
    assert read_retry_after(headers) == seconds
