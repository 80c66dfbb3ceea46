"""The host's log: JSON lines, or readable ones on a terminal. No line carries an API key."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog

from pentad_agents.context import Log

SERVICE = "agents"
_SECRET = re.compile(r"(pentad_[A-Za-z0-9]{12}_)[A-Za-z0-9_-]{8,}|(\bsk-)[A-Za-z0-9_-]{8,}")

get_logger = structlog.get_logger


def configure_logging(log_format: str, level: str) -> None:
    """Sends the log of this process, the standard library's included, to standard error."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service,
    ]
    if console:
        rendering: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_level=False)]
    else:
        rendering = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    processors: list[Any] = [*shared, *rendering, _redact]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward()], level=max(threshold, logging.WARNING), force=True)


def agent_log(**fields: Any) -> Log:
    """The log of an agent at work; every line carries `fields`."""
    bound = structlog.get_logger("agent").bind(**{name: value for name, value in fields.items() if value})

    def write(level: str, text: str, **more: Any) -> None:
        getattr(bound, level)(text, **{key: value for key, value in more.items() if key != "event"})

    return Log(write)


def _add_service(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    event.setdefault("service", SERVICE)
    return event


def _redact(_logger: Any, _method: str, line: str) -> str:
    return _SECRET.sub(lambda match: (match[1] or match[2]) + "[redacted]", line)


class _Forward(logging.Handler):
    """Passes the standard library's records on."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)
