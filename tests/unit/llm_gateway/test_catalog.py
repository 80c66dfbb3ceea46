"""The catalog: prices, and mistakes in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pentad_common.errors import StartupError
from pentad_llm_gateway.catalog import BreakerRules, Price, load_catalog, parse_catalog
from pentad_llm_gateway.completion import Usage

DOCUMENTATION = Path(__file__).parents[3] / "docs/llm-gateway.md"


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


PLACED = """version: 1
aliases:
  one: openai/x
  many:
    - openai/x
    - {model: nowhere/x, weight: 2}
"""
REST = """version: 1
providers:
  mine:
    kind: openai-compatible
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PLACED, ["line 6: aliases.many.deployments.1.model: 'nowhere/x' is not provider/model"]),
        ("version: 1\naliases:\n  none: []\n", ["line 3: aliases.none.deployments: Tuple should have"]),
        ("version: 1\naliases:\n  a: {deployments: [{model: openai/x, weight: -1}]}\n", ["line 3", "weight"]),
        (REST, ["line 4: providers.mine.kind: needs a base_url"]),
        (REST + "    base_url: ftp://x\n", ["line 5: providers.mine.base_url: must begin with http://"]),
        (REST + "    base_url: http://x\n    api_key_env: sk-123\n", ["line 6: providers.mine.api_key_env"]),
        (REST + "    base_url: http://x\n    default: m\n", ["line 6", "there is no model 'm'"]),
        ("version: 1\nfallbacks:\n  gpt-x: {general: [local]}\n", ["line 3: fallbacks.gpt-x: there is no"]),
        ("version: 1\nfallbacks:\n  '*':\n    general: [gpt-x]\n", ["line 4: fallbacks.*.general.0"]),
        ("version: 1\nfallbacks:\n  '*': {genral: [local]}\n", ["line 3: fallbacks.*.genral: there is no"]),
        ("version: 1\nbreaker:\n  failures: 0\n", ["line 3: breaker.failures", "greater than or equal to 1"]),
        ("version: 1\naliases:\n  a: local\n  a: openai\n", ["line 4: a: is there twice"]),
        ("version: 1\n\tx: 1\n", ["line 2: not YAML"]),
        ("aliases: {}\n", ["version: is missing"]),
        ("", ["version: is missing"]),
        ("- 1\n", ["line 1: the file: "]),
    ],
)
def test_mistakes_have_a_line(text: str, told: list[str]) -> None:
    """Every mistake is told by its line, its field and what is wrong with it."""
    with pytest.raises(StartupError) as caught:
        parse_catalog(text, "m.yaml")
    assert str(caught.value).startswith("m.yaml, line ")
    for clue in told:
        assert clue in str(caught.value)


def test_all_mistakes_at_once() -> None:
    """Several mistakes are told together, up to ten of them."""
    wrong = "".join(f"  field{number}: 1\n" for number in range(12))
    with pytest.raises(StartupError) as caught:
        parse_catalog(f"version: 1\nbreaker:\n{wrong}", "m.yaml")
    assert str(caught.value).count("no such field") == 10 and "and 2 more" in str(caught.value)


def test_what_a_file_does_not_say() -> None:
    """Providers that a file says nothing of are as in the gateway's own catalog; one that it names is as it
    says."""
    catalog = parse_catalog("version: 1\nproviders: {openai: {models: {x: {}}}}", "m.yaml")
    assert catalog.entry("anthropic", "claude-haiku-4-5").context_window == 200_000
    assert list(catalog.providers["openai"].models) == ["x"]
    assert catalog.aliases == {}


def test_the_catalog_of_the_documentation() -> None:
    """The catalog that the documentation shows is right, in all that it says."""
    (text,) = re.findall(r"```yaml\n(version: 1\n.*?)```", DOCUMENTATION.read_text(), re.S)
    catalog = parse_catalog(text, "docs/llm-gateway.md")
    assert [item.weight for item in catalog.aliases["house"].deployments] == [3, 1, 0]
    assert catalog.chain(("house",), "content_policy") == ("local",)
    assert catalog.chain(("house",), "general") == ("anthropic/claude-haiku-5-5",)
    assert catalog.breaker == BreakerRules()


def test_no_such_file() -> None:
    """A catalog that is not there is named."""
    with pytest.raises(StartupError, match="PENTAD_LLM_CATALOG"):
        load_catalog("/nowhere/models.yaml")
