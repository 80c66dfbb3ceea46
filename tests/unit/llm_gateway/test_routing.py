"""Which model a name means, and what happens to a request on its way there."""

from __future__ import annotations

from typing import Any

import pytest

from pentad_common.errors import InvalidArgument, PentadError
from pentad_llm_gateway.catalog import load_catalog
from pentad_llm_gateway.completion import Completion, Image, Message, Sampling, Text, Tool, ToolChoice
from pentad_llm_gateway.fitting import fit
from pentad_llm_gateway.providers.factory import ProviderFactory
from pentad_llm_gateway.routing import Router
from pentad_llm_gateway.settings import GatewaySettings

KEYS = {"anthropic_api_key": "a", "openai_api_key": "o", "llm_compatible_base_url": "http://x"}
HI = Message("user", (Text("hi"),))


@pytest.fixture(autouse=True)
def _no_keys(no_provider_keys: None) -> None:
    """The machine's own keys do not count."""


def router(default: str = "", **settings: Any) -> Router:
    """A router over the catalog that comes with the gateway."""
    catalog = load_catalog()
    return Router(
        ProviderFactory(GatewaySettings(database_url="sqlite:///x", **settings), catalog), catalog, default
    )


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "local/smollm2-135m-instruct"),
        ({"openai_api_key": "k"}, "openai/gpt-6.2-sol"),
        ({"anthropic_api_key": "k", "openai_api_key": "k"}, "anthropic/claude-sonnet-5-5"),
        ({"llm_compatible_base_url": "http://x", "llm_compatible_model": "m"}, "openai-compatible/m"),
        ({"llm_compatible_base_url": "http://x"}, "local/smollm2-135m-instruct"),
    ],
)
def test_default(settings: dict[str, str], name: str) -> None:
    """The keys that are there choose the default; without any it is the local model."""
    assert router(**settings).default_model() == name
    assert router("local", **settings).default_model() == "local/smollm2-135m-instruct"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("openai/gpt-next", "openai/gpt-next"),
        ("openai", "openai/gpt-6.2-sol"),
        ("claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("local", "local/smollm2-135m-instruct"),
        ("openai-compatible/meta/llama:8b", "openai-compatible/meta/llama:8b"),
    ],
)
def test_names(name: str, target: str) -> None:
    """A name is provider/model, a provider, an alias, or a model of the catalog."""
    assert router(**KEYS).resolve(name).name == target


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gpt-unheard-of", "MODEL_NOT_FOUND"),
        ("nowhere/model", "MODEL_NOT_FOUND"),
        ("local/other", "MODEL_NOT_FOUND"),
        ("openai-compatible", "MODEL_NOT_FOUND"),
        ("openai/x", "PROVIDER_AUTHENTICATION"),
        ("openai-compatible/x", "PROVIDER_UNAVAILABLE"),
    ],
)
def test_names_that_lead_nowhere(name: str, reason: str) -> None:
    """What cannot be asked is refused with a reason, and not tried again."""
    with pytest.raises(PentadError) as caught:
        router().resolve(name)
    assert (caught.value.reason, caught.value.retry_after) == (reason, None)


def test_fields_left_out() -> None:
    """What shapes an answer only a little is left out where a model does not take it, and named."""
    asked = Completion("", (HI,), sampling=Sampling(0.5, 0.9, 10, ("x",), 7, "low"))
    fitted, left_out = fit(router(**KEYS).resolve("claude-sonnet-5-5"), asked)
    assert left_out == ("sampling.temperature", "sampling.top_p", "sampling.seed")
    assert fitted.sampling == Sampling(None, None, 10, ("x",), None, "low")
    assert fit(router(**KEYS).resolve("openai/unknown"), asked) == (asked, ())
    assert fit(router().resolve("local"), asked)[1] == ("sampling.reasoning_effort",)


def test_what_a_model_cannot_is_refused() -> None:
    """What the caller relies on is refused, not left out; tools that may not be called do no harm."""
    local = router().resolve("local")
    tool = (Tool("t", "", {}),)
    with pytest.raises(InvalidArgument, match="cannot call tools"):
        fit(local, Completion("", (HI,), tools=tool))
    with pytest.raises(InvalidArgument, match="no pictures"):
        fit(local, Completion("", (Message("user", (Image("image/png", b"x"),)),)))
    fit(local, Completion("", (HI,), tools=tool, tool_choice=ToolChoice("none")))
