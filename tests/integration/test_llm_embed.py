"""Vectors, over gRPC."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pentad.llm.v1 import llm_pb2
from pentad_client import Pentad, PentadError
from pentad_client.llm import Embeddings
from tests.fixtures.llm_gateway import House, StartGateway
from tests.fixtures.upstream import Hang, Status, Upstream


@pytest.mark.parametrize("model", ["openai/text-embedding-3-small", "openai-compatible"])
async def test_vectors(pentad: Pentad, upstream: Upstream, model: str) -> None:
    """Each text has its vector, in order, at the catalog's price; many texts go in several calls."""
    found = await pentad.llm.embed(["abc", "de"], model=model, dimensions=2)
    assert found.vectors == [[3.0, 0.0], [2.0, 1.0]]
    assert (found.usage.input_tokens, found.usage.output_tokens) == (10, 0)
    assert (found.served.model, found.served.requested_model) == ("served-vectors", model)
    assert (await upstream.requested()).body["dimensions"] == 2
    many = await pentad.llm.embed([str(number) for number in range(600)], model=model)
    assert (len(many.vectors), many.usage.calls, many.usage.input_tokens) == (600, 3, 3000)
    usage = await pentad.llm.usage()
    assert (usage.total.calls, usage.total.input_tokens) == (4, 3010)
    if model.startswith("openai/"):
        assert usage.total.cost.micros == sum(round(texts * 5 * 0.02) for texts in (2, 256, 256, 88))


async def test_default_model(pentad: Pentad, start_gateway: StartGateway) -> None:
    """Who names no model gets one that makes embeddings, of the first provider that has any."""
    assert (await pentad.llm.embed("x")).served.provider == "openai"
    listed = (await pentad.llm.models("openai")).models
    assert {model.name for model in listed if model.embeddings} == {
        "text-embedding-3-large",
        "text-embedding-3-small",
    }


@pytest.mark.parametrize("model", ["anthropic", "anthropic/claude-sonnet-5", "openai/gpt-6.2-sol"])
async def test_models_without(pentad: Pentad, upstream: Upstream, model: str) -> None:
    """A model or a provider that makes none says so, and nobody is asked."""
    with pytest.raises(PentadError) as caught:
        await pentad.llm.embed("x", model=model)
    assert (caught.value.reason, caught.value.violations[0][0]) == ("INVALID_REQUEST", "model")
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("x", model="openai/text-embedding-3-small")
    assert caught.value.reason == "INVALID_REQUEST"
    assert not upstream.requests


async def test_extras(pentad: Pentad, upstream: Upstream) -> None:
    """Extras go through; addresses and keys do not."""
    await pentad.llm.embed("x", model="openai-compatible", extras={"input_type": "query"})
    assert (await upstream.requested()).body["input_type"] == "query"
    with pytest.raises(PentadError, match="addresses or keys"):
        await pentad.llm.embed("x", extras={"api_base": "http://evil"})


async def test_retries_and_errors(pentad: Pentad, upstream: Upstream) -> None:
    """What passes is tried again; what does not has the taxonomy's reason."""
    upstream.will(Status(503), Status(429, headers={"retry-after": "0.01"}))
    found = await pentad.llm.embed("x")
    assert found.served.attempts == 3
    upstream.will(Status(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}))
    with pytest.raises(PentadError) as caught:
        await pentad.llm.embed("x")
    assert caught.value.reason == "CONTEXT_WINDOW_EXCEEDED"


async def test_caller_leaves(house: House, upstream: Upstream) -> None:
    """Who leaves ends the request upstream."""
    upstream.will(Hang())
    pentad = await house.client()
    call = asyncio.create_task(pentad.llm.embed("x"))
    request = await upstream.requested()
    call.cancel()
    async with asyncio.timeout(1):
        await request.closed.wait()


async def test_more_than_one_message(start_gateway: StartGateway, upstream: Upstream) -> None:
    """Vectors that do not fit into one message are refused, saying so; the client asks for few at once."""
    async with start_gateway(max_message_bytes=66_000) as house:
        pentad = await house.client()
        with pytest.raises(PentadError, match="ask for fewer") as caught:
            await pentad.llm.embed(["x"] * 256)
        assert caught.value.violations[0][0] == "inputs"
        assert len((await pentad.llm.embed(["x"] * 10)).vectors) == 10


@pytest.mark.parametrize("backend", ["memory", "redis"])
async def test_cached(
    start_gateway: StartGateway, upstream: Upstream, request: pytest.FixtureRequest, backend: str
) -> None:
    """Vectors are kept for those who say for how long, exactly and apart by their length; who asks the same
    at the same time shares one call."""
    redis = {"llm_backend": "redis", "redis_url": request.getfixturevalue("redis_url")}
    keep = llm_pb2.CachePolicy(ttl=timedelta(minutes=1))
    async with start_gateway(**(redis if backend == "redis" else {})) as house:
        pentad = await house.client()

        async def ask(*texts: str, dimensions: int = 2) -> Embeddings:
            return await pentad.llm.embed(texts, dimensions=dimensions, cache=keep)

        first, second, longer = (
            await ask("abc", "de"),
            await ask("abc", "de"),
            await ask("abc", "de", dimensions=3),
        )
        assert first.vectors == second.vectors == [[3.0, 0.0], [2.0, 1.0]] != longer.vectors
        assert [one.served.cached for one in (first, second, longer)] == [False, True, False]
        assert (second.usage.input_tokens, second.usage.cost.micros, second.served.model) == (
            0,
            0,
            "served-vectors",
        )
        assert len(upstream.requests) == 2
        together = await asyncio.gather(*(ask("at once") for _ in range(20)))
        assert [one.served.cached for one in together].count(False) == 1
        assert len(upstream.requests) == 3
        assert len((await pentad.llm.embed(["abc", "de"], dimensions=2)).vectors) == 2
        assert len(upstream.requests) == 4
