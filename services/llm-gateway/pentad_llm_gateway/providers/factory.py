"""The providers, by name: the gateway's own and those of other packages."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from pentad_common.errors import NotFound
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.catalog import Catalog, ProviderEntry
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.settings import GatewaySettings

log = get_logger(__name__)

GROUP = "pentad.llm_providers"

_PACKAGE = "pentad_llm_gateway.providers"
BUILT_IN = {
    "anthropic": f"{_PACKAGE}.anthropic:AnthropicProvider",
    "openai": f"{_PACKAGE}.openai:OpenAIProvider",
    "openai-compatible": f"{_PACKAGE}.openai_compatible:CompatibleProvider",
    "local": f"{_PACKAGE}.local:LocalProvider",
}


class ProviderFactory:
    """Makes each provider once, when it is first asked for."""

    def __init__(self, settings: GatewaySettings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._sources: dict[str, str | EntryPoint] = dict(BUILT_IN)
        self._made: dict[str, Provider] = {}
        for point in entry_points(group=GROUP):
            if point.name in BUILT_IN:
                log.warning("provider has the name of a built-in one and is left out", provider=point.name)
            else:
                self._sources[point.name] = point

    def names(self) -> list[str]:
        """All of them, set up or not, by name."""
        return sorted(self._sources)

    def get(self, name: str) -> Provider:
        """The provider of that name. Raises NotFound MODEL_NOT_FOUND."""
        if name not in self._made:
            if name not in self._sources:
                raise NotFound(
                    "MODEL_NOT_FOUND",
                    f"there is no provider {name!r}; there are {', '.join(self.names())}",
                    provider=name,
                )
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Provider:
        source = self._sources[name]
        if isinstance(source, EntryPoint):
            kind = source.load()
        else:
            module, _, attribute = source.partition(":")
            kind = getattr(import_module(module), attribute)
        provider = kind(name, self._settings, self._catalog.providers.get(name, ProviderEntry()))
        if not isinstance(provider, Provider):
            raise TypeError(f"{kind!r} is not a subclass of {Provider.__qualname__}")
        return provider

    async def close(self) -> None:
        """Closes those that were made."""
        made, self._made = list(self._made.values()), {}
        for provider in made:
            await provider.close()
