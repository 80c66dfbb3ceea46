"""Checks that a card's schemas are JSON Schema."""

from __future__ import annotations

import json
from typing import Any

from pentad_common.errors import InvalidArgument
from pentad_registry.model import Card


def check_schemas(card: Card) -> None:
    """Raises InvalidArgument INVALID_SCHEMA, with field and fault, unless both schemas are JSON Schema."""
    for field, text in (("card.input_schema", card.input_schema), ("card.output_schema", card.output_schema)):
        fault = _fault(text) if text else None
        if fault:
            raise InvalidArgument(
                "INVALID_SCHEMA",
                f"{field} of agent {card.name!r} is not JSON Schema: {fault}",
                agent=card.name,
                violations=[(field, fault)],
            )


def _fault(text: str) -> str | None:
    try:
        schema = json.loads(text)
    except ValueError as error:
        return f"it is not JSON ({error})"
    except RecursionError:
        return "it is nested too deeply"
    if not isinstance(schema, dict | bool):
        return "a schema is a JSON object, or true or false"
    return _fault_of_schema(schema)


def _fault_of_schema(schema: Any) -> str | None:
    # Loaded when first needed: 0.1 s and 10 MB.
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, validator_for

    validator = validator_for(schema, default=Draft202012Validator)
    try:
        error = best_match(validator(validator.META_SCHEMA).iter_errors(schema))
    except RecursionError:
        return "it is nested too deeply"
    if error is None:
        return None
    where = "/".join(str(part) for part in error.absolute_path)
    return f"{error.message[:500]}" + (f" (at {where})" if where else "")
