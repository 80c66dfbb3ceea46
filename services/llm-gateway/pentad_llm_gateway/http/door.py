"""The HTTP server: OpenAI's interface beside gRPC, with the same keys, roles, log and stop."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from aiohttp import web

from pentad_common.errors import (
    DeadlineExceeded,
    NotFound,
    PentadError,
    StartupError,
    Unavailable,
    Unimplemented,
)
from pentad_common.interceptors.chain import Rpc
from pentad_common.interceptors.open_streams import OpenStreams
from pentad_common.server import Server
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.gateway import Gateway
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.http import errors
from pentad_llm_gateway.http.chat import Chat
from pentad_llm_gateway.http.context import RPC, STREAM, TIMEOUT, as_rpc
from pentad_llm_gateway.http.embeddings import Embeddings
from pentad_llm_gateway.http.models import Models
from pentad_llm_gateway.settings import GatewaySettings

log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LAST_WORDS_SECONDS = 0.5


class HttpDoor:
    """Serves while the gRPC server does; see `pentad_common.server.Companion`."""

    def __init__(
        self,
        settings: GatewaySettings,
        server: Server,
        gateway: Gateway,
        generations: Generations,
    ) -> None:
        self.address = ""
        """`host:port`, once it serves."""
        self._settings = settings
        self._streams = OpenStreams(server.keys)
        self._interceptors = server.interceptors(errors.HttpErrors(), self._streams)
        self._open = 0
        self._stopping = False
        self._runner = web.AppRunner(
            self._application(Chat(gateway, generations), Models(generations), Embeddings(gateway)),
            access_log=None,  # the interceptors log
            handler_cancellation=True,  # who hangs up ends the request upstream
            shutdown_timeout=_LAST_WORDS_SECONDS,
        )

    def _application(self, chat: Chat, models: Models, embeddings: Embeddings) -> web.Application:
        app = web.Application(client_max_size=self._settings.llm_http_max_bytes, middlewares=[_elsewhere])
        app.router.add_post("/v1/chat/completions", self._served("Invoke", chat.complete))
        app.router.add_post("/v1/embeddings", self._served("Embed", embeddings.create))
        app.router.add_get("/v1/models", self._served("ListModels", models.list))
        app.router.add_get("/v1/models/{model:.+}", self._served("ListModels", models.get))
        app.router.add_get("/healthz", self._health)
        app.on_response_prepare.append(_nameless)
        return app

    async def start(self) -> None:
        """Listens. Raises StartupError if it cannot."""
        settings = self._settings
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, settings.host, settings.llm_http_port, ssl_context=_tls(settings), reuse_port=False
        )
        try:
            await site.start()
        except OSError as error:
            raise StartupError(
                f"port {settings.llm_http_port} on {settings.host} cannot be opened "
                f"({(error.strerror or str(error)).lower()}): set PENTAD_LLM_HTTP_PORT to another"
            ) from None
        host, port = self._runner.addresses[0][:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        log.info("serving HTTP", address=self.address)

    async def stop(self, seconds: float) -> None:
        """New calls are refused; those under way have so many seconds, and end with an error then."""
        self._stopping = True
        until = time.monotonic() + seconds - _LAST_WORDS_SECONDS
        for site in list(self._runner.sites):
            await site.stop()
        while self._open and time.monotonic() < until:  # noqa: ASYNC110 - ends once
            await asyncio.sleep(0.02)
        self._streams.end(
            Unavailable("SERVER_DRAINING", "this server is going away", retry_after=0.1), lambda _: True
        )
        await self._runner.cleanup()

    def _served(self, method: str, handler: Handler) -> Handler:
        """`handler` with all that happens around each call of `method` of the contract."""

        async def serve(request: web.Request) -> web.StreamResponse:
            rpc = request[RPC] = as_rpc(request, method)
            self._open += 1
            try:
                self._check_room()
                async with AsyncExitStack() as stack:
                    for interceptor in self._interceptors:
                        await stack.enter_async_context(interceptor.around(rpc))
                    await stack.enter_async_context(_patience(rpc))
                    return await handler(request)
            except PentadError as error:
                return await _refused(request, error)
            finally:
                self._open -= 1

        return serve

    def _check_room(self) -> None:
        if self._stopping:
            raise Unavailable("SERVER_DRAINING", "this server is going away", retry_after=1.0)
        if self._open > self._settings.max_concurrent_rpcs:
            raise Unavailable("TOO_MANY_CALLS", "too many calls are being served", retry_after=1.0)

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        """For probes, which have no key."""
        status = 503 if self._stopping else 200
        return web.json_response({"status": "stopping" if self._stopping else "serving"}, status=status)


@asynccontextmanager
async def _patience(rpc: Rpc) -> AsyncIterator[None]:
    """Ends what takes longer than the caller waits, as HTTP by itself does not. Raises DeadlineExceeded."""
    limit = asyncio.timeout(rpc.context.time_remaining())
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise DeadlineExceeded(
            "DEADLINE_EXCEEDED", f"it took longer than the seconds in the header {TIMEOUT}"
        ) from None


@web.middleware
async def _elsewhere(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is no address of OpenAI's interface that is served here, as such an error."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return await _refused(
            request, Unimplemented("METHOD_NOT_ALLOWED", f"{request.method} is not served here; {allowed} is")
        )
    except web.HTTPNotFound:
        where = "/v1/chat/completions, /v1/embeddings and /v1/models"
        return await _refused(request, NotFound("UNKNOWN_URL", f"there is no such address here; {where} are"))


async def _refused(request: web.Request, error: PentadError) -> web.StreamResponse:
    """The error as an answer of its own, or as the last event of one that has begun."""
    begun: web.StreamResponse | None = request.get(STREAM)
    if begun is None:
        return web.json_response(
            errors.body(error), status=errors.form(error).status, headers=errors.headers(error)
        )
    with suppress(ConnectionError):
        begun.force_close()
        await begun.write(errors.event(error))
        await begun.write_eof()
    return begun


async def _nameless(request: web.Request, response: web.StreamResponse) -> None:
    """Every answer has its request's id, and none tells what it is served by."""
    response.headers["server"] = "pentad"
    rpc = request.get(RPC)
    if rpc is not None and rpc.request_id:
        response.headers["x-request-id"] = rpc.request_id


def _tls(settings: GatewaySettings) -> ssl.SSLContext | None:
    """The same certificate, key and authority as gRPC's. Raises StartupError if they cannot be used."""
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_client_ca:
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise StartupError(
            f"TLS cannot be set up ({error}): check PENTAD_TLS_CERT, _KEY and _CLIENT_CA"
        ) from None
    return context
