"""Catalogs that follow each other, and the providers that they share or leave."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pentad_common.errors import StartupError
from pentad_llm_gateway.catalog import parse_catalog
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.settings import GatewaySettings

FIRST = """
version: 1
providers:
  a: {kind: openai-compatible, base_url: "http://a/v1", models: {m: {}}}
  b: {kind: openai-compatible, base_url: "http://b/v1", models: {m: {}}}
"""


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch, no_provider_keys: None) -> list[str]:
    """The providers that were closed, in order."""
    names: list[str] = []

    async def close(self: Provider) -> None:
        names.append(self.name)

    monkeypatch.setattr("pentad_llm_gateway.providers.openai_compatible.CompatibleProvider.close", close)
    return names


def made(text: str = FIRST) -> Generations:
    """The first generation, with both providers in use."""
    generations = Generations(GatewaySettings(database_url="sqlite:///x"), parse_catalog(text, "f"))
    for name in "ab":
        generations.current.factory.get(name)
    return generations


async def settle() -> Any:
    """Lets what was begun end."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_stays_is_shared(closed: list[str]) -> None:
    """A provider of which the next catalog says the same goes on; a changed one is made anew and the old one
    closed."""
    generations = made()
    before = generations.current.factory
    a, b = before.get("a"), before.get("b")
    generations.replace(parse_catalog(FIRST.replace("http://b", "http://c"), "f"))
    await settle()
    assert generations.current.factory.get("a") is a
    assert generations.current.factory.get("b") is not b
    assert closed == ["b"]


async def test_closed_when_idle(closed: list[str]) -> None:
    """A provider that calls still use is closed when the last of them has ended, and only once."""
    generations = made()
    with generations.held() as first:
        with generations.held():
            generations.replace(parse_catalog(FIRST.replace("http://b", "http://c"), "f"))
            generations.replace(parse_catalog(FIRST.replace("http://b", "http://d"), "f"))
            await settle()
            assert closed == [] and first is not generations.current
        await settle()
        assert closed == []
    await settle()
    assert closed == ["b"]
    await generations.close()


async def test_a_bad_one_changes_nothing(closed: list[str]) -> None:
    """A catalog that cannot be put into force leaves the one before as it is."""
    generations = made()
    before = generations.current
    with pytest.raises(StartupError, match="no kind 'parrot'"):
        generations.replace(parse_catalog("version: 1\nproviders: {a: {kind: parrot}}", "f"))
    await settle()
    assert generations.current is before and closed == []


async def test_listeners_are_told(closed: list[str]) -> None:
    """Who depends on the catalog hears of each new one."""
    generations = made()
    told: list[object] = []
    generations.on_change.append(told.append)
    following = parse_catalog(FIRST, "f")
    generations.replace(following)
    assert told == [following]
