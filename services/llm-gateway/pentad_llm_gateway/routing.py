"""Which provider and model a name means."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pentad_common.errors import FailedPrecondition, NotFound, PentadError, StartupError, Unavailable
from pentad_llm_gateway.catalog import Catalog, ModelEntry
from pentad_llm_gateway.providers.base import Provider
from pentad_llm_gateway.providers.factory import ProviderFactory

PREFERENCE = ("anthropic", "openai", "openai-compatible", "local")
"""Who serves callers that name no model: the first of these that is set up."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model that will be asked. `requested` is what the caller named, "" for the default."""

    requested: str
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


class Router:
    """Finds targets. Names are `provider/model`, a provider, a model of the catalog, an alias, or "" for the
    default."""

    def __init__(self, factory: ProviderFactory, catalog: Catalog, default: str = "") -> None:
        self._factory = factory
        self._catalog = catalog
        self._default = default

    def default_model(self) -> str:
        """What "" means, as `provider/model`; "" if no provider is set up. Raises NotFound
        MODEL_NOT_FOUND."""
        if self._default:
            return self.find(self._default).name
        for name in PREFERENCE:
            provider = self._factory.get(name)
            if provider.default_model and not provider.unavailable():
                return f"{name}/{provider.default_model}"
        return ""

    def check_default(self) -> None:
        """Raises StartupError if the default that was set is the name of nothing."""
        try:
            self.default_model()
        except NotFound as error:
            raise StartupError(f"PENTAD_LLM_DEFAULT_MODEL: {error}") from None

    def resolve(self, requested: str) -> Target:
        """The target of a name, ready to be asked.

        Raises NotFound MODEL_NOT_FOUND, FailedPrecondition PROVIDER_AUTHENTICATION, Unavailable
        PROVIDER_UNAVAILABLE.
        """
        name = requested or self.default_model()
        if not name:
            why = self._factory.get("local").unavailable()
            raise Unavailable(
                "PROVIDER_UNAVAILABLE", f"no provider of models is set up ({why})", provider="local"
            )
        target = self.find(name)
        if why := target.provider.unavailable():
            raise _not_set_up(target.provider.name, why)
        return replace(target, requested=requested)

    def find(self, name: str) -> Target:
        """The target of a name, set up or not. Raises NotFound MODEL_NOT_FOUND."""
        name = self._catalog.aliases.get(name, name)
        first, _, rest = name.partition("/")
        if first in self._factory.names():
            provider = self._factory.get(first)
            model = rest or provider.default_model
        elif owner := self._catalog.provider_of(name):
            provider, model = self._factory.get(owner), name
        else:
            provider, model = None, ""
        if provider is None or not model:
            raise NotFound(
                "MODEL_NOT_FOUND",
                f"there is no model {name!r}; `pentad llm models` shows what there is, as provider/model",
                model=name,
            )
        return Target(name, provider, model, provider.model(model))


def _not_set_up(provider: str, why: str) -> PentadError:
    message = f"{provider} is not set up: {why}"
    if "API_KEY" in why:
        return FailedPrecondition("PROVIDER_AUTHENTICATION", message, provider=provider)
    return Unavailable("PROVIDER_UNAVAILABLE", message, provider=provider)
