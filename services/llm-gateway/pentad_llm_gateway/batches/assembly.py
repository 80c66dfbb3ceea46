"""Batches put together: what keeps them, what works on them, what callers see of them."""

from __future__ import annotations

from pentad_common.db import Database
from pentad_common.ids import new_id
from pentad_common.server import Server
from pentad_llm_gateway.batches.batches import Batches
from pentad_llm_gateway.batches.fan_out import FanOut
from pentad_llm_gateway.batches.native import NativeBatches
from pentad_llm_gateway.batches.queue import BatchQueue
from pentad_llm_gateway.batches.store import BatchStore
from pentad_llm_gateway.batches.worker import BatchWorker
from pentad_llm_gateway.gateway import Gateway
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.limits.base import Limits
from pentad_llm_gateway.settings import GatewaySettings


def with_batches(
    settings: GatewaySettings,
    database: Database,
    server: Server,
    gateway: Gateway,
    generations: Generations,
    limits: Limits,
) -> Batches:
    """Batches, with what works on them while the server serves."""
    store = BatchStore(database)
    queue = BatchQueue(database, new_id(), settings.llm_batch_lease_seconds)
    worker = BatchWorker(
        store,
        queue,
        FanOut(gateway, queue, settings.llm_batch_concurrency),
        NativeBatches(
            generations,
            queue,
            limits,
            settings.llm_batch_poll_seconds,
            settings.llm_batch_most_poll_seconds,
        ),
        server.keys,
        idle_seconds=settings.llm_batch_idle_seconds,
        lease_seconds=settings.llm_batch_lease_seconds,
        retention_seconds=settings.llm_batch_retention_seconds,
    )
    server.accompany(worker)
    return Batches(generations, store, worker, settings.llm_batch_seconds)
