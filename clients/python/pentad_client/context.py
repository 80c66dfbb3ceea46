"""Shared context: entries by address, compare-and-set, watches.

entry = await pentad.context.put_json("plans/today", {"steps": 3})
await pentad.context.put_json("plans/today", {"steps": 4}, if_revision=entry.revision)
async for change in pentad.context.watch("plans/"): ...
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

from pentad.common.v1 import common_pb2
from pentad.context.v1 import context_pb2 as pb
from pentad.context.v1 import context_pb2_grpc
from pentad_client.channel import Channels
from pentad_client.config import ClientConfig
from pentad_client.errors import InvalidArgument, NotFound
from pentad_client.resume import resumed

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_REDUCERS = {
    "": pb.REDUCER_UNSPECIFIED,
    "append": pb.REDUCER_APPEND,
    "merge": pb.REDUCER_MERGE,
    "increment": pb.REDUCER_INCREMENT,
}


def put_op(
    address: pb.Address,
    data: bytes | str,
    content_type: str = "",
    *,
    ttl: float | None = None,
    reducer: str = "",
) -> pb.PutOp:
    """A write. `ttl` in seconds; `reducer`: append, merge or increment, or nothing to replace.

    A text without a content type is `text/plain; charset=utf-8`.
    """
    if reducer not in _REDUCERS:
        raise InvalidArgument("REDUCER_UNKNOWN", f"there is no reducer {reducer!r}: append, merge, increment")
    raw = data.encode() if isinstance(data, str) else data
    kind = content_type or (TEXT if isinstance(data, str) else "")
    op = pb.PutOp(
        address=address,
        content=common_pb2.Content(content_type=kind, data=raw),
        reducer=_REDUCERS[reducer],
    )
    if ttl is not None:
        op.ttl.FromNanoseconds(round(ttl * 1e9))
    return op


class ContextClient:
    """ContextService. `namespace`: "" is global, otherwise the agent's own. `scope`: `tenant` or
    `runs/<id>`.
    """

    def __init__(self, channels: Channels, config: ClientConfig) -> None:
        self._stub = channels.stub(config.context_address, context_pb2_grpc.ContextServiceStub, pb.DESCRIPTOR)

    async def get(
        self, key: str, namespace: str = "", *, scope: str = "tenant", revision: int = 0
    ) -> pb.Entry:
        """An entry, or what it was at a revision.

        Raises NotFound KEY_NOT_FOUND, OutOfRange REVISION_COMPACTED.
        """
        request = pb.GetRequest(address=address(key, namespace, scope), revision=revision)
        response: pb.GetResponse = await self._stub.Get(request)
        return response.entry

    async def put(
        self,
        key: str,
        data: bytes | str,
        namespace: str = "",
        *,
        scope: str = "tenant",
        content_type: str = "",
        ttl: float | None = None,
        reducer: str = "",
        if_revision: int | None = None,
        compare: pb.Compare | None = None,
        request_id: str = "",
    ) -> pb.Entry:
        """Writes an entry; `ttl`: seconds that it lasts; `reducer`: append, merge or increment.

        `if_revision`: only if it has this revision; 0: only if it does not exist. `compare`: any other
        condition. A call that is retried has no further effect.

        Raises Aborted REVISION_CONFLICT, InvalidArgument VALUE_TOO_LARGE, FailedPrecondition
        REDUCER_MISMATCH.
        """
        request = pb.PutRequest(
            put=put_op(address(key, namespace, scope), data, content_type, ttl=ttl, reducer=reducer),
            compare=_compare(if_revision, compare),
            request_id=request_id or uuid.uuid4().hex,
        )
        response: pb.PutResponse = await self._stub.Put(request)
        return response.entry

    async def delete(
        self, key: str, namespace: str = "", *, scope: str = "tenant", if_revision: int | None = None
    ) -> bool:
        """Removes an entry; returns whether there was one. Raises Aborted REVISION_CONFLICT."""
        request = pb.DeleteRequest(
            address=address(key, namespace, scope), compare=_compare(if_revision, None)
        )
        response: pb.DeleteResponse = await self._stub.Delete(request)
        return response.deleted

    async def list(
        self, prefix: str = "", namespace: str = "", *, scope: str = "tenant", keys_only: bool = False
    ) -> AsyncIterator[pb.Entry]:
        """Entries whose key starts with `prefix`, by key, page by page."""
        token = ""
        while True:
            request = pb.ListRequest(
                prefix=address(prefix, namespace, scope), page_token=token, keys_only=keys_only
            )
            page: pb.ListResponse = await self._stub.List(request)
            for entry in page.entries:
                yield entry
            token = page.next_page_token
            if not token:
                return

    async def transact(
        self,
        compares: Iterable[pb.Compare] = (),
        then: Iterable[pb.Op] = (),
        otherwise: Iterable[pb.Op] = (),
        *,
        request_id: str = "",
    ) -> pb.TransactResponse:
        """`then` if all compares hold, else `otherwise`: all of it at one revision, or nothing."""
        request = pb.TransactRequest(
            compares=compares, then=then, otherwise=otherwise, request_id=request_id or uuid.uuid4().hex
        )
        response: pb.TransactResponse = await self._stub.Transact(request)
        return response

    def watch(
        self,
        prefix: str = "",
        namespace: str = "",
        *,
        scope: str = "tenant",
        after_revision: int = 0,
        include_current: bool = False,
        after: str = "",
    ) -> AsyncIterator[pb.WatchResponse]:
        """Changes of entries whose key starts with `prefix`, each once and in order, for ever.

        The first answer has no entry: it says where the watch begins. Starts with what changes from now
        on, or after a revision, or after the cursor of an earlier answer, or with what is there.
        Resumes by itself.

        Raises OutOfRange CURSOR_EXPIRED when what follows is no longer kept.
        """
        request = pb.WatchRequest(
            prefix=address(prefix, namespace, scope),
            after_revision=after_revision,
            include_current=include_current,
        )

        def open_stream(cursor: str) -> Any:
            request.after = cursor
            return self._stub.Watch(request)

        return _without_repeated_starts(resumed(open_stream, after, pb.WatchResponse))

    async def history(
        self, key: str, namespace: str = "", *, scope: str = "tenant"
    ) -> AsyncIterator[pb.Entry]:
        """What an entry was, newest first, page by page."""
        token = ""
        while True:
            request = pb.GetHistoryRequest(address=address(key, namespace, scope), page_token=token)
            page: pb.GetHistoryResponse = await self._stub.GetHistory(request)
            for entry in page.entries:
                yield entry
            token = page.next_page_token
            if not token:
                return

    async def put_json(self, key: str, value: object, namespace: str = "", **options: Any) -> pb.Entry:
        """`put` of a value as JSON."""
        data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        return await self.put(key, data, namespace, content_type=JSON, **options)

    async def get_json(
        self, key: str, namespace: str = "", *, scope: str = "tenant", default: Any = None
    ) -> Any:
        """The value of a JSON entry; `default` if there is none. Raises InvalidArgument VALUE_NOT_JSON."""
        try:
            entry = await self.get(key, namespace, scope=scope)
        except NotFound:
            return default
        try:
            return json.loads(entry.content.data)
        except ValueError:
            raise InvalidArgument("VALUE_NOT_JSON", f"the value of {key!r} is not JSON", key=key) from None


async def _without_repeated_starts(items: AsyncIterator[pb.WatchResponse]) -> AsyncIterator[pb.WatchResponse]:
    """Only the first answer that says where a watch begins: those of resumed streams say nothing new."""
    started = False
    async for item in items:
        if item.HasField("entry") or not started:
            started = True
            yield item


def address(key: str, namespace: str = "", scope: str = "tenant") -> pb.Address:
    """Where an entry is."""
    return pb.Address(scope=scope, namespace=namespace, key=key)


def _compare(revision: int | None, compare: pb.Compare | None) -> pb.Compare | None:
    return pb.Compare(revision=revision) if revision is not None else compare
