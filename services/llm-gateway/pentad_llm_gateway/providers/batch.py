"""What a provider's own batch API does, whatever its dialect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from pentad_common.errors import PentadError
from pentad_llm_gateway.completion import Answer, Completion


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """How far a batch is at its provider. `error`: why it could not be run, if so."""

    ended: bool
    error: PentadError | None = None


class BatchApi(ABC):
    """Hands batches on to the provider. Raises PentadErrors of the gateway's taxonomy; retries nothing."""

    @abstractmethod
    async def submit(self, batch_id: str, model: str, requests: Sequence[tuple[str, Completion]]) -> str:
        """Hands a batch in, each request with a name for it; returns the provider's id of the batch."""

    async def find(self, batch_id: str) -> str:
        """The provider's id of a batch that may have been handed in before; "" if it was not, or if the
        provider cannot tell."""
        return ""

    @abstractmethod
    async def status(self, provider_batch_id: str) -> BatchStatus:
        """How far it is."""

    @abstractmethod
    async def cancel(self, provider_batch_id: str) -> None:
        """Has it stopped; `status` tells when it is. Stopping one twice is no error."""

    @abstractmethod
    def results(self, provider_batch_id: str) -> AsyncGenerator[tuple[str, Answer | PentadError], None]:
        """What came of the requests of a batch that has ended, by their names, in any order. Requests without
        a result have none."""

    async def forget(self, provider_batch_id: str) -> None:
        """What is left of it at the provider can go."""
        return None
