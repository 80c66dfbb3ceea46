"""ContextService: the contract's messages to the domain and back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pentad.context.v1 import context_pb2 as pb
from pentad.context.v1 import context_pb2_grpc
from pentad_common.call import current_call
from pentad_common.cursor import page_size
from pentad_context import conversion
from pentad_context.context import Context
from pentad_context.watch import Watches


class ContextServicer(context_pb2_grpc.ContextServiceServicer):
    """Converts, calls, converts."""

    def __init__(self, shared: Context, watches: Watches) -> None:
        self._shared = shared
        self._watches = watches

    async def Get(self, request: pb.GetRequest, context: Any) -> pb.GetResponse:
        """One entry."""
        address = conversion.from_address(request.address)
        entry, revision = await self._shared.get(current_call(), address, request.revision)
        return pb.GetResponse(entry=conversion.to_entry(entry), revision=revision)

    async def Put(self, request: pb.PutRequest, context: Any) -> pb.PutResponse:
        """Writes one entry."""
        op = conversion.from_put(request.put)
        compare = conversion.own_compare(request, op.address)
        entry = await self._shared.put(current_call(), op, compare, conversion.repeatable(request))
        return pb.PutResponse(entry=conversion.to_entry(entry))

    async def Delete(self, request: pb.DeleteRequest, context: Any) -> pb.DeleteResponse:
        """Removes one entry."""
        address = conversion.from_address(request.address)
        compare = conversion.own_compare(request, address)
        deleted, revision = await self._shared.delete(current_call(), address, compare)
        return pb.DeleteResponse(deleted=deleted, revision=revision)

    async def List(self, request: pb.ListRequest, context: Any) -> pb.ListResponse:
        """A page of entries."""
        page, token = await self._shared.list(
            current_call(),
            conversion.from_address(request.prefix),
            size=page_size(request.page_size),
            token=request.page_token,
            keys_only=request.keys_only,
        )
        entries = [conversion.to_entry(entry, request.keys_only) for entry in page.entries]
        return pb.ListResponse(entries=entries, next_page_token=token, revision=page.revision)

    async def Transact(self, request: pb.TransactRequest, context: Any) -> pb.TransactResponse:
        """Several reads and writes at once."""
        transaction = conversion.from_transact(request)
        repeat = conversion.repeatable(request)
        return conversion.to_outcome(await self._shared.transact(current_call(), transaction, repeat))

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchResponse]:
        """Changes as they happen."""
        prefix = conversion.from_address(request.prefix)
        start = conversion.from_watch(request)
        async for news in self._watches.changes(current_call(), prefix, start):
            yield conversion.to_news(news)

    async def GetHistory(self, request: pb.GetHistoryRequest, context: Any) -> pb.GetHistoryResponse:
        """A page of an entry's changes."""
        page, token = await self._shared.history(
            current_call(),
            conversion.from_address(request.address),
            size=page_size(request.page_size),
            token=request.page_token,
        )
        entries = [conversion.to_entry(entry) for entry in page.entries]
        return pb.GetHistoryResponse(entries=entries, next_page_token=token)
