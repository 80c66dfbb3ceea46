"""Limits and budgets of the gateway: over gRPC, in front of an upstream, in memory and on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from pentad.llm.v1 import llm_pb2
from pentad_client import Pentad, PentadError, enveloped
from tests.fixtures.llm_gateway import House, StartGateway
from tests.fixtures.upstream import Answer, Hang, Status, Upstream
from tests.fixtures.valkey import RedisProcess

MODEL = "openai/priced"
MODELS = {
    "priced": {"price": {"input": 1, "output": 100}, "context_window": 500, "max_output_tokens": 1000},
    "cheap": {"price": {"input": 0, "output": 0}},
    "unpriced": {},
}
"""A call to `priced` that names 10 tokens of output takes 1,194 micros at most: 194 for its input."""
COST = 11 + 7 * 100
"""What the upstream's answer costs: 11 tokens in, 7 out."""


def catalog(folder: Path, *limits: dict[str, Any]) -> str:
    """The path of a catalog with these limits."""
    path = folder / "catalog.yaml"
    path.write_text(
        yaml.safe_dump({"version": 1, "limits": list(limits), "providers": {"openai": {"models": MODELS}}})
    )
    return str(path)


@pytest.fixture(params=["memory", "redis"])
def backend(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The gateway's settings; the test runs once on each backend."""
    if request.param == "memory":
        return {}
    return {"llm_backend": "redis", "redis_url": request.getfixturevalue("redis_url")}


async def ask(pentad: Pentad, model: str = MODEL, tokens: int | None = 10, **more: Any) -> str:
    """OK, or the reason why not."""
    try:
        await pentad.llm.invoke("hi", model=model, max_output_tokens=tokens, **more)
    except PentadError as error:
        return error.reason
    return "OK"


async def refused(pentad: Pentad, model: str = MODEL, tokens: int | None = 10, **more: Any) -> PentadError:
    """The error of a call that must fail."""
    with pytest.raises(PentadError) as caught:
        await pentad.llm.invoke("hi", model=model, max_output_tokens=tokens, **more)
    return caught.value


def budget(usd: float, scope: str = "tenant", **more: Any) -> dict[str, Any]:
    """A limit of money."""
    return {"name": "money", "scope": scope, "budget": {"usd": usd, "window": "1d", **more}}


async def levels(house: House) -> dict[tuple[str, str], llm_pb2.LimitUsage]:
    """The limits in use, by name and kind."""
    usage = await (await house.client()).llm.usage()
    return {(item.name, item.kind): item for item in usage.limits}


async def test_budget_race(
    start_gateway: StartGateway, upstream: Upstream, tmp_path: Path, backend: dict[str, Any]
) -> None:
    """A hundred calls at once cannot overspend; what was reserved too much can be spent after."""
    async with start_gateway(llm_catalog=catalog(tmp_path, budget(0.01)), **backend) as house:
        pentad = await house.client()
        upstream.will(*[Answer(pause=0.05)] * 100)
        said = await asyncio.gather(*(ask(pentad) for _ in range(100)))
        assert set(said) == {"OK", "BUDGET_EXCEEDED"}
        made = said.count("OK")
        assert 6 <= made <= 14
        level = (await levels(house))["money", "budget"]
        assert (level.limit, level.used, level.scope, level.subject) == (10_000, made * COST, "tenant", "")
        assert level.reset_time.seconds % 86400 == 0
        while await ask(pentad) == "OK":
            made += 1
        assert 10_000 - 1194 < made * COST <= 10_000
        usage = await pentad.llm.usage()
        assert usage.total.cost.micros == made * COST


async def test_two_gateways(
    start_gateway: StartGateway, upstream: Upstream, tmp_path: Path, redis_url: str
) -> None:
    """Gateways on one Redis hold a tenant to one budget."""
    shared = {"llm_backend": "redis", "redis_url": redis_url, "llm_catalog": catalog(tmp_path, budget(0.01))}
    async with start_gateway(**shared) as first, start_gateway(**shared) as second:
        clients = [await first.client(), await second.client()]
        upstream.will(*[Answer(pause=0.05)] * 60)
        said = await asyncio.gather(*(ask(clients[i % 2]) for i in range(60)))
        assert said.count("OK") * COST <= 10_000
        assert (await levels(first))["money", "budget"].used == said.count("OK") * COST
        assert (await levels(second))["money", "budget"].used == said.count("OK") * COST


async def test_budget_told(start_gateway: StartGateway, tmp_path: Path, backend: dict[str, Any]) -> None:
    """A refusal names the limit, what is used and when the window ends; what can never be says so."""
    async with start_gateway(llm_catalog=catalog(tmp_path, budget(0.0015)), **backend) as house:
        pentad = await house.client()
        assert await ask(pentad) == "OK"
        error = await refused(pentad)
        assert (error.reason, error.metadata["limit"], error.metadata["bound"]) == (
            "BUDGET_EXCEEDED",
            "money",
            "1500",
        )
        assert (error.metadata["used"], error.metadata["asked"]) == (str(COST), "1194")
        assert error.metadata["window_end"].endswith("T00:00:00Z")
        assert "never" not in error.metadata
        error = await refused(pentad, tokens=100)
        assert (error.metadata["never"], error.retry_after) == ("true", None)
        assert "max_output_tokens" in error.message


async def test_restart(start_gateway: StartGateway, tmp_path: Path, backend: dict[str, Any]) -> None:
    """A restart of the gateway, or a Redis that lost everything, resets no budget."""
    path = catalog(tmp_path, budget(0.002), budget(0.0015, "key") | {"name": "keys"})
    async with start_gateway(llm_catalog=path, **backend) as house:
        text = await house.key("client")
        assert await ask(await house.client_with(text)) == "OK"
    if backend:
        with redis.Redis.from_url(backend["redis_url"]) as client:
            client.flushall()
    async with start_gateway(llm_catalog=path, **backend) as house:
        assert (await levels(house))["money", "budget"].used == COST
        assert (await refused(await house.client_with(text))).metadata["limit"] == "keys"
        assert (await refused(await house.client(), tokens=20)).metadata["limit"] == "money"


async def test_rates(start_gateway: StartGateway, tmp_path: Path, backend: dict[str, Any]) -> None:
    """Requests and tokens a minute are refused with the time after which they fit."""
    rules: Iterable[dict[str, Any]] = (
        {"name": "calls", "scope": "key", "requests_per_minute": 2},
        {"name": "words", "scope": "model", "subject": "openai/priced", "tokens_per_minute": 600},
    )
    async with start_gateway(llm_catalog=catalog(tmp_path, *rules), **backend) as house:
        first, second = await house.client(), await house.client()
        assert [await ask(first, "openai/cheap") for _ in range(3)] == ["OK", "OK", "RATE_LIMITED"]
        error = await refused(first, "openai/cheap")
        assert error.retry_after is not None and 50 < error.retry_after < 62
        assert (error.metadata["scope"], error.metadata["kind"]) == ("key", "requests_per_minute")
        assert await ask(second) == "OK"
        error = await refused(second, tokens=500)
        assert (error.reason, error.metadata["limit"]) == ("RATE_LIMITED", "words")
        error = await refused(await house.client(), tokens=1000)
        assert (error.metadata["never"], error.retry_after) == ("true", None)
        told = await levels(house)
        assert told["words", "tokens_per_minute"].used == 18
        assert told["words", "tokens_per_minute"].subject == "openai/priced"


async def test_concurrent_calls(
    start_gateway: StartGateway, upstream: Upstream, tmp_path: Path, backend: dict[str, Any]
) -> None:
    """Only so many calls are under way at once; one that ends or whose caller leaves makes room."""
    rule = {"name": "places", "scope": "tenant", "concurrent_calls": 2}
    async with start_gateway(llm_catalog=catalog(tmp_path, rule), **backend) as house:
        pentad = await house.client()
        upstream.will(Hang(), Hang())
        waiting = [asyncio.create_task(ask(pentad)) for _ in range(2)]
        await upstream.requested(2)
        error = await refused(pentad)
        assert (error.reason, error.retry_after) == ("RATE_LIMITED", 2.0)
        assert (await levels(house))["places", "concurrent_calls"].used == 2
        waiting[0].cancel()
        async with asyncio.timeout(5):
            while await ask(pentad) != "OK":  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.05)
        waiting[1].cancel()


async def test_cut_streams_settle(
    start_gateway: StartGateway, upstream: Upstream, tmp_path: Path, backend: dict[str, Any]
) -> None:
    """A stream that was left settles with what had come until then, a call that failed with nothing."""
    async with start_gateway(llm_catalog=catalog(tmp_path, budget(1)), **backend) as house:
        pentad = await house.client()
        upstream.will(Hang(after=2))
        async with pentad.llm.stream("hi", model=MODEL) as stream:
            async for _ in stream:
                break
        assert (await upstream.requested()).closed
        async with asyncio.timeout(5):
            while (used := (await levels(house))["money", "budget"].used) > 1000 or not used:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert used == (await pentad.llm.usage()).total.cost.micros
        upstream.will(Status(400))
        assert await ask(pentad) == "INVALID_REQUEST"
        assert (await levels(house))["money", "budget"].used == used


async def test_stream_end_is_settled(
    start_gateway: StartGateway, tmp_path: Path, backend: dict[str, Any]
) -> None:
    """Who has read a stream's end finds it settled: the next call has the room."""
    rule = {"name": "places", "scope": "key", "concurrent_calls": 1}
    async with start_gateway(llm_catalog=catalog(tmp_path, rule), **backend) as house:
        pentad = await house.client()
        for _ in range(10):
            async with pentad.llm.stream("hi", model=MODEL) as stream:
                async for event in stream:
                    if isinstance(event, llm_pb2.End):
                        break


async def test_unpriced(start_gateway: StartGateway, tmp_path: Path, backend: dict[str, Any]) -> None:
    """A model without a price is refused where money is bounded, unless the rule allows it."""
    async with start_gateway(llm_catalog=catalog(tmp_path, budget(1)), **backend) as house:
        error = await refused(await house.client(), "openai/unpriced")
        assert (error.reason, error.retry_after) == ("BUDGET_EXCEEDED", None)
        assert "has no price" in error.message
        assert await ask(await house.client(), "openai/cheap") == "OK"
    async with start_gateway(llm_catalog=catalog(tmp_path, budget(1, unpriced="allow")), **backend) as house:
        assert await ask(await house.client(), "openai/unpriced") == "OK"


async def test_run_budget(start_gateway: StartGateway, tmp_path: Path, backend: dict[str, Any]) -> None:
    """What is left of a run bounds its calls, in tokens and in money, all of its calls together."""
    async with start_gateway(**backend, llm_catalog=catalog(tmp_path)) as house:
        pentad = await house.client()
        with enveloped(run_id="r1", budget={"cost_micros": 2000, "max_cost_micros": 2000}):
            assert [await ask(pentad) for _ in range(3)] == ["OK", "OK", "BUDGET_EXCEEDED"]
            error = await refused(pentad)
            assert (error.metadata["limit"], error.metadata["scope"]) == ("run", "run")
            assert error.retry_after is None
        with enveloped(budget={"tokens": 600}):
            assert [await ask(pentad, "openai/unpriced") for _ in range(5)] == ["OK"] * 5
            error = await refused(pentad, "openai/unpriced", tokens=600)
            assert (error.reason, error.metadata["never"]) == ("BUDGET_EXCEEDED", "true")
        with enveloped(run_id="r2", budget={"tokens": 600}):
            assert await ask(pentad, "openai/unpriced") == "OK"
            assert await ask(pentad, "openai/unpriced", tokens=600) == "BUDGET_EXCEEDED"
    async with start_gateway(**backend, llm_catalog=catalog(tmp_path)) as house:
        with enveloped(run_id="r1", budget={"cost_micros": 2000, "max_cost_micros": 2000}):
            assert await ask(await house.client()) == "BUDGET_EXCEEDED"


async def test_default_output(start_gateway: StartGateway, upstream: Upstream, tmp_path: Path) -> None:
    """A call that names no bound on its output gets the rule's, and the provider is told."""
    rule = budget(1) | {"default_output_tokens": 20}
    async with start_gateway(llm_catalog=catalog(tmp_path, rule)) as house:
        assert await ask(await house.client(), tokens=None) == "OK"
        assert upstream.requests[-1].body["max_completion_tokens"] == 20


async def test_makes_do(
    start_gateway: StartGateway, upstream: Upstream, tmp_path: Path, backend: dict[str, Any]
) -> None:
    """A call that names no bound on its output is asked to say less where it could not be made otherwise, for
    what is left of its run, or for a limit that its model alone would pass."""

    def sent() -> int:
        return int(upstream.requests[-1].body.get("max_completion_tokens", 0))

    async with start_gateway(**backend, llm_catalog=catalog(tmp_path)) as house:
        pentad = await house.client()
        with enveloped(run_id="r", budget={"cost_micros": 20_000, "max_cost_micros": 20_000}):
            assert await ask(pentad, tokens=None) == "OK"
            first = sent()
            assert 150 < first <= 200
            assert await ask(pentad, tokens=None) == "OK"
            assert 150 < sent() < first
        with enveloped(budget={"tokens": 500}):
            assert await ask(pentad, tokens=None) == "OK"
            assert sent() == 500 - 194
        with enveloped(budget={"tokens": 200}):
            assert await ask(pentad, tokens=None) == "BUDGET_EXCEEDED"
    rule = {"name": "words", "scope": "tenant", "tokens_per_minute": 900}
    async with start_gateway(**backend, llm_catalog=catalog(tmp_path, rule)) as house:
        pentad = await house.client()
        assert await ask(pentad, tokens=None) == "OK"
        assert sent() == 900 - 194
        assert (await refused(pentad, tokens=900)).metadata["never"] == "true"


async def test_other_model(start_gateway: StartGateway, tmp_path: Path) -> None:
    """A model's limit leads to the models that stand in for it, a tenant's limit to none."""
    path = tmp_path / "catalog.yaml"
    rules = [{"name": "m", "scope": "model", "subject": MODEL, "requests_per_minute": 1}]
    fallbacks = {MODEL: {"general": ["openai/cheap"]}}
    providers = {"openai": {"models": MODELS}}
    path.write_text(
        yaml.safe_dump({"version": 1, "limits": rules, "fallbacks": fallbacks, "providers": providers})
    )
    async with start_gateway(llm_catalog=str(path)) as house:
        pentad = await house.client()
        assert not (await pentad.llm.invoke("hi", model=MODEL)).served.failed_models
        (failed,) = (await pentad.llm.invoke("hi", model=MODEL)).served.failed_models
        assert (failed.model, failed.reason) == ("priced", "RATE_LIMITED")


async def test_tenants_apart(start_gateway: StartGateway, tmp_path: Path, backend: dict[str, Any]) -> None:
    """One tenant's calls use nothing of another's limits, and its levels are its own."""
    rule = {"name": "calls", "scope": "model", "requests_per_minute": 1}
    async with start_gateway(llm_catalog=catalog(tmp_path, rule), **backend) as house:
        other = await house.client(tenant=house.new_tenant())
        assert await ask(await house.client()) == "OK"
        assert not (await other.llm.usage()).limits
        assert await ask(other) == "OK"
        assert await ask(other) == "RATE_LIMITED"


async def test_redis_away(start_gateway: StartGateway, tmp_path: Path, redis_process: RedisProcess) -> None:
    """Without Redis callers with limits are refused with a wait, others go on; it comes back by itself."""
    path = catalog(tmp_path, {"name": "m", "scope": "model", "subject": MODEL, "concurrent_calls": 5})
    settings = {"llm_backend": "redis", "redis_url": redis_process.url}
    redis_process.stop()
    async with start_gateway(llm_catalog=path, **settings) as house:
        pentad = await house.client()
        error = await refused(pentad)
        assert (error.reason, error.retry_after) == ("LIMITS_UNAVAILABLE", 3.0)
        assert await ask(pentad, "openai/cheap") == "OK"
        redis_process.start()
        assert await ask(pentad) == "OK"
        redis_process.kill()
        assert await ask(pentad) == "LIMITS_UNAVAILABLE"
        redis_process.start()
        assert await ask(pentad) == "OK"


async def test_leaving_while_reserving(
    start_gateway: StartGateway, upstream: Upstream, tmp_path: Path, redis_process: RedisProcess
) -> None:
    """A caller that leaves before Redis has answered leaves nothing reserved there."""
    path = catalog(tmp_path, {"name": "places", "scope": "tenant", "concurrent_calls": 1})
    settings = {"llm_catalog": path, "llm_backend": "redis", "redis_url": redis_process.url}
    async with start_gateway(**settings) as house:
        pentad = await house.client()
        assert await ask(pentad) == "OK"
        with redis.Redis.from_url(redis_process.url) as client:
            client.client_pause(400, all=True)
        leaving = asyncio.create_task(ask(pentad))
        await asyncio.sleep(0.2)
        leaving.cancel()
        await asyncio.sleep(0.4)
        async with asyncio.timeout(5):
            while await ask(pentad) != "OK":  # noqa: ASYNC110 - only asking tells
                await asyncio.sleep(0.1)
        assert len(upstream.requests) == 2


async def test_reload(start_gateway: StartGateway, tmp_path: Path) -> None:
    """Limits change with the catalog's file, and what was spent before counts."""
    path = Path(catalog(tmp_path))
    async with start_gateway(llm_catalog=str(path)) as house:
        pentad = await house.client()
        assert await ask(pentad) == "OK"
        catalog(tmp_path, budget(0.001))
        async with asyncio.timeout(10):
            while ("money", "budget") not in await levels(house):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert (await refused(pentad)).metadata["used"] == str(COST)
