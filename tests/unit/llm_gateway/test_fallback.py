"""The order in which models are asked."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from pentad_common.errors import PentadError
from pentad_llm_gateway.catalog import UNKNOWN_MODEL
from pentad_llm_gateway.completion import Answer, Completion, Event
from pentad_llm_gateway.errors import UpstreamError, classify
from pentad_llm_gateway.fallback import Candidates, Class, shuffled
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.target import Target

DOWN = classify(UpstreamError("x", 503))
LONG = classify(UpstreamError("x", 400, ("context_length_exceeded",)))
WRONG = classify(UpstreamError("x", 400))


class Named(Provider):
    """A provider that is only a name."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def invoke(self, model: str, completion: Completion) -> Answer:
        """See Provider."""
        raise NotImplementedError

    def stream(self, model: str, completion: Completion) -> Any:
        """See Provider."""
        raise NotImplementedError

    async def _events(self) -> Event:
        raise NotImplementedError


def targets(names: str) -> list[Target]:
    """A target for each letter."""
    return [Target(Named(name), "m", UNKNOWN_MODEL) for name in names]


def asked(first: str, chains: dict[str, str], errors: list[PentadError]) -> str:
    """Who is asked, when these errors come one after another."""

    def chain(kind: Class) -> list[Target]:
        return targets(chains.get(kind, ""))

    candidates = Candidates(targets(first), chain)
    order = ""
    coming = iter(errors)
    for target in candidates:
        order += target.provider.name
        error = next(coming, None)
        if error is None:
            break
        candidates.failed(target, error)
    return order


def test_general_errors_go_through_all() -> None:
    """First the deployments of what was asked for, then its chain; nobody twice."""
    assert asked("ab", {"general": "bcd"}, [DOWN] * 9) == "abcd"


def test_a_class_has_its_own_chain() -> None:
    """An input that is too long leaves the other deployments, and goes on within its chain."""
    chains = {"general": "c", "context_window": "de"}
    assert asked("ab", chains, [LONG]) == "ad"
    assert asked("ab", chains, [LONG, DOWN, DOWN]) == "ade"
    assert asked("ab", chains, [DOWN, DOWN, LONG]) == "abcd"
    assert asked("ab", {"general": "c"}, [LONG]) == "a"


def test_a_wrong_request_ends_it() -> None:
    """Nobody is asked after a refusal of the request itself."""
    assert asked("ab", {"general": "c"}, [WRONG]) == "a"
    assert asked("ab", {"general": "c"}, [DOWN, WRONG]) == "ab"


def test_the_last_word() -> None:
    """The caller hears what the first said, unless only a later one may be tried again."""
    candidates = Candidates(targets("ab"), lambda _: [])
    for target, error in zip(candidates, (classify(UpstreamError("a", 401)), DOWN), strict=True):
        candidates.failed(target, error)
    assert candidates.error().reason == "PROVIDER_UNAVAILABLE"


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=4), st.integers(0, 1000))
def test_shares(weights: list[float], seed: int) -> None:
    """Each deployment comes first about as often as its share of the weights; all of them come."""
    draw = Random(seed).random
    deployments = [(target, weight) for target, weight in zip(targets("abcd"), weights, strict=False)]
    orders = [shuffled(deployments, draw) for _ in range(400)]
    assert all(len(order) == len(weights) for order in orders)
    first = Counter(order[0].provider.name for order in orders)
    for target, weight in deployments:
        assert abs(first[cast("Named", target.provider).name] / 400 - weight / sum(weights)) < 0.15


def test_weight_zero_comes_last() -> None:
    """A deployment without weight is for when all others failed."""
    first, spare = targets("ab")
    assert all(shuffled([(spare, 0), (first, 0.001)]) == [first, spare] for _ in range(100))
