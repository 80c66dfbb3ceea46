"""What carries the SDKs' requests: aiohttp, whose connections and parser cost half of what httpx2's own do.

The SDKs bring such a transport too; it calls a connection that the provider dropped a timeout, and it follows
neither of theirs.
"""

from __future__ import annotations

import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx2
from yarl import URL

from pentad_client.envelope import current_envelope

_MOST_CONNECTIONS = 1000
_IDLE_SECONDS = 15.0

_KINDS: tuple[tuple[type[Exception], type[httpx2.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx2.ConnectTimeout),
    (aiohttp.SocketTimeoutError, httpx2.ReadTimeout),
    (TimeoutError, httpx2.PoolTimeout),
    (aiohttp.ClientConnectorError, httpx2.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx2.RemoteProtocolError),
    (aiohttp.ClientOSError, httpx2.ReadError),
    (aiohttp.ClientPayloadError, httpx2.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx2.RemoteProtocolError),
    (aiohttp.InvalidURL, httpx2.UnsupportedProtocol),
    (aiohttp.ClientError, httpx2.NetworkError),
)
"""aiohttp's exceptions and what the SDKs know instead; the first that fits."""


def http_client(timeout: httpx2.Timeout, *, trust_env: bool) -> httpx2.AsyncClient:
    """A client for an SDK. `trust_env`: whether the environment's proxies and certificates count."""
    proxied = trust_env and any(name in ("http", "https", "all") for name in urllib.request.getproxies())
    return httpx2.AsyncClient(
        timeout=timeout,
        trust_env=trust_env,
        follow_redirects=True,
        event_hooks={"request": [_carry_trace]},
        transport=None if proxied else Transport(trust_env=trust_env),  # httpx2's own knows all of proxies
    )


async def _carry_trace(request: httpx2.Request) -> None:
    """The provider's part of the work belongs to the caller's trace."""
    if traceparent := current_envelope().traceparent:
        request.headers["traceparent"] = traceparent


class Transport(httpx2.AsyncBaseTransport):
    """Keeps connections. Made in any thread; used in one event loop."""

    def __init__(self, *, trust_env: bool) -> None:
        self._ssl = httpx2.create_ssl_context(trust_env=trust_env)
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends a request; returns when the head of its answer is there."""
        seconds = request.extensions.get("timeout", {})
        with _translated():
            response = await self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=await request.aread() or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=seconds.get("pool"),
                    sock_connect=seconds.get("connect"),
                    sock_read=seconds.get("read"),
                ),
            )
        return httpx2.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Body(response),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": (response.reason or "").encode()},
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=_MOST_CONNECTIONS, keepalive_timeout=_IDLE_SECONDS, ssl=self._ssl
            )
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session

    async def aclose(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()


class _Body(httpx2.AsyncByteStream):
    """The body of an answer, in the pieces that it comes in."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for piece in self._response.content.iter_any():
                yield piece

    async def aclose(self) -> None:
        """Ends the request, if there is more to come."""
        self._response.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError) as error:
        kind = next(kind for known, kind in _KINDS if isinstance(error, known))
        raise kind(str(error)) from error
