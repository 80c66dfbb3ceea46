"""The catalog: prices, and mistakes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentad_common.errors import StartupError
from pentad_llm_gateway.catalog import Price, load_catalog
from pentad_llm_gateway.completion import Usage


def test_price_of_a_call() -> None:
    """Cached and cache-writing tokens cost their own price, or that of input where they have none."""
    usage = Usage(input_tokens=1000, output_tokens=100, cached_input_tokens=400, cache_write_tokens=100)
    assert (
        Price(input=2, output=10, cached_input=0.2, cache_write=2.5).micros(usage) == 1000 + 80 + 250 + 1000
    )
    assert Price(input=2, output=10).micros(usage) == 3000


def test_long_inputs_have_their_own_price() -> None:
    """Above the bound the whole request costs the other price."""
    haiku = load_catalog().entry("anthropic", "claude-haiku-5-5")
    assert haiku.cost_micros(Usage(input_tokens=100_000)) == 10_000
    assert haiku.cost_micros(Usage(input_tokens=100_001)) == 50_000


def test_unknown_models_have_no_price() -> None:
    """A model that is not in the catalog costs nobody knows what; the local one costs nothing."""
    catalog = load_catalog()
    assert catalog.entry("openai", "gpt-next").cost_micros(Usage(1, 1)) is None
    assert catalog.entry("local", "smollm2-135m-instruct").cost_micros(Usage(1, 1)) == 0


@pytest.mark.parametrize(
    ("text", "clue"),
    [
        ("version: 2", "version"),
        ("version: 1\nproviders: {x: {default: y}}", "there is no model 'y'"),
        ("version: 1\nproviders: {x: {models: {m: {pirce: 1}}}}", "providers.x.models.m.pirce"),
        ("version: 1\nproviders: {x: {models: {m: {price: {input: -1, output: 1}}}}}", "price.input"),
        ("version: 1\naliases: {fast: nowhere}", "aliases.fast"),
        ("version: [", "line 1"),
    ],
)
def test_mistakes_say_where(tmp_path: Path, text: str, clue: str) -> None:
    """A catalog that is wrong is refused with the place of the mistake."""
    path = tmp_path / "models.yaml"
    path.write_text(text)
    with pytest.raises(StartupError, match=r"models\.yaml") as caught:
        load_catalog(str(path))
    assert clue in str(caught.value)


def test_no_such_file() -> None:
    """A catalog that is not there is named."""
    with pytest.raises(StartupError, match="PENTAD_LLM_CATALOG"):
        load_catalog("/nowhere/models.yaml")
