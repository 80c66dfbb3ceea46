"""The models that can be asked, and those that could be if they were set up."""

from __future__ import annotations

from dataclasses import dataclass

from pentad_llm_gateway.breaker import Breakers
from pentad_llm_gateway.catalog import ModelEntry
from pentad_llm_gateway.generation import Generation
from pentad_llm_gateway.providers.factory import ProviderFactory


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model; `unavailable_reason` is "" when it can be asked now."""

    provider: str
    name: str
    entry: ModelEntry
    unavailable_reason: str


def list_models(factory: ProviderFactory, provider: str = "") -> list[ListedModel]:
    """All models by provider and name, or one provider's. Raises NotFound MODEL_NOT_FOUND if there is no such
    one."""
    names = [provider] if provider else factory.names()
    return [
        ListedModel(name, model, entry, factory.get(name).unavailable())
        for name in names
        for model, entry in sorted(factory.get(name).models().items())
    ]


@dataclass(frozen=True, slots=True)
class ListedDeployment:
    """One of the models of an alias; `unavailable_reason` is "" when it can be asked now."""

    model: str
    weight: float
    unavailable_reason: str


def list_aliases(generation: Generation, breakers: Breakers) -> list[tuple[str, list[ListedDeployment]]]:
    """The operator's names with what they stand for, by name."""
    return [
        (
            alias,
            [
                ListedDeployment(target.name, weight, target.provider.unavailable() or breakers.told(target))
                for target, weight in generation.router.find(alias)
            ],
        )
        for alias in sorted(generation.catalog.aliases)
    ]
