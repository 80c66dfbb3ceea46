"""Which providers and models a name means, and in which order they are asked."""

from __future__ import annotations

from collections.abc import Iterator

from pentad_common.errors import FailedPrecondition, NotFound, PentadError, StartupError, Unavailable
from pentad_llm_gateway.catalog import UNKNOWN_MODEL, Catalog, CatalogProblem
from pentad_llm_gateway.fallback import Candidates, Class, shuffled
from pentad_llm_gateway.providers.factory import ProviderFactory
from pentad_llm_gateway.target import Target

__all__ = ["PREFERENCE", "Router", "Target", "not_set_up"]

PREFERENCE = ("anthropic", "openai", "openai-compatible", "local")
"""Who serves callers that name no model: the first of these that is set up."""


class Router:
    """Finds targets. Names are `provider/model`, a provider, a model of the catalog, an alias, or "" for the
    default."""

    def __init__(self, factory: ProviderFactory, catalog: Catalog, default: str = "") -> None:
        self._factory = factory
        self._catalog = catalog
        self._default = default

    def default_model(self) -> str:
        """What "" means, as `provider/model` or an alias; "" if no provider is set up. Raises NotFound
        MODEL_NOT_FOUND."""
        if self._default:
            found = self.find(self._default)
            return found[0][0].name if len(found) == 1 else self._default
        for name in PREFERENCE:
            provider = self._factory.get(name)
            if provider.default_model and not provider.unavailable():
                return f"{name}/{provider.default_model}"
        return ""

    def check(self) -> None:
        """Raises StartupError if the default that was set is the name of nothing, CatalogProblem if a name in
        the catalog is."""
        try:
            self.default_model()
        except NotFound as error:
            raise StartupError(f"PENTAD_LLM_DEFAULT_MODEL: {error}") from None
        for place, name in self._named():
            try:
                self.find(name)
            except NotFound as error:
                raise CatalogProblem(place, str(error)) from None

    def _named(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The names in the catalog, with their places."""
        for alias in self._catalog.aliases:
            yield ("aliases", alias), alias
        for name, chains in self._catalog.fallbacks.items():
            for kind in type(chains).model_fields:
                for index, item in enumerate(getattr(chains, kind)):
                    yield ("fallbacks", name, kind, index), item

    def resolve(self, requested: str) -> Target:
        """The first target of a name that is ready to be asked.

        Raises NotFound MODEL_NOT_FOUND, FailedPrecondition PROVIDER_AUTHENTICATION, Unavailable
        PROVIDER_UNAVAILABLE.
        """
        targets = [target for target, _ in self.find(self._meant(requested))]
        ready = [target for target in targets if not target.provider.unavailable()]
        if not ready:
            raise not_set_up(targets[0])
        return ready[0]

    def candidates(self, requested: str) -> Candidates:
        """The deployments of a name, in a weighted random order, and those that stand in for them. Raises
        NotFound MODEL_NOT_FOUND, Unavailable PROVIDER_UNAVAILABLE."""
        name = self._meant(requested)
        first = shuffled(self.find(name))
        names = (requested, name, *((first[0].name,) if len(first) == 1 else ()))

        def chain(kind: Class) -> list[Target]:
            standing_in = self._catalog.chain(names, kind)
            return [target for item in standing_in for target in shuffled(self.find(item))]

        return Candidates(first, chain)

    def stands_for(self, requested: str) -> tuple[str, ...]:
        """What a name means now: its deployments, as `provider/model`. Raises as `candidates`."""
        return tuple(target.name for target, _ in self.find(self._meant(requested)))

    def find(self, name: str) -> list[tuple[Target, float]]:
        """The targets of a name with their weights, set up or not. Raises NotFound MODEL_NOT_FOUND."""
        if alias := self._catalog.aliases.get(name):
            return [(self._target(item.model), item.weight) for item in alias.deployments]
        return [(self._target(name), 1.0)]

    def _meant(self, requested: str) -> str:
        name = requested or self.default_model()
        if not name:
            why = self._factory.get("local").unavailable()
            raise Unavailable(
                "PROVIDER_UNAVAILABLE", f"no provider of models is set up ({why})", provider="local"
            )
        return name

    def embedding_candidates(self, requested: str) -> Candidates:
        """Like `candidates`, for embeddings, of which "" means a model of the first provider that is set up
        and has one. None stand in: vectors of two models cannot be compared."""
        name = requested or self.default_embedding_model()
        if not name:
            raise NotFound("MODEL_NOT_FOUND", "no provider that makes embeddings is set up; name a model")
        return Candidates(shuffled(self.find(name)), lambda _: ())

    def default_embedding_model(self) -> str:
        """What "" means to those who ask for embeddings, as `provider/model`; "" if there is none."""
        for name in PREFERENCE:
            provider = self._factory.get(name)
            if not provider.unavailable():
                for model, entry in provider.models().items():
                    if entry.embeddings and entry is not UNKNOWN_MODEL:
                        return f"{name}/{model}"
        return ""

    def _target(self, name: str) -> Target:
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
        return Target(provider, model, provider.model(model))


def not_set_up(target: Target) -> PentadError:
    """The error of a provider that cannot be asked."""
    name, why = target.provider.name, target.provider.unavailable()
    message = f"{name} is not set up: {why}"
    if "API_KEY" in why or "api_key" in why:
        return FailedPrecondition("PROVIDER_AUTHENTICATION", message, provider=name)
    return Unavailable("PROVIDER_UNAVAILABLE", message, provider=name)
