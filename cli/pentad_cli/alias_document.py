"""The operator's names for models, as `pentad llm models` prints them."""

from __future__ import annotations

from typing import Any

from pentad.llm.v1 import llm_pb2


def alias_document(alias: llm_pb2.Alias) -> dict[str, Any]:
    """A name and what it stands for."""
    return {
        "name": alias.name,
        "deployments": [
            {
                "model": item.model,
                "weight": item.weight,
                "available": item.available,
                "unavailable_reason": item.unavailable_reason,
            }
            for item in alias.deployments
        ],
    }


def alias_row(alias: llm_pb2.Alias, default: str) -> list[Any]:
    """A name among the models of a table; it can be asked while one of its models can."""
    models = ", ".join(_weighted(item, alone=len(alias.deployments) == 1) for item in alias.deployments)
    reasons = [f"{item.model}: {item.unavailable_reason}" for item in alias.deployments if not item.available]
    available = "yes" if len(reasons) < len(alias.deployments) else "; ".join(reasons)
    return ["*" if alias.name == default else "", alias.name, "", "", f"asks {models}", available]


def _weighted(deployment: llm_pb2.Deployment, *, alone: bool) -> str:
    return deployment.model if alone else f"{deployment.model} ({deployment.weight:g})"
