"""What the operator says of models, checked by Pydantic: providers, limits, abilities, prices, aliases, and
who stands in for whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pentad_llm_gateway.cache.rules import CacheRules
from pentad_llm_gateway.completion import Usage
from pentad_llm_gateway.limits.rules import Rule

CURRENCY = "USD"
_MICROS = 1_000_000
_BATCH_FACTOR = 0.5
"""What OpenAI and Anthropic take for a batch, of what they take for calls."""


class Misplaced(ValueError):
    """A mistake at a place, `path`, that is not the one being checked."""

    def __init__(self, path: Sequence[str | int], message: str) -> None:
        super().__init__(message)
        self.path = path


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimeLimitsEntry(_Strict):
    """Seconds; what is unset is as the gateway's settings say."""

    connect: float | None = Field(default=None, gt=0)
    first_token: float | None = Field(default=None, gt=0)
    between_tokens: float | None = Field(default=None, gt=0)
    total: float | None = Field(default=None, gt=0)


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
    chat: bool = True
    """Whether it answers; some only make embeddings."""
    embeddings: bool = False
    """Whether it makes embeddings."""
    tools: bool = True
    images: bool = True
    json_schema: bool = True
    sampling: bool = True
    """Whether it takes temperature and top_p."""
    reasoning: bool = False
    """Whether it takes a reasoning effort."""
    tokenizer: Literal["", "o200k_base", "cl100k_base"] = ""
    """The public encoding by which its tokens are counted here; unset where it is not known."""
    price: Price | None = None
    above: Above | None = None
    batch_price: Price | None = None
    """Of calls through the provider's own batch API; half the price if it is not said."""
    time_limits: TimeLimitsEntry = TimeLimitsEntry()

    def batch_cost_micros(self, usage: Usage) -> int | None:
        """What `usage` costs in the provider's own batch API, in millionths of a dollar; None where no price
        is known."""
        if self.batch_price:
            return self.batch_price.micros(usage)
        cost = self.cost_micros(usage)
        return None if cost is None else round(cost * _BATCH_FACTOR)

    def cost_micros(self, usage: Usage) -> int | None:
        """What `usage` costs in millionths of a dollar; None where no price is known."""
        if self.above and usage.input_tokens > self.above.input_tokens:
            return self.above.price.micros(usage)
        return self.price.micros(usage) if self.price else None


UNKNOWN_MODEL = ModelEntry(reasoning=True, embeddings=True)
"""A model that is not in the catalog: asked for what the caller wants, priced at nothing known."""


class ProviderEntry(_Strict):
    """A provider: a server, how to reach it, and its models by name.

    `kind` is what it speaks: one of the gateway's own providers or another package's; unset, it is the
    provider's own name. `default` is the model that the provider's name alone means. Only the operator says
    where a server is and which variable has its key.
    """

    kind: str = ""
    base_url: str = ""
    api_key_env: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")
    default: str = ""
    models: dict[str, ModelEntry] = Field(default_factory=dict)
    time_limits: TimeLimitsEntry = TimeLimitsEntry()

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value


class Deployment(_Strict):
    """One of the models that an alias stands for. `weight`: how often it is asked first, beside the others';
    0 is for when all others failed."""

    model: str = Field(min_length=1)
    weight: float = Field(default=1.0, ge=0, le=1_000_000)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value


class Alias(_Strict):
    """A name of the operator's own. In short, one model's name, or a list of them."""

    deployments: tuple[Deployment, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"deployments": [value]}
        return {"deployments": value} if isinstance(value, list) else value


class Fallbacks(_Strict):
    """Who is asked next, by class of error. Models or aliases."""

    general: tuple[str, ...] = ()
    """After rate limits, time-outs, outages, refused keys, models that are gone."""
    context_window: tuple[str, ...] = ()
    """After inputs that were too long."""
    content_policy: tuple[str, ...] = ()
    """After refusals by the provider's content policy."""


class BreakerRules(_Strict):
    """When the circuit of a deployment opens, and for how long (seconds). A failed probe doubles
    `open_seconds`, up to `most_open_seconds`."""

    failures: int = Field(default=10, ge=1)
    """In a row."""
    ratio: float = Field(default=0.5, gt=0, le=1)
    """Of failures among the last `window_calls`, all within `window_seconds`."""
    window_calls: int = Field(default=20, ge=2, le=10_000)
    window_seconds: float = Field(default=60.0, gt=0)
    open_seconds: float = Field(default=5.0, gt=0)
    most_open_seconds: float = Field(default=300.0, gt=0)
    most_cooldown_seconds: float = Field(default=3600.0, gt=0)
    """A provider's Retry-After is taken at its word up to here."""
    refused_seconds: float = Field(default=60.0, gt=0)
    """After a refusal of the gateway's key or account."""


class Catalog(_Strict):
    """All that the YAML file says."""

    version: Literal[1]
    aliases: dict[str, Alias] = Field(default_factory=dict)
    fallbacks: dict[str, Fallbacks] = Field(default_factory=dict)
    """By what was asked for: an alias, `provider/model`, or `*` for all else."""
    breaker: BreakerRules = BreakerRules()
    limits: tuple[Rule, ...] = ()
    """What callers are held to."""
    cache: CacheRules = CacheRules()
    providers: dict[str, ProviderEntry] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, provider in self.providers.items():
            _check_provider(name, provider)
        for alias, entry in self.aliases.items():
            for index, deployment in enumerate(entry.deployments):
                if deployment.model.partition("/")[0] not in self.providers:
                    raise _wrong(
                        ("aliases", alias, "deployments", index, "model"),
                        f"{deployment.model!r} is not provider/model; `providers` has "
                        f"{', '.join(self.providers) or 'none'}",
                    )
        for path, name in self._named_in_fallbacks():
            if name != "*" and not self.means(name):
                raise _wrong(path, f"there is no model or alias {name!r} in this file")
        _check_names(self.limits)
        return self

    def _named_in_fallbacks(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for name, chains in self.fallbacks.items():
            yield ("fallbacks", name), name
            for kind in Fallbacks.model_fields:
                for index, item in enumerate(getattr(chains, kind)):
                    yield ("fallbacks", name, kind, index), item

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {model: name for name, entry in self.providers.items() for model in entry.models}

    def means(self, name: str) -> bool:
        """Whether a name means something: an alias, a provider or a model of one."""
        return name in self.aliases or name.partition("/")[0] in self.providers or name in self._by_name

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

    def chain(self, names: Sequence[str], kind: str) -> tuple[str, ...]:
        """Who is asked after an error of class `kind`: by the first of `names` that has a chain for it, or
        else by `*`."""
        for name in (*names, "*"):
            chains = self.fallbacks.get(name)
            if chains and (found := getattr(chains, kind)):
                return tuple(found)
        return ()


def _check_names(rules: Sequence[Rule]) -> None:
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.name in seen:
            raise _wrong(("limits", index, "name"), f"there are two limits named {rule.name!r}")
        seen.add(rule.name)


def _check_provider(name: str, provider: ProviderEntry) -> None:
    path = ("providers", name)
    if not name or "/" in name or name != name.strip():
        raise _wrong(path, "a provider's name has no slash and no spaces around it")
    if provider.default and provider.default not in provider.models:
        raise _wrong((*path, "default"), f"there is no model {provider.default!r}")
    if provider.kind == "openai-compatible" and name != provider.kind and not provider.base_url:
        raise _wrong((*path, "kind"), "needs a base_url, such as http://vllm:8000/v1")


def _wrong(path: Sequence[str | int], message: str) -> Misplaced:
    """An error at a place that is not the one being checked."""
    return Misplaced(path, message)
