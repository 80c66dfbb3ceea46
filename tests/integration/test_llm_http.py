"""OpenAI's interface, tried with OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from pentad_common.errors import StartupError
from pentad_common.keys import KeyStore
from tests.fixtures.llm_gateway import House, StartGateway
from tests.fixtures.upstream import Answer, Cut, Hang, Status, Upstream

MODELS = ("openai", "anthropic", "openai-compatible")
# Self-signed, for localhost, of no use but here.
FILES = Path(__file__).parents[1] / "unit" / "common" / "tls"
CERT, KEY = str(FILES / "cert.pem"), str(FILES / "key.pem")
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def client(house: House) -> AsyncOpenAI:
    """OpenAI's client of `house` with an admin's key."""
    return await house.openai()


@pytest.mark.parametrize("model", MODELS)
async def test_answer(client: AsyncOpenAI, house: House, model: str) -> None:
    """An answer has its words, its usage, who served it, and is in the ledger like any other."""
    answer = await client.chat.completions.create(model=model, messages=HELLO)
    assert answer.choices[0].message.content == "one two three four"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "served-model"
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)
    assert answer.usage.prompt_tokens_details.cached_tokens == 3
    told: Any = answer.model_extra
    assert (told["pentad"]["requested_model"], told["pentad"]["provider"]) == (model, model)
    usage = await (await house.client()).llm.usage()
    assert usage.total.calls == 1


@pytest.mark.parametrize("model", MODELS)
async def test_stream(client: AsyncOpenAI, model: str) -> None:
    """A stream is chunks, then the reason for its end, and the usage if it was asked for."""
    stream = await client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "one two three four"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == 18
    assert len({chunk.id for chunk in chunks}) == 1
    without = await client.chat.completions.create(model=model, messages=HELLO, stream=True)
    assert all([chunk.choices and chunk.usage is None async for chunk in without])


def use_sync_client(base_url: str, key: str) -> None:
    """All of it without asyncio."""
    with OpenAI(base_url=base_url, api_key=key) as client:
        answer = client.chat.completions.create(model="openai", messages=HELLO)
        assert answer.choices[0].message.content == "one two three four"
        with client.chat.completions.create(model="openai", messages=HELLO, stream=True) as stream:
            assert list(stream)
        assert len(client.embeddings.create(model="openai/text-embedding-3-small", input="x").data) == 1
        assert "openai/gpt-6.2-sol" in {model.id for model in client.models.list()}


async def test_sync_client(house: House) -> None:
    """The client without asyncio works as well, streams included."""
    key = (await house.openai()).api_key
    await asyncio.to_thread(use_sync_client, house.http, key)


async def test_raw_and_streamed_responses(client: AsyncOpenAI) -> None:
    """Headers tell the request's id, the call's and the model; nothing tells what serves."""
    raw = await client.chat.completions.with_raw_response.create(
        model="openai", messages=HELLO, extra_headers={"X-Request-Id": "mine-1"}
    )
    assert raw.request_id == raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["pentad-model"] == "openai/served-model"
    assert raw.headers["server"] == "pentad"
    assert "access-control-allow-origin" not in raw.headers
    assert raw.parse().id == "chatcmpl-mine-1"
    async with client.chat.completions.with_streaming_response.create(
        model="openai", messages=HELLO
    ) as response:
        assert json.loads(await response.read())["object"] == "chat.completion"


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": True,
    },
}


@pytest.mark.parametrize("model", MODELS)
async def test_tools(client: AsyncOpenAI, upstream: Upstream, model: str) -> None:
    """A model's wish to call a tool comes whole or in pieces, and its result goes back."""
    upstream.will(Answer(tool=("weather", '{"city": "Bern"}')), Answer(tool=("weather", '{"city": "Bern"}')))
    tools: Any = [WEATHER]
    answer = await client.chat.completions.create(model=model, messages=HELLO, tools=tools)
    assert answer.choices[0].finish_reason == "tool_calls"
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.type, json.loads(call.function.arguments)) == ("function", {"city": "Bern"})
    async with client.chat.completions.stream(model=model, messages=HELLO, tools=tools) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.tool_calls is not None
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == {"city": "Bern"}
    turns: Any = [
        *HELLO,
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    await client.chat.completions.create(
        model=model, messages=turns, tools=tools, tool_choice="required", parallel_tool_calls=False
    )
    body = (await upstream.requested(3)).body
    assert "sunny" in json.dumps(body["messages"])
    if model == "anthropic":
        assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    else:
        assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", False)
        assert body["tools"][0]["function"]["strict"] is True


async def test_functions_of_old(client: AsyncOpenAI, upstream: Upstream) -> None:
    """Who speaks of functions instead of tools is answered so."""
    upstream.will(Answer(tool=("weather", "{}")))
    functions: Any = [WEATHER["function"]]
    answer = await client.chat.completions.create(
        model="openai", messages=HELLO, functions=functions, function_call={"name": "weather"}
    )
    assert answer.choices[0].finish_reason == "function_call"
    assert answer.choices[0].message.function_call is not None
    turns: Any = [
        *HELLO,
        {"role": "assistant", "function_call": {"name": "weather", "arguments": "{}"}},
        {"role": "function", "name": "weather", "content": "sunny"},
    ]
    await client.chat.completions.create(model="openai", messages=turns)


class Colour(BaseModel):
    name: str
    warm: bool


@pytest.mark.parametrize("model", MODELS)
async def test_structured_output(client: AsyncOpenAI, upstream: Upstream, model: str) -> None:
    """`parse` gets an object of the class that it was given."""
    upstream.will(Answer('{"name": "red", "warm": true}'))
    parsed = await client.chat.completions.parse(model=model, messages=HELLO, response_format=Colour)
    assert parsed.choices[0].message.parsed == Colour(name="red", warm=True)
    assert "warm" in json.dumps((await upstream.requested()).body)


async def test_pictures_and_roles(client: AsyncOpenAI, upstream: Upstream) -> None:
    """Pictures come as data or as addresses, instructions from developers, words in parts."""
    picture = base64.b64encode(b"not really").decode()
    turns: Any = [
        {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is this?"},
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/gif;base64,{picture}", "detail": "low"},
                },
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
    ]
    await client.chat.completions.create(model="openai", messages=turns)
    sent = (await upstream.requested()).body["messages"]
    assert sent[0] == {"role": "system", "content": "be brief"}
    assert [part.get("image_url", {}).get("url") for part in sent[1]["content"]] == [
        None,
        f"data:image/gif;base64,{picture}",
        "https://example.com/a.png",
    ]


EVERYTHING: dict[str, Any] = {
    # Each parameter that the client's own tests pass.
    "audio": {"format": "wav", "voice": "alloy"},
    "frequency_penalty": -2,
    "function_call": "none",
    "functions": [{"name": "name", "description": "description", "parameters": {"foo": "bar"}}],
    "logit_bias": {"foo": 0},
    "logprobs": True,
    "max_completion_tokens": 0,
    "max_tokens": 0,
    "metadata": {"foo": "string"},
    "modalities": ["text"],
    "moderation": {"model": "model", "policy": {"input": {"mode": "score"}}},
    "n": 1,
    "parallel_tool_calls": True,
    "prediction": {"content": "string", "type": "content"},
    "presence_penalty": -2,
    "prompt_cache_key": "prompt-cache-key-1234",
    "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
    "prompt_cache_retention": "in_memory",
    "reasoning_effort": "none",
    "response_format": {"type": "text"},
    "safety_identifier": "safety-identifier-1234",
    "seed": -9007199254740991,
    "service_tier": "auto",
    "stop": "\n",
    "store": True,
    "temperature": 1,
    "tool_choice": "none",
    "tools": [
        {
            "type": "function",
            "function": {"name": "name", "parameters": {"foo": "bar"}, "strict": True},
        }
    ],
    "top_logprobs": 0,
    "top_p": 1,
    "user": "user-1234",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate"}},
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_parameter(client: AsyncOpenAI, upstream: Upstream, model: str, stream: bool) -> None:
    """Every parameter of the interface is taken; what has no effect is named in the answer."""
    turns: Any = [{"role": "developer", "content": "string", "name": "name"}, *HELLO]
    options: Any = {"include_obfuscation": True, "include_usage": True}
    answer: Any = await client.chat.completions.create(
        model=model, messages=turns, stream=stream, stream_options=options, **EVERYTHING
    )
    if stream:
        told = next(item.pentad for item in [chunk async for chunk in answer] if hasattr(item, "pentad"))
    else:
        told = answer.pentad
    ignored = set(told["ignored_fields"])
    assert {"audio", "logprobs", "metadata", "safety_identifier", "store", "user"} <= ignored
    body = (await upstream.requested()).body
    for name in ("frequency_penalty", "logit_bias", "presence_penalty", "web_search_options", "verbosity"):
        assert (name in body) != (name in ignored), name
    assert ("verbosity" in body) == (model == "openai")


async def test_extras(client: AsyncOpenAI, upstream: Upstream) -> None:
    """Extras of the provider's go through; addresses and keys do not, at any depth."""
    extra: dict[str, Any] = {"top_k": 5, "chat_template_kwargs": {"thinking": False}}
    await client.chat.completions.create(model="openai-compatible", messages=HELLO, extra_body=extra)
    body = (await upstream.requested()).body
    assert (body["top_k"], body["chat_template_kwargs"]) == (5, {"thinking": False})
    for extra in ({"base_url": "http://evil"}, {"x": [{"api_key": "k"}]}, {"moderation": {"endpoint": "x"}}):
        with pytest.raises(openai.BadRequestError, match="addresses or keys"):
            await client.chat.completions.create(model="openai", messages=HELLO, extra_body=extra)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("given", ["float", "base64", None])
async def test_embeddings(client: AsyncOpenAI, house: House, given: Any) -> None:
    """Vectors come as floats or packed, as the client asks for by itself."""
    options = {"encoding_format": given} if given else {}
    for model in ("openai/text-embedding-3-small", "openai-compatible"):
        found = await client.embeddings.create(model=model, input=["abc", "de"], dimensions=2, **options)
        vectors: list[Any] = [item.embedding for item in found.data]
        if given == "base64":
            vectors = [list(memoryview(base64.b64decode(vector)).cast("f")) for vector in vectors]
        assert vectors == [[3.0, 0.0], [2.0, 1.0]]
        assert (found.usage.prompt_tokens, found.model) == (10, "served-vectors")
    usage = await (await house.client()).llm.usage()
    assert (usage.total.calls, usage.total.input_tokens) == (2, 20)


async def test_embeddings_of_none(client: AsyncOpenAI) -> None:
    """A model or provider that makes none says so; and tokens are no texts."""
    for model, text in (
        ("anthropic", "x"),
        ("openai/gpt-6.2-sol", "x"),
        ("openai", [[1, 2]]),
        ("openai", []),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.embeddings.create(model=model, input=text)
        assert caught.value.param in ("model", "input")
    with pytest.raises(openai.BadRequestError, match="no answers"):
        await client.chat.completions.create(model="text-embedding-3-small", messages=HELLO)


async def test_models(client: AsyncOpenAI, start_gateway: StartGateway) -> None:
    """What can be asked is listed as provider/model, with the aliases; what cannot is not."""
    listed = {model.id: model async for model in client.models.list()}
    assert {"openai/gpt-6.2-sol", "anthropic/claude-sonnet-5-5", "local"} <= listed.keys()
    assert listed["openai/gpt-6.2-sol"].owned_by == "openai"
    assert (await client.models.retrieve("openai/gpt-6.2-sol")).id == "openai/gpt-6.2-sol"
    assert (await client.models.retrieve("local")).owned_by == "local"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("no/such/model")
    async with start_gateway(openai_api_key=None) as house:
        other = await house.openai()
        assert not any([model.id.startswith("openai/") async for model in other.models.list()])


Create = Callable[..., Awaitable[Any]]

REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}
            ]
        },
        "messages[0].content[0].image_url.url",
    ),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "warm"}, "temperature"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"n": 2}, "n"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
]


@pytest.mark.parametrize(("changes", "param"), REFUSALS)
async def test_bad_requests(client: AsyncOpenAI, changes: dict[str, Any], param: str) -> None:
    """What is wrong with a request is refused, and named in the interface's own terms."""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**{"model": "openai", "messages": HELLO, **changes})
    assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (Status(429, headers={"retry-after": "7"}), openai.RateLimitError, "rate_limit_exceeded"),
        (Status(401), openai.InternalServerError, "provider_authentication"),
        (Status(403), openai.PermissionDeniedError, "provider_permission"),
        (Status(404), openai.NotFoundError, "model_not_found"),
        (Status(500), openai.InternalServerError, "provider_unavailable"),
        (
            Status(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
            openai.BadRequestError,
            "context_length_exceeded",
        ),
        (
            Status(400, {"error": {"message": "no", "code": "content_filter"}}),
            openai.BadRequestError,
            "content_filter",
        ),
        (
            Status(429, {"error": {"message": "pay", "code": "insufficient_quota"}}),
            openai.RateLimitError,
            "insufficient_quota",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_upstream_errors(
    client: AsyncOpenAI, upstream: Upstream, status: Status, kind: type[Any], code: str, stream: bool
) -> None:
    """The client raises what its users catch, and does not repeat what the gateway repeated already."""
    upstream.will(*[status] * 3)
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(model="openai", messages=HELLO, stream=stream)
    error = caught.value
    assert error.code == code
    assert error.request_id
    assert error.response.headers["x-should-retry"] == "false"
    assert len(upstream.requests) <= 3
    if status.headers:
        assert error.response.headers["retry-after"] == "7"


async def test_keys_and_roles(house: House, upstream: Upstream) -> None:
    """The same keys as everywhere: none, a wrong one, a revoked one are refused, whatever is asked."""
    keys = KeyStore(house.database)
    key, text = await keys.create(house.tenant, name="gone", role="client")
    client = await house.openai(key=text)
    await client.models.list()
    await keys.revoke(house.tenant, key.key_id)
    await asyncio.sleep(1.0)
    for refused in (text, "sk-something", "pentad_x"):
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.with_options(api_key=refused).chat.completions.create(model="openai", messages=HELLO)
        assert caught.value.response.headers["www-authenticate"] == "Bearer"
    agent = await house.openai("agent", "writer")
    await agent.chat.completions.create(model="openai", messages=HELLO)
    with pytest.raises(openai.PermissionDeniedError, match="may not act"):
        await agent.chat.completions.create(
            model="openai", messages=HELLO, extra_headers={"pentad-agent": "other"}
        )
    assert len(upstream.requests) == 1


async def test_key_revoked_meanwhile(house: House, upstream: Upstream) -> None:
    """A stream of a key that ends is ended within a second, with the reason; so is its request upstream."""
    keys = KeyStore(house.database)
    key, text = await keys.create(house.tenant, name="gone", role="client")
    client = await house.openai(key=text)
    upstream.will(Hang(after=2))
    stream = await client.chat.completions.create(model="openai", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="revoked"):
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                await keys.revoke(house.tenant, key.key_id)
    async with asyncio.timeout(1):
        await (await upstream.requested()).closed.wait()


@pytest.mark.parametrize("stream", [False, True])
async def test_caller_leaves(client: AsyncOpenAI, house: House, upstream: Upstream, stream: bool) -> None:
    """Who hangs up ends the request upstream within a second; the call is accounted."""
    upstream.will(Hang(after=2) if stream else Hang())
    call = asyncio.create_task(_consume(client, stream))
    request = await upstream.requested()
    await asyncio.sleep(0.1)
    call.cancel()
    async with asyncio.timeout(1):
        await request.closed.wait()
    pentad = await house.client()
    usage = await pentad.llm.usage()
    assert (usage.total.calls, usage.models[0].failures) == (1, 1)


async def _consume(client: AsyncOpenAI, stream: bool) -> None:
    answer: Any = await client.chat.completions.create(model="openai", messages=HELLO, stream=stream)
    if stream:
        async for _ in answer:
            pass


async def test_timeouts(client: AsyncOpenAI, upstream: Upstream) -> None:
    """The client's own time-out ends the call here too; a caller can say how long it waits."""
    upstream.will(Hang(), Hang())
    with pytest.raises(openai.APITimeoutError):
        await client.with_options(timeout=0.3, max_retries=0).chat.completions.create(
            model="openai", messages=HELLO
        )
    async with asyncio.timeout(1):
        await upstream.requests[0].closed.wait()
    with pytest.raises(openai.InternalServerError) as caught:
        await client.with_options(max_retries=0).chat.completions.create(
            model="openai", messages=HELLO, extra_headers={"pentad-timeout": "0.3"}
        )
    assert (caught.value.status_code, caught.value.code) == (504, "deadline_exceeded")


async def test_cut_stream(client: AsyncOpenAI, upstream: Upstream) -> None:
    """A stream that is cut upstream ends in an error with the usage so far, and never looks whole."""
    upstream.will(Cut(after=2))
    seen = ""
    with pytest.raises(openai.APIError) as caught:
        async for chunk in await client.chat.completions.create(model="openai", messages=HELLO, stream=True):
            seen += chunk.choices[0].delta.content or ""
    assert seen == "one two"
    body: Any = caught.value.body
    assert body["reason"] == "PROVIDER_UNAVAILABLE"


async def test_raw_http(house: House, upstream: Upstream) -> None:
    """What is no request at all is refused in the same form; a stream's last words are `[DONE]`."""
    key = (await house.openai()).api_key
    headers = {"authorization": f"Bearer {key}"}
    root = house.http.removesuffix("/v1")
    async with httpx2.AsyncClient(base_url=root, headers=headers) as http:
        chat = "/v1/chat/completions"
        for response, status, code in (
            (await http.get("/nowhere"), 404, "unknown_url"),
            (await http.get(chat), 405, "method_not_allowed"),
            (await http.options(chat), 405, "method_not_allowed"),
            (await http.post(chat, content=b"{"), 400, None),
            (await http.post(chat, content=b"[]"), 400, None),
            (await http.post(chat, content=b"[" * 100_000), 400, None),
            (await http.post(chat, content=b"\xff\xfe"), 400, None),
            (await http.post(chat, content=b" " * (17 << 20)), 413, "request_too_large"),
            (await http.post(chat, headers={"authorization": ""}, json={}), 401, "api_key_missing"),
        ):
            error = response.json()["error"]
            assert (response.status_code, error["code"]) == (status, code), error
            assert response.headers["x-should-retry"] == "false"
            assert "access-control-allow-origin" not in response.headers
        body = {"model": "openai", "messages": HELLO, "stream": True}
        streamed = await http.post(chat, json=body)
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.text.endswith("data: [DONE]\n\n")
        assert (await http.get("/healthz", headers={"authorization": ""})).json() == {"status": "serving"}


async def test_many_streams(client: AsyncOpenAI, upstream: Upstream) -> None:
    """A hundred streams at once each get their own answer."""
    upstream.will(*[Answer("one two three", pause=0.01)] * 100)
    streams = [_text(client) for _ in range(100)]
    assert await asyncio.gather(*streams) == ["one two three"] * 100


async def _text(client: AsyncOpenAI) -> str:
    stream = await client.chat.completions.create(model="openai", messages=HELLO, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_drain(start_gateway: StartGateway, upstream: Upstream) -> None:
    """A server that stops lets answers end that have begun, ends others with an error, and takes no more."""
    upstream.will(Answer(pause=0.05), Hang(after=1))
    async with start_gateway() as house:
        key = (await house.openai()).api_key
        client = AsyncOpenAI(base_url=house.http, api_key=key, max_retries=0)
        whole = asyncio.create_task(_text(client))
        await upstream.requested(1)
        cut = asyncio.create_task(_text(client))
        await upstream.requested(2)
        await asyncio.sleep(0.1)
    async with client:
        assert await whole == "one two three four"
        with pytest.raises(openai.APIError, match="going away"):
            await cut
        with pytest.raises(openai.APIConnectionError):
            await _text(client)


@pytest.mark.parametrize("mutual", [False, True])
async def test_tls(start_gateway: StartGateway, mutual: bool) -> None:
    """With gRPC's certificate it speaks TLS alone; with clients' authority, to those alone who show one."""
    authority = {"tls_client_ca": CERT} if mutual else {}
    async with start_gateway(tls_cert=CERT, tls_key=KEY, **authority) as house:
        _, key = await KeyStore(house.database).create(house.tenant, name="test", role="client")
        headers = {"authorization": f"Bearer {key}"}
        port = house.http.removesuffix("/v1").rpartition(":")[2]
        shown = ssl.create_default_context(cafile=CERT)
        if mutual:
            shown.load_cert_chain(CERT, KEY)
        async with httpx2.AsyncClient(verify=shown, headers=headers) as http:
            assert (await http.get(f"https://localhost:{port}/v1/models")).status_code == 200
        bare = ssl.create_default_context(cafile=CERT)
        async with httpx2.AsyncClient(verify=bare, headers=headers) as http:
            with pytest.raises(httpx2.HTTPError):
                await http.get(f"http://localhost:{port}/v1/models")
            if mutual:
                with pytest.raises(httpx2.HTTPError):
                    await http.get(f"https://localhost:{port}/v1/models")


async def test_says_nothing_of_what_is_said(
    client: AsyncOpenAI, upstream: Upstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither prompts nor answers nor keys get into the log, whatever goes wrong."""
    secret = "canary-5d1f"
    turns: Any = [{"role": "user", "content": secret}]
    upstream.will(Answer(secret), Answer(secret), Status(400, {"error": {"message": "no"}}), Cut(after=1))
    await client.chat.completions.create(model="openai", messages=turns)
    await client.embeddings.create(model="openai/text-embedding-3-small", input=secret)
    bad: list[Any] = [
        {"messages": turns},
        {"messages": turns, "stream": True},
        {"messages": turns, "temperature": secret},
        {"messages": [{"role": "user", "content": [{"type": secret, "text": secret}]}]},
        {"messages": [{"role": secret, "content": secret}]},
        {"messages": turns, "tool_choice": secret},
    ]
    for body in bad:
        with pytest.raises(openai.APIError):
            answer: Any = await client.chat.completions.create(**{"model": "openai", **body})
            async for _ in answer:
                pass
    logged = capfd.readouterr().err
    assert logged.count("llm call") == 4
    assert secret not in logged
    assert client.api_key not in logged and "sk-canary" not in logged


async def test_ports_in_use(start_gateway: StartGateway) -> None:
    """A port that is taken is said in one line, and nothing is left running."""
    async with start_gateway() as house:
        port = int(house.http.removesuffix("/v1").rpartition(":")[2])
        with pytest.raises(StartupError, match="PENTAD_LLM_HTTP_PORT"):
            async with start_gateway(llm_http_port=port):
                pass
