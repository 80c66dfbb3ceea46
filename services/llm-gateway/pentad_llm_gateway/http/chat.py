"""`POST /v1/chat/completions`."""

from __future__ import annotations

import time
from contextlib import aclosing

from aiohttp import web

from pentad_common.call import current_call
from pentad_llm_gateway.coalescing import coalesced
from pentad_llm_gateway.completion import Completion
from pentad_llm_gateway.gateway import Failed, Gateway
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.http.body import cache_policy, read_body, written
from pentad_llm_gateway.http.chat_request import Asked, read_chat
from pentad_llm_gateway.http.chat_response import ChunkWriter, completion_document, served_headers
from pentad_llm_gateway.http.context import STREAM, request_id

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # proxies must hand on each chunk as it comes
}


class Chat:
    """Answers, whole or as they are made."""

    def __init__(self, gateway: Gateway, generations: Generations) -> None:
        self._gateway = gateway
        self._generations = generations

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """See OpenAI's interface. Raises PentadErrors of the taxonomy for what fails before the first
        chunk."""
        asked = read_chat(await read_body(request))
        if asked.stream:
            return await self._stream(request, asked)
        reply = await self._gateway.invoke(current_call(), asked.completion, cache_policy(request))
        document = completion_document(
            reply, request_id(request), int(time.time()), asked.legacy, asked.ignored
        )
        return web.json_response(document, headers=served_headers(reply.served))

    async def _stream(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        writer = ChunkWriter(
            request_id(request),
            int(time.time()),
            self._shown(asked.completion),
            asked.include_usage,
            asked.legacy,
            asked.ignored,
        )
        policy = cache_policy(request)
        answer = self._gateway.stream(current_call(), asked.completion, policy)
        async with aclosing(coalesced(answer)) as frames:
            frame = await anext(frames)  # what fails until here is a status
            response = request[STREAM] = web.StreamResponse(headers=_HEADERS)
            with written():
                await response.prepare(request)
                await response.write(writer.begin() + writer.write(frame))
                async for frame in frames:
                    await response.write(writer.write(frame))
                if isinstance(frame, Failed):
                    response.force_close()
                await response.write_eof()
        return response

    def _shown(self, completion: Completion) -> str:
        """The model that chunks name until the end tells who served."""
        return completion.model or self._generations.current.router.default_model()
