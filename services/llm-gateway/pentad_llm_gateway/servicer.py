"""The gateway's RPCs: convert, call, convert."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from pentad.llm.v1 import llm_pb2 as pb
from pentad.llm.v1 import llm_pb2_grpc
from pentad_common.call import current_call
from pentad_common.cursor import page_size
from pentad_llm_gateway import batch_conversion, conversion
from pentad_llm_gateway.batches.batches import Batches
from pentad_llm_gateway.coalescing import coalesced
from pentad_llm_gateway.gateway import Gateway
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.listing import list_aliases, list_models

_PAGE = 50


class LlmGatewayServicer(llm_pb2_grpc.LlmGatewayServiceServicer):
    """See llm.proto."""

    def __init__(self, gateway: Gateway, generations: Generations, batches: Batches, most_bytes: int) -> None:
        """`most_bytes`: of one message."""
        self._gateway = gateway
        self._generations = generations
        self._batches = batches
        self._most_bytes = most_bytes

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
        tenant = current_call().tenant_id
        return conversion.usage_response(
            await self._gateway.usage(tenant, query), await self._gateway.limits(tenant)
        )

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedResponse:
        """See llm.proto."""
        policy = conversion.read_cache_policy(request)
        embedded = await self._gateway.embed(current_call(), conversion.read_texts(request), policy)
        return conversion.embedded_proto(embedded, self._most_bytes)

    async def BatchInvoke(self, request: pb.BatchInvokeRequest, context: Any) -> pb.BatchInvokeResponse:
        """See llm.proto."""
        items = batch_conversion.handed_in(request)
        batch = await self._batches.invoke(
            current_call(), request.model, items, request.request_id, request.fan_out
        )
        return pb.BatchInvokeResponse(batch=batch_conversion.batch_proto(batch))

    async def GetBatch(self, request: pb.GetBatchRequest, context: Any) -> pb.GetBatchResponse:
        """See llm.proto."""
        batch = await self._batches.get(current_call().tenant_id, request.batch_id)
        return pb.GetBatchResponse(batch=batch_conversion.batch_proto(batch))

    async def ListBatches(self, request: pb.ListBatchesRequest, context: Any) -> pb.ListBatchesResponse:
        """See llm.proto."""
        size = page_size(request.page_size, _PAGE)
        before = batch_conversion.read_batches_token(request.page_token)
        found = await self._batches.page(current_call().tenant_id, size, before)
        return batch_conversion.batches_page(found, size)

    async def ListBatchResults(
        self, request: pb.ListBatchResultsRequest, context: Any
    ) -> pb.ListBatchResultsResponse:
        """See llm.proto."""
        size = page_size(request.page_size, _PAGE)
        after = batch_conversion.read_results_token(request.page_token)
        found = await self._batches.results(current_call().tenant_id, request.batch_id, size, after)
        return batch_conversion.results_page(found, size)

    async def CancelBatch(self, request: pb.CancelBatchRequest, context: Any) -> pb.CancelBatchResponse:
        """See llm.proto."""
        batch = await self._batches.cancel(current_call().tenant_id, request.batch_id)
        return pb.CancelBatchResponse(batch=batch_conversion.batch_proto(batch))
