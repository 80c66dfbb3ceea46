"""What callers do with batches: hand them in, look at them, read the results, stop them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pentad_common.call import CallContext
from pentad_common.errors import InvalidArgument, PentadError
from pentad_llm_gateway.batches.courtesy import in_turns
from pentad_llm_gateway.batches.model import Batch, NewBatch, Result
from pentad_llm_gateway.batches.outcome import cancelled, read_request, serialised
from pentad_llm_gateway.batches.store import BatchStore
from pentad_llm_gateway.batches.worker import BatchWorker
from pentad_llm_gateway.extras import check_extras
from pentad_llm_gateway.fitting import fit
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.routing import Router


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A request of a batch: its name, the model it names itself ("" for the batch's), and a serialised
    `pentad.llm.v1.Completion`."""

    custom_id: str
    model: str
    request: bytes


class Batches:
    """The tenant's batches."""

    def __init__(
        self, generations: Generations, store: BatchStore, worker: BatchWorker, seconds: float
    ) -> None:
        self._generations = generations
        self._store = store
        self._worker = worker
        self._seconds = seconds

    async def invoke(
        self,
        caller: CallContext,
        model: str,
        items: list[HandedIn],
        request_id: str = "",
        fan_out: bool = False,
    ) -> Batch:
        """Takes a batch whose items are all such as can be asked. Raises InvalidArgument INVALID_REQUEST and
        what else may be wrong with an item, naming it."""
        _check_names(items)
        with self._generations.held() as generation:
            target = generation.router.resolve(model)
            others = False
            async for number, item in in_turns(enumerate(items)):
                others = _check(generation.router, number, item, model) or others
            native = not fan_out and not others and target.provider.batches() is not None
        new = NewBatch(
            caller,
            request_id,
            requested_model=model,
            model=target.name,
            native=native,
            requests=tuple((item.custom_id, item.request) for item in items),
        )
        batch = await self._store.add(new, self._seconds)
        self._worker.wake()
        return batch

    async def get(self, tenant: str, batch_id: str) -> Batch:
        """Raises NotFound BATCH_NOT_FOUND."""
        return await self._store.get(tenant, batch_id)

    async def page(self, tenant: str, size: int, before: str) -> list[Batch]:
        """See BatchStore."""
        return await self._store.page(tenant, size, before)

    async def results(self, tenant: str, batch_id: str, size: int, after: int) -> list[Result]:
        """See BatchStore."""
        return await self._store.results(tenant, batch_id, size, after)

    async def cancel(self, tenant: str, batch_id: str) -> Batch:
        """Stops a batch. Raises NotFound BATCH_NOT_FOUND."""
        batch = await self._store.cancel(tenant, batch_id, serialised(cancelled()))
        self._worker.stop_batch(batch_id)
        return batch


def _check_names(items: Iterable[HandedIn]) -> None:
    seen: set[str] = set()
    for number, item in enumerate(items):
        if item.custom_id in seen:
            raise _at(number, item, InvalidArgument("INVALID_REQUEST", "another item has the same custom_id"))
        seen.add(item.custom_id)


def _check(router: Router, number: int, item: HandedIn, model: str) -> bool:
    """Whether the item names a model other than the batch's. Raises what is wrong with it."""
    try:
        completion = read_request(item.request)
        check_extras(completion.extras)
        target = router.resolve(completion.model)
        fit(target, replace(completion))
    except PentadError as error:
        raise _at(number, item, error) from None
    return item.model not in ("", model)


def _at(number: int, item: HandedIn, error: PentadError) -> PentadError:
    """The error, saying which item is at fault."""
    error.message = f"item {item.custom_id!r}: {error.message}"
    error.args = (error.message,)
    error.metadata["custom_id"] = item.custom_id
    error.violations = [(f"items[{number}].{path}", text) for path, text in error.violations] or [
        (f"items[{number}]", error.message)
    ]
    return error
