"""Models, as `pentad llm models` prints them."""

from __future__ import annotations

from typing import Any

from pentad.common.v1 import common_pb2
from pentad.llm.v1 import llm_pb2
from pentad_cli.run_document import moment

HEADINGS = ("", "model", "context", "output", "can", "available")
LIMIT_HEADINGS = ("name", "scope", "subject", "kind", "used", "limit", "reset time")


def model_document(model: llm_pb2.Model) -> dict[str, Any]:
    """A model; prices are for a million tokens, None where not known."""
    return {
        "name": model.name,
        "provider": model.provider,
        "context_window": model.context_window or None,
        "max_output_tokens": model.max_output_tokens or None,
        "tools": model.tools,
        "images": model.images,
        "json_schema": model.json_schema,
        "embeddings": model.embeddings,
        "input_price": _price(model.input_price) if model.HasField("input_price") else None,
        "output_price": _price(model.output_price) if model.HasField("output_price") else None,
        "available": model.available,
        "unavailable_reason": model.unavailable_reason,
    }


def model_row(model: llm_pb2.Model, default: str) -> list[Any]:
    """A model under HEADINGS."""
    name = f"{model.provider}/{model.name}"
    skills = {"tools": model.tools, "images": model.images, "json": model.json_schema}
    skills["embeddings"] = model.embeddings
    return [
        "*" if name == default else "",
        name,
        model.context_window or "",
        model.max_output_tokens or "",
        ", ".join(skill for skill, has in skills.items() if has),
        "yes" if model.available else model.unavailable_reason or "no",
    ]


def limit_document(limit: llm_pb2.LimitUsage) -> dict[str, Any]:
    """A limit; budgets in dollars, `reset_time` in ISO 8601, None where there is none."""
    money = limit.kind == "budget"
    reset = moment(limit, "reset_time")
    return {
        "name": limit.name,
        "scope": limit.scope,
        "subject": limit.subject,
        "kind": limit.kind,
        "used": limit.used / 1e6 if money else limit.used,
        "limit": limit.limit / 1e6 if money else limit.limit,
        "reset_time": reset.isoformat() if reset else None,
    }


def _price(money: common_pb2.Money) -> dict[str, Any]:
    return {"currency": money.currency_code, "amount": money.micros / 1e6}
