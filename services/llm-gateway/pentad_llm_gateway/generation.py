"""The catalog that is in force, with the providers and the router made of it; and how another comes into
force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pentad_common.telemetry import get_logger
from pentad_llm_gateway.catalog import Catalog, located, parse_catalog, read_catalog
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.providers.factory import ProviderFactory
from pentad_llm_gateway.routing import Router
from pentad_llm_gateway.settings import GatewaySettings

log = get_logger(__name__)


class Generation:
    """One reading of the catalog."""

    def __init__(self, settings: GatewaySettings, catalog: Catalog, before: Generation | None = None) -> None:
        """Raises StartupError for what the catalog's own rules cannot tell: kinds of providers, names that
        mean nothing."""
        self.catalog = catalog
        self.factory: ProviderFactory = ProviderFactory(settings, catalog, before.factory if before else None)
        self.router = Router(self.factory, catalog, settings.llm_default_model)
        self.router.check()
        self.calls = 0
        """Under way."""


class Generations:
    """The one in force, and those before it that calls still hold."""

    def __init__(self, settings: GatewaySettings, catalog: Catalog) -> None:
        """Raises StartupError as Generation."""
        self._settings = settings
        self.current = Generation(settings, catalog)
        self.problem = ""
        """Why the catalog's file, as it is now, is not in force; "" when it is."""
        self.on_change: list[Callable[[Catalog], None]] = []
        """Called with each catalog that comes into force after the first."""
        self._retired: list[Generation] = []
        self._closing: set[asyncio.Task[None]] = set()

    @contextmanager
    def held(self) -> Iterator[Generation]:
        """Around a call: it ends with the catalog and the providers that it began with."""
        generation = self.current
        generation.calls += 1
        try:
            yield generation
        finally:
            generation.calls -= 1
            if generation is not self.current and not generation.calls:
                self._close_idle()

    def replace(self, catalog: Catalog) -> None:
        """Puts another catalog into force, for calls that begin from now on. Providers of which it says the
        same go on; the others are made anew, and the old ones closed when their last call has ended.

        Raises StartupError as Generation; the one in force stays then.
        """
        retired, self.current = self.current, Generation(self._settings, catalog, self.current)
        self._retired.append(retired)
        for tell in self.on_change:
            tell(catalog)
        self._close_idle()

    def _close_idle(self) -> None:
        """Closes the providers that no generation needs any more that is in force or held."""
        idle = [item for item in self._retired if not item.calls]
        self._retired = [item for item in self._retired if item.calls]
        needed = {id(made) for item in (self.current, *self._retired) for made in item.factory.made}
        for provider in {id(made): made for item in idle for made in item.factory.made}.values():
            if id(provider) not in needed:
                task = asyncio.get_running_loop().create_task(_close(provider))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes all providers."""
        if self._closing:
            await asyncio.wait(self._closing)
        for generation in (self.current, *self._retired):
            await generation.factory.close()


def first_generation(settings: GatewaySettings) -> Generations:
    """By the catalog's file as it is now. Raises StartupError, saying where it is wrong."""
    text, shown = read_catalog(settings.llm_catalog), settings.llm_catalog or "models.yaml"
    with located(text, shown):
        return Generations(settings, parse_catalog(text, shown))


async def _close(provider: Provider) -> None:
    try:
        await provider.close()
    except Exception as error:
        log.warning("provider could not be closed", provider=provider.name, error=type(error).__name__)
    else:
        log.info("provider closed", provider=provider.name)
