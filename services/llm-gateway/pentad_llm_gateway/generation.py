"""The catalog that is in force, with the providers and the router made of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pentad_llm_gateway.catalog import Catalog
from pentad_llm_gateway.providers.factory import ProviderFactory
from pentad_llm_gateway.routing import Router
from pentad_llm_gateway.settings import GatewaySettings


class Generation:
    """One reading of the catalog."""

    def __init__(self, settings: GatewaySettings, catalog: Catalog) -> None:
        self.catalog = catalog
        self.factory = ProviderFactory(settings, catalog)
        self.router = Router(self.factory, catalog, settings.llm_default_model)
        self.calls = 0
        """Under way."""


class Generations:
    """The one in force."""

    def __init__(self, settings: GatewaySettings, catalog: Catalog) -> None:
        """Raises StartupError if the default model is the name of nothing."""
        self._settings = settings
        self.current = Generation(settings, catalog)
        self.current.router.check_default()

    @contextmanager
    def held(self) -> Iterator[Generation]:
        """Around a call: it ends with the catalog and the providers that it began with."""
        generation = self.current
        generation.calls += 1
        try:
            yield generation
        finally:
            generation.calls -= 1

    async def close(self) -> None:
        """Closes the providers."""
        await self.current.factory.close()
