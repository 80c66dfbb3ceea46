"""Cards' schemas are JSON Schema, or say what is wrong."""

from __future__ import annotations

import pytest

from pentad_common.errors import InvalidArgument
from pentad_registry.model import Card
from pentad_registry.schemas import check_schemas


@pytest.mark.parametrize(
    "schema", ["", "true", "{}", '{"type": "object", "properties": {"a": {"type": ["string", "null"]}}}']
)
def test_taken(schema: str) -> None:
    """Empty means any; booleans and objects with known types are schemas."""
    check_schemas(Card("a", input_schema=schema, output_schema=schema))


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("{", "not JSON"),
        ("[]", "a JSON object"),
        ('"string"', "a JSON object"),
        ('{"type": "text"}', "at type"),
        ('{"properties": {"a": {"type": "txt"}}}', "at properties/a/type"),
        ('{"not":' * 5000 + "{}" + "}" * 5000, "too deeply"),
    ],
)
def test_refused(schema: str, why: str) -> None:
    """What is no schema is INVALID_SCHEMA with the field, the fault and its place."""
    with pytest.raises(InvalidArgument, match=why) as caught:
        check_schemas(Card("a", output_schema=schema))
    assert caught.value.reason == "INVALID_SCHEMA"
    assert caught.value.violations[0][0] == "card.output_schema"
