"""What goes wrong with connections to providers, told as what it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest

from pentad_llm_gateway.providers.transport import http_client
from tests.fixtures.ports import unused_port

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine"
TIMES = httpx2.Timeout(5.0, connect=1.0)


@asynccontextmanager
async def server(act: Act) -> AsyncIterator[str]:
    """A server that does the same with each request; its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await act(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing and goes."""
    writer.close()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Goes without a word."""
    writer.transport.abort()


async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Promises more than it says."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfine")
    await writer.drain()
    writer.close()


async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Does not speak HTTP."""
    writer.write(b"220 mail.example ready\r\n\r\n")


async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing."""
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (hang_up, httpx2.RemoteProtocolError),
        (reset, (httpx2.ReadError, httpx2.RemoteProtocolError)),
        (cut, httpx2.RemoteProtocolError),
        (babble, httpx2.RemoteProtocolError),
        (hang, httpx2.ReadTimeout),
    ],
)
async def test_failures_have_their_names(
    act: Act, kind: type[Exception] | tuple[type[Exception], ...]
) -> None:
    """A connection that was dropped is no time-out, and one that says nothing is one."""
    times = httpx2.Timeout(0.2, connect=1.0) if act is hang else TIMES
    async with server(act) as url, http_client(times, trust_env=False) as client:
        with pytest.raises(kind):
            await client.post(url, content=b"{}")


async def test_nobody_there() -> None:
    """A port where nobody listens."""
    async with http_client(TIMES, trust_env=False) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.post(f"http://127.0.0.1:{unused_port()}", content=b"{}")


async def test_connections_are_used_again() -> None:
    """One after another, calls take one connection; at once, each its own; cookies are not kept."""
    ports: list[int] = []

    async def act(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports.append(writer.get_extra_info("peername")[1])
        await asyncio.sleep(0.02)
        writer.write(ANSWER)

    async with server(act) as url, http_client(TIMES, trust_env=False) as client:
        for _ in range(5):
            assert (await client.post(url)).text == "fine"
        assert len(set(ports)) == 1
        await asyncio.gather(*(client.post(url) for _ in range(20)))
        assert len(set(ports)) == 20


async def test_who_leaves_early_closes_the_connection() -> None:
    """A stream that is not read to its end is not drained: the provider is told at once."""
    gone = asyncio.Event()

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfine\r\n")
        await reader.read()
        gone.set()

    async with server(act) as url, http_client(TIMES, trust_env=False) as client:
        async with client.stream("POST", url) as response:
            assert await anext(response.aiter_bytes()) == b"fine"
        await asyncio.wait_for(gone.wait(), 1)


async def test_proxies_of_the_environment_count_where_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `trust_env` the request goes to the proxy, and without it to the provider."""
    asked: list[str] = []

    async def act(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(ANSWER)

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append("proxy")
        writer.write(ANSWER)

    async with server(act) as url, server(proxy) as through:
        monkeypatch.setenv("HTTP_PROXY", through)
        monkeypatch.setenv("http_proxy", through)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        for trust_env, seen in ((False, []), (True, ["proxy"])):
            async with http_client(TIMES, trust_env=trust_env) as client:
                assert (await client.post(url)).text == "fine"
            assert asked == seen
