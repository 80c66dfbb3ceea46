"""Logs and metrics.

Every log line carries what is bound for the task at hand: tenant, run, agent, trace and request id. No line
carries an API key. Metric names follow OpenTelemetry's (`rpc.server.call.duration`), in Prometheus' spelling.
"""

from __future__ import annotations

import errno
import logging
import re
import sys
from typing import Any, TextIO, cast

import structlog

from pentad_common.errors import StartupError

get_logger = structlog.get_logger
bind = structlog.contextvars.bind_contextvars

_SECRET = re.compile(
    r"(pentad_[A-Za-z0-9]{12}_)[A-Za-z0-9_-]{8,}"
    r"|((?i:bearer) +)[A-Za-z0-9._~+/=-]{8,}"
    r"|(\bsk-)[A-Za-z0-9_-]{8,}"
)


def redact(text: str) -> str:
    """The text with API keys (Pentad's, `sk-…`, `Bearer …`) blotted out."""
    return _SECRET.sub(lambda match: (match[1] or match[2] or match[3]) + "[redacted]", text)


def _redact_line(_logger: Any, _method: str, line: str) -> str:
    return redact(line)


def configure_logging(
    service: str, log_format: str = "auto", level: str = "info", stream: TextIO | None = None
) -> None:
    """Sends the logs of this process, the standard library's included, to `stream` (standard error).

    `log_format`: `json` is one object a line; `console` is for people; `auto` is the latter on a terminal.
    """
    out = stream or sys.stderr
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=_processors(service, console),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, stream or _StandardError())),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward()], level=max(threshold, logging.WARNING), force=True)


def _processors(service: str, console: bool) -> list[Any]:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Service(service),
    ]
    if console:
        return [
            *shared,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_level=False),
            _redact_line,
        ]
    tracebacks = structlog.processors.format_exc_info
    return [*shared, tracebacks, structlog.processors.JSONRenderer(default=str), _redact_line]


class _StandardError:
    """`sys.stderr` as it is when a line is written: tests and supervisors replace it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


class _Service:
    """Adds the name of the process."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("service", self._name)
        return event


class _Forward(logging.Handler):
    """Passes the standard library's records on, so that there is one format."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)


def serve_metrics(host: str, port: int) -> Any:
    """Serves `/metrics` in a thread; returns a function that stops it. Raises StartupError if the port is
    taken.
    """
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, addr=host)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        raise StartupError(
            f"metrics port {port} on {host} cannot be opened ({error.strerror}): set PENTAD_METRICS_PORT "
            "to a free port, or to 0 for no metrics"
        ) from None

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
