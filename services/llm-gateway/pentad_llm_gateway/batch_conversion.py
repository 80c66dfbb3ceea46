"""Between the contract's messages of batches and the gateway's values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from pentad.common.v1.common_pb2 import Error
from pentad.llm.v1 import llm_pb2 as pb
from pentad_common.cursor import decode_cursor, encode_cursor
from pentad_common.errors import InvalidArgument
from pentad_llm_gateway.batches.batches import HandedIn
from pentad_llm_gateway.batches.model import Batch, Result
from pentad_llm_gateway.conversion import usage_proto

_MOST_BYTES = 3 * 1024 * 1024
"""Of a page of results, which has to fit into one message."""


def handed_in(request: pb.BatchInvokeRequest) -> list[HandedIn]:
    """The items, those without a model with the batch's."""
    items: list[HandedIn] = []
    for item in request.items:
        own = item.completion.model
        if not own:
            item.completion.model = request.model
        items.append(HandedIn(item.custom_id, own, item.completion.SerializeToString()))
    return items


def batch_proto(batch: Batch) -> pb.Batch:
    """A batch."""
    progress = batch.progress
    return pb.Batch(
        batch_id=batch.id,
        state=f"BATCH_STATE_{batch.state}",
        items=batch.items,
        succeeded=progress.succeeded,
        failed=progress.failed,
        cancelled=progress.cancelled,
        native=batch.native,
        model=batch.model,
        usage=usage_proto(progress.usage, progress.cost_micros, progress.succeeded),
        error=Error.FromString(batch.error) if batch.error and batch.state == "FAILED" else None,
        create_time=_time(batch.create_time),
        finish_time=_time(batch.finish_time) if batch.finish_time else None,
    )


def _time(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def read_batches_token(token: str) -> str:
    """The last batch of the page before; "" for the first page. Raises InvalidArgument CURSOR_INVALID."""
    return str(_position("llm_batches", token)) if token else ""


def batches_page(batches: Sequence[Batch], size: int) -> pb.ListBatchesResponse:
    """A page, and the token of the next one."""
    shown = batches[:size]
    token = encode_cursor("llm_batches", shown[-1].id) if len(batches) > size else ""
    return pb.ListBatchesResponse(batches=map(batch_proto, shown), next_page_token=token)


def read_results_token(token: str) -> int:
    """The number of the last item of the page before; -1 for the first page. Raises InvalidArgument
    CURSOR_INVALID."""
    if not token:
        return -1
    position = _position("llm_results", token)
    if not isinstance(position, int):
        raise InvalidArgument("CURSOR_INVALID", f"{token!r} is not a page token of results")
    return position


def _position(kind: str, token: str) -> str | int:
    values = decode_cursor(kind, token)
    if len(values) != 1 or not isinstance(values[0], str | int):
        raise InvalidArgument("CURSOR_INVALID", f"{token!r} is not a page token of {kind}")
    return values[0]


def results_page(results: Sequence[Result], size: int) -> pb.ListBatchResultsResponse:
    """A page that fits into one message, and the token of the next one."""
    page = pb.ListBatchResultsResponse()
    left = _MOST_BYTES
    for place, result in enumerate(results):
        left -= len(result.response or b"") + len(result.error or b"")
        if place == size or (left < 0 and place):
            page.next_page_token = encode_cursor("llm_results", results[place - 1].number)
            break
        page.results.append(_result(result))
    return page


def _result(result: Result) -> pb.BatchResult:
    if result.response is not None:
        response = pb.InvokeResponse.FromString(result.response)
        return pb.BatchResult(custom_id=result.custom_id, response=response)
    return pb.BatchResult(custom_id=result.custom_id, error=Error.FromString(result.error or b""))
