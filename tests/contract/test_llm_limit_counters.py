"""What every backend of the limits' counters does: memory, and a real Redis."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from pentad_common.errors import Unavailable
from pentad_common.ids import new_id
from pentad_llm_gateway.limits.counters import Claim, Counters, Spent, Verdict
from pentad_llm_gateway.limits.memory import MemoryCounters
from pentad_llm_gateway.limits.redis import RedisCounters
from pentad_llm_gateway.redis_client import RedisClient
from tests.fixtures.valkey import RedisProcess


@pytest.fixture(params=["memory", "redis"])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    """Counters with nothing in them; the test runs once on each backend."""
    if request.param == "memory":
        yield MemoryCounters()
        return
    client = RedisClient(request.getfixturevalue("redis_url"))
    yield RedisCounters(client)
    await client.close()


def money(amount: int, limit: int = 1000, **more: Any) -> Claim:
    """A claim of a budget in a window that is open for a while."""
    begin = time.time() // 60 * 60 - 3600
    window: dict[str, Any] = {"begin": begin, "end": begin + 9000}
    return Claim("budget|tenant|1d|0|t", "micros", amount, limit, **window | more)


def rate(amount: int, limit: int = 100) -> Claim:
    """A claim of tokens in a minute."""
    return Claim("tokens_per_minute|tenant||0|t", "tokens", amount, limit, rate=True)


def place(limit: int = 2) -> Claim:
    """A claim of a place among the concurrent calls."""
    return Claim("concurrent_calls|tenant||0|t", "calls", 1, limit)


async def reserve(
    counters: Counters, *claims: Claim, tenant: str = "t", id: str = "", seed: int = 0
) -> Verdict:
    """What comes of reserving; sums begin with `seed`."""
    seeds = {claim.key: seed for claim in claims}
    return await counters.reserve(tenant, id or new_id(), claims, seeds)


async def level(counters: Counters, tenant: str = "t") -> dict[str, tuple[int, int]]:
    """Used and held, by the kind of what is counted."""
    return {item.key.split("|")[0]: (item.used, item.held) for item in await counters.levels(tenant)}


async def test_reserve_and_settle(counters: Counters) -> None:
    """The most is held until the call ends; then what it took is used and the rest is free."""
    claims = [money(600), rate(60), place()]
    assert (await reserve(counters, *claims, id="a")).granted
    assert await level(counters) == {
        "budget": (0, 600),
        "tokens_per_minute": (60, 0),
        "concurrent_calls": (0, 1),
    }
    (refused,) = (await reserve(counters, money(600))).refused
    assert (refused.used, refused.held, refused.limit) == (0, 600, 1000)
    for _ in range(2):  # a second time changes nothing
        await counters.settle("t", "a", claims, Spent(1, 10, 50))
    assert await level(counters) == {"budget": (50, 0), "tokens_per_minute": (10, 0)}
    assert (await reserve(counters, money(950))).granted


async def test_all_or_nothing(counters: Counters) -> None:
    """If one claim does not fit, nothing of the call is held."""
    verdict = await reserve(counters, money(10), rate(10), place(limit=0))
    assert [item.claim for item in verdict.refused] == [2]
    assert verdict.refused[0].wait is None
    assert await level(counters) == {}


async def test_reserving_twice(counters: Counters) -> None:
    """A reservation that is asked for again, as after a lost answer, is one reservation."""
    for _ in range(2):
        assert (await reserve(counters, place(), money(5), id="a")).granted
    assert await level(counters) == {"concurrent_calls": (0, 1), "budget": (0, 5)}


async def test_waits(counters: Counters) -> None:
    """A refusal says when it may fit: soon for what is only held, at the window's end, or never."""
    now = time.time()
    await reserve(counters, money(900), rate(90), id="a")
    assert (await reserve(counters, money(200))).refused[0].wait == 2.0
    assert (await reserve(counters, money(1001))).refused[0].wait is None
    assert (await reserve(counters, rate(101))).refused[0].wait is None
    wait = (await reserve(counters, rate(20))).refused[0].wait
    assert wait is not None and 59 < wait < 62
    await counters.settle("t", "a", [money(900), rate(90)], Spent(1, 90, 900))
    wait = (await reserve(counters, money(200))).refused[0].wait
    assert wait is not None and abs(now + wait - money(1).end) < 2


async def test_seeds(counters: Counters) -> None:
    """A sum that is not known begins with what the records say, once; places among calls need none."""
    claims = [place(), money(100)]
    assert (await counters.reserve("t", "a", claims, {})).unknown == [1]
    assert await level(counters) == {}
    (refused,) = (await reserve(counters, *claims, seed=950)).refused
    assert (refused.used, refused.held) == (950, 0)
    assert (await reserve(counters, money(50), seed=0)).granted


async def test_window_over(counters: Counters) -> None:
    """A claim for a window that is not open is sent back with the time."""
    verdict = await reserve(counters, money(1, end=time.time() - 60))
    assert verdict.outside and not verdict.granted
    assert abs(verdict.now - time.time()) < 2
    assert await level(counters) == {}


async def test_what_is_left(counters: Counters) -> None:
    """The least that was left of a run, of all words, bounds it; what was used since then counts."""

    def run(amount: int, left: int, limit: int | None = None) -> Claim:
        return Claim("envelope|run|tokens||r", "tokens", amount, limit, left=left)

    assert (await reserve(counters, run(60, left=100), id="a")).granted
    await counters.settle("t", "a", [run(60, left=100)], Spent(1, 30, 0))
    assert (await reserve(counters, run(60, left=100))).granted, "30 used and 60 held of 100"
    (refused,) = (await reserve(counters, run(20, left=100))).refused
    assert (refused.used, refused.held, refused.limit, refused.wait) == (30, 60, 100, 2.0)
    (refused,) = (await reserve(counters, run(6, left=5))).refused
    assert refused.limit == 95
    (refused,) = (await reserve(counters, run(10, left=50, limit=100), tenant="v", seed=95)).refused
    assert (refused.limit, refused.wait) == (100, None)


async def test_tenants_apart(counters: Counters) -> None:
    """Tenants count apart, whatever their counters are called."""
    assert (await reserve(counters, money(1000), id="a")).granted
    assert (await reserve(counters, money(1000), tenant="u", id="a")).granted
    assert await level(counters, "v") == {}


async def race(all_counters: Sequence[Counters], claims: Sequence[Claim], calls: int) -> tuple[int, int]:
    """Calls at once, over all of the counters; how many were granted, and the most that was held at once."""
    granted = held = most = 0

    async def call(counters: Counters) -> None:
        nonlocal granted, held, most
        id = new_id()
        for _ in range(3):
            verdict = await counters.reserve("t", id, claims, {claim.key: 0 for claim in claims})
            if verdict.granted:
                break
        else:
            return
        granted, held = granted + 1, held + 1
        most = max(most, held)
        await asyncio.sleep(0.01)
        held -= 1
        await counters.settle("t", id, claims, Spent(1, 9, 90))

    await asyncio.gather(*(call(all_counters[i % len(all_counters)]) for i in range(calls)))
    return granted, most


async def test_race_for_money(counters: Counters) -> None:
    """A hundred calls at once cannot overspend, and what they leave over can be spent."""
    granted, most = await race([counters], [money(100)], 100)
    assert most <= 10
    used, held = (await level(counters))["budget"]
    assert (used, held) == (granted * 90, 0) and used <= 1000


async def test_race_of_rates_and_places(counters: Counters) -> None:
    """Rates and places hold among a hundred calls at once; of those refused nothing stays behind."""
    granted, most = await race([counters], [rate(10), place(limit=3)], 100)
    assert 0 < granted <= 11 and most <= 3
    assert await level(counters) == {"tokens_per_minute": (granted * 9, 0)}


async def test_race_of_gateways(redis_url: str) -> None:
    """Gateways on one Redis share its counters: together they cannot overspend either."""
    clients = [RedisClient(redis_url) for _ in range(4)]
    granted, most = await race(
        [RedisCounters(client) for client in clients], [money(100), place(limit=7)], 100
    )
    assert most <= 7
    used, held = (await level(RedisCounters(clients[0])))["budget"]
    assert (used, held) == (granted * 90, 0) and used <= 1000
    for client in clients:
        await client.close()


async def test_dead_gateway(redis_url: str) -> None:
    """What a gateway held that died is given back; if it was only slow, what it used counts in the end."""
    client = RedisClient(redis_url)
    slow, other = RedisCounters(client, lease=0.2), RedisCounters(client)
    claims = [money(1000), place(limit=1)]
    assert (await reserve(slow, *claims, id="a")).granted
    await asyncio.sleep(0.15)
    await slow.renew("t", ["a"], touch=True)
    await asyncio.sleep(0.1)
    assert (await reserve(other, *claims)).refused, "it was renewed"
    await asyncio.sleep(0.25)
    assert (await reserve(other, money(400), place(limit=1), id="b")).granted
    for _ in range(2):
        await slow.settle("t", "a", claims, Spent(1, 1, 300))
    assert await level(other) == {"budget": (300, 400), "concurrent_calls": (0, 1)}
    await client.close()


async def test_redis_away(redis_process: RedisProcess) -> None:
    """While Redis is away reserving fails with a wait, and works again by itself, with what was used."""
    client = RedisClient(redis_process.url)
    counters = RedisCounters(client)
    await reserve(counters, money(500), id="a")
    await counters.settle("t", "a", [money(500)], Spent(1, 1, 400))
    redis_process.kill()
    with pytest.raises(Unavailable) as caught:
        await reserve(counters, money(1))
    assert (caught.value.reason, caught.value.retry_after) == ("LIMITS_UNAVAILABLE", 3.0)
    redis_process.start()
    assert (await reserve(counters, money(601))).refused
    assert (await reserve(counters, money(600))).granted
    await client.close()


async def test_cluster(redis_cluster: str) -> None:
    """All counters of a tenant are in one slot of a cluster."""
    client = RedisClient(redis_cluster)
    counters = RedisCounters(client)
    for tenant in ("t", "u", "v", "w"):
        assert (await reserve(counters, money(10), rate(1), place(), tenant=tenant, id="a")).granted
        await counters.settle(tenant, "a", [money(10), rate(1), place()], Spent(1, 1, 5))
        assert await level(counters, tenant) == {"budget": (5, 0), "tokens_per_minute": (1, 0)}
    await client.close()


async def test_nothing_stays_behind(redis_url: str) -> None:
    """A call that ended leaves its counters and no trace of itself; every key goes by itself one day."""
    client = RedisClient(redis_url)
    counters = RedisCounters(client)
    claims = [money(10), rate(1), place()]
    for number in range(20):
        await reserve(counters, *claims[:2], id=str(number))
        await counters.settle("t", str(number), claims[:2], Spent(1, 0, 1))
    keys = await client.execute("KEYS", "*")
    assert len(keys) == 3 and all(b"{t}" in key for key in keys)
    for key in keys:
        assert await client.execute("PTTL", key) > 0
    await client.close()


@pytest.mark.parametrize("seed", range(5))
async def test_both_backends_decide_alike(redis_url: str, seed: int) -> None:
    """Whatever is reserved and settled in whatever order, memory and Redis say the same."""
    dice = random.Random(seed)
    client = RedisClient(redis_url)
    memory, shared = MemoryCounters(), RedisCounters(client)
    under_way: list[tuple[str, list[Claim]]] = []
    for number in range(300):
        if under_way and dice.random() < 0.4:
            id, claims = under_way.pop(dice.randrange(len(under_way)))
            spent = Spent(1, dice.randrange(40), dice.randrange(300))
            for counters in (memory, shared):
                await counters.settle("t", id, claims, spent)
        else:
            id, claims = str(number), some_claims(dice)
            seeds = {claim.key: 0 for claim in claims if dice.random() < 0.9}
            one, other = [await counters.reserve("t", id, claims, seeds) for counters in (memory, shared)]
            assert decided(one) == decided(other)
            if one.granted:
                under_way.append((id, claims))
        if number % 20 == 0:
            assert await level(memory) == await level(shared)
    await client.close()


def some_claims(dice: random.Random) -> list[Claim]:
    """A few claims of different kinds."""
    run = Claim("envelope|run|tokens||r", "tokens", dice.randrange(60), None, left=dice.randrange(2000, 9000))
    claims = [money(dice.randrange(400), 20_000), rate(dice.randrange(50), 3000), place(5), run]
    return dice.sample(claims, dice.randrange(1, 5))


def decided(verdict: Verdict) -> tuple[object, ...]:
    """A verdict without its times, which differ by what passed between the two."""
    refused = [(item.claim, item.used, item.held, item.limit, item.wait is None) for item in verdict.refused]
    return refused, list(verdict.unknown), verdict.outside
