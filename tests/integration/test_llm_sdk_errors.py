"""Every exception of both SDKs, raised by the SDK itself where an answer can make it; what callers see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic import _error_classes
from httpx2 import Request, Response

from pentad_common.errors import Code, PentadError
from pentad_llm_gateway.catalog import ProviderEntry, TimeLimitsEntry
from pentad_llm_gateway.completion import Completion, Message, Text
from pentad_llm_gateway.errors import KINDS
from pentad_llm_gateway.providers.anthropic import AnthropicProvider
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.providers.openai import OpenAIProvider
from pentad_llm_gateway.providers.sdk_errors import translate
from pentad_llm_gateway.settings import GatewaySettings
from tests.fixtures.sdk_errors import EXPECTED, exceptions
from tests.fixtures.upstream import Behaviour, Cut, ErrorEvent, Garbage, Hang, Status, Upstream

HI = Completion("", (Message("user", (Text("hi"),)),))
BASES: dict[str, type[BaseException]] = {
    "openai": openai.OpenAIError,
    "anthropic": anthropic.AnthropicError,
}
CODES = {kind.name: kind for kind in KINDS}
OPENAI_STATUSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "APIStatusError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    418: "APIStatusError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
}


@pytest.fixture
async def providers(upstream: Upstream, no_provider_keys: None) -> AsyncIterator[dict[str, Provider]]:
    """Both providers, with their real SDKs, at the upstream."""
    settings = GatewaySettings(
        database_url="sqlite:///x",
        openai_api_key="k",
        openai_base_url=f"{upstream.url}/v1",
        anthropic_api_key="k",
        anthropic_base_url=upstream.url,
    )
    entry = ProviderEntry(time_limits=TimeLimitsEntry(total=0.01))
    made: dict[str, Provider] = {
        "openai": OpenAIProvider("openai", settings, entry),
        "anthropic": AnthropicProvider("anthropic", settings, entry),
    }
    yield made
    for provider in made.values():
        await provider.close()


async def said(provider: Provider, upstream: Upstream, behaviour: Behaviour) -> PentadError:
    """What a caller sees; its context is what the SDK raised."""
    upstream.will(behaviour)
    with pytest.raises(PentadError) as caught:
        await provider.invoke("m", HI)
    return caught.value


def check(error: PentadError, kind: str, provider: str) -> None:
    """The error is of that class of the taxonomy, and complete."""
    told = CODES[kind]
    assert (error.metadata["class"], error.reason, error.code) == (kind, told.reason, told.code)
    assert (error.retry_after is not None) == told.retryable
    assert error.metadata["provider"] == provider
    assert error.metadata["provider_code"]


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_no_exception_is_unknown(sdk: str) -> None:
    """The tables name all exceptions that the SDK has, and no others: a new one has to be thought about."""
    found = {kind.__name__ for kind in exceptions(sdk, BASES[sdk])}
    assert found == set(EXPECTED[sdk])


@pytest.mark.parametrize("status", OPENAI_STATUSES)
async def test_openais_statuses(upstream: Upstream, providers: dict[str, Provider], status: int) -> None:
    """Each status makes OpenAI's SDK raise its exception, and callers see its class, code and request id."""
    body = {"error": {"message": "no", "type": "some_error", "code": "some_code"}}
    error = await said(providers["openai"], upstream, Status(status, body, {"x-request-id": "req_7"}))
    raised = type(error.__context__).__name__
    assert raised == OPENAI_STATUSES[status]
    check(error, "budget_exceeded" if status == 402 else EXPECTED["openai"][raised], "openai")
    assert error.metadata["provider_code"] == "some_code"
    assert error.metadata["provider_request_id"] == "req_7"


@pytest.mark.parametrize(
    ("status", "code"), _error_classes.ERROR_CLASSES, ids=lambda value: str(value or "plain")
)
async def test_anthropics_exceptions(
    upstream: Upstream, providers: dict[str, Provider], status: int, code: str | None
) -> None:
    """Each status and error code that Anthropic's SDK knows makes it raise its exception; callers see its
    class, code and request id."""
    details = {"details": {"error_code": code}} if code else {}
    body = {"type": "error", "error": {"type": "some_error", "message": "no"} | details}
    error = await said(providers["anthropic"], upstream, Status(status, body, {"request-id": "req_7"}))
    kind = _error_classes.ERROR_CLASSES[status, code]
    assert type(error.__context__) is kind
    check(error, EXPECTED["anthropic"][kind.__name__], "anthropic")
    assert error.metadata["provider_code"] == (code or "some_error")
    assert error.metadata["provider_request_id"] == "req_7"


ANTHROPIC_TYPES = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication",
    "billing_error": "budget_exceeded",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "rate_limit_error": "rate_limited",
    "timeout_error": "timeout",
    "api_error": "unavailable",
    "overloaded_error": "unavailable",
    "conflict_error": "unavailable",
    "memory_precondition_failed_error": "internal",
    "memory_path_conflict_error": "internal",
}
OPENAI_CODES = {
    "server_error": "unavailable",
    "rate_limit_exceeded": "rate_limited",
    "insufficient_quota": "budget_exceeded",
    "context_length_exceeded": "context_window_exceeded",
    "content_filter": "content_filtered",
    "invalid_prompt": "invalid_request",
    "data_residency_mismatch": "permission",
    "bio_policy": "content_filtered",
    "misalignment_policy_violation": "content_filtered",
    "vector_store_timeout": "timeout",
    "invalid_image": "invalid_request",
    "invalid_image_format": "invalid_request",
    "invalid_base64_image": "invalid_request",
    "invalid_image_url": "invalid_request",
    "image_too_large": "invalid_request",
    "image_too_small": "invalid_request",
    "image_parse_error": "invalid_request",
    "image_content_policy_violation": "content_filtered",
    "invalid_image_mode": "invalid_request",
    "image_file_too_large": "invalid_request",
    "unsupported_image_media_type": "invalid_request",
    "empty_image_file": "invalid_request",
    "failed_to_download_image": "invalid_request",
    "image_file_not_found": "invalid_request",
}
IN_STREAMS = [
    *(("anthropic", code, kind) for code, kind in ANTHROPIC_TYPES.items()),
    *(("openai", code, kind) for code, kind in OPENAI_CODES.items()),
]


def test_all_codes_that_the_sdks_name_are_tried() -> None:
    """The codes above are all that the SDKs' types know."""
    from typing import get_args

    from anthropic.types.shared.error_type import ErrorType
    from openai.types.responses import ResponseError

    assert set(get_args(ErrorType)) == set(ANTHROPIC_TYPES)
    known = set(get_args(ResponseError.model_fields["code"].annotation))
    assert known and known <= set(OPENAI_CODES)


@pytest.mark.parametrize(("sdk", "code", "kind"), IN_STREAMS)
async def test_errors_in_streams(
    upstream: Upstream, providers: dict[str, Provider], sdk: str, code: str, kind: str
) -> None:
    """An error inside a stream has no status: its code alone says what it is."""
    upstream.will(ErrorEvent(1, code))
    with pytest.raises(PentadError) as caught:
        async for _ in providers[sdk].stream("m", HI):
            pass
    check(caught.value, kind, sdk)
    assert caught.value.metadata["provider_code"] == code


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("behaviour", "raised", "kind"),
    [
        (Cut(0), "APIConnectionError", "unavailable"),
        (Hang(), "APITimeoutError", "timeout"),
        (Status(200, b"<html>"), "", "internal"),
        (Status(500, b"not json"), "InternalServerError", "unavailable"),
        (Status(503, ["neither", "an", "object"]), "", "unavailable"),
        (Status(400, {"error": "a text"}), "BadRequestError", "invalid_request"),
        (Status(400, b""), "BadRequestError", "invalid_request"),
    ],
    ids=repr,
)
async def test_answers_that_are_none(
    upstream: Upstream, providers: dict[str, Provider], sdk: str, behaviour: Any, raised: str, kind: str
) -> None:
    """A connection that breaks, silence, and bodies that are not what they should be have a class, too."""
    error = await said(providers[sdk], upstream, behaviour)
    assert raised in ("", type(error.__context__).__name__)
    check(error, kind, sdk)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_garbage_in_streams(upstream: Upstream, providers: dict[str, Provider], sdk: str) -> None:
    """What is not the protocol, in a stream that began well, is the provider's fault."""
    upstream.will(Garbage(1, b"event: content_block_delta\ndata: {not json\n\n"))
    with pytest.raises(PentadError) as caught:
        async for _ in providers[sdk].stream("m", HI):
            pass
    check(caught.value, "internal", sdk)


def made(kind: type[BaseException]) -> Exception:
    """An exception that no answer to a call of ours leads to, made by hand."""
    error: Any = kind.__new__(kind)
    request = Request("POST", "http://provider/v1")
    error.body, error.message, error.request = None, "no", request
    if hasattr(kind, "status_code") or "APIStatusError" in {base.__name__ for base in kind.__mro__}:
        error.response = Response(getattr(kind, "status_code", 418), request=request)
        error.status_code = error.response.status_code
    return error  # type: ignore[no-any-return]


BY_ANSWERS = {kind.__name__ for kind in _error_classes.ERROR_CLASSES.values()}
BY_HAND = [
    (sdk, kind)
    for sdk, base in BASES.items()
    for kind in exceptions(sdk, base)
    if kind.__name__ not in (BY_ANSWERS if sdk == "anthropic" else OPENAI_STATUSES.values())
    and kind.__name__ != "InternalServerError"
]


@pytest.mark.parametrize(("sdk", "kind"), BY_HAND, ids=lambda value: getattr(value, "__name__", str(value)))
def test_exceptions_that_no_answer_leads_to(sdk: str, kind: type[BaseException]) -> None:
    """What only other parts of an SDK raise would be understood all the same, and says nothing of its
    words."""
    error = translate(sdk, made(kind))
    assert error.metadata["class"] == EXPECTED[sdk][kind.__name__]
    assert CODES[error.metadata["class"]].code is error.code


def test_the_taxonomy_is_complete() -> None:
    """The twelve classes, each with a code of its own choice and a reason that the contract names."""
    assert {kind.name: (kind.code, kind.retryable) for kind in KINDS} == {
        "rate_limited": (Code.RESOURCE_EXHAUSTED, True),
        "context_window_exceeded": (Code.INVALID_ARGUMENT, False),
        "content_filtered": (Code.FAILED_PRECONDITION, False),
        "authentication": (Code.FAILED_PRECONDITION, False),
        "permission": (Code.PERMISSION_DENIED, False),
        "not_found": (Code.NOT_FOUND, False),
        "invalid_request": (Code.INVALID_ARGUMENT, False),
        "timeout": (Code.DEADLINE_EXCEEDED, True),
        "unavailable": (Code.UNAVAILABLE, True),
        "budget_exceeded": (Code.RESOURCE_EXHAUSTED, False),
        "cancelled": (Code.CANCELLED, False),
        "internal": (Code.INTERNAL, False),
    }
