"""Callers that would have the gateway ask elsewhere, or with other keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from pentad.llm.v1 import llm_pb2, llm_pb2_grpc
from pentad_client import Pentad, PentadError
from pentad_client.llm import completion
from pentad_common.keys import KeyStore
from tests.fixtures.llm_gateway import KEY_CANARY, PROVIDERS, House, StartGateway
from tests.fixtures.upstream import Upstream

EVIL = "http://evil.example/v1"
NAMES = [
    "api_base",
    "api_key",
    "apiKey",
    "API-KEY",
    " base_url ",
    "baseURL",
    "base url",
    "authorization",
    "extra_headers",
    "extraHeaders",
    "extra_body",
    "extra_query",
    "default_headers",
    "headers",
    "x-api-key",
    "auth_token",
    "mcp_servers",
    "organization",
    "project",
    "proxy",
    "http_client",
    "credentials",
    "timeout",
    "custom_llm_provider",
    "azure_endpoint",
    "model",
    "messages",
    "tools",
    "stream",
    "max_tokens",
    "n",
]


async def refused(pentad: Pentad, **request: Any) -> PentadError:
    """The error of a call that must not get through."""
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("hi", **request)
    return caught.value


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_extras_name_neither_address_nor_key(upstream: Upstream, pentad: Pentad, provider: str) -> None:
    """However they are spelled, and however deep, fields for addresses and keys are refused by name; nothing
    is asked."""
    for name in NAMES:
        error = await refused(pentad, model=f"{provider}/m", extras={name: EVIL})
        assert (error.reason, error.metadata["class"]) == ("INVALID_REQUEST", "invalid_request")
        assert error.violations[0][0] == f"completion.extras.{name}"
    for name in NAMES[:20]:
        deep = {"a": [{"b": {name: EVIL}}]}
        error = await refused(pentad, model=f"{provider}/m", extras=deep)
        assert error.violations[0][0] == f"completion.extras.a[0].b.{name}"
    with pytest.raises(PentadError):
        async for _ in pentad.llm.stream("hi", model=f"{provider}/m", extras={"base_url": EVIL}):
            pass
    with pytest.raises(PentadError):
        await pentad.llm.count_tokens("hi", model=f"{provider}/m", extras={"base_url": EVIL})
    assert upstream.requests == []


@pytest.mark.parametrize(
    "model",
    [
        EVIL,
        "http://evil.example",
        "//evil.example/m",
        "file:///etc/passwd",
        "../openai/m",
        "openai@evil.example/m",
        "user:key@openai/m",
        "azure/m",
        " openai/m",
        "OpenAI/m",
        "openai\n/m",
    ],
)
async def test_a_model_is_no_address(upstream: Upstream, pentad: Pentad, model: str) -> None:
    """A name that is not of the gateway's own providers and models is refused."""
    assert (await refused(pentad, model=model)).reason == "MODEL_NOT_FOUND"
    assert upstream.requests == []


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("name", [EVIL, "../../admin", "m?key=x#y", "m\r\nx-api-key: evil"])
async def test_what_follows_the_provider_is_only_a_name(
    upstream: Upstream, pentad: Pentad, provider: str, name: str
) -> None:
    """The rest of a model's name is a field of the request's body and nothing else, at the same path, with
    the gateway's key."""
    await pentad.llm.invoke("hi", model=f"{provider}/{name}")
    (request,) = upstream.requests
    assert request.body["model"] == name
    assert request.path.split("?")[0] in ("/v1/chat/completions", "/v1/messages")
    assert request.headers["host"] == upstream.url.removeprefix("http://")
    assert KEY_CANARY in (request.headers.get("authorization", "") + request.headers.get("x-api-key", ""))
    assert "evil" not in request.headers.values()


async def test_metadata_is_not_passed_on(upstream: Upstream, house: House) -> None:
    """What callers send as metadata reaches no provider: neither keys nor addresses nor their own key."""
    _, key = await KeyStore(house.database).create(house.tenant, name="test", role="client")
    sent = (
        ("authorization", f"Bearer {key}"),
        ("x-api-key", "evil-key"),
        ("openai-api-key", "evil-key"),
        ("x-base-url", EVIL),
        ("host", "evil.example"),
        ("anthropic-beta", "evil"),
    )
    async with grpc.aio.insecure_channel(house.address) as channel:
        stub: Any = llm_pb2_grpc.LlmGatewayServiceStub(channel)
        for provider in PROVIDERS:
            asked = llm_pb2.InvokeRequest(completion=completion("hi", model=f"{provider}/m"))
            await stub.Invoke(asked, metadata=sent)
    assert len(upstream.requests) == 3
    for request in upstream.requests:
        told = " ".join(f"{name}: {value}" for name, value in request.headers.items())
        assert "evil" not in told and key not in told


@pytest.fixture
def headers_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDKs would send along for their own providers."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-canary")
    for sdk in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{sdk}_CUSTOM_HEADERS", "x-canary: header-canary")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-canary")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9/canary")


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_the_environment_is_for_the_providers_themselves(
    upstream: Upstream,
    start_gateway: StartGateway,
    tmp_path: Path,
    headers_of_the_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """A server that the catalog names gets no key, organisation, header or proxy of the environment but the
    key that the catalog names."""
    monkeypatch.setenv("HOUSE_KEY", "the-key-of-the-house")
    url = upstream.url if kind == "anthropic" else f"{upstream.url}/v1"
    entry = {"kind": kind, "base_url": url, "api_key_env": "HOUSE_KEY"}
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "providers": {"house": entry}}))
    async with start_gateway(llm_catalog=str(path), llm_default_model="") as house:
        await (await house.client()).llm.invoke("hi", model="house/m")
    headers = str(upstream.requests[0].headers)
    assert "the-key-of-the-house" in headers and "canary" not in headers


async def test_the_compatible_server_of_the_settings(
    upstream: Upstream, pentad: Pentad, headers_of_the_environment: None
) -> None:
    """The same holds for the one server that the settings name."""
    await pentad.llm.invoke("hi", model="openai-compatible/m")
    assert "canary" not in str(upstream.requests[0].headers).replace(KEY_CANARY, "")
