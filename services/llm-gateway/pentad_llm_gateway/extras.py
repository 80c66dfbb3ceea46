"""What callers may pass through to a provider as it is, and what not: never an address, a key, or a field
that the contract has a place for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pentad_common.errors import InvalidArgument

# fmt: off
_ADDRESSES_AND_KEYS = frozenset(
    {
        "accesstoken", "apibase", "apikey", "apitype", "apiversion", "authorization", "authorizationtoken",
        "authtoken", "awsaccesskeyid", "awssecretaccesskey", "awssessiontoken", "azureadtoken",
        "azureendpoint", "baseurl", "bearertoken", "connectorid", "credentials", "customllmprovider",
        "defaultheaders", "defaultquery", "endpoint", "extrabody", "extraheaders", "extraquery", "headers",
        "httpclient", "mcpservers", "organization", "password", "project", "proxies", "proxy", "proxyurl",
        "secret", "serverurl", "timeout", "vertexcredentials", "xapikey",
    }
)
_OWNED = frozenset(
    {
        "maxcompletiontokens", "maxtokens", "messages", "model", "n", "outputconfig", "reasoningeffort",
        "responseformat", "seed", "stop", "stopsequences", "stream", "streamoptions", "system", "temperature",
        "toolchoice", "tools", "topp",
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
    """Without what different servers write differently: base_url, base-url, baseUrl."""
    return "".join(name.lower().replace("-", "").replace("_", "").split())
