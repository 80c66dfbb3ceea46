"""Pieces of answers as people and programs read them."""

from __future__ import annotations

from typing import Any

import pytest

from pentad.common.v1 import common_pb2
from pentad_cli.parts import part_text, parts_value


def part(content_type: str, data: bytes, name: str = "") -> common_pb2.Part:
    return common_pb2.Part(name=name, content=common_pb2.Content(content_type=content_type, data=data))


@pytest.mark.parametrize(
    ("content_type", "data", "value", "text"),
    [
        ("text/plain; charset=utf-8", "grün".encode(), "grün", "grün"),
        ("text/markdown", b"\xef\xbb\xbf# A", "# A", "# A"),
        (
            "application/json",
            b'{"n": 9007199254740993}',
            {"n": 9007199254740993},
            '{\n  "n": 9007199254740993\n}',
        ),
        ("application/problem+json", b"[1]", [1], "[\n  1\n]"),
        ("application/json", b"not json", "not json", "not json"),
        (
            "image/png",
            b"\x89PNG",
            {"content_type": "image/png", "base64": "iVBORw=="},
            "[4 bytes of image/png]",
        ),
    ],
)
def test_shows_content(content_type: str, data: bytes, value: Any, text: str) -> None:
    """Text is text, JSON is JSON with its integers whole, all else is said to be what it is."""
    made = part(content_type, data)
    assert parts_value([made]) == value
    assert part_text(made) == text


def test_several_parts_keep_their_names() -> None:
    """None is null, one is its value, several are a list with their names."""
    assert parts_value([]) is None
    assert parts_value([part("text/plain", b"a", "x"), part("text/plain", b"b", "y")]) == [
        {"name": "x", "content_type": "text/plain", "value": "a"},
        {"name": "y", "content_type": "text/plain", "value": "b"},
    ]


def test_artifacts_say_where_they_are() -> None:
    """What is kept elsewhere is named, not fetched."""
    kept = common_pb2.Artifact(artifact_id="a1", content_type="text/csv", size=9)
    assert parts_value([common_pb2.Part(artifact=kept)]) == {
        "artifact_id": "a1",
        "content_type": "text/csv",
        "size": 9,
    }
