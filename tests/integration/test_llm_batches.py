"""Batches: by the providers' own batch APIs and call by call, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from pentad.llm.v1 import llm_pb2
from pentad_client import ClientConfig, Pentad, PentadError
from pentad_common.call import CallContext
from pentad_common.clock import utcnow
from pentad_common.db import ALL_TENANTS
from pentad_common.errors import ResourceExhausted
from pentad_common.keys import KeyStore
from pentad_common.models import LlmBatch, LlmBatchItem, LlmCall
from pentad_llm_gateway.batches.worker import BatchWorker
from pentad_llm_gateway.limits.base import NoLimits
from pentad_llm_gateway.target import Target
from tests.fixtures.llm_gateway import House, StartGateway, upstream_settings
from tests.fixtures.upstream import Answer, Hang, Status, Upstream

QUICK = {
    "llm_batch_poll_seconds": 0.02,
    "llm_batch_most_poll_seconds": 0.1,
    "llm_batch_idle_seconds": 0.05,
    "llm_batch_lease_seconds": 3.0,
}
NATIVE = ("openai", "anthropic")
CANARY = "canary-in-a-batch"


@pytest.fixture
async def house(start_gateway: StartGateway) -> AsyncIterator[House]:
    """A gateway that looks after its batches often."""
    async with start_gateway(**QUICK) as started:
        yield started


@pytest.fixture
async def pentad(house: House) -> Pentad:
    """A client of `house` with an admin's key."""
    return await house.client()


async def ended(pentad: Pentad, batch: llm_pb2.Batch) -> llm_pb2.Batch:
    """The batch, once it has ended."""
    async with asyncio.timeout(20):
        return await pentad.llm.batch_ended(batch.batch_id, 0.02)


async def results(pentad: Pentad, batch: llm_pb2.Batch) -> dict[str, str]:
    """What came of the items: the words, or the reason of the error."""
    found: dict[str, str] = {}
    async for result in pentad.llm.batch_results(batch.batch_id):
        answer = "".join(part.text for part in result.response.message.parts)
        found[result.custom_id] = result.error.reason or answer
    return found


async def until(condition: Callable[[], Any]) -> None:
    """Waits until it holds."""
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 - of another task or process
            await asyncio.sleep(0.01)


def rows(house: House, query: Any) -> list[Any]:
    """What the database has."""
    return house.database.run_sync(lambda session: list(session.execute(query)), tenant=ALL_TENANTS)


@pytest.mark.parametrize("provider", NATIVE)
async def test_providers_own(pentad: Pentad, upstream: Upstream, house: House, provider: str) -> None:
    """A batch goes through the provider's own API, at its price, and each item is in the ledger."""
    upstream.batches.errors, upstream.batches.expired = {"bad"}, {"late"}
    model = {"openai": "openai/gpt-6.2-sol", "anthropic": "anthropic/claude-sonnet-5"}[provider]
    batch = await pentad.llm.batch_invoke({"a": "one", "b": "bad", "c": "late", "d": "two"}, model=model)
    assert (batch.native, batch.model, batch.items) == (True, model, 4)
    batch = await ended(pentad, batch)
    assert batch.state == llm_pb2.BATCH_STATE_COMPLETED
    assert (batch.succeeded, batch.failed, batch.cancelled) == (2, 2, 0)
    assert await results(pentad, batch) == {
        "a": "about one",
        "b": "INVALID_REQUEST",
        "c": "PROVIDER_TIMEOUT",
        "d": "about two",
    }
    full = {"openai": 86, "anthropic": 87}[provider]
    assert batch.usage.cost.micros == 2 * round(full / 2)
    usage = await pentad.llm.usage()
    assert (usage.total.calls, usage.total.cost.micros) == (4, 2 * round(full / 2))
    assert upstream.batches.deleted, "what is left at the provider is deleted"
    assert not any(request.path.endswith(("completions", "messages")) for request in upstream.requests)


async def test_call_by_call(pentad: Pentad, upstream: Upstream, house: House) -> None:
    """Where there is no batch API, or it is not wanted, items are asked as calls: a few at once."""
    upstream.will(*[Answer("word", pause=0.05)] * 20)
    batch = await pentad.llm.batch_invoke(
        {f"i{number}": f"text {number}" for number in range(20)}, model="openai", fan_out=True
    )
    assert not batch.native
    batch = await ended(pentad, batch)
    assert (batch.state, batch.succeeded) == (llm_pb2.BATCH_STATE_COMPLETED, 20)
    assert list(await results(pentad, batch)) == [f"i{number}" for number in range(20)]
    assert (await pentad.llm.usage()).total.calls == 20
    assert batch.usage.cost.micros == 20 * 86, "the full price"


async def test_prompts_go(pentad: Pentad, house: House) -> None:
    """Requests are deleted when there is a result; results and the tenant's list stay."""
    batches = [
        await pentad.llm.batch_invoke({"a": CANARY}, model=model)
        for model in ("openai", "anthropic", "openai-compatible")
    ]
    for batch in batches:
        await ended(pentad, batch)
    kept = rows(house, select(LlmBatchItem.request))
    assert [row[0] for row in kept] == [None] * 3
    listed = [item.batch_id async for item in pentad.llm.batches()]
    assert listed == [batch.batch_id for batch in reversed(batches)]


async def test_bad_items(pentad: Pentad, house: House) -> None:
    """One bad item refuses them all, and is named; nothing is kept."""
    address = {"prompt": "x", "extras": {"base_url": "http://x"}}
    bad: list[tuple[Any, str]] = [
        ([("a", "fine"), ("a", "twice")], "items[1]"),
        ({"a": "fine", "b": address}, "items[1].completion.extras.base_url"),
        ({"a": {"prompt": "x", "model": "no-such-model"}}, "items[0]"),
        ({"a": {"prompt": "x", "json_schema": "{"}}, "items[0].completion.response_format.json_schema"),
    ]
    for items, field in bad:
        with pytest.raises(PentadError) as caught:
            await pentad.llm.batch_invoke(items, model="openai-compatible")
        error = caught.value
        named = error.violations[0][0] if error.violations else field
        assert (named, "item 'a'" in str(error) or "item 'b'" in str(error)) == (field, True)
    assert rows(house, select(func.count()).select_from(LlmBatch)) == [(0,)]


async def test_handed_in_again(pentad: Pentad, house: House) -> None:
    """The same request id is the same batch, for a day and for its caller."""
    again = [await pentad.llm.batch_invoke({"a": "x"}, request_id="one") for _ in range(2)]
    at_once = await asyncio.gather(*(pentad.llm.batch_invoke({"a": "x"}, request_id="two") for _ in range(5)))
    assert len({batch.batch_id for batch in again}) == len({batch.batch_id for batch in at_once}) == 1
    other = await (await house.client("client")).llm.batch_invoke({"a": "x"}, request_id="one")
    assert other.batch_id != again[0].batch_id
    long_ago = update(LlmBatch).values(create_time=utcnow().replace(year=2020))
    house.database.run_sync(lambda session: session.execute(long_ago), tenant=ALL_TENANTS)
    new = await pentad.llm.batch_invoke({"a": "x"}, request_id="one")
    assert new.batch_id != again[0].batch_id


@pytest.mark.parametrize("fan_out", [False, True])
async def test_cancel(pentad: Pentad, upstream: Upstream, fan_out: bool) -> None:
    """What is done stays, what runs is ended upstream within a second, what waits is cancelled."""
    upstream.batches.looks = 1_000_000
    if fan_out:
        upstream.will(Answer("done"), *[Hang()] * 30)
    batch = await pentad.llm.batch_invoke(
        {f"i{number}": "x" for number in range(20)}, model="openai", fan_out=fan_out
    )
    if fan_out:
        running = [await upstream.requested(count) for count in range(2, 9)]
    else:
        await until(lambda: upstream.batches.jobs)
    await pentad.llm.cancel_batch(batch.batch_id)
    if fan_out:
        async with asyncio.timeout(1):
            await asyncio.gather(*(request.closed.wait() for request in running))
    batch = await ended(pentad, batch)
    assert batch.state == llm_pb2.BATCH_STATE_CANCELLED
    assert (batch.succeeded, batch.cancelled) == ((1, 19) if fan_out else (0, 20))
    again = await pentad.llm.cancel_batch(batch.batch_id)
    assert again == batch, "stopping one that has ended changes nothing"


async def test_limited_items_wait(pentad: Pentad, upstream: Upstream) -> None:
    """An item that is held back for the rate of calls is asked again later."""
    upstream.will(*[Status(429, headers={"retry-after": "0.01"})] * 3, Answer("fine"))
    batch = await pentad.llm.batch_invoke({"a": "x"}, model="openai-compatible")
    async with asyncio.timeout(30):
        batch = await pentad.llm.batch_ended(batch.batch_id, 0.1)
    assert await results(pentad, batch) == {"a": "fine"}


async def test_key_revoked(house: House, upstream: Upstream) -> None:
    """When the key of whoever handed a batch in ends, what is not begun is cancelled, and says why."""
    admin = await house.client()
    keys = KeyStore(house.database)
    key, text = await keys.create(house.tenant, name="gone", role="client")
    upstream.will(*[Hang()] * 30)
    async with Pentad(ClientConfig(api_key=text, llm_address=house.address)) as caller:
        batch = await caller.llm.batch_invoke(
            {f"i{number}": "x" for number in range(12)}, model="openai-compatible"
        )
        await upstream.requested(8)
        await keys.revoke(house.tenant, key.key_id)
        batch = await ended(admin, batch)
    assert (batch.state, batch.cancelled) == (llm_pb2.BATCH_STATE_CANCELLED, 12)
    reasons = list((await results(admin, batch)).values())
    assert (reasons.count("API_KEY_REVOKED"), reasons.count("CANCELLED")) == (4, 8)


async def test_a_batch_that_the_provider_refuses(pentad: Pentad, upstream: Upstream) -> None:
    """A batch that cannot be run has failed, with the provider's reason, and so have its items."""
    upstream.batches.invalid = "invalid_request"
    batch = await ended(pentad, await pentad.llm.batch_invoke({"a": "x"}, model="openai"))
    assert (batch.state, batch.error.reason) == (llm_pb2.BATCH_STATE_FAILED, "INVALID_REQUEST")
    assert await results(pentad, batch) == {"a": "INVALID_REQUEST"}


async def test_faults_on_the_way(pentad: Pentad, upstream: Upstream) -> None:
    """Faults of the provider's batch API that pass are waited out, and nothing is handed in twice."""
    upstream.will(Status(503), Status(429, headers={"retry-after": "0.01"}))
    batch = await ended(pentad, await pentad.llm.batch_invoke({"a": "x"}, model="openai"))
    assert batch.succeeded == 1
    assert len(upstream.batches.jobs) == 1


async def test_other_tenants(house: House, pentad: Pentad) -> None:
    """Another tenant finds no batch of that id."""
    batch = await pentad.llm.batch_invoke({"a": "x"})
    stranger = await house.client(tenant=house.new_tenant())
    for ask in (stranger.llm.batch, stranger.llm.cancel_batch):
        with pytest.raises(PentadError) as caught:
            await ask(batch.batch_id)
        assert caught.value.reason == "BATCH_NOT_FOUND"
    assert [item async for item in stranger.llm.batches()] == []


async def test_retention(pentad: Pentad, house: House) -> None:
    """Old batches are deleted with their results."""
    from pentad_llm_gateway.batches.store import BatchStore

    batch = await ended(pentad, await pentad.llm.batch_invoke({"a": "x"}))
    store = BatchStore(house.database)
    assert await store.purge(3600) == 0
    assert await store.purge(0) == 1
    assert rows(house, select(func.count()).select_from(LlmBatchItem)) == [(0,)]
    with pytest.raises(PentadError):
        await pentad.llm.batch(batch.batch_id)


async def test_gateways_share_the_work(start_gateway: StartGateway, upstream: Upstream) -> None:
    """Two gateways on one database ask each item once, and both work."""
    upstream.will(*[Answer("word", pause=0.02)] * 200)
    async with (
        start_gateway(**QUICK, llm_batch_concurrency=3) as first,
        start_gateway(**QUICK, llm_batch_concurrency=3),
    ):
        pentad = await first.client()
        items = {f"i{number}": f"text {number}" for number in range(60)}
        batch = await ended(pentad, await pentad.llm.batch_invoke(items, model="openai-compatible"))
        assert batch.succeeded == 60
    asked = [request.body["messages"][0]["content"] for request in upstream.requests]
    assert sorted(asked) == sorted(items.values())


def process_settings(house: House, upstream: Upstream, port: int) -> dict[str, str]:
    """The environment of a gateway of its own."""
    url = house.database.url.render_as_string(hide_password=False)
    return {
        **os.environ,
        "PENTAD_DATABASE_URL": url,
        "PENTAD_PORT": str(port),
        "PENTAD_LOG_FORMAT": "json",
        **{
            name.upper() if name.startswith(("openai", "anthropic")) else f"PENTAD_{name.upper()}": str(value)
            for name, value in upstream_settings(upstream, **QUICK, llm_batch_concurrency=4).items()
            if name not in ("port", "llm_http_port")
        },
    }


@pytest.mark.parametrize("fan_out", [False, True])
async def test_killed(
    start_gateway: StartGateway, upstream: Upstream, tmp_path: Path, free_port: int, fan_out: bool
) -> None:
    """A gateway is killed in the middle: another one goes on, and asks nothing again that was answered."""
    upstream.batches.looks = 3
    async with start_gateway(**QUICK, llm_batch_concurrency=1) as house:
        pass
    environment = process_settings(house, upstream, free_port)

    async def start() -> asyncio.subprocess.Process:
        with (tmp_path / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pentad_llm_gateway", env=environment, stderr=log, stdout=log
            )

    _, key = await KeyStore(house.database).create(house.tenant, name="test", role="admin")
    process = await start()
    try:
        async with Pentad(ClientConfig(api_key=key, llm_address=f"127.0.0.1:{free_port}")) as pentad:
            upstream.will(
                *[Answer("word", pause=0.01)] * 10 if fan_out else [], *[Hang()] * 4 if fan_out else []
            )
            items = {f"i{number}": f"text {number}" for number in range(20)}
            async with asyncio.timeout(20):
                while True:
                    try:
                        batch = await pentad.llm.batch_invoke(items, model="openai", fan_out=fan_out)
                        break
                    except PentadError:
                        await asyncio.sleep(0.2)
            if fan_out:
                await upstream.requested(14)
                settled = select(func.count()).where(LlmBatchItem.state == "SUCCEEDED")
                await until(lambda: rows(house, settled) == [(10,)])
            else:
                await until(lambda: upstream.batches.jobs)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            process = await start()
            async with asyncio.timeout(30):
                while True:
                    try:
                        batch = await pentad.llm.batch_ended(batch.batch_id, 0.1)
                        break
                    except PentadError:
                        await asyncio.sleep(0.2)
            assert (batch.state, batch.succeeded) == (llm_pb2.BATCH_STATE_COMPLETED, 20)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if fan_out:
        assert len(upstream.requests) == 24, "ten answered, four in the air, ten after"
    else:
        assert len(upstream.batches.jobs) == 1, "handed in once"
        assert rows(house, select(func.count()).select_from(LlmCall)) == [(20,)]


class Purse(NoLimits):
    """Limits that let a tenant spend so much at once, and remember what was settled."""

    def __init__(self, micros: int) -> None:
        self.left = micros
        self.settled: list[tuple[int, int]] = []

    @asynccontextmanager
    async def reserved(
        self, caller: CallContext, target: Target, tokens: int, micros: int | None
    ) -> AsyncIterator[Purse]:
        """See Limits."""
        micros = micros or 0
        if micros > self.left:
            raise ResourceExhausted("BUDGET_EXCEEDED", "not that much")
        self.left -= micros
        try:
            yield self
        finally:
            self.left += micros - (self.settled[-1][1] if self.settled else 0)

    def settle(self, tokens: int, micros: int) -> None:
        """See Reservation."""
        self.settled.append((tokens, micros))


async def test_budget_of_a_providers_batch(house: House, upstream: Upstream) -> None:
    """The most that a batch can cost is reserved while it runs, and settled when it ends; one that may cost
    more than there is is not handed on."""
    purse = Purse(1_000_000)
    worker = next(item for item in house.companions if isinstance(item, BatchWorker))
    worker._native._budget._limits = purse
    pentad = await house.client()
    upstream.batches.looks = 3
    small = {"prompt": "x", "max_output_tokens": 1000}
    batch = await pentad.llm.batch_invoke({"a": small, "b": small}, model="openai/gpt-6.2-sol")
    await until(lambda: upstream.batches.jobs)
    assert 1_000_000 - 2 * 5500 < purse.left <= 1_000_000 - 2 * 5000, (
        "1000 tokens at 5 dollars a million each"
    )
    batch = await ended(pentad, batch)
    await until(lambda: purse.left == 1_000_000 - batch.usage.cost.micros)
    assert purse.settled[-1] == (0, batch.usage.cost.micros)
    purse.left = 100
    dear = await ended(pentad, await pentad.llm.batch_invoke({"a": small}, model="openai/gpt-6.2-sol"))
    assert (dear.state, dear.error.reason) == (llm_pb2.BATCH_STATE_FAILED, "BUDGET_EXCEEDED")
    assert len(upstream.batches.jobs) == 1
