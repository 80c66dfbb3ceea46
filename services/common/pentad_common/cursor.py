"""Opaque cursors and page tokens: a position, told apart by the list it belongs to."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from pentad_common.errors import InvalidArgument

T = TypeVar("T")


def encode_cursor(kind: str, *values: Any) -> str:
    """An opaque token for a position: `kind` names the list, `values` (JSON scalars) say where in it."""
    text = json.dumps([kind, *values], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(kind: str, token: str) -> list[Any]:
    """The values in `token`. Raises InvalidArgument CURSOR_INVALID if it is not one that `kind` gave out."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        found, *values = json.loads(raw)
    except (binascii.Error, ValueError, TypeError):
        found, values = None, []
    if found != kind:
        raise InvalidArgument(
            "CURSOR_INVALID", f"{token!r} is not a cursor or page token of {kind}", kind=kind
        )
    return list(values)


def page_size(asked: int, default: int = 100, most: int = 1000) -> int:
    """How many items a page gets when a request asks for `asked` (0 means the default)."""
    return min(asked or default, most)


def cut_page(rows: Sequence[T], size: int) -> tuple[list[T], T | None]:
    """A page out of `size + 1` fetched rows, and its last row if there is a page after it."""
    page = list(rows[:size])
    return page, page[-1] if len(rows) > size and page else None
