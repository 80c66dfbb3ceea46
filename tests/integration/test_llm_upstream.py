"""The gateway in front of providers that misbehave: over gRPC, through the real SDKs, on real sockets."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from sqlalchemy import select

from pentad.llm.v1 import llm_pb2
from pentad_client import Pentad, PentadError, enveloped
from pentad_common.db import Database
from pentad_common.models import LlmCall
from pentad_common.telemetry import configure_logging
from tests.fixtures.llm_gateway import KEY_CANARY, PROVIDERS, House, StartGateway
from tests.fixtures.upstream import Answer, Behaviour, Cut, ErrorEvent, Garbage, Hang, Status, Upstream

MODELS = [f"{provider}/some-model" for provider in PROVIDERS]
every_provider = pytest.mark.parametrize("model", MODELS)


async def rows(house: House) -> list[LlmCall]:
    """The calls that are kept, oldest first, once those that ended are."""
    await (await house.client()).llm.usage()
    query = select(LlmCall).where(LlmCall.tenant_id == house.tenant).order_by(LlmCall.id)
    return await house.database.read(lambda session: list(session.scalars(query)), tenant=house.tenant)


async def failure(pentad: Pentad, model: str, **request: Any) -> PentadError:
    """The error of a call that must fail."""
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("hi", model=model, **request)
    return caught.value


@every_provider
async def test_answer_and_account(house: House, pentad: Pentad, model: str) -> None:
    """An answer comes with usage, finish reason and who served; its row has the envelope and none of the
    words."""
    with enveloped(run_id="run-1"):
        answer = await pentad.llm.invoke("hi", model=model, system="Be kind.", max_output_tokens=9)
    assert (answer.text, answer.finish_reason) == ("one two three four", "stop")
    usage = answer.usage
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (11, 3, 7)
    assert (usage.reasoning_tokens, usage.estimated) == (2, False)
    assert (answer.served.model, answer.served.requested_model) == ("served-model", model)
    assert (answer.served.provider_request_id, answer.served.attempts) == ("req_1", 1)
    assert not usage.HasField("cost")
    (row,) = await rows(house)
    assert (row.id, row.run_id, row.provider) == (answer.served.call_id, "run-1", model.partition("/")[0])
    assert (row.status, row.finish_reason, row.input_tokens, row.output_tokens) == ("OK", "stop", 11, 7)


@every_provider
async def test_stream_ends_once(upstream: Upstream, pentad: Pentad, model: str) -> None:
    """A streamed answer is deltas and then exactly one End with the provider's usage."""
    upstream.will(Answer(pause=0.05))
    async with pentad.llm.stream("hi", model=model) as stream:
        events = [event async for event in stream]
    assert [event.text for event in events if isinstance(event, llm_pb2.Delta)] == [
        "one",
        " two",
        " three",
        " four",
    ]
    assert isinstance(events[-1], llm_pb2.End)
    assert (stream.text, stream.finish_reason) == ("one two three four", "stop")
    assert stream.usage is not None and (stream.usage.input_tokens, stream.usage.output_tokens) == (11, 7)
    assert events[-1].served.HasField("time_to_first_token")


@every_provider
async def test_tool_calls(upstream: Upstream, pentad: Pentad, model: str) -> None:
    """A tool call arrives whole when unary and in pieces when streamed, and its result goes back upstream."""
    tool = llm_pb2.Tool(
        name="weather", description="The weather", input_schema='{"type":"object","properties":{}}'
    )
    upstream.will(
        Answer(tool=("weather", '{"city": "Paris"}')), Answer(tool=("weather", '{"city": "Paris"}'))
    )
    answer = await pentad.llm.invoke("hi", model=model, tools=[tool])
    (call,) = answer.tool_calls
    assert (answer.finish_reason, call.name) == ("tool_calls", "weather")
    async with pentad.llm.stream("hi", model=model, tools=[tool]) as stream:
        deltas = [event.tool_call async for event in stream if isinstance(event, llm_pb2.Delta)]
    assert (deltas[0].id, deltas[0].name) == ("call_1", "weather")
    assert "".join(delta.arguments for delta in deltas) == '{"city": "Paris"}'
    result = llm_pb2.ToolResult(tool_call_id=call.id, content="sunny")
    told = llm_pb2.Message(role="MESSAGE_ROLE_TOOL", parts=[llm_pb2.MessagePart(tool_result=result)])
    await pentad.llm.invoke(messages=[("user", "hi"), answer.message, told], model=model, tools=[tool])
    assert "sunny" in str(upstream.requests[-1].body["messages"][-1])


@every_provider
async def test_retried(upstream: Upstream, house: House, pentad: Pentad, model: str) -> None:
    """What may pass is tried again, here and nowhere else, until it passes."""
    for status in (429, 500, 503, 529):
        upstream.will(Status(status), Status(status))
        assert (await pentad.llm.invoke("hi", model=model)).served.attempts == 3
    upstream.will(Cut(0), Cut(0))
    async with pentad.llm.stream("hi", model=model) as stream:
        assert [event async for event in stream]
    assert stream.text == "one two three four"
    assert len(upstream.requests) == 15
    assert [row.attempts for row in await rows(house)] == [3] * 5


@every_provider
async def test_gives_up(upstream: Upstream, house: House, pentad: Pentad, model: str) -> None:
    """After the last attempt the caller gets the error, with a wait to respect; its own gRPC does not
    multiply them."""
    upstream.will(*[Status(503)] * 12)
    error = await failure(pentad, model)
    assert (error.reason, error.metadata["attempts"]) == ("PROVIDER_UNAVAILABLE", "3")
    assert error.metadata["provider"] == model.partition("/")[0]
    assert error.retry_after is not None and error.retry_after > 2
    assert len(upstream.requests) == 3
    assert [row.status for row in await rows(house)] == ["PROVIDER_UNAVAILABLE"]


async def test_not_retried(upstream: Upstream, pentad: Pentad) -> None:
    """What will not pass is asked once."""
    refusals = (400, 401, 402, 403, 404, 413, 422)
    for status in refusals:
        upstream.will(Status(status))
        assert (await failure(pentad, "openai/gpt-6.2-sol")).retry_after is None
    assert len(upstream.requests) == len(refusals)


async def test_retry_after_is_honoured(upstream: Upstream, pentad: Pentad) -> None:
    """The provider's Retry-After is waited for; one that is longer than the caller's patience is handed
    on."""
    upstream.will(Status(429, headers={"retry-after": "0.4"}))
    loop = asyncio.get_running_loop()
    started = loop.time()
    await pentad.llm.invoke("hi", model="openai")
    assert loop.time() - started >= 0.4
    upstream.will(Status(429, headers={"retry-after": "20"}))
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("hi", model="openai", timeout=5)
    assert (caught.value.reason, caught.value.retry_after) == ("RATE_LIMITED", 20)
    assert len(upstream.requests) == 3


@every_provider
async def test_hang_before_headers(upstream: Upstream, start_gateway: StartGateway, model: str) -> None:
    """A provider that says nothing is given up in time, tried again, and its requests are closed."""
    upstream.will(Hang(), Hang())
    async with start_gateway(llm_first_token_seconds=0.3, llm_attempts=2) as house:
        pentad = await house.client()
        with pytest.raises(PentadError) as caught:
            async with pentad.llm.stream("hi", model=model) as stream:
                await anext(aiter(stream))
        assert caught.value.reason == "PROVIDER_TIMEOUT"
        assert caught.value.metadata["phase"] == "the_first_token"
        for request in upstream.requests:
            await asyncio.wait_for(request.closed.wait(), 1)
        assert len(upstream.requests) == 2


@pytest.mark.parametrize("model", MODELS[:2])
async def test_thinking_is_no_silence(upstream: Upstream, start_gateway: StartGateway, model: str) -> None:
    """A model that thinks for longer than the wait for the first token, and shows it, is waited for."""
    upstream.will(Answer("done", thoughts=5, pause=0.25))
    async with start_gateway(llm_first_token_seconds=1.0) as house:
        async with (await house.client()).llm.stream("hi", model=model) as stream:
            events = [event async for event in stream]
        assert (stream.text, stream.reasoning) == ("done", "hm" * 5)
        assert [event.WhichOneof("delta") for event in events[:-1]] == ["reasoning"] * 5 + ["text"]


@every_provider
async def test_hang_mid_stream(upstream: Upstream, start_gateway: StartGateway, model: str) -> None:
    """A stream that stops coming ends in a Failure with the usage so far, and is not replayed."""
    upstream.will(Hang(after=2))
    async with start_gateway(llm_between_tokens_seconds=0.3) as house:
        stream = (await house.client()).llm.stream("hi", model=model)
        with pytest.raises(PentadError) as caught:
            async for _ in stream:
                pass
        assert caught.value.metadata["phase"] == "the_next_token"
        assert stream.text == "one two"
        assert stream.usage is not None and stream.usage.estimated and stream.usage.output_tokens >= 2
        await asyncio.wait_for(upstream.requests[0].closed.wait(), 1)
        assert len(upstream.requests) == 1


@every_provider
async def test_cut_after_tokens(upstream: Upstream, house: House, pentad: Pentad, model: str) -> None:
    """An answer cut after its first token is never completed silently nor asked for again."""
    cuts: list[tuple[Behaviour, str]] = [
        (Cut(2), "PROVIDER_UNAVAILABLE"),
        (Cut(2, orderly=True), "PROVIDER_UNAVAILABLE"),
        (ErrorEvent(2), "PROVIDER_UNAVAILABLE"),
        (ErrorEvent(2, "rate_limit_error"), "RATE_LIMITED"),
    ]
    for behaviour, reason in cuts:
        upstream.will(behaviour)
        stream = pentad.llm.stream("hi", model=model)
        with pytest.raises(PentadError) as caught:
            async for _ in stream:
                pass
        assert (caught.value.reason, stream.text) == (reason, "one two")
        assert stream.usage is not None and stream.usage.output_tokens > 0
    assert len(upstream.requests) == len(cuts)
    kept = [(row.status, row.streamed, row.output_tokens > 0) for row in await rows(house)]
    assert kept == [(reason, True, True) for _, reason in cuts]


@every_provider
async def test_garbage(upstream: Upstream, pentad: Pentad, model: str) -> None:
    """What is not the protocol is the provider's error: a status before the first token, a Failure after
    it."""
    data = b"event: content_block_delta\ndata: {not json\n\n"
    upstream.will(Garbage(0, data), Garbage(2, data), Status(200, b"<html>"))
    for text in ("", "one two"):
        stream = pentad.llm.stream("hi", model=model)
        with pytest.raises(PentadError) as caught:
            async for _ in stream:
                pass
        assert (caught.value.reason, stream.text) == ("PROVIDER_ERROR", text)
    assert (await failure(pentad, model)).reason == "PROVIDER_ERROR"


@every_provider
@pytest.mark.parametrize("behaviour", [Hang(), Hang(after=2)])
async def test_cancel_closes_upstream(
    upstream: Upstream, house: House, pentad: Pentad, model: str, behaviour: Hang
) -> None:
    """A caller that leaves a stream ends the request upstream within a second; the call is accounted."""
    upstream.will(behaviour)
    stream = pentad.llm.stream("hi", model=model)
    reading = asyncio.create_task(_read_all(stream))
    request = await upstream.requested()
    while behaviour.after and stream.text != "one two":  # noqa: ASYNC110 - it is what is read
        await asyncio.sleep(0.005)
    reading.cancel()
    stream.cancel()
    await asyncio.wait_for(request.closed.wait(), 1)
    row = await _kept(house)
    assert row.status == "CANCELLED"
    assert bool(row.output_tokens) is (behaviour.after is not None)


async def _read_all(stream: Any) -> None:
    async for _ in stream:
        pass


async def _kept(house: House) -> LlmCall:
    """The one call that is kept, once it is."""
    async with asyncio.timeout(5):
        while not (kept := await rows(house)):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.02)
    return kept[0]


@every_provider
async def test_cancelled_invoke_closes_upstream(
    upstream: Upstream, house: House, pentad: Pentad, model: str
) -> None:
    """A caller that leaves a unary call, or whose deadline passes, ends the request upstream within a
    second."""
    upstream.will(Hang(), Hang())
    asking = asyncio.create_task(pentad.llm.invoke("hi", model=model))
    request = await upstream.requested()
    asking.cancel()
    await asyncio.wait_for(request.closed.wait(), 1)
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("hi", model=model, timeout=0.4)
    assert caught.value.code.name == "DEADLINE_EXCEEDED"
    await asyncio.wait_for((await upstream.requested(2)).closed.wait(), 1)
    assert (await _kept(house)).status == "CANCELLED"


async def test_extras_reach_the_provider(upstream: Upstream, pentad: Pentad) -> None:
    """Extras go upstream as they are, unless they name an address, a key or what has a field of its own."""
    await pentad.llm.invoke("hi", extras={"logit_bias": {"50256": -100}})
    assert upstream.requests[0].body["logit_bias"] == {"50256": -100}
    for name in ("api_key", "base_url", "extra_headers", "model", "Base-URL"):
        error = await failure(pentad, "openai", extras={name: "x"})
        assert (error.reason, error.violations[0][0]) == ("INVALID_REQUEST", f"completion.extras.{name}")
    nested = await failure(pentad, "openai", extras={"tools_like": [{"server_url": "http://evil"}]})
    assert nested.violations[0][0] == "completion.extras.tools_like[0].server_url"
    assert len(upstream.requests) == 1


async def test_fields_left_out_are_named(upstream: Upstream, pentad: Pentad) -> None:
    """What a model does not take is left out, and the answer says so."""
    answer = await pentad.llm.invoke("hi", model="claude-sonnet-5-5", temperature=0, seed=1)
    assert list(answer.served.ignored_fields) == ["sampling.temperature", "sampling.seed"]
    assert {"temperature", "seed"}.isdisjoint(upstream.requests[0].body)
    assert answer.usage.cost.micros == 87  # dollars a million: 8 fresh at 2, 3 cached at 0.2, 7 out at 10


async def test_default_model(upstream: Upstream, start_gateway: StartGateway) -> None:
    """Without a model the first provider that is set up serves, and ListModels says which."""
    async with start_gateway(llm_default_model="") as house:
        pentad = await house.client()
        listed = await pentad.llm.models()
        assert listed.default_model == "anthropic/claude-sonnet-5-5"
        assert all(model.available for model in listed.models if model.provider != "local")
        assert (await pentad.llm.invoke("hi")).served.provider == "anthropic"
        assert [item.name for item in (await pentad.llm.models("openai-compatible")).models] == [
            "house-model"
        ]
        assert (await failure(pentad, "nowhere/at-all")).reason == "MODEL_NOT_FOUND"


async def test_count_tokens(upstream: Upstream, pentad: Pentad) -> None:
    """Anthropic and OpenAI count by themselves; where nobody can count, the answer says that it is an
    estimate."""
    for model in ("anthropic", "openai"):
        counted = await pentad.llm.count_tokens("hello there", model=model)
        assert (counted.input_tokens, counted.estimated, counted.provider) == (42, False, model)
    guessed = await pentad.llm.count_tokens("hello there " * 100, model="openai-compatible")
    assert guessed.estimated and 200 < guessed.input_tokens < 500


async def test_count_tokens_here(upstream: Upstream, pentad: Pentad) -> None:
    """Where a model's tokenizer is public, words are counted without asking; tools and pictures are not."""
    here = await pentad.llm.count_tokens("hello world", model="gpt-5.4-mini", system="Be brief.")
    assert (here.input_tokens, here.estimated) == (3 + 1 + 3 + 3 + 1 + 2 + 3, False)
    long = await pentad.llm.count_tokens("hello world " * 50_000, model="gpt-5.4-mini")
    assert long.input_tokens > 100_000 and not long.estimated
    assert upstream.requests == []
    image = llm_pb2.MessagePart(image=llm_pb2.Image(content_type="image/png", data=b"x"))
    asked = [llm_pb2.Message(role="MESSAGE_ROLE_USER", parts=[llm_pb2.MessagePart(text="hi"), image])]
    tool = llm_pb2.Tool(name="look", description="Looks", input_schema='{"type": "object"}')
    schema = {"type": "object", "properties": {}}
    counted = await pentad.llm.count_tokens(
        messages=asked, model="gpt-5.4-mini", tools=[tool], json_schema=schema
    )
    assert (counted.input_tokens, counted.estimated) == (42, False)
    body = upstream.requests[0].body
    assert [block["type"] for block in body["input"][0]["content"]] == ["input_text", "input_image"]
    assert (body["tools"][0]["name"], body["text"]["format"]["name"]) == ("look", "answer")


@pytest.mark.parametrize(
    "behaviour", [Status(404), Status(500), Cut(0), Status(200, {"object": "x"})], ids=repr
)
async def test_count_that_nobody_answers(upstream: Upstream, pentad: Pentad, behaviour: Behaviour) -> None:
    """A server without counting, or one that is down, leaves an estimate."""
    upstream.will(behaviour)
    guessed = await pentad.llm.count_tokens("hello there " * 100, model="openai")
    assert guessed.estimated and 200 < guessed.input_tokens < 500


async def test_usage_is_the_tenants_own(house: House, pentad: Pentad) -> None:
    """GetUsage sums up the tenant's calls, by run and agent if asked, and shows no other tenant's."""
    host = await house.client("agent", "*")
    with enveloped(run_id="run-1", agent="writer"):
        await host.llm.invoke("hi", model="anthropic")
    await pentad.llm.invoke("hi", model="openai/unpriced")
    everything = await pentad.llm.usage()
    assert (everything.total.calls, everything.total.input_tokens) == (2, 22)
    assert {item.provider: item.usage.cost.micros for item in everything.models} == {
        "anthropic": 87,
        "openai": 0,
    }
    assert [item.usage.HasField("cost") for item in everything.models] == [True, False]
    assert everything.total.cost.micros == 87
    assert (await pentad.llm.usage(run_id="run-1", agent="writer")).total.calls == 1
    assert (await pentad.llm.usage(agent="nobody")).total.calls == 0
    stranger = await house.client(tenant=house.new_tenant())
    assert (await stranger.llm.usage()).total.calls == 0
    with pytest.raises(PentadError) as caught:
        await host.llm.usage()
    assert caught.value.reason == "ROLE_NOT_ALLOWED"


async def test_nothing_secret_is_logged(upstream: Upstream, start_gateway: StartGateway) -> None:
    """Neither keys nor prompts nor answers are in any line of the log, whatever fails, at any level."""
    leaky = {"error": {"message": f"Incorrect API key provided: {KEY_CANARY}", "code": "invalid_api_key"}}
    out = io.StringIO()
    async with start_gateway(log_level="debug") as house:
        configure_logging("llm", "json", "debug", out)
        pentad = await house.client()
        upstream.will(
            Status(401, leaky), Status(500), Cut(2), Garbage(1), Status(400), Answer("answer-canary")
        )
        for model in ("openai", "openai", "anthropic", "openai", "openai-compatible", "anthropic"):
            stream = pentad.llm.stream("prompt-canary", model=model, timeout=5)
            try:
                async for _ in stream:
                    pass
            except PentadError as error:
                assert KEY_CANARY not in error.message
    lines = out.getvalue()
    assert "llm call" in lines
    for canary in ("prompt-canary", "answer-canary", KEY_CANARY, KEY_CANARY[-10:], "one two"):
        assert canary not in lines


async def test_graceful_stop_keeps_everything(
    upstream: Upstream, start_gateway: StartGateway, llm_database: Database
) -> None:
    """Calls that ended just before a graceful stop are kept."""
    async with start_gateway() as house:
        pentad = await house.client()
        await asyncio.gather(*(pentad.llm.invoke("hi") for _ in range(20)))
    query = select(LlmCall.id)
    kept = await llm_database.read(lambda session: list(session.scalars(query)), tenant=house.tenant)
    assert len(kept) == 20
