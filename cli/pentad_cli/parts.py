"""Pieces of tasks and answers, as people and programs read them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from pentad.common.v1 import common_pb2

Part = common_pb2.Part


def media_type(content_type: str) -> str:
    """The type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    kind = media_type(content_type)
    return kind == "application/json" or kind.endswith("+json")


def content_value(content_type: str, data: bytes) -> Any:
    """What the bytes say: the JSON value, the text, or `{"content_type", "base64"}` for anything else."""
    if is_json(content_type):
        try:
            return json.loads(data)
        except ValueError:
            pass  # then as the text it is
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return {"content_type": content_type, "base64": base64.b64encode(data).decode()}


def part_value(part: Part) -> Any:
    """As `content_value`; what is kept elsewhere is `{"artifact_id", "content_type", "size"}`."""
    if part.HasField("artifact"):
        kept = part.artifact
        return {"artifact_id": kept.artifact_id, "content_type": kept.content_type, "size": kept.size}
    return content_value(part.content.content_type, part.content.data)


def parts_value(parts: Sequence[Part]) -> Any:
    """None for none, the value of one, a list of `{"name", "content_type", "value"}` for several."""
    if not parts:
        return None
    if len(parts) == 1:
        return part_value(parts[0])
    return [
        {"name": part.name, "content_type": content_type(part), "value": part_value(part)} for part in parts
    ]


def content_type(part: Part) -> str:
    return part.artifact.content_type if part.HasField("artifact") else part.content.content_type


def part_text(part: Part) -> str:
    """For people: text as it is, JSON indented, anything else in a line that says what it is."""
    value = part_value(part)
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and "base64" in value and not is_json(content_type(part)):
        return f"[{len(part.content.data)} bytes of {content_type(part) or 'unknown type'}]"
    if part.HasField("artifact"):
        kept = part.artifact
        return f"[{kept.size} bytes of {kept.content_type}, artifact {kept.artifact_id}]"
    return json.dumps(value, indent=2, ensure_ascii=False)


def is_markdown(part: Part) -> bool:
    return media_type(content_type(part)) == "text/markdown"
