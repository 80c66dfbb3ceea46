"""What callers may pass through to a provider as it is, and what not: never an address, a key, or a field
that the contract has a place for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pentad_common.errors import InvalidArgument

# fmt: off
_ADDRESSES_AND_KEYS = frozenset(
    {
        "access_token", "api_base", "api_key", "api_version", "apikey", "auth_token", "authorization",
        "authorization_token", "base_url", "baseurl", "connector_id", "credentials", "custom_llm_provider",
        "default_headers", "default_query", "endpoint", "extra_body", "extra_headers", "extra_query",
        "headers", "http_client", "mcp_servers", "organization", "project", "proxies", "proxy",
        "server_url", "timeout", "x_api_key",
    }
)
_OWNED = frozenset(
    {
        "max_completion_tokens", "max_tokens", "messages", "model", "n", "output_config",
        "reasoning_effort", "response_format", "seed", "stop", "stop_sequences", "stream", "stream_options",
        "system", "temperature", "tool_choice", "tools", "top_p",
    }
)
# fmt: on


def check_extras(extras: Mapping[str, Any]) -> None:
    """Raises InvalidArgument INVALID_REQUEST, naming each field that extras may not have."""
    violations = [
        (f"completion.extras.{path}", "may not name addresses or keys")
        for path, name in _names(extras)
        if name in _ADDRESSES_AND_KEYS
    ]
    violations += [
        (f"completion.extras.{name}", "has a field of its own in the request")
        for name in extras
        if _plain(name) in _OWNED
    ]
    if violations:
        raise InvalidArgument(
            "INVALID_REQUEST", f"{violations[0][0]}: {violations[0][1]}", violations=violations[:20]
        )


def _names(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The path and plain name of every field, at any depth."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            path = f"{prefix}.{name}" if prefix else name
            yield path, _plain(name)
            yield from _names(inner, path)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _names(inner, f"{prefix}[{index}]")


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")
