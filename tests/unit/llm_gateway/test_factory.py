"""Providers from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentad_common.errors import NotFound, StartupError
from pentad_llm_gateway.catalog import load_catalog
from pentad_llm_gateway.completion import Completion, Message, Text
from pentad_llm_gateway.providers.factory import ProviderFactory
from pentad_llm_gateway.routing import Router
from pentad_llm_gateway.settings import GatewaySettings

PARROT = """
from pentad_llm_gateway.completion import Answer, Finished, TextDelta, Usage
from pentad_llm_gateway.providers.base import Provider


class Parrot(Provider):
    default_model = "grey"

    async def invoke(self, model, completion):
        return Answer(completion.messages[-1], "stop", model, Usage(1, 1))

    async def stream(self, model, completion):
        yield TextDelta(completion.messages[-1].text)
        yield Finished("stop", Usage(1, 1))
"""


@pytest.fixture
def parrot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with a provider, and one that would take the place of a built-in one."""
    (tmp_path / "parrot_provider.py").write_text(PARROT)
    info = tmp_path / "parrot_provider-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: parrot-provider\nVersion: 1.0\n")
    points = "parrot = parrot_provider:Parrot\nopenai = parrot_provider:Parrot\n"
    (info / "entry_points.txt").write_text(f"[pentad.llm_providers]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))


def factory() -> ProviderFactory:
    """A factory without keys."""
    return ProviderFactory(GatewaySettings(database_url="sqlite:///x"), load_catalog())


async def test_another_packages_provider(parrot: None, no_provider_keys: None) -> None:
    """A provider of another package is found by its entry point and asked by its name."""
    target = Router(factory(), load_catalog()).resolve("parrot")
    asked = Completion("parrot", (Message("user", (Text("hello"),)),))
    assert target.name == "parrot/grey"
    assert (await target.provider.invoke(target.model, asked)).message.text == "hello"
    assert (await target.provider.count_tokens(target.model, asked)).estimated


def test_built_in_names_are_taken(parrot: None) -> None:
    """Nobody else can be `openai`, which would be handed its key."""
    assert type(factory().get("openai")).__module__ == "pentad_llm_gateway.providers.openai"


def test_unknown_provider() -> None:
    """A provider that is not there is refused with those that are."""
    with pytest.raises(NotFound, match="anthropic, local, openai, openai-compatible"):
        factory().get("nobody")


def test_default_that_means_nothing(no_provider_keys: None) -> None:
    """A default model that cannot be is a mistake at the start, not at the first call."""
    with pytest.raises(StartupError, match="PENTAD_LLM_DEFAULT_MODEL"):
        Router(factory(), load_catalog(), "gpt-unheard-of").check()
    Router(factory(), load_catalog(), "openai/any").check()
