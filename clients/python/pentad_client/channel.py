"""Channels and the calls made on them.

`Stub` stands in front of a generated stub. It adds the API key and the envelope to each call, hands the
deadline down, and turns statuses into `PentadError`s, on unary calls and on streams:

    stub = channels.stub(address, key_pb2_grpc.KeyServiceStub, registry_pb2.DESCRIPTOR)
    response = await stub.ListKeys(request, timeout=5)         # unary, or a stream of requests
    async for item in stub.WatchAgents(request): ...           # a stream of responses
    call = stub.Connect(); await call.write(frame); frame = await call.read()   # None at the end

It does so itself because gRPC's own interceptors put a queue between a stream's writer and the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from pentad_client.config import MAX_MESSAGE_BYTES, ClientConfig
from pentad_client.envelope import current_envelope, new_traceparent, time_left
from pentad_client.errors import Cancelled, InvalidArgument, Unavailable, from_rpc_error

Metadata = Sequence[tuple[str, str]]

_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A frozen server is found in 4 s; without ping_timeout_ms in 60.
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Without these a client that lost its server may wait two minutes before it looks again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 1),
]

_RETRY = {  # waits of about 0.3, 0.6, 1.2 and 2 s: a service that restarts is back by then
    "maxAttempts": 5,
    "initialBackoff": "0.3s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


class Channels:
    """One channel an address and contract, opened when first used."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._open: dict[tuple[str, str], aio.Channel] = {}

    def stub(self, address: str, stub_type: Callable[[aio.Channel], Any], contract: Any) -> Stub:
        """A stub of `stub_type` at `address`; `contract` is the DESCRIPTOR of its pb2 module."""
        key = (address, contract.name)
        if key not in self._open:
            self._open[key] = open_channel(address, self._config, contract)
        return Stub(stub_type(self._open[key]), self._config)

    async def close(self) -> None:
        """Closes all channels; calls under way end with CANCELLED."""
        channels, self._open = list(self._open.values()), {}
        for channel in channels:
            await channel.close()


def open_channel(address: str, config: ClientConfig, contract: Any) -> aio.Channel:
    """A channel to `address` (`host:port`) whose unary calls are retried while the service is unavailable."""
    options = [*_OPTIONS, ("grpc.service_config", service_config(contract))]
    if not config.tls_ca:
        return aio.insecure_channel(address, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_read(config.tls_ca),
        private_key=_read(config.tls_key) if config.tls_key else None,
        certificate_chain=_read(config.tls_cert) if config.tls_cert else None,
    )
    return aio.secure_channel(address, credentials, options=options)


def service_config(contract: Any) -> str:
    """gRPC's service config: retries for the contract's unary methods, not for streams, which resume by
    themselves.
    """
    names = [
        {"service": service.full_name, "method": method.name}
        for service in contract.services_by_name.values()
        for method in service.methods
        if not method.client_streaming and not method.server_streaming
    ]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": _RETRY}]})


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidArgument("TLS_FILE_UNREADABLE", f"{path}: {error.strerror}", path=path) from None


class Stub:
    """A generated stub whose calls carry key, envelope and deadline, and raise PentadError."""

    def __init__(self, stub: Any, config: ClientConfig) -> None:
        self._stub = stub
        self._config = config

    def __getattr__(self, name: str) -> Method:
        method = Method(getattr(self._stub, name), self._config)
        setattr(self, name, method)
        return method


class Method:
    """One RPC. Called with a request (or an async iterator of requests, or nothing, for a stream of them)."""

    def __init__(self, method: Any, config: ClientConfig) -> None:
        self._method = method
        self._config = config
        self._unary = isinstance(method, aio.UnaryUnaryMultiCallable)
        self._streams = isinstance(method, aio.UnaryStreamMultiCallable | aio.StreamStreamMultiCallable)

    def __call__(self, request: Any = None, *, timeout: float | None = None, metadata: Metadata = ()) -> Any:
        """Starts the call: an awaitable of the response, or a `Stream`. `timeout` in seconds.

        Without `timeout`, a unary call has the config's; none goes beyond the envelope's deadline.
        """
        options = {"timeout": self._timeout(timeout), "metadata": self._metadata(metadata)}
        try:
            call = self._method(**options) if request is None else self._method(request, **options)
        except aio.UsageError:
            raise Cancelled("CLIENT_CLOSED", "this client has been closed") from None
        return Stream(call) if self._streams else Response(call)

    def _timeout(self, asked: float | None) -> float | None:
        left = time_left(current_envelope())
        default = self._config.timeout_seconds if self._unary else None
        limits = [limit for limit in (asked if asked is not None else default, left) if limit is not None]
        return min(limits, default=None)

    def _metadata(self, extra: Metadata) -> list[tuple[str, str]]:
        envelope = current_envelope()
        metadata = [*envelope.metadata(), *extra]
        if not envelope.traceparent:
            metadata.append(("traceparent", new_traceparent()))
        if self._config.api_key:
            metadata.append(("authorization", f"Bearer {self._config.api_key}"))
        return metadata


class _Writer:
    """What calls that stream requests have in common."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def write(self, request: Any) -> None:
        """Sends a request. Raises PentadError if the call has ended."""
        try:
            await _translated(self.call.write(request))
        except asyncio.InvalidStateError:
            await self._raise_end()

    async def done_writing(self) -> None:
        """Says that no more requests follow."""
        with contextlib.suppress(asyncio.InvalidStateError):
            await _translated(self.call.done_writing())

    def cancel(self) -> None:
        """Ends the call; the server is told."""
        self.call.cancel()

    async def _raise_end(self) -> None:
        code = await self.call.code()
        if code is grpc.StatusCode.OK:
            raise Unavailable("STREAM_ENDED", "the server has ended the stream")
        details, trailing = await self.call.details(), await self.call.trailing_metadata()
        raise from_rpc_error(aio.AioRpcError(code, aio.Metadata(), trailing or aio.Metadata(), details))


class Response(_Writer):
    """A call that is answered once. Await it; cancelling the awaiting task cancels the call."""

    def __await__(self) -> Generator[Any, None, Any]:
        return _translated(self.call).__await__()


class Stream(_Writer):
    """A call that is answered by a stream: iterate over it, or `read` and, where requests stream too,
    `write`.
    """

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        item = await self.read()
        if item is None:
            raise StopAsyncIteration
        return item

    async def read(self) -> Any:
        """The next response; None at the end of the stream. Raises PentadError if it ended with an error."""
        item = await _translated(self.call.read())
        return None if item is aio.EOF else item


async def _translated(operation: Any) -> Any:
    try:
        return await operation
    except aio.AioRpcError as error:
        raise from_rpc_error(error) from None
