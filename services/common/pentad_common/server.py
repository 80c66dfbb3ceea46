"""The server that all services share: interceptors, health, reflection, metrics, TLS, and a stop that loses
nothing.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import grpc
import uvloop
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from pentad_common.db import Database
from pentad_common.errors import StartupError, Unavailable
from pentad_common.interceptors.authentication import Authentication
from pentad_common.interceptors.chain import Chain, Interceptor
from pentad_common.interceptors.deadline import Deadline
from pentad_common.interceptors.errors import Errors
from pentad_common.interceptors.metrics import Metrics
from pentad_common.interceptors.open_streams import OpenStreams
from pentad_common.interceptors.request_log import RequestLog
from pentad_common.interceptors.tracing import Tracing
from pentad_common.interceptors.validation import Validation
from pentad_common.keys import KeyStore
from pentad_common.otel import start_exporting
from pentad_common.settings import ServiceSettings
from pentad_common.telemetry import configure_logging, get_logger, serve_metrics

log = get_logger(__name__)

Register = Callable[[Any, Any], None]
OnDrain = Callable[[], Awaitable[None]]


class Companion(Protocol):
    """What works beside gRPC in the same process and has the same life: another door, a worker."""

    async def start(self) -> None:
        """Begins, once gRPC is served. Raises StartupError if it cannot."""

    async def stop(self, seconds: float) -> None:
        """Takes on nothing more; what is under way has so many seconds to end. Called once, also when it did
        not start."""


def channel_options(settings: ServiceSettings) -> list[tuple[str, Any]]:
    """gRPC's options, as measured."""
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.so_reuseport", 0),  # on by default: two servers would silently share a port
        # A frozen client is found in 4 s; without ping_timeout_ms in 60.
        ("grpc.keepalive_time_ms", 2_000),
        ("grpc.keepalive_timeout_ms", 2_000),
        ("grpc.http2.ping_timeout_ms", 2_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),  # or clients' pings end in GOAWAY
        ("grpc.max_concurrent_streams", settings.max_concurrent_rpcs),
    ]


class Server:
    """A gRPC server with everything but the servicers.

    Add servicers, then `await run()`: it serves until SIGTERM or SIGINT. `database` is where API keys are;
    the caller closes it.
    """

    def __init__(self, settings: ServiceSettings, area: str, database: Database) -> None:
        self.settings = settings
        self.area = area
        self.database = database
        self.health = health_aio.HealthServicer()
        self.keys = KeyStore(database)
        self._streams = OpenStreams(self.keys)
        self._servicers: list[tuple[Register, Any]] = []
        self._hand_checked: set[str] = set()
        self._names: list[str] = []
        self._reports: set[asyncio.Future[None]] = set()
        self.companions: list[Companion] = []
        self._server: aio.Server | None = None
        self._stop_metrics: Callable[[], None] = lambda: None
        self._stop_exporting: Callable[[], None] = lambda: None
        configure_logging(area, settings.log_format, settings.log_level)

    def add(self, register: Register, servicer: Any, *, hand_checked: Sequence[str] = ()) -> None:
        """Adds a servicer by its generated `add_…Servicer_to_server`.

        `hand_checked`: methods (`Connect`) that check their messages against the contract's rules themselves.
        A servicer takes a stream of requests by iterating over it, not by `context.read()`, which skips the
        checks.
        """
        names = _Names()
        register(servicer, names)
        self._servicers.append((register, servicer))
        self._names += names.found
        self._hand_checked |= {f"/{name}/{method}" for name in names.found for method in hand_checked}

    def accompany(self, companion: Companion) -> None:
        """Has `companion` start and stop with the server."""
        self.companions.append(companion)

    def interceptors(
        self, errors: Interceptor | None = None, streams: OpenStreams | None = None
    ) -> list[Interceptor]:
        """All that happens around each RPC, the outermost first. A door that does not speak gRPC has others
        for `errors`, and its own `streams`.

        Log and metrics see how every call ended, so they are outside; errors come next, so that what the
        others refuse is translated as well.
        """
        return [
            RequestLog(),
            Tracing(),
            Metrics(),
            errors or Errors(),
            Authentication(self.keys, streams or self._streams),
            Deadline(self.settings.unary_deadline_seconds),
            Validation(self._hand_checked),
        ]

    async def start(self) -> str:
        """Binds the port and serves; returns `host:port`. Raises StartupError if it cannot."""
        await asyncio.to_thread(self.database.check_schema)
        server = aio.server(
            interceptors=[Chain(self.interceptors())],
            options=channel_options(self.settings),
            maximum_concurrent_rpcs=self.settings.max_concurrent_rpcs,
        )
        for register, servicer in self._servicers:
            register(servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        _add_reflection(server, self._names)
        address = _bind(server, self.settings)
        self._stop_exporting = start_exporting(f"pentad-{self.area}")
        if self.settings.metrics_port:
            self._stop_metrics = serve_metrics(self.settings.host, self.settings.metrics_port)
        await server.start()
        self._server = server
        for companion in self.companions:
            await companion.start()
        for name in self._names:
            await self.health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", address=address, services=self._names)
        return address

    def report_health(self, serving: bool) -> None:
        """Says whether the service can do its work; one that is stopping stays NOT_SERVING."""
        status = health_pb2.HealthCheckResponse
        value = status.SERVING if serving else status.NOT_SERVING
        for name in self._names:
            report = asyncio.ensure_future(self.health.set(name, value))
            self._reports.add(report)
            report.add_done_callback(self._reports.discard)

    async def stop(self, on_drain: OnDrain | None = None, grace: float | None = None) -> None:
        """Stops in order: not serving, `on_drain()`, endless streams told to go elsewhere, the rest finished.

        `grace`: seconds for all of it (PENTAD_DRAIN_SECONDS); what is not finished by then is cancelled.
        """
        if self._server is None:
            return
        server, self._server = self._server, None
        seconds = self.settings.drain_seconds if grace is None else grace
        deadline = time.monotonic() + seconds
        await self.health.enter_graceful_shutdown()
        metrics = asyncio.create_task(asyncio.to_thread(self._stop_metrics))
        if on_drain is not None:
            await _bounded(on_drain(), seconds)
        left = max(0.5, deadline - time.monotonic())
        companions = [asyncio.create_task(companion.stop(left)) for companion in self.companions]
        stopped = asyncio.create_task(server.stop(left))
        await asyncio.sleep(0)  # new calls are refused from here on
        self._streams.end(
            Unavailable("SERVER_DRAINING", "this server is going away", retry_after=0.1), is_endless
        )
        await stopped
        for problem in await asyncio.gather(*companions, return_exceptions=True):
            if isinstance(problem, Exception):
                log.error("a companion did not stop", exc_info=problem)
        await metrics
        await asyncio.to_thread(self._stop_exporting)
        log.info("stopped")

    async def run(self, on_drain: OnDrain | None = None) -> None:
        """Serves until SIGTERM or SIGINT, then stops. A second signal stops without waiting."""
        signalled, again = asyncio.Event(), asyncio.Event()

        def on_signal() -> None:
            (again if signalled.is_set() else signalled).set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        try:
            await self.start()
        except BaseException:
            await self.stop(grace=0.0)
            raise
        await signalled.wait()
        log.info("draining", seconds=self.settings.drain_seconds)
        stopping = asyncio.create_task(self.stop(on_drain))
        hurry = asyncio.create_task(again.wait())
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if stopping.done():
            stopping.result()

    @asynccontextmanager
    async def running(self, on_drain: OnDrain | None = None) -> AsyncIterator[str]:
        """The address, while it serves: for tests."""
        try:
            yield await self.start()
        finally:
            await self.stop(on_drain, grace=1.0)


def run_service(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a service's `main` on uvloop. A StartupError becomes a line on standard error and exit code 2."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except StartupError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def is_endless(method: str) -> bool:
    """Whether a method's stream goes on until someone ends it: clients of such a one resume elsewhere."""
    name = method.rsplit("/", 1)[-1]
    return name.startswith(("Watch", "Tail", "Connect", "KeepAlive", "ServerReflectionInfo"))


async def _bounded(work: Awaitable[None], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        log.warning("drain took too long", seconds=seconds)
    except Exception:
        log.exception("drain failed")


class _Names:
    """Stands in for a server to learn the names of a servicer's services."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        pass

    def add_registered_method_handlers(self, service: str, _handlers: Any) -> None:
        self.found.append(service)


def _add_reflection(server: aio.Server, names: Sequence[str]) -> None:
    from grpc_reflection.v1alpha import reflection

    reflection.enable_server_reflection(
        [*names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME], server
    )


def _bind(server: aio.Server, settings: ServiceSettings) -> str:
    _check_port(settings.host, settings.port)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.port}"
    try:
        if settings.tls_cert:
            port = server.add_secure_port(address, _server_credentials(settings))
        else:
            port = server.add_insecure_port(address)
    except RuntimeError:
        raise StartupError(
            f"port {settings.port} on {settings.host} cannot be opened: check the address"
        ) from None
    return f"{host}:{port}"


def _check_port(host: str, port: int) -> None:
    """Raises StartupError, saying why, if the port cannot be bound: gRPC says only that it cannot."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"port {port} on {host} is in use: stop what listens there, or set PENTAD_PORT to another"
        else:
            text = (
                f"port {port} on {host} cannot be opened ({error.strerror}): check PENTAD_HOST, PENTAD_PORT"
            )
        raise StartupError(text) from None


def _server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials:
    if not settings.tls_key:
        raise StartupError("PENTAD_TLS_CERT is set and PENTAD_TLS_KEY is not: TLS needs both")
    authority = _read(settings.tls_client_ca) if settings.tls_client_ca else None
    pair = (_read(settings.tls_key), _read(settings.tls_cert or ""))
    return grpc.ssl_server_credentials(
        [pair], root_certificates=authority, require_client_auth=authority is not None
    )


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StartupError(
            f"{path} cannot be read ({error.strerror}): check PENTAD_TLS_CERT, _KEY and _CLIENT_CA"
        ) from None
