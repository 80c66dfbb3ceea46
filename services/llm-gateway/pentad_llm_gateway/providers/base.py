"""What every provider of models is.

A new provider is one subclass, named in the entry point group `pentad.llm_providers` (`my-provider =
my_package:MyProvider`) and chosen by `my-provider/model`. It is made with the settings and its part of the
catalog, once, when it is first needed; nothing in it may block the event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from pentad_common.errors import NotFound
from pentad_llm_gateway.catalog import UNKNOWN_MODEL, ModelEntry, ProviderEntry, TimeLimitsEntry
from pentad_llm_gateway.completion import Answer, Completion, Event, TokenCount, estimate_input
from pentad_llm_gateway.embedding import Texts, Vectors
from pentad_llm_gateway.errors import invalid_request
from pentad_llm_gateway.pace import TimeLimits
from pentad_llm_gateway.providers.batch import BatchApi
from pentad_llm_gateway.settings import GatewaySettings, secret

_UNBOUNDED_OUTPUT = 16_384


class Provider(ABC):
    """Asks models. Raises PentadErrors of the gateway's taxonomy; retries nothing, since the gateway does."""

    any_model = True
    """Whether it can be asked for models that are not in `models()`."""
    takes_seed = True
    takes_hints: frozenset[str] = frozenset()
    """The fields of `Completion.hints` that it is sent; others are left out."""

    def __init__(self, name: str, settings: GatewaySettings, entry: ProviderEntry) -> None:
        self.name = name
        self.settings = settings
        self.entry = entry

    def api_key(self) -> str:
        """The key in the variable that the catalog names, `api_key_env`; "" if there is none."""
        return secret(self.entry.api_key_env)

    def _no_key(self) -> str:
        """Why the provider cannot be asked, if the catalog names a variable that is not set."""
        name = self.entry.api_key_env
        return f"{name} (its api_key_env) is not set for the gateway" if name and not secret(name) else ""

    def unavailable(self) -> str:
        """Why it cannot be asked, and what to do about it; "" when it can."""
        return ""

    def models(self) -> Mapping[str, ModelEntry]:
        """The models it is known to have."""
        return self.entry.models

    @property
    def default_model(self) -> str:
        """The model that the provider's name alone means; "" if there is none."""
        return self.entry.default

    def model(self, name: str) -> ModelEntry:
        """What is known of a model. Raises NotFound MODEL_NOT_FOUND."""
        known = self.models().get(name)
        if known is None and not self.any_model:
            raise NotFound(
                "MODEL_NOT_FOUND",
                f"{self.name} has no model {name!r}; it has {', '.join(self.models()) or 'none'}",
                provider=self.name,
                model=name,
            )
        return known or UNKNOWN_MODEL

    def time_limits(self, model: str = "") -> TimeLimits:
        """How long a call may take, to a model or in general: by its entry in the catalog, the provider's,
        or the settings."""
        own = self.model(model).time_limits if model else TimeLimitsEntry()
        shared = self.entry.time_limits

        def limit(name: str) -> float:
            told = getattr(own, name) or getattr(shared, name)
            return float(told or getattr(self.settings, f"llm_{name}_seconds"))

        return TimeLimits(limit("connect"), limit("first_token"), limit("between_tokens"), limit("total"))

    def most_output_tokens(self, model: str, completion: Completion) -> int:
        """Tokens that an answer has at most, as far as is known; where nothing bounds it, a guess."""
        most = self.model(model).max_output_tokens
        asked = completion.sampling.max_output_tokens
        return min(asked, most) if asked and most else asked or most or _UNBOUNDED_OUTPUT

    def admitted(self, tenant: str) -> AbstractAsyncContextManager[object]:
        """Held during each call: a provider that can do only so much at once makes callers wait here."""
        return nullcontext()

    @abstractmethod
    async def invoke(self, model: str, completion: Completion) -> Answer:
        """The whole answer. Cancelling it ends the request upstream."""

    @abstractmethod
    def stream(self, model: str, completion: Completion) -> AsyncGenerator[Event, None]:
        """The answer as it is made. Closing the generator ends the request upstream.

        Ends after Finished; an answer that was cut raises Unavailable PROVIDER_UNAVAILABLE.
        """

    async def count_tokens(self, model: str, completion: Completion) -> TokenCount:
        """Tokens of the request's input: an estimate, where a provider knows no better."""
        return TokenCount(estimate_input(completion), estimated=True)

    def batches(self) -> BatchApi | None:
        """The provider's own batch API; None where it has none, and calls are made one by one."""
        return None

    async def embed(self, model: str, texts: Texts) -> Vectors:
        """The texts' vectors. Raises InvalidArgument INVALID_REQUEST where a provider makes none."""
        raise invalid_request(self.name, f"{self.name} has no models that make embeddings", "model")

    async def close(self) -> None:
        """Lets go of connections and processes."""
        return None
