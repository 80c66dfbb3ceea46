"""JSON as the SDKs' objects have it, without what those cost: a name that is not there is None."""

from __future__ import annotations

from typing import Any


class Fields(dict[str, Any]):
    """A JSON object whose names are attributes. Building a model of the SDK takes twenty times as long."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def fields(value: Any) -> Any:
    """A JSON value whose objects, at any depth, are Fields."""
    if isinstance(value, dict):
        return Fields({name: fields(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return [fields(inner) for inner in value]
    return value
