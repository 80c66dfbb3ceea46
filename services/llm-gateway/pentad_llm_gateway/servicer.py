"""The gateway's RPCs: convert, call, convert."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from pentad.llm.v1 import llm_pb2 as pb
from pentad.llm.v1 import llm_pb2_grpc
from pentad_common.call import current_call
from pentad_llm_gateway import conversion
from pentad_llm_gateway.coalescing import coalesced
from pentad_llm_gateway.gateway import Gateway
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.listing import list_aliases, list_models


class LlmGatewayServicer(llm_pb2_grpc.LlmGatewayServiceServicer):
    """See llm.proto."""

    def __init__(self, gateway: Gateway, generations: Generations) -> None:
        self._gateway = gateway
        self._generations = generations

    async def Invoke(self, request: pb.InvokeRequest, context: Any) -> pb.InvokeResponse:
        """See llm.proto."""
        completion = conversion.read_completion(request.completion)
        policy = conversion.read_cache_policy(request)
        return conversion.reply_proto(await self._gateway.invoke(current_call(), completion, policy))

    async def InvokeStreaming(
        self, request: pb.InvokeStreamingRequest, context: Any
    ) -> AsyncIterator[pb.InvokeStreamingResponse]:
        """See llm.proto."""
        completion = conversion.read_completion(request.completion)
        policy = conversion.read_cache_policy(request)
        answer = self._gateway.stream(current_call(), completion, policy)
        async with aclosing(coalesced(answer)) as frames:
            async for frame in frames:
                yield conversion.frame_proto(frame)

    async def CountTokens(self, request: pb.CountTokensRequest, context: Any) -> pb.CountTokensResponse:
        """See llm.proto."""
        completion = conversion.read_completion(request.completion)
        count, target = await self._gateway.count_tokens(current_call(), completion)
        return pb.CountTokensResponse(
            input_tokens=count.input_tokens,
            estimated=count.estimated,
            model=target.model,
            provider=target.provider.name,
        )

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        """See llm.proto."""
        generation = self._generations.current
        models = list_models(generation.factory, request.provider)
        aliases = list_aliases(generation, self._gateway.breakers)
        operates = current_call().role in ("admin", "service")
        return pb.ListModelsResponse(
            models=map(conversion.model_proto, models),
            default_model=generation.router.default_model(),
            aliases=(conversion.alias_proto(*alias) for alias in aliases),
            catalog_problem=self._generations.problem if operates else "",
        )

    async def GetUsage(self, request: pb.GetUsageRequest, context: Any) -> pb.GetUsageResponse:
        """See llm.proto."""
        query = conversion.read_usage_query(request)
        return conversion.usage_response(await self._gateway.usage(current_call().tenant_id, query))
