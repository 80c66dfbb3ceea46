"""The providers, by name: the gateway's own and those of other packages."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from pentad_common.errors import NotFound
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.catalog import Catalog, CatalogProblem, ProviderEntry
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

_NOTHING_SAID = ProviderEntry()


class ProviderFactory:
    """Makes each provider once, when it is first asked for."""

    def __init__(
        self, settings: GatewaySettings, catalog: Catalog, before: ProviderFactory | None = None
    ) -> None:
        """Providers that `before` made, and of which the catalog says the same, are taken over. Raises
        CatalogProblem for a provider of a kind that there is not."""
        self._settings = settings
        self._catalog = catalog
        self._kinds = _kinds()
        self._names = sorted({*self._kinds, *catalog.providers})
        for name, entry in catalog.providers.items():
            if (entry.kind or name) not in self._kinds:
                raise CatalogProblem(
                    ("providers", name, "kind"),
                    f"there is no kind {entry.kind or name!r}; kind is one of "
                    f"{', '.join(sorted(self._kinds))}",
                )
        self._made: dict[str, Provider] = {}
        if before is not None:
            kept = before._made.items()
            self._made = {name: made for name, made in kept if made.entry == self._entry(name)}

    def names(self) -> list[str]:
        """All of them, set up or not, by name."""
        return self._names

    @property
    def made(self) -> list[Provider]:
        """Those that were asked for so far."""
        return list(self._made.values())

    def get(self, name: str) -> Provider:
        """The provider of that name. Raises NotFound MODEL_NOT_FOUND."""
        if name not in self._made:
            if name not in self._names:
                raise NotFound(
                    "MODEL_NOT_FOUND",
                    f"there is no provider {name!r}; there are {', '.join(self.names())}",
                    provider=name,
                )
            self._made[name] = self._make(name)
        return self._made[name]

    def _entry(self, name: str) -> ProviderEntry:
        return self._catalog.providers.get(name, _NOTHING_SAID)

    def _make(self, name: str) -> Provider:
        entry = self._entry(name)
        source = self._kinds[entry.kind or name]
        if isinstance(source, EntryPoint):
            kind = source.load()
        else:
            module, _, attribute = source.partition(":")
            kind = getattr(import_module(module), attribute)
        provider = kind(name, self._settings, entry)
        if not isinstance(provider, Provider):
            raise TypeError(f"{kind!r} is not a subclass of {Provider.__qualname__}")
        return provider

    async def close(self) -> None:
        """Closes those that were made."""
        made, self._made = self.made, {}
        for provider in made:
            await provider.close()


def _kinds() -> dict[str, str | EntryPoint]:
    """What providers can be: the gateway's own, and those of other packages under names of their own."""
    kinds: dict[str, str | EntryPoint] = dict(BUILT_IN)
    for point in entry_points(group=GROUP):
        if point.name in BUILT_IN:
            log.warning("provider has the name of a built-in one and is left out", provider=point.name)
        else:
            kinds[point.name] = point
    return kinds
