"""A deployment that can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from pentad_llm_gateway.catalog import ModelEntry
from pentad_llm_gateway.providers.base import Provider


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment: a model at a provider, which can be asked."""

    provider: Provider
    model: str
    entry: ModelEntry

    @property
    def name(self) -> str:
        """`provider/model`."""
        return f"{self.provider.name}/{self.model}"

    @property
    def known(self) -> bool:
        """Whether the provider is known to have the model; names from outside are without bound."""
        return self.model in self.provider.models()

    @property
    def label(self) -> str:
        """The model's name in metrics and logs of many calls."""
        return self.model if self.known else "other"
