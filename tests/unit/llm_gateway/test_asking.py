"""What a call reserves and settles at each model that it asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from pentad_common.call import CallContext
from pentad_common.errors import PentadError, ResourceExhausted
from pentad_llm_gateway.catalog import parse_catalog
from pentad_llm_gateway.completion import (
    Answer,
    Completion,
    Event,
    Finished,
    Message,
    Sampling,
    Text,
    TextDelta,
    Usage,
)
from pentad_llm_gateway.errors import UpstreamError, classify
from pentad_llm_gateway.gateway import Gateway
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.ledger import Ledger
from pentad_llm_gateway.limits.base import NoLimits
from pentad_llm_gateway.limits.counters import Spent
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.replies import Failed
from pentad_llm_gateway.reserve import most
from pentad_llm_gateway.settings import GatewaySettings
from pentad_llm_gateway.target import Target

CATALOG = """
version: 1
providers:
  a: {kind: openai-compatible, base_url: "http://a/v1", models: {m: {price: {input: 1, output: 2}}}}
  b: {kind: openai-compatible, base_url: "http://b/v1", models: {m: {price: {input: 10, output: 20}}}}
aliases:
  pair: [{model: a/m}, {model: b/m, weight: 0}]
"""
CALLER = CallContext(tenant_id="t", key_id="k", role="client")
HI = Completion("pair", (Message("user", (Text("hello"),)),), sampling=Sampling(max_output_tokens=100))
DOWN = classify(UpstreamError("a", 503))
ANSWER = Answer(Message("assistant", (Text("hi"),)), "stop", "m", Usage(7, 3))


@dataclass
class Held:
    """A reservation: what was reserved, what was settled, and whether it is left."""

    name: str
    completion: Completion
    reserved: tuple[int, int | None]
    settled: tuple[int, int] | None = None
    left: bool = False

    def settle(self, tokens: int, micros: int) -> None:
        """See Reservation."""
        self.settled = (tokens, micros)


@dataclass
class Recorder(NoLimits):
    """Limits that keep what was asked of them. `refuse`: the models that nobody may have."""

    held: list[Held] = field(default_factory=list)
    refuse: str = ""

    @asynccontextmanager
    async def fitted(
        self, caller: CallContext, target: Target, completion: Completion
    ) -> AsyncIterator[Held]:
        """See Limits."""
        if target.name == self.refuse:
            raise ResourceExhausted("BUDGET_EXCEEDED", "no more", retry_after=60)
        held = Held(target.name, completion, most(target, completion))
        self.held.append(held)
        try:
            yield held
        finally:
            held.left = True


class NoStore:
    """Keeps nothing."""

    async def add(self, calls: Any) -> None:
        """See CallStore."""

    async def usage(self, tenant: str, query: Any) -> list[Any]:
        """See CallStore."""
        return []

    async def spent(self, tenant: str, subject: Any, since: Any) -> Spent:
        """See CallStore."""
        return Spent()


@dataclass
class House:
    """A gateway, its limits, and what its two providers do."""

    gateway: Gateway
    limits: Recorder
    providers: dict[str, Provider]

    def will(self, name: str, *does: Any) -> None:
        """What a provider does: an error to raise, an Answer, or events with an error among them."""
        steps = iter(does)

        async def invoke(model: str, completion: Completion) -> Answer:
            step = next(steps)
            if isinstance(step, PentadError):
                raise step
            if step is None:
                await asyncio.Event().wait()
            return step  # type: ignore[no-any-return]

        async def stream(model: str, completion: Completion) -> AsyncGenerator[Event, None]:
            for step in steps:
                if isinstance(step, PentadError):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                yield step

        setattr(self.providers[name], "invoke", invoke)  # noqa: B010 - a method of a real provider
        setattr(self.providers[name], "stream", stream)  # noqa: B010


@pytest.fixture
def house(no_provider_keys: None) -> House:
    """One attempt a model."""
    settings = GatewaySettings(database_url="sqlite:///x", llm_attempts=1, llm_default_model="pair")
    generations = Generations(settings, parse_catalog(CATALOG, "f"))
    limits = Recorder()
    gateway = Gateway(settings, generations, Ledger(NoStore()), limits)
    providers = {name: generations.current.factory.get(name) for name in "ab"}
    return House(gateway, limits, providers)


async def test_the_most_is_reserved_and_what_was_used_settled(house: House) -> None:
    """Before a call the most it can take is held, by the model's price; after it what it took."""
    house.will("a", ANSWER)
    await house.gateway.invoke(CALLER, HI)
    (held,) = house.limits.held
    tokens, micros = held.reserved
    assert 105 <= tokens < 300 and micros == (tokens - 100) * 1 + 100 * 2
    assert (held.settled, held.left) == ((10, 7 * 1 + 3 * 2), True)


async def test_each_model_has_its_own_reservation(house: House) -> None:
    """A model that refused took nothing; the next one's reservation is by its own price."""
    house.will("a", DOWN)
    house.will("b", ANSWER)
    reply = await house.gateway.invoke(CALLER, HI)
    first, second = house.limits.held
    assert (first.name, first.settled, first.left) == ("a/m", (0, 0), True)
    assert (second.name, second.settled) == ("b/m", (10, 70 + 60))
    assert [item.reason for item in reply.served.failed_models] == ["PROVIDER_UNAVAILABLE"]


async def test_a_limit_is_no_reason_to_ask_another(house: House) -> None:
    """Who has nothing left for a model does not get another in its place."""
    house.limits.refuse = "a/m"
    with pytest.raises(ResourceExhausted) as caught:
        await house.gateway.invoke(CALLER, HI)
    assert (caught.value.reason, caught.value.metadata["class"]) == ("BUDGET_EXCEEDED", "budget_exceeded")
    assert house.limits.held == []


async def test_streams_hold_until_their_end(house: House) -> None:
    """A streamed answer keeps its reservation to the last frame."""
    house.will("a", TextDelta("one"), TextDelta("two"), Finished("stop", Usage(7, 3)))
    frames = house.gateway.stream(CALLER, HI)
    await anext(frames)
    assert not house.limits.held[0].left
    async for _ in frames:
        pass
    assert (house.limits.held[0].settled, house.limits.held[0].left) == ((10, 13), True)


async def test_a_cut_answer_is_paid(house: House) -> None:
    """What came before the cut counts, and nobody else is asked; the same for a caller that leaves."""
    house.will("a", TextDelta("one two three"), DOWN)
    frames = [frame async for frame in house.gateway.stream(CALLER, HI)]
    assert isinstance(frames[-1], Failed)
    (held,) = house.limits.held
    assert held.settled is not None and held.settled[0] > 4
    house.will("a", TextDelta("one two three"), None)
    leaving = house.gateway.stream(CALLER, HI)
    await anext(leaving)
    await leaving.aclose()
    assert house.limits.held[1].settled == held.settled and house.limits.held[1].left


async def test_a_cancelled_call_may_have_been_read(house: House) -> None:
    """A call that is cancelled while its model works has its input counted, by estimate."""
    house.will("a", None)
    asking = asyncio.create_task(house.gateway.invoke(CALLER, HI))
    while not house.limits.held:  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait({asking})
    (held,) = house.limits.held
    assert held.left and held.settled is not None and 4 < held.settled[0] < 12
