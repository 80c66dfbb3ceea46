"""The gateway's cache and shared calls: over gRPC, in front of an upstream, in memory and on a real Redis."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from pentad.llm.v1 import llm_pb2
from pentad_client import Pentad, PentadError
from pentad_common.keys import KeyStore
from pentad_common.models import LlmCall
from tests.fixtures.llm_gateway import House, StartGateway
from tests.fixtures.upstream import Answer, Cut, Hang, Status, Upstream
from tests.fixtures.valkey import RedisProcess

MODEL = "openai/some-model"
SLOW = Answer(pause=0.15)


def catalog(folder: Path, **more: Any) -> str:
    """The path of a catalog with these sections beside the providers."""
    path = folder / "catalog.yaml"
    models = {"some-model": {"price": {"input": 1, "output": 100}}, "other": {}}
    path.write_text(yaml.safe_dump({"version": 1, "providers": {"openai": {"models": models}}, **more}))
    return str(path)


@pytest.fixture(params=["memory", "redis"])
def backend(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The gateway's settings; the test runs once on each backend."""
    if request.param == "memory":
        return {}
    return {"llm_backend": "redis", "redis_url": request.getfixturevalue("redis_url")}


@pytest.fixture
def always(tmp_path: Path) -> dict[str, Any]:
    """Settings with the cache on for all calls."""
    return {"llm_catalog": catalog(tmp_path, cache={"enabled": "always"})}


def policy(
    seconds: float | None = None, *, bypass: bool = False, no_store: bool = False
) -> llm_pb2.CachePolicy:
    """A call's policy."""
    proto = llm_pb2.CachePolicy(bypass=bypass, no_store=no_store)
    if seconds is not None:
        proto.ttl.FromNanoseconds(round(seconds * 1e9))
    return proto


async def rows(house: House) -> list[LlmCall]:
    """The calls that are kept, by when they began."""
    await (await house.client()).llm.usage()
    query = select(LlmCall).where(LlmCall.tenant_id == house.tenant).order_by(LlmCall.id)
    return await house.database.read(lambda session: list(session.scalars(query)), tenant=house.tenant)


async def read(pentad: Pentad, prompt: str = "hi", **request: Any) -> tuple[str, llm_pb2.Served | None]:
    """A stream's text, and who served it."""
    async with pentad.llm.stream(prompt, **{"model": MODEL, **request}) as stream:
        async for _ in stream:
            pass
    return stream.text, stream.served


async def test_cached(
    start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any], backend: dict[str, Any]
) -> None:
    """The same request is answered once by the model and then from the cache: whole or as a stream, at no
    cost, with a record each."""
    async with start_gateway(**always, **backend) as house:
        pentad = await house.client()
        first = await pentad.llm.invoke("hi", model=MODEL)
        second = await pentad.llm.invoke("hi", model=MODEL)
        text, served = await read(pentad)
        assert first.text == second.text == text == "one two three four"
        assert served is not None
        assert (first.served.cached, second.served.cached, served.cached) == (False, True, True)
        assert (second.served.model, second.served.provider) == ("served-model", "openai")
        assert second.finish_reason == "stop"
        assert (second.usage.output_tokens, second.usage.cost.micros) == (0, 0)
        assert second.usage.cost.currency_code == "USD"
        assert len(upstream.requests) == 1
        found = await rows(house)
        assert [(row.cached, row.cost_micros) for row in found] == [(False, 711), (True, 0), (True, 0)]
        assert [row.streamed for row in found] == [False, False, True]
        assert found[1].id == second.served.call_id
        usage = await pentad.llm.usage()
        assert (usage.total.calls, usage.total.cost.micros, usage.total.output_tokens) == (3, 711, 7)


async def test_stream_fills(
    start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any], backend: dict[str, Any]
) -> None:
    """A streamed answer is kept as well, tool calls included."""
    upstream.will(Answer(), Answer(tool=("weather", '{"city": "Paris"}')))
    tool = llm_pb2.Tool(name="weather", description="The weather", input_schema='{"type":"object"}')
    async with start_gateway(**always, **backend) as house:
        pentad = await house.client()
        assert (await read(pentad))[0] == (await pentad.llm.invoke("hi", model=MODEL)).text
        await read(pentad, tools=[tool])
        answer = await pentad.llm.invoke("hi", model=MODEL, tools=[tool])
        (call,) = answer.tool_calls
        assert (answer.finish_reason, answer.served.cached) == ("tool_calls", True)
        assert (call.id, call.name, json.loads(call.arguments)) == ("call_1", "weather", {"city": "Paris"})
        assert len(upstream.requests) == 2


async def test_on_request(start_gateway: StartGateway, upstream: Upstream, backend: dict[str, Any]) -> None:
    """Without a word of the operator's the cache is on for calls that name a time to live, and for no
    other."""
    async with start_gateway(**backend) as house:
        pentad = await house.client()
        for _ in range(2):
            assert not (await pentad.llm.invoke("hi", model=MODEL)).served.cached
        said = [
            (await pentad.llm.invoke("hi", model=MODEL, cache=policy(0.5))).served.cached for _ in range(2)
        ]
        assert said == [False, True]
        await asyncio.sleep(0.6)
        assert not (await pentad.llm.invoke("hi", model=MODEL, cache=policy(60))).served.cached
        assert len(upstream.requests) == 4


async def test_never(start_gateway: StartGateway, upstream: Upstream, tmp_path: Path) -> None:
    """The operator can turn the cache off."""
    async with start_gateway(llm_catalog=catalog(tmp_path, cache={"enabled": "never"})) as house:
        pentad = await house.client()
        for _ in range(2):
            assert not (await pentad.llm.invoke("hi", model=MODEL, cache=policy(60))).served.cached


async def test_bypass_and_no_store(
    start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any], backend: dict[str, Any]
) -> None:
    """`bypass` asks the model and keeps its answer; `no_store` takes what there is and keeps nothing."""
    upstream.will(Answer("a"), Answer("b"), Answer("c"))
    async with start_gateway(**always, **backend) as house:
        pentad = await house.client()

        async def ask(**flags: bool) -> str:
            return (await pentad.llm.invoke("hi", model=MODEL, cache=policy(**flags))).text

        assert await ask(no_store=True) == "a"
        assert await ask() == "b"
        assert await ask(no_store=True) == "b"
        assert await ask(bypass=True, no_store=True) == "c"
        assert await ask() == "b"
        upstream.will(Answer("d"))
        assert await ask(bypass=True) == "d"
        assert await ask() == "d"


async def test_tenants(
    start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any], backend: dict[str, Any]
) -> None:
    """Two tenants that ask the same never share: not an answer that is kept, nor a call under way."""
    upstream.will(Answer("mine", pause=0.05), Answer("yours", pause=0.05))
    async with start_gateway(**always, **backend) as house:
        mine, yours = await house.client(), await house.client(tenant=house.new_tenant())
        texts = await asyncio.gather(*(item.llm.invoke("hi", model=MODEL) for item in (mine, yours)))
        assert {answer.text for answer in texts} == {"mine", "yours"}
        assert not any(answer.served.cached for answer in texts)
        for pentad, before in zip((mine, yours), texts, strict=True):
            again = await pentad.llm.invoke("hi", model=MODEL)
            assert (again.text, again.served.cached) == (before.text, True)
        assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "behaviour", [Answer(finish="length"), Answer(finish="content_filter"), Status(400), Cut(2)]
)
async def test_not_kept(
    start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any], behaviour: Any
) -> None:
    """Answers that are not complete, and errors, are not kept."""
    upstream.will(behaviour, Answer("whole"))
    async with start_gateway(**always) as house:
        pentad = await house.client()
        with suppress(PentadError):
            await read(pentad)
        text, served = await read(pentad)
        assert served is not None and (text, served.cached) == ("whole", False)


async def test_what_stood_in_is_not_kept(
    start_gateway: StartGateway, upstream: Upstream, tmp_path: Path
) -> None:
    """The answer of a model that stood in for another is not kept: the other may be back in a moment."""
    path = catalog(tmp_path, cache={"enabled": "always"}, fallbacks={MODEL: {"general": ["openai/other"]}})
    upstream.will(Status(401), Answer("stand-in"), Answer("real"))
    async with start_gateway(llm_catalog=path) as house:
        pentad = await house.client()
        assert (await pentad.llm.invoke("hi", model=MODEL)).text == "stand-in"
        assert not (await pentad.llm.invoke("hi", model=MODEL)).served.cached


async def test_alias_given_anew(start_gateway: StartGateway, upstream: Upstream, tmp_path: Path) -> None:
    """When an alias is given to another model, the words of the one before are not served for it."""
    cache = {"enabled": "always"}
    path = catalog(tmp_path, cache=cache, aliases={"fast": MODEL})
    upstream.will(Answer("old"), Answer("new"))
    async with start_gateway(llm_catalog=path) as house:
        pentad = await house.client()
        assert (await pentad.llm.invoke("hi", model="fast")).text == "old"
        catalog(tmp_path, cache=cache, aliases={"fast": "openai/other"})
        async with asyncio.timeout(10):
            while (await pentad.llm.invoke("hi", model="fast")).text == "old":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert len(upstream.requests) == 2


async def test_shared_across_gateways(
    start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any], redis_url: str
) -> None:
    """Gateways on one Redis have one cache."""
    settings = {**always, "llm_backend": "redis", "redis_url": redis_url}
    async with start_gateway(**settings) as first, start_gateway(**settings) as second:
        await (await first.client()).llm.invoke("hi", model=MODEL)
        assert (await (await second.client()).llm.invoke("hi", model=MODEL)).served.cached
        assert len(upstream.requests) == 1


async def test_redis_away(
    start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any], redis_process: RedisProcess
) -> None:
    """No call fails because the cache's Redis is away."""
    settings = {**always, "llm_backend": "redis", "redis_url": redis_process.url}
    async with start_gateway(**settings) as house:
        pentad = await house.client()
        await pentad.llm.invoke("hi", model=MODEL)
        redis_process.kill()
        for prompt in ("other", "third"):
            assert not (await pentad.llm.invoke(prompt, model=MODEL)).served.cached
            assert (await read(pentad, prompt))[0]


async def test_sharing(
    start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any], backend: dict[str, Any]
) -> None:
    """Fifty who ask the same at once, half of them for a stream, cost one call; each has a record, one of
    them the cost."""
    upstream.will(SLOW)
    async with start_gateway(**always, **backend) as house:
        pentad = await house.client()
        whole = [pentad.llm.invoke("hi", model=MODEL) for _ in range(25)]
        streams, answers = await asyncio.gather(
            asyncio.gather(*(read(pentad) for _ in range(25))), asyncio.gather(*whole)
        )
        assert {answer.text for answer in answers} == {"one two three four"}
        assert {text for text, _ in streams} == {"one two three four"}
        assert len(upstream.requests) == 1
        found = await rows(house)
        assert (len(found), sum(row.cost_micros or 0 for row in found)) == (50, 711)
        assert [row.cached for row in found].count(False) == 1
        assert {row.status for row in found} == {"OK"}
        ids = {answer.served.call_id for answer in answers} | {
            served.call_id for _, served in streams if served
        }
        assert ids == {row.id for row in found}


async def test_not_shared_without_cache(start_gateway: StartGateway, upstream: Upstream) -> None:
    """Where the cache is not on, everyone is told something of their own."""
    upstream.will(*[SLOW] * 3)
    async with start_gateway() as house:
        pentad = await house.client()
        await asyncio.gather(*(pentad.llm.invoke("hi", model=MODEL) for _ in range(3)))
        assert len(upstream.requests) == 3


async def test_first_leaves(start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any]) -> None:
    """Whoever began a shared call may leave: the others get the answer, from its beginning."""
    upstream.will(SLOW)
    async with start_gateway(**always) as house:
        pentad = await house.client()
        async with pentad.llm.stream("hi", model=MODEL) as stream:
            async for _ in stream:
                break
            second = asyncio.create_task(read(pentad))
            third = asyncio.create_task(pentad.llm.invoke("hi", model=MODEL))
            await asyncio.sleep(0.05)
        assert (await second)[0] == "one two three four"
        assert (await third).text == "one two three four"
        assert not upstream.requests[0].closed.is_set()
        found = await rows(house)
        assert [(row.status, row.cached) for row in found] == [("OK", False), ("OK", True), ("OK", True)]


async def test_last_leaves(start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any]) -> None:
    """When the last caller has left, the request upstream ends, and what it took is accounted once."""
    upstream.will(Hang(after=2), Answer("again"))
    async with start_gateway(**always) as house:
        pentad = await house.client()
        waiting = [asyncio.create_task(read(pentad)) for _ in range(3)]
        request = await upstream.requested()
        await asyncio.sleep(0.2)
        for task in waiting[:2]:
            task.cancel()
        await asyncio.sleep(0.2)
        assert not request.closed.is_set()
        waiting[2].cancel()
        await asyncio.wait_for(request.closed.wait(), 1)
        assert (await read(pentad))[0] == "again"
        found = await rows(house)
        assert [row.status for row in found] == ["CANCELLED"] * 3 + ["OK"]
        assert sorted(row.output_tokens > 0 for row in found[:3]) == [False, False, True]


async def test_deadlines(start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any]) -> None:
    """Each caller of a shared call has a deadline of its own."""
    upstream.will(SLOW)
    async with start_gateway(**always) as house:
        pentad = await house.client()
        hasty = asyncio.create_task(read(pentad, timeout=0.2))
        await asyncio.sleep(0.05)
        patient = asyncio.create_task(read(pentad))
        with pytest.raises(PentadError) as caught:
            await hasty
        assert caught.value.code.name == "DEADLINE_EXCEEDED"
        assert (await patient)[0] == "one two three four"


async def test_error_for_all(start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any]) -> None:
    """An error of the shared call goes to all who share it; the next one asks anew."""
    upstream.will(Answer(), Hang(), Answer("again"))
    async with start_gateway(**always, llm_first_token_seconds=1.5, llm_attempts=1) as house:
        pentad = await house.client()
        await read(pentad, "warm up")
        found = await asyncio.gather(*(read(pentad) for _ in range(4)), return_exceptions=True)
        assert {item.reason for item in found if isinstance(item, PentadError)} == {"PROVIDER_TIMEOUT"}
        assert len(found) == 4 and len(upstream.requests) == 2
        assert (await read(pentad))[0] == "again"
        statuses = [row.status for row in await rows(house)]
        assert statuses == ["OK", *["PROVIDER_TIMEOUT"] * 4, "OK"]


async def test_cut_for_all(start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any]) -> None:
    """A shared answer that is cut is cut for all, with what came until then; one pays for it."""
    upstream.will(Cut(2))
    async with start_gateway(**always) as house:
        pentad = await house.client()
        streams = [pentad.llm.stream("hi", model=MODEL) for _ in range(3)]

        async def watch(stream: Any) -> str:
            with pytest.raises(PentadError) as caught:
                async for _ in stream:
                    pass
            return caught.value.reason

        assert await asyncio.gather(*map(watch, streams)) == ["PROVIDER_UNAVAILABLE"] * 3
        assert {stream.text for stream in streams} == {"one two"}
        costs = sorted(stream.usage.cost.micros for stream in streams if stream.usage)
        assert costs[:2] == [0, 0] and costs[2] > 0


async def test_limits_of_the_first(start_gateway: StartGateway, upstream: Upstream, tmp_path: Path) -> None:
    """Whoever joins a call is not refused for the limits of the one who began it."""
    rule = {"name": "calls", "scope": "key", "requests_per_minute": 1}
    path = catalog(tmp_path, cache={"enabled": "always"}, limits=[rule])
    async with start_gateway(llm_catalog=path) as house:
        first, second = await house.client(), await house.client()
        await first.llm.invoke("other", model=MODEL)
        upstream.will(SLOW)
        found = await asyncio.gather(read(first), read(second), read(first), return_exceptions=True)
        assert isinstance(found[1], tuple) and found[1][0] == "one two three four"
        assert (await read(first))[1].cached  # type: ignore[union-attr]


async def test_revoked_key(start_gateway: StartGateway, upstream: Upstream, always: dict[str, Any]) -> None:
    """A revoked key ends its open streams within a second or so and closes the request upstream, and leaves
    those alone who share the call with keys of their own."""
    upstream.will(Hang(after=2), Hang(after=2))
    async with start_gateway(**always) as house:
        keys = KeyStore(house.database)
        await house.client()

        async def begun(prompt: str) -> tuple[Any, str]:
            text = await house.key("client")
            stream = (await house.client_with(text)).llm.stream(prompt, model=MODEL)
            events = aiter(stream)
            await anext(events)
            return events, text.split("_")[1]

        alone, alone_key = await begun("alone")
        shared, shared_key = await begun("shared")
        other, _ = await begun("shared")
        await keys.revoke(house.tenant, alone_key)
        await keys.revoke(house.tenant, shared_key)
        for events in (alone, shared):
            with pytest.raises(PentadError) as caught:
                async with asyncio.timeout(2):
                    async for _ in events:
                        pass
            assert caught.value.reason == "API_KEY_REVOKED"
        await asyncio.wait_for(upstream.requests[0].closed.wait(), 1)
        assert not upstream.requests[1].closed.is_set()
        waiting = asyncio.create_task(anext(other))
        await asyncio.sleep(0.3)
        assert not waiting.done(), "it goes on for who has a good key"
        waiting.cancel()
