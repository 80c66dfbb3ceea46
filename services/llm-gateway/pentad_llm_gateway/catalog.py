"""The models that the gateway knows, read from YAML and checked by Pydantic: limits, abilities, prices,
aliases."""

from __future__ import annotations

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pentad_common.errors import StartupError
from pentad_llm_gateway.completion import Usage

CURRENCY = "USD"
_MICROS = 1_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Strict):
    """Dollars a million tokens. Without a price of their own, cached and cache-writing tokens cost as
    input."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)

    def micros(self, usage: Usage) -> int:
        """What `usage` costs, in millionths of a dollar."""
        plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
        cached = self.input if self.cached_input is None else self.cached_input
        write = self.input if self.cache_write is None else self.cache_write
        # A dollar a million tokens is a micro-dollar a token.
        return round(
            max(0, plain) * self.input
            + usage.cached_input_tokens * cached
            + usage.cache_write_tokens * write
            + usage.output_tokens * self.output
        )


class Above(_Strict):
    """Other prices for requests whose input is longer than `input_tokens`."""

    input_tokens: int = Field(gt=0)
    price: Price


class ModelEntry(_Strict):
    """What is known of a model; 0 tokens means not known."""

    context_window: int = Field(default=0, ge=0)
    max_output_tokens: int = Field(default=0, ge=0)
    tools: bool = True
    images: bool = True
    json_schema: bool = True
    sampling: bool = True
    """Whether it takes temperature and top_p."""
    reasoning: bool = False
    """Whether it takes a reasoning effort."""
    price: Price | None = None
    above: Above | None = None

    def cost_micros(self, usage: Usage) -> int | None:
        """What `usage` costs in millionths of a dollar; None where no price is known."""
        if self.above and usage.input_tokens > self.above.input_tokens:
            return self.above.price.micros(usage)
        return self.price.micros(usage) if self.price else None


UNKNOWN_MODEL = ModelEntry(reasoning=True)
"""A model that is not in the catalog: asked for what the caller wants, priced at nothing known."""


class ProviderEntry(_Strict):
    """A provider's models by name; `default` is the one that its name alone means."""

    default: str = ""
    models: dict[str, ModelEntry] = Field(default_factory=dict)


class Catalog(_Strict):
    """All that the YAML file says."""

    version: Literal[1]
    aliases: dict[str, str] = Field(default_factory=dict)
    providers: dict[str, ProviderEntry] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, provider in self.providers.items():
            if provider.default and provider.default not in provider.models:
                raise ValueError(f"providers.{name}.default: there is no model {provider.default!r}")
        for alias, target in self.aliases.items():
            if target.partition("/")[0] not in self.providers:
                raise ValueError(f"aliases.{alias}: {target!r} is not provider/model")
        return self

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {model: name for name, entry in self.providers.items() for model in entry.models}

    def entry(self, provider: str, model: str) -> ModelEntry:
        """What is known of a model; UNKNOWN_MODEL if it is not in the catalog."""
        known = self.providers.get(provider)
        return known.models.get(model, UNKNOWN_MODEL) if known else UNKNOWN_MODEL

    def knows(self, provider: str, model: str) -> bool:
        """Whether the model is in the catalog."""
        return provider in self.providers and model in self.providers[provider].models

    def provider_of(self, model: str) -> str | None:
        """The provider of a model named without one; None if no provider in the catalog has it."""
        return self._by_name.get(model)


def load_catalog(path: str = "") -> Catalog:
    """The catalog at `path`, or the one that comes with the gateway. Raises StartupError, saying where it is
    wrong."""
    shown = path or "models.yaml"
    try:
        text = (
            Path(path).read_text()
            if path
            else files("pentad_llm_gateway").joinpath("models.yaml").read_text()
        )
        return Catalog.model_validate(yaml.safe_load(text))
    except OSError as error:
        raise StartupError(f"{shown} cannot be read ({error.strerror}): check PENTAD_LLM_CATALOG") from None
    except yaml.YAMLError as error:
        raise StartupError(f"{shown} is not YAML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise StartupError(f"{shown}: {problems}") from None
