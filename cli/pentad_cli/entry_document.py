"""Entries of the shared context, as `pentad context` prints them."""

from __future__ import annotations

from typing import Any

from pentad.context.v1 import context_pb2
from pentad_cli.parts import content_value
from pentad_cli.run_document import moment
from pentad_cli.units import iso_time

HEADINGS = ("key", "revision", "version", "writer", "changed", "value")
_MOST_SHOWN = 60


def entry_document(entry: context_pb2.Entry) -> dict[str, Any]:
    """An entry with its value: a text, a JSON value, or `{"content_type", "base64"}`."""
    has_value = entry.HasField("content") and not entry.deleted
    return {
        "key": entry.address.key,
        "namespace": entry.address.namespace,
        "scope": entry.address.scope,
        "revision": entry.revision,
        "create_revision": entry.create_revision,
        "version": entry.version,
        "deleted": entry.deleted,
        "writer": entry.writer,
        "updated": iso_time(moment(entry, "update_time")),
        "expires": iso_time(moment(entry, "expire_time")),
        "content_type": entry.content.content_type,
        "value": content_value(entry.content.content_type, entry.content.data) if has_value else None,
    }


def entry_row(entry: context_pb2.Entry) -> list[Any]:
    """An entry under HEADINGS, its value cut short."""
    changed = moment(entry, "update_time")
    when = changed.astimezone().strftime("%Y-%m-%d %H:%M:%S") if changed else ""
    return [entry.address.key, entry.revision, entry.version, entry.writer, when, _short(entry)]


def _short(entry: context_pb2.Entry) -> str:
    if entry.deleted:
        return "(deleted)"
    text = entry.content.data[: _MOST_SHOWN * 4].decode(errors="replace")
    return text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 1] + "…"
