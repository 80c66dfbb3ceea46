"""Batches as `pentad llm batch` reads and prints them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pentad.llm.v1 import llm_pb2
from pentad_cli.failure import UsageProblem
from pentad_cli.run_document import error_document, moment, usage_document
from pentad_cli.units import iso_time
from pentad_client.llm import finish_reason

HEADINGS = ("batch", "state", "items", "answered", "failed", "cancelled", "model", "created")

_OWN = frozenset(
    {
        "json_schema",
        "json_object",
        "max_output_tokens",
        "messages",
        "model",
        "prompt",
        "reasoning_effort",
        "seed",
        "stop",
        "system",
        "temperature",
        "top_p",
    }
)
"""The fields of a request, by their names in the Python client."""

_SAME = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}


def read_requests(data: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Custom ids and requests of a file of JSON lines. Raises UsageProblem, naming the line at fault."""
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not lines:
        raise UsageProblem("there are no requests", 'A line: {"custom_id": "a", "prompt": "Name a fish."}')
    return [_request(number, line) for number, line in lines]


def _request(number: int, line: bytes) -> tuple[str, dict[str, Any]]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise UsageProblem(f"line {number} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageProblem(f"line {number} is not a JSON object")
    name = found.get("custom_id")
    if not isinstance(name, str) or not name:
        raise UsageProblem(f"line {number} has no custom_id")
    if "body" not in found:
        given = {key: value for key, value in found.items() if key != "custom_id"}
    elif isinstance(found["body"], dict):
        given = found["body"]
    else:
        raise UsageProblem(f"line {number}: body is not a JSON object")
    return name, _fields(number, given)


def _fields(number: int, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {_SAME.get(key, key): value for key, value in given.items() if value is not None}
    if isinstance(fields.get("stop"), str):
        fields["stop"] = [fields["stop"]]
    form = fields.pop("response_format", None)
    if isinstance(form, dict) and form.get("type") == "json_object":
        fields["json_object"] = True
    elif isinstance(form, dict) and isinstance(form.get("json_schema"), dict):
        fields["json_schema"] = form["json_schema"].get("schema", {})
    if unknown := sorted(fields.keys() - _OWN):
        known = ", ".join(sorted(_OWN))
        raise UsageProblem(f"line {number}: {unknown[0]} cannot be given here", f"It takes {known}.")
    if not isinstance(fields.get("messages", []), list) or not isinstance(fields.get("prompt", ""), str):
        raise UsageProblem(f"line {number}: messages is a list, and prompt is text")
    return fields


def batch_document(batch: llm_pb2.Batch) -> dict[str, Any]:
    """A batch as JSON."""
    return {
        "batch_id": batch.batch_id,
        "state": _state(batch),
        "items": batch.items,
        "succeeded": batch.succeeded,
        "failed": batch.failed,
        "cancelled": batch.cancelled,
        "native": batch.native,
        "model": batch.model,
        "usage": usage_document(batch.usage),
        "error": error_document(batch, "error"),
        "created": iso_time(moment(batch, "create_time")),
        "finished": iso_time(moment(batch, "finish_time")),
    }


def batch_row(batch: llm_pb2.Batch) -> list[Any]:
    """A batch under HEADINGS."""
    counts = (batch.items, batch.succeeded, batch.failed, batch.cancelled)
    return [
        batch.batch_id,
        _state(batch),
        *counts,
        batch.model,
        iso_time(moment(batch, "create_time")),
    ]


def batch_text(batch: llm_pb2.Batch) -> str:
    """A batch in a few lines."""
    way = "by the provider's batch API" if batch.native else "call by call"
    lines = [
        f"batch {batch.batch_id} is {_state(batch)}: {batch.model}, {way}",
        f"  {batch.items} items: {batch.succeeded} answered, {batch.failed} failed, "
        f"{batch.cancelled} cancelled",
    ]
    cost = usage_document(batch.usage)["cost"]
    if cost:
        lines.append(f"  {cost['amount']:.4f} {cost['currency']}")
    if batch.HasField("error"):
        lines.append(f"  {batch.error.reason}: {batch.error.message}")
    return "\n".join(lines)


def _state(batch: llm_pb2.Batch) -> str:
    return llm_pb2.BatchState.Name(batch.state).removeprefix("BATCH_STATE_").lower()


def result_document(result: llm_pb2.BatchResult) -> dict[str, Any]:
    """What came of a request: `text` and what goes with it, or `error`."""
    if result.HasField("error"):
        return {"custom_id": result.custom_id, "error": error_document(result, "error")}
    response = result.response
    return {
        "custom_id": result.custom_id,
        "text": "".join(part.text for part in response.message.parts if part.HasField("text")),
        "tool_calls": [
            {"id": part.tool_call.id, "name": part.tool_call.name, "arguments": part.tool_call.arguments}
            for part in response.message.parts
            if part.HasField("tool_call")
        ],
        "finish_reason": finish_reason(response.finish_reason),
        "model": response.served.model,
        "usage": usage_document(response.usage),
        "error": None,
    }
