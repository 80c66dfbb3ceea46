"""Logs: one JSON object a line, bound values in it, keys never."""

from __future__ import annotations

import io
import json
import logging
import urllib.request
from collections.abc import Iterator

import pytest
import structlog

from pentad_common.errors import StartupError
from pentad_common.telemetry import bind, configure_logging, get_logger, redact, serve_metrics

KEY = "pentad_abcdefghijkl_" + "S" * 43


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the log goes, as JSON."""
    stream = io.StringIO()
    configure_logging("sample", "json", "info", stream)
    yield stream
    structlog.contextvars.clear_contextvars()
    configure_logging("sample", "json")


def test_a_line_carries_what_is_bound(lines: io.StringIO) -> None:
    """Tenant, run, agent and trace that are bound are in the line, with time, level and service."""
    bind(tenant="acme", run="r1", agent="writer", trace="t1")
    get_logger("x").info("done", steps=3)
    line = json.loads(lines.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "done",
        "steps": 3,
        "level": "info",
        "service": "sample",
        "tenant": "acme",
        "run": "r1",
        "agent": "writer",
        "trace": "t1",
    }


def test_no_key_in_any_line(lines: io.StringIO) -> None:
    """Keys are blotted out of messages, values and tracebacks, of the standard library's records too."""
    secrets = [KEY, "sk-proj-abcdefgh12345678", "Bearer abcdefgh.12345678"]
    for secret in secrets:
        get_logger("x").info(f"got {secret}", header={"authorization": secret})
        logging.getLogger("lib").warning("got %s", secret)
        try:
            raise ValueError(secret)
        except ValueError:
            get_logger("x").exception("failed")
    text = lines.getvalue()
    assert text.count("[redacted]") >= 9
    assert "SSSS" not in text and "12345678" not in text
    assert all(json.loads(line)["service"] == "sample" for line in text.splitlines())


def test_redaction_keeps_the_rest() -> None:
    """The id of a key stays, as do words that only look a little like one."""
    assert redact(f"key {KEY}!") == "key pentad_abcdefghijkl_[redacted]!"
    assert redact("pentad_common risk-based bearer of news") == "pentad_common risk-based bearer of news"


def test_the_level_and_the_readable_form() -> None:
    """What is below the level is not written; `console` writes lines for people."""
    stream = io.StringIO()
    configure_logging("sample", "console", "warning", stream)
    get_logger("x").info("quiet")
    get_logger("x").warning("loud", n=1)
    configure_logging("sample", "json")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue() and not stream.getvalue().startswith("{")


def test_metrics_are_served(free_port: int) -> None:
    """/metrics has the memory of the process; a second server on the port says that it is taken."""
    stop = serve_metrics("127.0.0.1", free_port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/metrics", timeout=5) as answer:
            assert b"process_resident_memory_bytes" in answer.read()
        with pytest.raises(StartupError, match="PENTAD_METRICS_PORT"):
            serve_metrics("127.0.0.1", free_port)
    finally:
        stop()
