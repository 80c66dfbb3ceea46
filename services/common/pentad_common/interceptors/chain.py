"""The chain: runs the interceptors around a handler, the same way for unary calls and for streams.

gRPC's own interface wraps handlers, once for each of four kinds; here an interceptor is an asynchronous
context manager around the call and, if it wants, a check of each request message.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, nullcontext
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc import aio

from pentad_common.call import CallContext
from pentad_common.errors import Code, Unimplemented


@dataclass(slots=True)
class Rpc:
    """One call on its way through the interceptors."""

    method: str
    """`/package.Service/Method`; what clients ask for, whether it exists or not."""
    known: bool
    streaming: bool
    """Whether requests, responses or both are a stream."""
    context: Any
    metadata: dict[str, str]
    started: float = field(default_factory=time.perf_counter)
    code: Code = Code.OK
    request_id: str = ""
    call: CallContext | None = None

    @property
    def is_health(self) -> bool:
        """Health checks are for everyone: probes have no key."""
        return self.method.startswith("/grpc.health.v1.Health/")


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands for a request message whose bytes could not be decoded."""

    reason: str


class Interceptor:
    """One concern of every RPC; subclasses override either method or both."""

    def around(self, rpc: Rpc) -> AbstractAsyncContextManager[None]:
        """Entered before the handler runs and left after it; sees its exceptions."""
        return nullcontext()

    def check(self, rpc: Rpc, request: Any) -> None:
        """Called with each request message, a `Malformed` too, before the handler sees it."""


class Chain(aio.ServerInterceptor):
    """Hands each RPC through `interceptors`, the first of which is the outermost."""

    def __init__(self, interceptors: Sequence[Interceptor]) -> None:
        self._interceptors = interceptors
        self._checks = [item.check for item in interceptors if type(item).check is not Interceptor.check]
        self._wrapped: dict[str, Any] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """gRPC's hook: the handler for a call, wrapped; also for methods that do not exist."""
        method = details.method
        if method not in self._wrapped:
            handler = await continuation(details)
            if handler is None:  # not kept: names come from outside, without bound
                return self._wrap(method, grpc.stream_stream_rpc_method_handler(_missing), known=False)
            self._wrapped[method] = self._wrap(method, handler, known=True)
        return self._wrapped[method]

    def _wrap(self, method: str, handler: Any, *, known: bool) -> Any:
        streaming = handler.request_streaming or handler.response_streaming

        def start(context: Any) -> Rpc:
            pairs = context.invocation_metadata() or ()
            return Rpc(method, known, streaming, context, {k: v for k, v in pairs if isinstance(v, str)})

        kind = "_".join(
            "stream" if many else "unary" for many in (handler.request_streaming, handler.response_streaming)
        )
        behavior = getattr(handler, kind)
        if inspect.isasyncgenfunction(behavior):
            behavior = _writing(behavior)

        async def call(request: Any, context: Any) -> Any:
            rpc = start(context)
            async with AsyncExitStack() as stack:
                request = await self._enter(stack, rpc, request, handler.request_streaming)
                answer = behavior(request, context)
                return await answer if inspect.isawaitable(answer) else answer

        return getattr(grpc, f"{kind}_rpc_method_handler")(
            call,
            request_deserializer=_guarded(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    async def _enter(self, stack: AsyncExitStack, rpc: Rpc, request: Any, many: bool) -> Any:
        for interceptor in self._interceptors:
            await stack.enter_async_context(interceptor.around(rpc))
        if many:
            return _Checked(request, rpc, self._checks)
        for check in self._checks:
            check(rpc, request)
        return request


class _Checked:
    """A stream of requests, each checked before the handler sees it.

    A class and no generator: a generator would end for good when a read of it is cancelled.
    """

    def __init__(self, requests: Any, rpc: Rpc, checks: Sequence[Callable[[Rpc, Any], None]]) -> None:
        self._requests = requests
        self._iterator: AsyncIterator[Any] | None = None  # gRPC's own complains if it is made and not used
        self._rpc = rpc
        self._checks = checks

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:
            self._iterator = aiter(self._requests)
        request = await anext(self._iterator)
        for check in self._checks:
            check(self._rpc, request)
        return request


def _writing(
    generate: Callable[[Any, Any], AsyncGenerator[Any, None]],
) -> Callable[[Any, Any], Awaitable[None]]:
    """A handler that yields, as one that writes by itself.

    So a call that is cut short while it waits for a slow reader is cut short within the interceptors, and not
    outside of them in gRPC's own loop.
    """

    async def write(request: Any, context: Any) -> None:
        async with aclosing(generate(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return write


def _guarded(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """The deserialiser, answering `Malformed` where it would raise: gRPC would make that UNKNOWN."""
    if deserialize is None:
        return None

    def decode(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception as error:  # the decoder's own type differs between protobuf's implementations
            return Malformed(str(error))

    return decode


async def _missing(_requests: Any, _context: Any) -> None:
    raise Unimplemented(
        "METHOD_NOT_IMPLEMENTED", "there is no such method here; check the address and the contract"
    )
