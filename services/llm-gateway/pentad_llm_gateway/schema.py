"""JSON Schemas as providers want them.

Providers that guarantee a schema take only objects that say `additionalProperties: false`; OpenAI wants all
properties required too. An answer that fits the stricter schema fits the one that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "not", "if", "then", "else")


def closed(schema: Mapping[str, Any], *, all_required: bool) -> dict[str, Any]:
    """The schema with all its objects closed and, if asked for, all properties required."""
    result = dict(schema)
    for name in _SCHEMA_MAPS:
        if isinstance(inner := result.get(name), Mapping):
            result[name] = {key: _closed(value, all_required) for key, value in inner.items()}
    for name in _SCHEMA_LISTS:
        if isinstance(inner := result.get(name), list):
            result[name] = [_closed(value, all_required) for value in inner]
    for name in _SCHEMAS:
        if name in result:
            result[name] = _closed(result[name], all_required)
    if "properties" in result or result.get("type") == "object":
        result["additionalProperties"] = False
        if all_required:
            result["required"] = list(result.get("properties", {}))
    return result


def _closed(value: Any, all_required: bool) -> Any:
    return closed(value, all_required=all_required) if isinstance(value, Mapping) else value
