"""`GET /v1/models` and `/v1/models/{model}`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from aiohttp import web

from pentad_common.errors import PentadError
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.listing import ListedModel, list_models
from pentad_llm_gateway.routing import Target


class Models:
    """What can be asked now."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations

    async def list(self, _request: web.Request) -> web.StreamResponse:
        """All that can be asked, as `provider/model`, and the aliases."""
        generation = self._generations.current
        listed = list_models(generation.factory)
        found = [_listed(model) for model in listed if not model.unavailable_reason]
        for alias in sorted(generation.catalog.aliases):
            with suppress(PentadError):
                found.append(_target(alias, generation.router.resolve(alias)))
        return web.json_response({"object": "list", "data": found})

    async def get(self, request: web.Request) -> web.StreamResponse:
        """One of them, by any of its names. Raises NotFound MODEL_NOT_FOUND, and what else `resolve` does."""
        name = request.match_info["model"]
        target = self._generations.current.router.resolve(name)
        return web.json_response(_target(name, target))


def _listed(model: ListedModel) -> dict[str, Any]:
    return _document(f"{model.provider}/{model.name}", model.provider, model.entry)


def _target(name: str, target: Target) -> dict[str, Any]:
    return _document(name, target.provider.name, target.entry) | {"root": target.name}


def _document(name: str, provider: str, entry: Any) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": provider,
        "context_window": entry.context_window or None,
        "max_output_tokens": entry.max_output_tokens or None,
    }
