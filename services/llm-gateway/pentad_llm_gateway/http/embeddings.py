"""`POST /v1/embeddings`."""

from __future__ import annotations

import base64
from array import array
from collections.abc import Sequence
from sys import byteorder
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pentad_common.call import current_call
from pentad_llm_gateway.embedding import Texts
from pentad_llm_gateway.gateway import Gateway
from pentad_llm_gateway.http.body import cache_policy, read_body
from pentad_llm_gateway.http.chat_response import served_document, served_headers
from pentad_llm_gateway.http.errors import from_validation, invalid
from pentad_llm_gateway.replies import Embedded

_MOST_INPUTS = 2048
_Token = Annotated[int, Field(strict=True)]


class EmbeddingsBody(BaseModel):
    """The fields of OpenAI's interface, and all others as extras."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str = Field(default="", max_length=256)
    input: str | list[str] | list[_Token] | list[list[_Token]]
    dimensions: int | None = Field(default=None, gt=0, lt=2**31)
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class Embeddings:
    """Vectors of texts."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def create(self, request: web.Request) -> web.StreamResponse:
        """See OpenAI's interface. Raises PentadErrors of the taxonomy."""
        try:
            body = EmbeddingsBody.model_validate_json(await read_body(request))
        except ValidationError as error:
            raise from_validation(error) from None
        extras = {name: value for name, value in (body.model_extra or {}).items() if value is not None}
        texts = Texts(body.model, _inputs(body.input), body.dimensions, extras)
        embedded = await self._gateway.embed(current_call(), texts, cache_policy(request))
        document = embeddings_document(embedded, body.encoding_format == "base64")
        return web.json_response(document, headers=served_headers(embedded.served))


def _inputs(given: str | list[Any]) -> tuple[str, ...]:
    texts = (given,) if isinstance(given, str) else tuple(given)
    if not 1 <= len(texts) <= _MOST_INPUTS:
        raise invalid("input", f"has 1 to {_MOST_INPUTS} texts, not {len(texts)}")
    if not all(isinstance(text, str) for text in texts):
        raise invalid(
            "input",
            "must be text: tokens mean something to one model only (LangChain: set "
            "check_embedding_ctx_length=False)",
        )
    return texts


def embeddings_document(embedded: Embedded, as_base64: bool) -> dict[str, Any]:
    """The answer; vectors as lists of numbers, or as base64 of little-endian 32-bit floats."""
    tokens = embedded.usage.input_tokens
    return {
        "object": "list",
        "model": embedded.served.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if as_base64 else [*vector]}
            for index, vector in enumerate(embedded.values)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "pentad": served_document(embedded.served, embedded.usage, embedded.cost_micros),
    }


def _packed(vector: Sequence[float]) -> str:
    floats = array("f", vector)
    if byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
